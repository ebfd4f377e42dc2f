"""Claims of devices with a voucher: by sticker, GUID, serial number or the voucher itself, with real vouchers and,
where a device must prove itself, a real one."""

from __future__ import annotations

import uuid

import pytest
from engine_world import House, colleague, house, mine
from fdo_house import Thing
from test_claims import chain_holds, everything, refused, unchanged
from voucher_world import Maker, maker, pem

from bootstrap.bindings import claims, codes
from bootstrap.bindings.limits import WRONG_PER_MINUTE
from bootstrap.bindings.problems import ClaimProblem
from bootstrap.bindings.vouchers import jobs
from bootstrap.bindings.vouchers.hand_over import voucher_delete, voucher_extend, voucher_restore
from bootstrap.bindings.vouchers.settle import settle_to2
from bootstrap.engine import onboarding
from bootstrap.engine.models import Event, Session
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.wire.keys import SoftSigner
from devices.keys import public_of, signer_of
from devices.models import AuditEntry, Claim, Device, Job, Membership, Organization, OwnerKey, Voucher
from devices.services.devices import device_retire
from devices.services.fdo import fdo_setup, manufacturer_trust
from devices.services.owner_keys import owner_key_make
from devices.services.people import membership_ensure, organization_create, user_ensure

__all__ = ["house", "maker", "mine"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def key(mine: Membership, maker: Maker) -> OwnerKey:
    """Mine's owner key; the maker is trusted."""
    return owner_key(mine.organization, maker)


def owner_key(organization: Organization, maker: Maker) -> OwnerKey:
    manufacturer_trust(organization, None, maker.signer.public.der, "Acme")
    return owner_key_make(organization, None)


def brought(organization: Organization, *contents: bytes) -> list[Device]:
    """The devices of vouchers that were imported."""
    job = jobs.import_create(organization, None, [pem(*contents)], "lot.pem")
    jobs.import_run(job.pk)
    assert Job.objects.get(pk=job.pk).rejected == 0
    return list(Device.objects.filter(vouchers__job=job).order_by("pk"))


def one(key: OwnerKey, maker: Maker, serial: str = "SN-1") -> tuple[Device, str, bytes]:
    """A device with a voucher here, its GUID, and the voucher."""
    content = maker.made_for(public_of(key), 1, serial)
    [device] = brought(key.organization, content)
    return device, device.vouchers.get().guid, content


def spellings(guid: str, content: bytes) -> list[str]:
    """Everything that names the device."""
    dashed = str(uuid.UUID(guid))
    text = pem(content).decode()
    return [
        guid,
        guid.upper(),
        dashed,
        f"  fdo:{guid}\n",
        f"FDO:{dashed}",
        f"urn:uuid:{dashed}",
        f"https://portal.example/d/{guid}",
        f"http://192.0.2.1:8080/d/{dashed}/",
        f"https://maker.example/d/{guid}#c2VjcmV0",
        text,
        text.replace("\n", ""),
        text.replace("\n", "\r\n"),
    ]


# Reading.


@pytest.mark.parametrize("number", range(12))
def test_every_spelling_is_the_same_device(
    mine: Membership, key: OwnerKey, maker: Maker, number: int
) -> None:
    device, guid, content = one(key, maker)
    before = everything()
    code = spellings(guid, content)[number]
    seen = claims.look(code, mine)
    assert (seen.method, seen.serial, seen.manufacturer, seen.model) == ("fdo", "SN-1", "Acme", "Lamp 3")
    assert (seen.guid, seen.state, seen.seen_at, seen.merge_with) == (guid, "known", None, None)
    assert everything() == before
    assert claims.confirm(code, mine).pk == device.pk
    assert Claim.objects.get().assurance == "sticker"


@pytest.mark.parametrize(
    "code",
    [
        "https://portal.example/d/",
        "https://portal.example/d/123",
        "https://portal.example/d/" + "g" * 32,
        "https://portal.example/x/d/" + "a" * 32,
        "ftp://portal.example/d/" + "a" * 32,
        "fdo:" + "a" * 31,
        "fdo:" + "a" * 33,
        "a" * 16 + "-" + "a" * 16,
        "\u0661" * 32,
        "-----BEGIN OWNERSHIP VOUCHER-----",
        "-----BEGIN OWNERSHIP VOUCHER-----\n\n-----END OWNERSHIP VOUCHER-----",
        "-----BEGIN OWNERSHIP VOUCHER-----\n!!!!\n-----END OWNERSHIP VOUCHER-----",
        "-----BEGIN OWNERSHIP VOUCHER-----\nhUE=\n-----END OWNERSHIP VOUCHER-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN OWNERSHIP VOUCHER-----" + "A" * codes.CODE_MAX_LENGTH,
    ],
)
def test_what_only_looks_like_one_is_unreadable(mine: Membership, code: str) -> None:
    for deed in (claims.look, claims.confirm):
        assert unchanged(deed, code, mine).problem is ClaimProblem.UNREADABLE


def test_what_is_put_away_for_later_is_short_and_means_the_same(
    mine: Membership, key: OwnerKey, maker: Maker
) -> None:
    _device, guid, content = one(key, maker)
    for code in spellings(guid, content):
        assert codes.shortened(code) == f"fdo:{guid}"
    for other in ("P=a&N=b", "-----BEGIN" + "A" * 90_000, "SN-1"):
        assert codes.shortened(other) == other


# Confirming.


def test_confirming_says_that_a_person_has_it_and_leaves_onboarding_alone(
    mine: Membership, key: OwnerKey, maker: Maker
) -> None:
    device, guid, _content = one(key, maker)
    session = Session.objects.get(protocol="fdo", locator=guid)
    steps = device.onboarding.step, device.onboarding.started_at, device.state, device.step
    made = claims.confirm(guid, mine, name=" Hall lamp ", room="Hall")
    made.refresh_from_db()
    assert (made.pk, made.name, made.room, made.serial_confirmed) == (device.pk, "Hall lamp", "Hall", True)
    claim = Claim.objects.get()
    assert (claim.device, claim.person, claim.session_id) == (device, mine.user, session.pk)
    assert (claim.state, claim.direction, claim.assurance) == ("accepted", "device-to-server", "sticker")
    event = Event.objects.get(code="claim.confirmed")
    assert (event.device, event.session, event.organization_id) == (device, session, mine.organization_id)
    assert event.detail["person"] == str(mine.user)
    entry = AuditEntry.objects.get(action="device.claimed")
    assert (entry.actor, entry.detail["serial"], entry.detail["assurance"]) == (mine.user, "SN-1", "sticker")
    assert chain_holds()
    assert (made.onboarding.step, made.onboarding.started_at, made.state, made.step) == steps
    assert Session.objects.filter(pk=session.pk, version=session.version).exists()


def test_a_name_that_is_not_given_takes_none_away(mine: Membership, key: OwnerKey, maker: Maker) -> None:
    device, guid, _content = one(key, maker)
    Device.objects.filter(pk=device.pk).update(name="Desk", room="Office")
    made = claims.confirm(guid, mine)
    assert (made.name, made.room) == ("Desk", "Office")


def test_a_serial_number_finds_the_device_too_with_less_assurance(
    mine: Membership, key: OwnerKey, maker: Maker
) -> None:
    one(key, maker, "A 1")
    device, guid, _content = one(key, maker, "SN-77")
    assert claims.look(" SN-77 ", mine).guid == guid
    assert claims.confirm("SN-77", mine).pk == device.pk
    assert Claim.objects.get().assurance == "serial-only"
    assert claims.look("A 1", mine).serial == "A 1"


def test_one_serial_number_of_two_devices_is_nobodys(mine: Membership, key: OwnerKey, maker: Maker) -> None:
    one(key, maker, "SN-2")
    _device, guid, _content = one(key, maker, "SN-2")
    problem = unchanged(claims.confirm, "SN-2", mine)
    assert problem.problem is ClaimProblem.SEVERAL_WITH_SERIAL
    assert len(problem.detail["candidates"]) == 2
    assert claims.confirm(guid, mine).serial == "SN-2"


def test_a_serial_number_of_a_device_without_a_voucher_is_no_code(mine: Membership, key: OwnerKey) -> None:
    Device.objects.create(organization=mine.organization, serial="SN-5", method="eap-noob")
    assert unchanged(claims.look, "SN-5", mine).problem is ClaimProblem.UNREADABLE


def test_what_one_has_already_is_said_and_not_done_twice(
    mine: Membership, key: OwnerKey, maker: Maker
) -> None:
    device, guid, _content = one(key, maker)
    claims.confirm(guid, mine)
    claim = Claim.objects.get()
    other = colleague(mine.organization)
    for deed in (claims.look, claims.confirm):
        again = unchanged(deed, "SN-1", mine)
        assert (again.problem, again.detail) == (
            ClaimProblem.ALREADY_MINE,
            {"device": device.pk, "claim": claim.pk},
        )
        theirs = unchanged(deed, guid, other)
        assert theirs.problem is ClaimProblem.ADDED_BY_COLLEAGUE
        assert theirs.detail["at"] == claim.created_at.isoformat()


def test_a_viewer_may_look_and_not_claim(mine: Membership, key: OwnerKey, maker: Maker) -> None:
    _device, guid, _content = one(key, maker)
    viewer = colleague(mine.organization, "viewer")
    assert claims.look(guid, viewer).serial == "SN-1"
    assert unchanged(claims.confirm, guid, viewer).problem is ClaimProblem.NO_RIGHT


def test_a_device_out_of_service_is_not_added(mine: Membership, key: OwnerKey, maker: Maker) -> None:
    device, guid, _content = one(key, maker)
    device_retire(device, mine.user)
    problem = unchanged(claims.confirm, guid, mine)
    assert (problem.problem, problem.detail) == (ClaimProblem.OUT_OF_SERVICE, {"device": device.pk})


# No voucher here.


@pytest.fixture
def theirs() -> Organization:
    return organization_create("Theirs", user_ensure("theirs@example.com"))


def test_no_voucher_and_somebody_elses_voucher_look_the_same(
    mine: Membership, theirs: Organization, maker: Maker
) -> None:
    content = maker.made_for(public_of(owner_key(theirs, maker)), 1, "SN-9")
    brought(theirs, content)
    elsewhere = Voucher.objects.get().guid
    stranger = maker.made_for(SoftSigner.generate(maker.kind).public, 1, "SN-10")
    nobodys = "ab" * 16
    texts = [elsewhere, nobodys, pem(content).decode(), pem(stranger).decode()]
    for deed in (claims.look, claims.confirm):
        problems = [unchanged(deed, code, mine) for code in texts]
        assert {(p.problem, tuple(p.detail.items()), str(p)) for p in problems} == {
            (ClaimProblem.NO_VOUCHER, (), "CLM-119")
        }
    for serial in ("SN-9", "SN-404"):
        problem = unchanged(claims.look, serial, mine)
        assert (problem.problem, problem.detail) == (ClaimProblem.UNREADABLE, {})


def test_a_deleted_voucher_is_none_until_it_is_back(mine: Membership, key: OwnerKey, maker: Maker) -> None:
    device, guid, _content = one(key, maker)
    voucher_delete(device.vouchers.get(), mine.user)
    assert unchanged(claims.confirm, guid, mine).problem is ClaimProblem.NO_VOUCHER
    voucher_restore(device.vouchers.get(), mine.user)
    assert claims.confirm(guid, mine).pk == device.pk


def test_guessing_guids_is_slowed_down(mine: Membership) -> None:
    for number in range(WRONG_PER_MINUTE):
        assert refused(claims.look, f"{number:032x}", mine).problem is ClaimProblem.NO_VOUCHER
    assert refused(claims.look, "f" * 32, mine).problem is ClaimProblem.TOO_MANY_TRIES


# Sold on.


def test_what_was_sold_on_is_said_to_its_seller_alone(
    mine: Membership, key: OwnerKey, maker: Maker, theirs: Organization
) -> None:
    device, guid, _content = one(key, maker)
    claims.confirm(guid, mine)
    buyers = owner_key(theirs, maker)
    sold = voucher_extend(device.vouchers.get(), mine.user, public_of(buyers).der)
    for code in (guid, "SN-1"):
        problem = unchanged(claims.confirm, code, mine)
        assert (problem.problem, problem.detail) == (ClaimProblem.SOLD_ON, {"voucher": sold.pk})
    buyer = membership_ensure(theirs, user_ensure("theirs@example.com"), "owner")
    assert unchanged(claims.confirm, guid, buyer).problem is ClaimProblem.NO_VOUCHER
    brought(theirs, bytes(sold.content))
    made = claims.confirm(guid, buyer)
    assert (made.organization, Claim.objects.filter(person=buyer.user).count()) == (theirs, 1)


def test_what_came_back_can_be_claimed_again(mine: Membership, key: OwnerKey, maker: Maker) -> None:
    device, guid, _content = one(key, maker)
    claims.confirm(guid, mine)
    buyer = SoftSigner.generate(maker.kind)
    sold = voucher_extend(device.vouchers.get(), mine.user, buyer.public.der)
    back = extended(bytes(sold.content), buyer, key)
    [again] = brought(mine.organization, back)
    assert again.pk == device.pk
    assert claims.confirm(guid, mine).pk == device.pk
    assert Claim.objects.filter(device=device).count() == 2
    assert unchanged(claims.confirm, guid, mine).problem is ClaimProblem.ALREADY_MINE


def extended(content: bytes, holder: SoftSigner, key: OwnerKey) -> bytes:
    """Sold back by whoever bought it."""
    old = vouchers.Voucher.decode(content)
    encoding = old.header.manufacturer_key.encoding
    return vouchers.extend(old, holder, PublicKey.of(signer_of(key).public, encoding)).encode()


# Onboarding goes on by itself.


def onboarded(house: House, mine: Membership) -> tuple[Thing, Device]:
    """A device with a voucher from our own DI."""
    fdo_setup(mine.organization, None)
    house.directory.refresh()
    thing = Thing(house, serial="SN-1")
    voucher = thing.initialize()
    [device] = brought(mine.organization, voucher.encode())
    return thing, device


@pytest.mark.parametrize("early", [True, False])
def test_a_claim_is_complete_once_the_device_has_proved_itself(
    house: House, mine: Membership, early: bool
) -> None:
    thing, device = onboarded(house, mine)
    sticker = f"https://portal.example/d/{thing.guid}"
    if early:
        claims.confirm(sticker, mine)
        assert Claim.objects.get().state == "accepted"
    thing.to2()
    settle_to2(device.pk)
    onboarding.advance(device.pk)
    device.refresh_from_db()
    assert device.state == "onboarded"
    if not early:
        assert claims.look(sticker, mine).state == "onboarded"
        claims.confirm(sticker, mine)
    claim = Claim.objects.get()
    assert (claim.state, claim.device) == ("completed", device)


def test_the_sticker_still_names_a_device_that_has_a_new_guid(house: House, mine: Membership) -> None:
    thing, device = onboarded(house, mine)
    sticker = thing.guid
    thing.to2()
    settle_to2(device.pk)
    assert thing.guid != sticker
    assert claims.look(sticker, mine) == claims.look(thing.guid, mine)
    assert claims.confirm(sticker, mine).pk == device.pk
    session = Session.objects.get(protocol="fdo", locator=thing.guid)
    assert Claim.objects.get().session_id == session.pk
