"""The list of devices and one device: search, pages, borders, what may be changed, what leaves in a bundle."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from api_device import Device as Thing
from api_device import waiting, work
from api_world import Side
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from pages_world import browser, colleague, tags, text

from bootstrap.bindings import claims
from bootstrap.contract import Verdict
from bootstrap.engine.models import Event, Session
from devices.models import AuditEntry, Claim, Device, DeviceState, Membership, Role
from devices.services.plans import plan_save
from portal.pages import devices as pages
from portal.pages.devices import PAGE
from portal.pages.search import QUERY_MAX_LENGTH, Search

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


@pytest.fixture
def rivals() -> Side:
    return Side("Rivals")


def listed(answer: Any) -> list[int]:
    """Ids of the rows, in the order of the page."""
    ids = [attributes.get("id") or "" for tag, attributes in tags(answer) if tag == "tr"]
    return [int(found.removeprefix("device-")) for found in ids if found]


class TestSearch:
    """One box: words, and keys with a value."""

    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("", Search()),
            ("kitchen", Search("kitchen", "kitchen")),
            ("kitchen  lamp", Search("kitchen  lamp", "kitchen lamp")),
            ("state:stuck lamp", Search("state:stuck lamp", "lamp", state="stuck")),
            ("STATE:Stuck", Search("STATE:Stuck", state="stuck")),
            ("serial:T2-aB", Search("serial:T2-aB", serial="T2-aB")),
            ("method:EAP-NOOB", Search("method:EAP-NOOB", method="eap-noob")),
            ("state: lamp", Search("state: lamp", "state: lamp")),
            ("colour:red", Search("colour:red", "colour:red")),
            (":", Search(":", ":")),
            ("a\0b", Search("ab", "ab")),
            ("x" * 900, Search("x" * QUERY_MAX_LENGTH, "x" * QUERY_MAX_LENGTH)),
        ],
    )
    def test_what_was_typed(self, typed: str, expected: Search) -> None:
        assert Search.parse(typed) == expected

    @pytest.fixture
    def three(self, mine: Side) -> dict[str, Device]:
        return {
            "lamp": mine.device("T2-1", name="Lamp", room="Kitchen", state=DeviceState.STUCK),
            "lock": mine.device("T2-2", name="Lock", room="Kitchen", state=DeviceState.ONBOARDED),
            "other": mine.device("X9_%", name="100 % wool", room="Attic", state=DeviceState.ONBOARDED),
        }

    @pytest.mark.parametrize(
        ("typed", "found"),
        [
            ("kitchen", {"lamp", "lock"}),
            ("KITCHEN lam", {"lamp"}),
            ("state:onboarded", {"lock", "other"}),
            ("state:onboarded kitchen", {"lock"}),
            ("serial:T2-1", {"lamp"}),
            ("serial:T2", set()),
            ("T2", {"lamp", "lock"}),
            ("method:eap-noob", {"lamp", "lock", "other"}),
            ("method:fdo", set()),
            ("state:nonsense", set()),
            ("%", {"other"}),
            ("_", {"other"}),
            ("'; DROP TABLE devices_device; --", set()),
        ],
    )
    def test_what_it_finds(
        self, owner: Client, three: dict[str, Device], typed: str, found: set[str]
    ) -> None:
        answer = owner.get("/devices", {"q": typed})
        assert answer.status_code == 200
        assert set(listed(answer)) == {three[name].pk for name in found}
        assert [a["value"] for tag, a in tags(answer) if a.get("id") == "q"] == [typed]
        if not found:
            assert "Nothing fits" in text(answer)


class TestPages:
    """Fifty at a time, by keyset: nothing is seen twice or missed while new ones come in."""

    @pytest.fixture
    def many(self, mine: Side) -> list[int]:
        rows = [
            Device(organization=mine.organization, serial=f"S-{n:03}", method="eap-noob") for n in range(120)
        ]
        return [device.pk for device in reversed(Device.objects.bulk_create(rows))]

    @staticmethod
    def older(answer: Any) -> str | None:
        links = [
            a["href"] or "" for tag, a in tags(answer) if tag == "a" and "before=" in (a.get("href") or "")
        ]
        return links[0] if links else None

    def walk(self, owner: Client, mine: Side, query: str = "") -> list[list[int]]:
        pages, place = [], f"/devices{query}"
        while place:
            answer = owner.get(place)
            pages.append(listed(answer))
            place = self.older(answer)
            Device.objects.create(organization=mine.organization, serial="S-new", method="eap-noob")
        return pages

    def test_every_device_is_on_one_page(self, owner: Client, mine: Side, many: list[int]) -> None:
        found = self.walk(owner, mine)
        assert [len(page) for page in found] == [PAGE, PAGE, 20]
        assert list(chain(*found)) == many

    def test_the_search_goes_along(self, owner: Client, mine: Side, many: list[int]) -> None:
        found = self.walk(owner, mine, "?q=S-0")
        assert list(chain(*found)) == many[20:]

    @pytest.mark.parametrize("before", ["x", "-1", "0", "9" * 30, "٣", ""])
    def test_a_strange_page_is_no_error(self, owner: Client, many: list[int], before: str) -> None:
        assert owner.get("/devices", {"before": before}).status_code == 200

    def test_the_number_of_statements_does_not_grow_with_the_rows(self, owner: Client, mine: Side) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as spent:
                assert owner.get("/devices").status_code == 200
            return len(spent)

        mine.device("S-1")
        few = statements()
        for number in range(40):
            mine.device(f"S-{number + 2}", state=DeviceState.STUCK if number % 2 else DeviceState.ONBOARDING)
        assert statements() == few
        assert few <= 8

    def test_one_device_costs_a_fixed_number(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1")
        address = f"/devices/{device.pk}"

        def statements() -> int:
            with CaptureQueriesContext(connection) as spent:
                assert owner.get(address).status_code == 200
            return len(spent)

        few = statements()
        session = Session.objects.get(device=device)
        for number in range(30):
            mine.event(session, "eap-noob.waiting", device=device, detail={"sleep_seconds": number})
            mine.session(device=device, serial="S-1")
        assert statements() == few
        assert few <= 16


class TestFragments:
    """What the page re-reads is the rows, or the progress, and nothing around them."""

    def test_rows_alone(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1")
        for asked in (
            owner.get("/devices", {"fragment": "rows"}),
            owner.get("/devices", headers={"HX-Request": "true"}),
        ):
            names = {tag for tag, _a in tags(asked)}
            assert listed(asked) == [device.pk]
            assert not names & {"html", "head", "body", "script", "nav", "h1"}

    def test_progress_alone_with_its_history(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1")
        answer = owner.get(f"/devices/{device.pk}/progress")
        found = tags(answer)
        assert not {tag for tag, _a in found} & {"html", "head", "body", "script", "nav", "h1"}
        assert {a["data-for"] for tag, a in found if tag == "template"} == {
            "history",
            "got",
            "last-contact",
        }
        assert [a["data-cursor"] for _tag, a in found if "data-cursor" in a] == [
            str(Event.objects.latest("pk").pk)
        ]

    def test_no_fragment_is_kept(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1")
        for address in ("/devices?fragment=rows", f"/devices/{device.pk}/progress", f"/devices/{device.pk}"):
            assert "no-store" in owner.get(address)["Cache-Control"]


def addresses() -> list[str]:
    return [pattern.name for pattern in pages.urlpatterns if "pk" in str(pattern.pattern)]


def address(name: str, pk: int) -> str:
    """Some pages are of one line of history, or one file, of the device."""
    try:
        return reverse(name, args=[pk])
    except NoReverseMatch:
        return reverse(name, args=[pk, 1])


class TestBorder:
    """Another organization's device looks like one that never was."""

    @pytest.mark.parametrize("name", addresses())
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_theirs_is_not_there(self, owner: Client, rivals: Side, name: str, method: str) -> None:
        theirs = rivals.device("R-1", name="Secret lamp")
        answers = [getattr(owner, method)(address(name, pk)) for pk in (theirs.pk, 10**9, 2**63, 10**30)]
        assert {answer.status_code for answer in answers} <= {404, 405}
        assert len({answer.status_code for answer in answers}) == 1
        assert not [answer for answer in answers if "Secret" in answer.content.decode()]
        theirs.refresh_from_db()
        assert (theirs.state, theirs.name) == (DeviceState.WAITING, "Secret lamp")

    def test_every_address_with_a_device_was_tried(self) -> None:
        assert set(addresses()) >= {
            "device",
            "device-progress",
            "device-rename",
            "device-retire",
            "device-bundle",
        }

    @pytest.mark.parametrize("address", ["/offers/{}", "/offers/{}/withdraw"])
    def test_their_offers_are_not_there(self, owner: Client, rivals: Side, address: str) -> None:
        waiting("R-2")
        made = claims.offer(Membership.objects.get(user=rivals.owner), serial="R-2")
        for pk in (made.claim_id, 10**30):
            for answer in (owner.get(address.format(pk)), owner.post(address.format(pk))):
                assert answer.status_code in (404, 405)
        assert Claim.objects.get(pk=made.claim_id).state == Claim.State.OPEN

    def test_their_devices_are_in_no_list(self, owner: Client, rivals: Side) -> None:
        theirs = rivals.device("R-1", name="Their lamp")
        for query in ("", "?q=lamp", "?q=serial:R-1", "?fragment=rows", f"?before={theirs.pk + 1}"):
            page = owner.get("/devices" + query).content.decode()
            assert "Their" not in page
            assert f"device-{theirs.pk}" not in page

    def test_a_plan_of_theirs_cannot_be_chosen(self, owner: Client, mine: Side, rivals: Side) -> None:
        device = mine.device("S-1")
        theirs = plan_save(rivals.organization, rivals.owner, name="Theirs", items=[])
        own = plan_save(mine.organization, mine.owner, name="Own", items=[])
        address = f"/devices/{device.pk}/rename"
        assert owner.post(address, {"plan": str(own.pk)}).status_code == 204
        for plan in (theirs.pk, 10**30, "x", "-1"):
            assert owner.post(address, {"plan": str(plan)}).status_code == 422
        device.refresh_from_db()
        assert device.plan == own, "a plan that does not exist changes nothing"
        assert owner.post(address, {"plan": ""}).status_code == 204
        device.refresh_from_db()
        assert device.plan is None

    @pytest.mark.parametrize(
        "address",
        ["/devices", "/devices/1", "/devices/1/progress", "/devices/1/bundle.json", "/add", "/offers/1"],
    )
    def test_nobody_looks_without_signing_in(self, address: str) -> None:
        answer = Client().get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/login/")

    def test_signing_in_never_leads_to_an_address_that_only_takes_a_post(self) -> None:
        for address in ("/add/show", "/devices/1/rename", "/devices/1/retire", "/offers/1/withdraw"):
            answer = Client().post(address)
            assert (answer.status_code, answer["Location"]) == (302, "/account/login/?next=/")


