"""The page that adds a device: scan, photo, typed code, the waiting list, and the code that the device reads."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import qrcode
from api_device import waiting
from api_world import Side
from claim_world import protocol_rows
from django.contrib.staticfiles import finders
from django.test import Client
from pages_world import browser, colleague, tags, text

from bootstrap.contract import Verdict
from bootstrap.protocols.eap_noob.constants import Direction
from devices.models import Claim, Device, DeviceState, Onboarding, Role
from portal.pages.claim import qr_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


class TestAdding:
    """One page, one endpoint for scan, photo and typed code."""

    def test_a_code_with_a_port_or_another_path_is_the_same_code(self, owner: Client) -> None:
        code = waiting().shows()
        query = urlsplit(code).query
        for typed in (
            f"https://portal.example:8443/n?{query}",
            f"HTTPS://OTHER.EXAMPLE/x/y?{query}",
            f"?{query}",
        ):
            answer = owner.get(owner.post("/add", {"code": typed})["Location"])
            assert answer.status_code == 200, typed

    def test_the_scanner_has_its_parts_and_its_words(self, owner: Client) -> None:
        found = tags(owner.get("/add"))
        [scanner] = [a for tag, a in found if tag == "qr-scan"]
        for part in ("data-decoder", "data-wasm"):
            assert finders.find(str(scanner[part]).removeprefix("/static/"))
        for word in ("starting", "looking", "reading", "found", "insecure", "denied", "missing", "nothing"):
            assert scanner[f"data-{word}"]
        script = Path(str(finders.find("js/qr-scan.js"))).read_text()
        assert {f"data-{name}" for name in re.findall(r"this\.dataset\.(\w+)", script)} <= set(scanner)
        assert scanner["data-form"] in {a.get("id") for tag, a in found if tag == "form"}
        [photo] = [a for _tag, a in found if a.get("type") == "file"]
        assert "capture" not in photo, "a photo from the library will do"

    def test_a_typed_code_goes_the_way_of_the_link(self, owner: Client) -> None:
        code = waiting().shows()
        for typed in (code, f"  {code}\n", urlsplit(code).query):
            answer = owner.post("/add", {"code": typed})
            assert answer.status_code == 303
            assert owner.get(answer["Location"]).status_code == 200

    @pytest.mark.parametrize("code", ["", " ", "x" * 5000])
    def test_nothing_typed_is_said(self, owner: Client, code: str) -> None:
        answer = owner.post("/add", {"code": code})
        assert (answer.status_code, "CLM-101" in text(answer)) == (400, True)

    def test_only_this_page_may_compile_the_decoder_and_use_the_camera(self, owner: Client) -> None:
        page = owner.get("/add")
        assert "'wasm-unsafe-eval'" in page["Content-Security-Policy"]
        assert "unsafe-inline" not in page["Content-Security-Policy"]
        for other in ("/devices", "/n"):
            assert "unsafe" not in owner.get(other)["Content-Security-Policy"]

    def test_the_typed_twin_is_there_without_any_script(self, owner: Client) -> None:
        fields = {attributes.get("name") for tag, attributes in tags(owner.get("/add")) if tag == "input"}
        assert {"code", "serial"} <= fields

    def test_strangers_of_the_own_way_are_listed_and_others_not(self, owner: Client, mine: Side) -> None:
        waiting("NEAR-1", organization_id=mine.organization.pk)
        waiting("FAR-1")
        page = text(owner.get("/add"))
        assert "NEAR-1" in page
        assert "FAR-1" not in page


class TestTheDeviceReads:
    """The other direction: QR, text, countdown."""

    def offer(self, owner: Client, **body: Any) -> str:
        answer = owner.post("/add/show", body)
        assert answer.status_code == 303, text(answer)
        return str(answer["Location"])

    def code(self, owner: Client, place: str) -> str:
        page = owner.get(place).content.decode()
        found = re.search(r'<code id="offered-code"[^>]*>([^<]+)</code>', page)
        assert found, page
        return found[1].replace("&amp;", "&")

    def test_by_printed_serial_and_the_page_turns_into_the_device(self, owner: Client) -> None:
        thing = waiting("CAM-1")
        place = self.offer(owner, serial=" CAM-1 ")
        thing.reads(self.code(owner, place))
        assert thing.connect() is Verdict.ACCEPT
        device = Device.objects.get()
        assert device.state not in (DeviceState.WAITING, DeviceState.STUCK)
        after = owner.get(place)
        assert (after.status_code, after["Location"]) == (302, f"/devices/{device.pk}")

    def test_from_the_waiting_list(self, owner: Client, mine: Side) -> None:
        thing = waiting("CAM-2", organization_id=mine.organization.pk)
        place = self.offer(owner, session=str(thing.session.pk))
        thing.reads(self.code(owner, place))
        assert thing.connect() is Verdict.ACCEPT

    def test_showing_it_again_is_the_same_code_and_writes_nothing(self, owner: Client) -> None:
        waiting("CAM-3")
        place = self.offer(owner, serial="CAM-3")
        first = self.code(owner, place)
        before = protocol_rows()
        since = Onboarding.objects.get().started_at
        for _look in range(3):
            assert self.code(owner, place) == first
            assert owner.head(place).status_code == 200
        assert protocol_rows() == before
        assert Onboarding.objects.get().started_at == since

    def test_the_page_is_kept_nowhere(self, owner: Client) -> None:
        waiting("CAM-4")
        page = owner.get(self.offer(owner, serial="CAM-4"))
        assert "no-store" in page["Cache-Control"]
        assert page["Referrer-Policy"] in ("no-referrer", "same-origin", "strict-origin")

    def test_the_picture_is_the_code(self, owner: Client) -> None:
        """Draw the path on paper, module by module, and compare with the code's own matrix."""
        waiting("CAM-7")
        place = self.offer(owner, serial="CAM-7")
        code = self.code(owner, place)
        svg = re.search(
            r'<svg class="qr" viewBox="0 0 (\d+) (\d+)".*?</svg>',
            owner.get(place).content.decode(),
            re.DOTALL,
        )
        assert svg
        side = int(svg[1])
        assert svg[1] == svg[2]
        paths = dict(re.findall(r'<path fill="(#\w+)" d="([^"]*)"', svg[0]))
        assert paths["#fff"] == f"M0 0h{side}v{side}H0z"
        squares = re.fullmatch(r"(?:M\d+,\d+h1v1h-1z)+", paths["#000"])
        assert squares
        dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+),(\d+)h1v1h-1z", paths["#000"])}
        drawn = [[(x, y) in dark for x in range(side)] for y in range(side)]
        known = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4)
        known.add_data(code)
        assert drawn == known.get_matrix()
        assert not any(drawn[0] + drawn[3] + drawn[-1]), "the quiet zone is four modules"
        assert qr_path(code)["side"] == side

    def test_it_runs_down_and_says_what_then(self, owner: Client) -> None:
        waiting("CAM-8")
        page = owner.get(self.offer(owner, serial="CAM-8"))
        found = tags(page)
        [clock] = [a for tag, a in found if tag == "count-down" and a.get("data-then")]
        claim = Claim.objects.get()
        assert datetime.fromisoformat(str(clock["datetime"])) == claim.expires_at
        ids = {a["id"]: a for _tag, a in found if a.get("id")}
        assert "hidden" not in ids[str(clock["data-ends"])]
        assert "hidden" in ids[str(clock["data-then"])]

    def test_a_code_of_before_the_merge_question_is_kept_in_the_form(self, owner: Client, mine: Side) -> None:
        mine.device("CAM-9").sessions.all().delete()
        waiting("CAM-9")
        page = owner.post("/add/show", {"serial": "CAM-9"})
        assert "same one after a reset" in text(page)
        kept = {a["name"]: a["value"] for _tag, a in tags(page) if a.get("type") == "hidden"}
        assert kept["serial"] == "CAM-9"
        assert not Claim.objects.filter(state=Claim.State.OPEN).exists()
        self.offer(owner, serial="CAM-9", merge="yes")
        assert Device.objects.count() == 1

    def test_a_session_of_another_organizations_way_is_not_there(self, owner: Client) -> None:
        thing = waiting("CAM-10", organization_id=Side("Rivals").organization.pk)
        stranger = waiting("CAM-11")
        for session in (thing.session, stranger.session):
            answer = owner.post("/add/show", {"session": str(session.pk)})
            assert (answer.status_code, "CLM-114" in text(answer)) == (404, True)
        assert not Device.objects.exists()

    def test_the_device_page_leads_back_to_the_code(self, owner: Client) -> None:
        waiting("CAM-12")
        place = self.offer(owner, serial="CAM-12")
        page = owner.get(f"/devices/{Device.objects.get().pk}")
        assert place in {a.get("href") for tag, a in tags(page) if tag == "a"}

    def test_withdrawing_it_ends_the_code(self, owner: Client) -> None:
        thing = waiting("CAM-5")
        place = self.offer(owner, serial="CAM-5")
        code = self.code(owner, place)
        assert owner.post(f"{place}/withdraw").status_code == 302
        thing.reads(code)
        assert thing.connect() is not Verdict.ACCEPT

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"serial": ""},
            {"serial": "NOBODY"},
            {"session": "999999999999999999"},
            {"session": "-1"},
            {"session": "x"},
        ],
    )
    def test_nobody_there(self, owner: Client, body: dict[str, str]) -> None:
        answer = owner.post("/add/show", body)
        assert (answer.status_code, "CLM-114" in text(answer)) == (404, True)

    def test_two_that_say_the_same(self, owner: Client) -> None:
        waiting("TWIN")
        waiting("TWIN")
        assert "CLM-115" in text(owner.post("/add/show", {"serial": "TWIN"}))

    def test_a_device_that_only_shows(self, owner: Client) -> None:
        waiting("SHOWS", direction=Direction.PEER_TO_SERVER)
        assert "CLM-116" in text(owner.post("/add/show", {"serial": "SHOWS"}))

    def test_a_viewer_gets_no_code(self, mine: Side) -> None:
        waiting("CAM-6")
        answer = browser(colleague(mine, Role.VIEWER)).post("/add/show", {"serial": "CAM-6"})
        assert (answer.status_code, "CLM-111" in text(answer)) == (403, True)
