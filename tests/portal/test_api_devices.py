"""Devices, their timelines and sessions."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import THEN, Side

from bootstrap.engine.models import Event
from devices.models import AuditEntry, Device, Onboarding
from devices.selectors.devices import device_get, devices_list
from devices.services.plans import plan_save

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def pages(side: Side, path: str, limit: int, cursor: str = "cursor") -> list[list[int]]:
    """The ids of every page, following ``next`` (or the last id, for those that follow)."""
    found: list[list[int]] = []
    mark = ""
    while True:
        answer = side.client.get(path, {"limit": limit} | ({cursor: mark} if mark else {}))
        assert answer.status_code == 200
        found.append([row["id"] for row in answer.json()["results"]])
        mark = answer.json()["next"]
        if mark is None:
            return found


def test_a_device_is_shown_with_all_that_a_page_needs(mine: Side) -> None:
    device = mine.device("SN-7", name="Lamp", state="stuck", reason="onboarding.silent")
    Onboarding.objects.update(results=[{"id": "network-1", "ok": False, "detail": "no such network"}])
    shown = mine.client.get(f"/api/v1/devices/{device.pk}").json()
    identifier = shown.pop("identifiers")[0]
    onboarding = shown.pop("onboarding")
    assert identifier["kind"] == "peer-id"
    assert onboarding["step"] == "bootstrap"
    assert onboarding["plan_version"] is None
    assert onboarding["results"] == [{"id": "network-1", "ok": False, "detail": "no such network"}]
    assert {key: shown[key] for key in ("id", "name", "serial", "serial_confirmed", "state", "reason")} == {
        "id": device.pk,
        "name": "Lamp",
        "serial": "SN-7",
        "serial_confirmed": False,
        "state": "stuck",
        "reason": "onboarding.silent",
    }
    assert shown["sentence"] == "The device stopped answering."
    assert shown["fix"].startswith("Check power")


def test_a_device_without_onboarding_is_shown_too(mine: Side) -> None:
    device = Device.objects.create(organization=mine.organization, method="eap-noob", state="known")
    shown = mine.client.get(f"/api/v1/devices/{device.pk}").json()
    assert shown["onboarding"] is None
    assert shown["sentence"] == ""


def test_pages_hold_every_device_once_newest_first(mine: Side) -> None:
    ids = [mine.device(f"SN-{number}").pk for number in range(5)]
    assert pages(mine, "/api/v1/devices", 2) == [ids[4:2:-1], ids[2:0:-1], ids[:1]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"state": "stuck"}, ["B"]),
        ({"serial": "SN-A"}, ["A"]),
        ({"serial": "SN-"}, []),
        ({"q": "sn-"}, ["B", "A"]),
        ({"q": "kitchen a"}, ["A"]),
        ({"q": "%"}, ["B"]),
        ({"q": "_"}, []),
        ({"method": "eap-noob"}, ["B", "A"]),
        ({"method": "fdo"}, []),
        ({"q": "   "}, ["B", "A"]),
    ],
)
def test_filters_find_what_they_say(mine: Side, query: dict[str, str], names: list[str]) -> None:
    mine.device("SN-A", name="A", room="Kitchen")
    mine.device("SN-B", name="B", room="100% wool", state="stuck")
    shown = mine.client.get("/api/v1/devices", query).json()["results"]
    assert [row["name"] for row in shown] == names


@pytest.mark.parametrize(
    "query",
    [
        "state=broken",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=%C2%B2",
        "cursor=x",
        "cursor=1.5",
        "cursor=%D9%A1",
        "cursor=" + "9" * 40,
        "q=%00",
        "q=" + "x" * 121,
        "serial=a%00b",
        "x%00=1",
    ],
)
def test_a_bad_query_is_named(mine: Side, query: str) -> None:
    answer = mine.client.get(f"/api/v1/devices?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "API-400"


def test_the_selector_gives_the_same_pages(mine: Side) -> None:
    ids = [mine.device(f"SN-{number}").pk for number in range(3)]
    assert [device.pk for device in devices_list(mine.organization, limit=2)] == [ids[2], ids[1]]
    assert [device.pk for device in devices_list(mine.organization, before_id=ids[1])] == [ids[0]]
    found = device_get(mine.organization, ids[0])
    assert found is not None
    assert found.pk == ids[0]
    assert device_get(Side("Theirs").organization, ids[0]) is None


def test_name_room_and_plan_change_and_the_rest_stays(mine: Side) -> None:
    device = mine.device()
    plan = plan_save(mine.organization, mine.owner, name="Special", items=[])
    path = f"/api/v1/devices/{device.pk}"
    assert mine.client.patch(path, {"name": " Lamp "}, format="json").json()["name"] == "Lamp"
    shown = mine.client.patch(path, {"room": "Hall", "plan": plan.pk}, format="json").json()
    assert (shown["name"], shown["room"], shown["plan"]) == ("Lamp", "Hall", plan.pk)
    assert mine.client.patch(path, {"plan": None}, format="json").json()["plan"] is None
    renamed = Event.objects.get(code="device.renamed")
    assert (renamed.device_id, renamed.detail["name"]) == (device.pk, "Lamp")
    assert AuditEntry.objects.filter(action="device.changed").count() == 3


def test_an_unchanged_device_writes_no_history(mine: Side) -> None:
    device = mine.device(name="Lamp")
    before = AuditEntry.objects.count()
    mine.client.patch(f"/api/v1/devices/{device.pk}", {"name": "Lamp"}, format="json")
    mine.client.patch(f"/api/v1/devices/{device.pk}", {}, format="json")
    assert AuditEntry.objects.count() == before
    assert not Event.objects.filter(code="device.renamed").exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": "onboarded"}, "state"),
        ({"serial": "X"}, "serial"),
        ({"name": "x" * 81}, "name"),
        ({"name": None}, "name"),
        ({"name": ["x"]}, "name"),
        ({"plan": 10**17}, "plan"),
        ({"plan": "x"}, "plan"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_set_is_named_and_changes_nothing(
    mine: Side, body: dict[str, Any], field: str
) -> None:
    device = mine.device(name="Lamp")
    answer = mine.client.patch(f"/api/v1/devices/{device.pk}", body, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    device.refresh_from_db()
    assert (device.name, device.state) == ("Lamp", "waiting")


def test_a_removed_device_is_retired_once_and_keeps_its_history(mine: Side) -> None:
    device = mine.device()
    path = f"/api/v1/devices/{device.pk}"
    assert mine.client.delete(path).status_code == 204
    assert mine.client.delete(path).status_code == 204
    shown = mine.client.get(path).json()
    assert (shown["state"], shown["step"]) == ("retired", "device.retired")
    assert AuditEntry.objects.filter(action="device.retired").count() == 1
    assert Event.objects.filter(device=device, code="device.retired").count() == 1
    assert Event.objects.filter(device=device).count() == 3


def test_a_timeline_is_followed_from_the_last_line_known(mine: Side) -> None:
    device = mine.device()
    path = f"/api/v1/devices/{device.pk}/events"
    lines = mine.client.get(path).json()["results"]
    assert [line["code"] for line in lines] == ["eap-noob.initial", "claim.confirmed"]
    assert lines[0]["at"] == THEN.isoformat().replace("+00:00", "Z")
    newest = mine.event(device.sessions.get(), "provisioning.online", device=device)
    fresh = mine.client.get(path, {"after": lines[-1]["id"]}).json()
    assert [line["id"] for line in fresh["results"]] == [newest.pk]
    assert pages(mine, path, 1, "after") == [[line["id"]] for line in [*lines, fresh["results"][0]]]


def test_sessions_show_how_far_they_came_and_no_secret(mine: Side) -> None:
    device = mine.device()
    session = device.sessions.get()
    one = mine.client.get(f"/api/v1/sessions/{session.pk}")
    assert one.json()["phase"] == "Waiting for OOB"
    assert one.json()["device"] == device.pk
    for path in ("sessions", f"devices/{device.pk}/sessions"):
        answer = mine.client.get(f"/api/v1/{path}")
        assert answer.json()["results"] == [one.json()]
        assert b"SEALED" not in answer.content
    assert not {"state", "material", "token"} & set(one.json())
    lines = mine.client.get(f"/api/v1/sessions/{session.pk}/events").json()["results"]
    assert len(lines) == 2


def test_sessions_are_found_by_serial(mine: Side) -> None:
    mine.device("SN-1")
    stranger = mine.session(serial="SN-2")
    shown = mine.client.get("/api/v1/sessions?serial=SN-2").json()["results"]
    assert [row["id"] for row in shown] == [stranger.pk]


def test_a_page_costs_the_same_whatever_is_on_it(mine: Side, django_assert_num_queries: Any) -> None:
    device = mine.device()
    mine.client.get("/api/v1/me")  # the token's last use is written once a minute
    caller = 2  # the token with person and organization; the role
    with django_assert_num_queries(caller + 2):  # devices with plan and onboarding; identifiers
        mine.client.get("/api/v1/devices")
    for number in range(10):
        mine.device(f"SN-{number}")
    with django_assert_num_queries(caller + 2):
        assert len(mine.client.get("/api/v1/devices").json()["results"]) == 11
    with django_assert_num_queries(caller + 2):
        mine.client.get(f"/api/v1/devices/{device.pk}")
    with django_assert_num_queries(caller + 3):  # and the events
        mine.client.get(f"/api/v1/devices/{device.pk}/events")
    with django_assert_num_queries(caller + 1):
        mine.client.get("/api/v1/sessions")
    with django_assert_num_queries(caller + 1):
        mine.client.get("/api/v1/claims")