class TestChanging:
    """Name, room and plan save themselves; retiring is the end."""

    def test_a_name_saves_itself(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1")
        answer = owner.post(f"/devices/{device.pk}/rename", {"name": "  Lobby  "})
        assert (answer.status_code, answer.content) == (204, b"")
        device.refresh_from_db()
        assert (device.name, device.room) == ("Lobby", "")
        line = Event.objects.get(code="device.renamed")
        assert line.detail == {"person": str(mine.owner), "name": "Lobby"}
        assert AuditEntry.objects.filter(action="device.changed", target=str(device.pk)).exists()

    def test_saving_the_same_again_writes_nothing(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1", name="Lobby")
        before = Event.objects.count(), AuditEntry.objects.count()
        assert owner.post(f"/devices/{device.pk}/rename", {"name": "Lobby"}).status_code == 204
        assert (Event.objects.count(), AuditEntry.objects.count()) == before

    def test_without_script_the_form_comes_back_to_the_page(self, owner: Client, mine: Side) -> None:
        device = mine.device("S-1")
        answer = owner.post(
            f"/devices/{device.pk}/rename",
            {"name": "Lobby", "room": "Hall"},
            headers={"Accept": "text/html,*/*"},
        )
        assert (answer.status_code, answer["Location"]) == (302, f"/devices/{device.pk}")

    @pytest.mark.parametrize("field", ["name", "room"])
    def test_too_long_is_said_and_not_saved(self, owner: Client, mine: Side, field: str) -> None:
        device = mine.device("S-1", **{field: "before"})
        answer = owner.post(f"/devices/{device.pk}/rename", {field: "x" * 81})
        assert (answer.status_code, "80" in answer.content.decode()) == (422, True)
        device.refresh_from_db()
        assert getattr(device, field) == "before"

    @pytest.mark.parametrize("name", ["\0", "a\0b", "😀" * 80, "<b>", "ö" * 80])
    def test_strange_names_are_names(self, owner: Client, mine: Side, name: str) -> None:
        device = mine.device("S-1")
        assert owner.post(f"/devices/{device.pk}/rename", {"name": name}).status_code == 204
        assert owner.get(f"/devices/{device.pk}").status_code == 200

    def test_a_viewer_looks_and_changes_nothing(self, mine: Side) -> None:
        device = mine.device("S-1", name="Lobby")
        viewer = browser(colleague(mine, Role.VIEWER))
        page = viewer.get(f"/devices/{device.pk}")
        assert page.status_code == 200
        posts = {a.get("action") for tag, a in tags(page) if tag == "form" and a.get("method") == "post"}
        assert posts <= {"/theme", "/organizations/choose"}
        for address, body in (("rename", {"name": "Mine now"}), ("retire", {})):
            assert viewer.post(f"/devices/{device.pk}/{address}", body).status_code == 403
        device.refresh_from_db()
        assert (device.name, device.state) == ("Lobby", DeviceState.WAITING)

    def test_a_device_out_of_service_says_so_and_is_refused(self, owner: Client, mine: Side) -> None:
        thing = waiting("S-1")
        device = claims.confirm(thing.shows(), Membership.objects.get(user=mine.owner))
        assert thing.connect() is Verdict.ACCEPT
        answer = owner.post(f"/devices/{device.pk}/retire", follow=True)
        assert "is out of service" in text(answer)
        page = owner.get(f"/devices/{device.pk}")
        assert "Out of service" in text(page)
        assert "Connecting" not in text(page)
        assert not [a for tag, a in tags(page) if (a.get("action") or "").endswith("/retire")]
        assert thing.connect() is Verdict.REJECT

    @pytest.mark.parametrize("name", ["device", "device-progress", "device-bundle"])
    def test_a_look_never_acts(self, owner: Client, mine: Side, name: str) -> None:
        device = mine.device("S-1")
        assert owner.post(reverse(name, args=[device.pk])).status_code == 405

    @pytest.mark.parametrize("name", ["device-rename", "device-retire"])
    def test_an_act_is_never_a_look(self, owner: Client, mine: Side, name: str) -> None:
        device = mine.device("S-1")
        assert owner.get(reverse(name, args=[device.pk])).status_code == 405


def spellings(secret: bytes) -> Iterator[str]:
    """A secret as it could appear in a text."""
    yield secret.hex()
    yield base64.urlsafe_b64encode(secret).decode().rstrip("=")
    yield base64.b64encode(secret).decode().rstrip("=")
    yield secret.decode("latin-1")


def secrets_of(thing: Thing) -> set[bytes]:
    """Every key and code that the device shares with us just now."""
    state = thing.state
    kept = {state.kz, state.kz_prev, state.z, state.z2, state.oob_noob, *(noob for noob, _at in state.noobs)}
    return kept - {b""}


class TestSupportBundle:
    """All that happened, nothing that opens anything."""

    @pytest.fixture
    def hidden(self, mine: Side) -> set[bytes]:
        """A device came in; what it and we know and nobody else."""
        thing = waiting("S-1")
        code = thing.shows()
        secrets = secrets_of(thing)
        claims.confirm(code, Membership.objects.get(user=mine.owner))
        assert thing.connect() is Verdict.ACCEPT
        work()
        return secrets | secrets_of(thing)

    def test_it_is_json_with_the_whole_history(self, owner: Client, hidden: set[bytes]) -> None:
        device = Device.objects.get()
        answer = owner.get(f"/devices/{device.pk}/bundle.json")
        assert answer["Content-Type"] == "application/json"
        assert answer["Content-Disposition"] == f'attachment; filename="device-{device.pk}.json"'
        bundle = json.loads(answer.content)
        assert bundle["device"]["serial"] == "S-1"
        codes = [event["code"] for event in bundle["events"]]
        assert codes == list(
            Event.objects.filter(device=device).order_by("pk").values_list("code", flat=True)
        )
        assert "eap-noob.completed" in codes
        assert {session["protocol"] for session in bundle["sessions"]} >= {"eap-noob"}

    def test_no_secret_is_in_it(self, owner: Client, hidden: set[bytes]) -> None:
        device = Device.objects.get()
        written = [
            owner.get(f"/devices/{device.pk}{end}").content.decode()
            for end in ("/bundle.json", "", "/progress")
        ]
        assert len(hidden) >= 3, "the shared point, the code, the key"
        for spelling in chain(*map(spellings, hidden)):
            assert not [page for page in written if spelling in page]
