"""The sticker of an FDO device, from the phone's camera app to the device's page."""

from __future__ import annotations

import pytest
from api_world import Side
from claim_world import protocol_rows
from django.test import Client
from pages_world import browser, colleague, tags, text
from voucher_world import Maker, maker, pem

from bootstrap.bindings.vouchers.hand_over import voucher_extend
from bootstrap.bindings.vouchers.jobs import import_create, import_run
from bootstrap.wire.keys import SoftSigner
from devices.keys import public_of
from devices.models import Claim, Device, Role, Voucher
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make

__all__ = ["maker"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def voucher_of(side: Side, maker: Maker, serial: str = "SN-1") -> Voucher:
    """A voucher that came in by an import."""
    manufacturer_trust(side.organization, None, maker.signer.public.der, "Acme")
    content = maker.made_for(public_of(owner_key_make(side.organization, None)), 1, serial)
    import_run(import_create(side.organization, None, [pem(content)], "lot.pem").pk)
    return Voucher.objects.get(organization=side.organization, serial=serial)


@pytest.fixture
def voucher(mine: Side, maker: Maker) -> Voucher:
    return voucher_of(mine, maker)


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


def scan(client: Client, path: str) -> str:
    """Open the sticker's link; where it leads."""
    answer = client.get(path)
    assert (answer.status_code, answer["Cache-Control"]) == (303, "no-store")
    assert answer["Location"].endswith("#"), "what stood behind the # of the sticker does not travel on"
    return str(answer["Location"]).removesuffix("#")


def test_the_link_leads_to_the_question_and_the_question_to_the_device(
    owner: Client, voucher: Voucher
) -> None:
    before = protocol_rows()
    place = scan(owner, f"/d/{voucher.guid}")
    assert voucher.guid not in place
    asked = owner.get(place)
    assert asked.status_code == 200
    for word in ("SN-1", "Acme Lamp 3", voucher.guid, "Known", "not switched on yet", "Add to Mine"):
        assert word in text(asked)
    assert protocol_rows() == before
    answer = owner.post(place, {"name": "Hall lamp", "room": "Ha\0ll"})
    assert (answer.status_code, answer["Location"]) == (303, f"/devices/{voucher.device_id}")
    device = Device.objects.get()
    assert (device.name, device.room) == ("Hall lamp", "Hall")
    assert owner.get(answer["Location"]).status_code == 200
    assert owner.get(place).status_code == 410, "once"


def test_the_code_waits_until_its_person_has_signed_in(mine: Side, voucher: Voucher) -> None:
    somebody = browser()
    place = scan(somebody, f"/d/{voucher.guid}")
    away = somebody.get(place)
    assert (away.status_code, away["Location"]) == (302, "/account/login/")
    session = somebody.session
    kept = session["claims"]
    somebody.force_login(mine.owner, backend="django.contrib.auth.backends.ModelBackend")
    session = somebody.session
    session["claims"] = kept
    session.save()
    assert "Add to Mine" in text(somebody.get(place))


@pytest.mark.parametrize("guid", ["x", "0" * 31, "0" * 33, "g" * 32, "%00", "a" * 5000])
def test_what_is_no_guid_ends_at_once(guid: str) -> None:
    anybody = browser()
    answer = anybody.get(f"/d/{guid}")
    assert (answer.status_code, "CLM-101" in text(answer)) == (400, True)
    assert not anybody.session.keys()


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_landing_only_reads(owner: Client, voucher: Voucher, method: str) -> None:
    assert getattr(owner, method)(f"/d/{voucher.guid}").status_code == 405


def test_a_pasted_voucher_is_put_away_as_a_name(owner: Client, voucher: Voucher) -> None:
    pasted = pem(bytes(voucher.content)).decode().replace("\n", "")
    answer = owner.post("/add", {"code": pasted})
    assert answer.status_code == 303
    [entry] = owner.session["claims"].values()
    assert len(entry[1]) < 300
    assert voucher.guid in text(owner.get(answer["Location"]))


def test_the_field_takes_a_whole_voucher(owner: Client) -> None:
    [field] = [a for tag, a in tags(owner.get("/add")) if a.get("id") == "code"]
    assert int(str(field["maxlength"])) >= 90_000


def test_no_voucher_here_offers_to_upload_one(owner: Client, maker: Maker) -> None:
    theirs = voucher_of(Side("Theirs"), maker, "SN-2")
    pages = []
    for guid in ("0" * 32, theirs.guid):
        refused = owner.get(scan(owner, f"/d/{guid}"))
        assert refused.status_code == 404
        assert "The maker has not registered it here yet." in text(refused)
        assert "/vouchers" in [a.get("href") for _tag, a in tags(refused)]
        pages.append(text(refused))
    assert pages[0] == pages[1]


def test_what_was_sold_on_leads_to_its_voucher(owner: Client, mine: Side, voucher: Voucher) -> None:
    sold = voucher_extend(voucher, mine.owner, SoftSigner.generate(Maker().kind).public.der)
    refused = owner.get(scan(owner, f"/d/{voucher.guid}"))
    assert "This device was sold to a different account." in text(refused)
    assert f"/vouchers/{sold.pk}" in [a.get("href") for _tag, a in tags(refused)]


def test_who_has_it_already_reads_so_in_no_error_colour(owner: Client, voucher: Voucher) -> None:
    owner.post(scan(owner, f"/d/{voucher.guid}"))
    again = owner.get(scan(owner, f"/d/{voucher.guid}"))
    assert (again.status_code, "You already have this device." in text(again)) == (200, True)
    assert f"/devices/{voucher.device_id}" in [a.get("href") for _tag, a in tags(again)]


def test_a_viewer_reads_why_not(mine: Side, voucher: Voucher) -> None:
    viewer = browser(colleague(mine, Role.VIEWER))
    place = scan(viewer, f"/d/{voucher.guid}")
    assert "Ask an owner or admin" in text(viewer.get(place))
    assert viewer.post(place).status_code == 403
    assert not Claim.objects.exists()
