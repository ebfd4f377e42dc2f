"""The list of devices and one device's page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_device import waiting, work
from api_world import ITEMS, Side
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pages_world import browser, tags, text

from bootstrap.contract import Verdict
from bootstrap.engine.models import Event, Session
from devices.models import AuditEntry, Device, DeviceState, Onboarding
from devices.services.plans import plan_save
from portal.pages.search import Search
from portal.templatetags.onward import STATES

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


def named(answer: Any) -> list[str]:
    """Serials of the devices on a page of the list, in order."""
    return [row.serial for row in answer.context["rows"]]


class TestTheList:
    """Search, pages, states."""

    def test_empty_it_says_what_to_do(self, owner: Client) -> None:
        page = text(owner.get("/devices"))
        assert "No devices yet" in page
        assert "Scan a code" in page
        assert "bootstrap.simulator eap-noob --via" in page

    def test_the_front_page_leads_there(self, owner: Client) -> None:
        assert owner.get("/")["Location"] == "/devices"
        assert "Sign in" in text(Client().get("/"))

    @pytest.mark.parametrize("state", DeviceState.values)
    def test_a_state_is_glyph_and_word_never_colour_alone(
        self, owner: Client, mine: Side, state: str
    ) -> None:
        device = mine.device("SN-1", state=state)
        page = text(owner.get("/devices"))
        assert f"{STATES[state][0]}{device.get_state_display()}" in page

    def test_every_state_has_a_look(self) -> None:
        assert set(STATES) == set(DeviceState)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["SN-3", "SN-2", "SN-1"]),
            ("state:stuck", ["SN-2"]),
            ("STATE:stuck kitchen", ["SN-2"]),
            ("kitchen", ["SN-2", "SN-1"]),
            ("serial:SN-3", ["SN-3"]),
            ("method:eap-noob sn-1", ["SN-1"]),
            ("state:nonsense", []),
            ("colour:red", []),
            ("%", []),
            ("' OR 1=1 --", []),
            ("\0", ["SN-3", "SN-2", "SN-1"]),
        ],
    )
    def test_search(self, owner: Client, mine: Side, query: str, found: list[str]) -> None:
        mine.device("SN-1", room="Kitchen")
        mine.device("SN-2", room="Kitchen", state="stuck", reason="onboarding.silent")
        mine.device("SN-3")
        assert named(owner.get("/devices", {"q": query})) == found

    def test_what_was_searched_stays_in_the_box_as_text(self, owner: Client, mine: Side) -> None:
        mine.device()
        page = owner.get("/devices", {"q": '"><script>alert(1)</script>'})
        values = [a.get("value") for tag, a in tags(page) if a.get("name") == "q"]
        assert values == ['"><script>alert(1)</script>']
        assert not [a for tag, a in tags(page) if tag == "script" and not a.get("src")]

    def test_pages_follow_without_gap_or_double(self, owner: Client, mine: Side) -> None:
        for number in range(120):
            Device.objects.create(organization=mine.organization, serial=f"SN-{number:03}", method="eap-noob")
        seen: list[str] = []
        address = "/devices"
        while address:
            answer = owner.get(address)
            seen += named(answer)
            more = answer.context["more"]
            address = f"/devices?before={more}" if more else ""
        assert seen == [f"SN-{number:03}" for number in reversed(range(120))]

    @pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "1' OR"])
    def test_a_broken_page_number_is_the_first_page(self, owner: Client, mine: Side, before: str) -> None:
        mine.device()
        assert owner.get("/devices", {"before": before}).status_code == 200

    def test_a_page_of_fifty_costs_no_more_statements_than_one_of_two(
        self, owner: Client, mine: Side
    ) -> None:
        counts = []
        for total in (2, 50):
            while Device.objects.count() < total:
                mine.device(f"SN-{Device.objects.count()}", state="onboarding")
            with CaptureQueriesContext(
                connection,
            ) as statements:
                owner.get("/devices")
            counts.append(len(statements))
        assert counts[0] == counts[1]

    def test_the_live_part_alone_can_be_read(self, owner: Client, mine: Side) -> None:
        mine.device("SN-1")
        part = owner.get("/devices?fragment=rows")
        assert "SN-1" in text(part)
        assert "<html" not in part.content.decode()


class TestOneDevice:
    """Timeline, name, history, bundle, out of service."""

    @pytest.fixture
    def onboarded(self, owner: Client, mine: Side) -> Device:
        """A device that came in over the real engine."""
        plan_save(mine.organization, mine.owner, name="Basics", items=ITEMS)
        thing = waiting("T2-0042")
        owner.post(owner.post("/add", {"code": thing.shows()})["Location"])
        assert thing.connect() is Verdict.ACCEPT
        work()
        return Device.objects.get()

    def test_four_steps_and_the_history_below(self, owner: Client, onboarded: Device) -> None:
        page = owner.get(f"/devices/{onboarded.pk}")
        words = text(page)
        for step in (
            "You confirmed the device",
            "Device proves itself",
            "Certificate and settings",
            "Online",
        ):
            assert step in words
        assert "owner@mine.example.com confirmed the device." in words
        assert "eap-noob.completed" in words

    def test_only_one_step_is_the_current_one(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1", state="onboarding")
        current = [
            a
            for _tag, a in tags(owner.get(f"/devices/{device.pk}/progress"))
            if a.get("aria-current") == "step"
        ]
        assert len(current) == 1

    def test_a_stuck_one_says_why_and_who_can_fix_it(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1", state="stuck", reason="onboarding.silent")
        words = text(owner.get(f"/devices/{device.pk}/progress"))
        assert "The device stopped answering." in words
        assert "Check power and network" in words
        assert "Who can fix it: You" in words
        assert "onboarding.silent" in words

    @pytest.mark.parametrize("state", DeviceState.values)
    def test_every_state_has_a_page(self, owner: Client, mine: Side, state: str) -> None:
        device = mine.device("SN-1", state=state)
        assert owner.get(f"/devices/{device.pk}").status_code == 200

    def test_one_without_onboarding_session_or_events_has_a_page(self, owner: Client, mine: Side) -> None:
        device = Device.objects.create(organization=mine.organization, method="fdo")
        page = owner.get(f"/devices/{device.pk}")
        assert page.status_code == 200
        assert owner.get("/devices").status_code == 200

    def test_a_code_from_the_future_in_its_history_is_shown(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1")
        mine.event(Session.objects.get(), "fdo.to2.new", device=device, detail={"x": ["<b>", None, {"y": 1}]})
        words = text(owner.get(f"/devices/{device.pk}"))
        assert "fdo.to2.new" in words
        assert "<b>" in words

    def test_a_name_is_saved_by_itself_and_is_a_line_of_history(
        self, owner: Client, onboarded: Device
    ) -> None:
        answer = owner.post(
            f"/devices/{onboarded.pk}/rename", {"name": "  Hall lamp "}, headers={"accept": "text/plain"}
        )
        assert answer.status_code == 204
        onboarded.refresh_from_db()
        assert onboarded.name == "Hall lamp"
        assert Event.objects.filter(device=onboarded, code="device.renamed").count() == 1
        assert AuditEntry.objects.filter(action="device.changed").count() == 1
        assert "Hall lamp" in text(owner.get(f"/devices/{onboarded.pk}"))

    def test_a_name_that_does_not_fit_is_refused_in_words(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1", name="Lamp")
        answer = owner.post(
            f"/devices/{device.pk}/rename", {"name": "x" * 81}, headers={"accept": "text/plain"}
        )
        assert answer.status_code == 422
        assert "80" in answer.content.decode()
        device.refresh_from_db()
        assert device.name == "Lamp"

    def test_without_script_saving_returns_to_the_page(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1")
        answer = owner.post(
            f"/devices/{device.pk}/rename", {"name": "A", "room": "B"}, headers={"accept": "text/html,*/*"}
        )
        assert (answer.status_code, answer["Location"]) == (302, f"/devices/{device.pk}")
        device.refresh_from_db()
        assert (device.name, device.room) == ("A", "B")

    def test_out_of_service_is_final_and_its_history_stays(self, owner: Client, onboarded: Device) -> None:
        events = Event.objects.filter(device=onboarded).count()
        answer = owner.post(f"/devices/{onboarded.pk}/retire", follow=True)
        assert "out of service" in text(answer)
        onboarded.refresh_from_db()
        assert onboarded.state == DeviceState.RETIRED
        assert Event.objects.filter(device=onboarded).count() == events + 1
        assert "Take it out of service" not in text(owner.get(f"/devices/{onboarded.pk}"))

    def test_a_get_takes_nothing_out_of_service(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1")
        for path in ("retire", "rename"):
            assert owner.get(f"/devices/{device.pk}/{path}").status_code == 405

    def test_the_bundle_has_the_history_and_no_secret(self, owner: Client, onboarded: Device) -> None:
        answer = owner.get(f"/devices/{onboarded.pk}/bundle.json")
        assert answer["Content-Disposition"] == f'attachment; filename="device-{onboarded.pk}.json"'
        bundle = json.loads(answer.content)
        assert bundle["device"]["serial"] == "T2-0042"
        assert "eap-noob.completed" in [event["code"] for event in bundle["events"]]
        assert {"state", "material", "token"}.isdisjoint(bundle["sessions"][0])
        assert "correct horse" not in answer.content.decode()

    def test_what_it_got_is_listed_per_item(self, owner: Client, mine: Side) -> None:
        device = mine.device("SN-1", state="stuck", reason="provisioning.item-failed")
        results = [
            {"id": "network-1", "ok": True, "detail": ""},
            {"id": "server-2", "ok": False, "detail": "<no> route"},
        ]
        Onboarding.objects.filter(device=device).update(results=results)
        words = text(owner.get(f"/devices/{device.pk}"))
        assert "network-1" in words
        assert "<no> route" in words


@pytest.mark.parametrize(
    "path", ["/devices", "/devices/{id}", "/devices/{id}/progress", "/devices/{id}/bundle.json"]
)
def test_what_belongs_to_an_organization_is_in_no_cache(owner: Client, mine: Side, path: str) -> None:
    device = mine.device("SN-1")
    assert "no-store" in owner.get(path.format(id=device.pk))["Cache-Control"]


def test_a_live_part_costs_few_statements(owner: Client, mine: Side) -> None:
    device = mine.device("SN-1")
    owner.get("/devices")
    with CaptureQueriesContext(connection) as statements:
        owner.get(f"/devices/{device.pk}/progress")
    assert len(statements) <= 14


def test_a_long_search_is_cut_and_unknown_keys_are_words() -> None:
    assert len(Search.parse("x" * 5000).raw) <= 200
    assert Search.parse("tag:lab state:") == Search("tag:lab state:", "tag:lab state:")
