"""From confirmed to operational: what the worker does, however often and however late it looks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from engine_world import House, Lamp

from bootstrap.bindings import claims
from bootstrap.bindings.provisioning import NO_PLAN
from bootstrap.contract import Verdict
from bootstrap.engine import onboarding
from bootstrap.engine.models import Event, Session
from bootstrap.errors import NotAuthenticated, NotAuthorized
from bootstrap.protocols.eap_noob import device
from bootstrap.protocols.provisioning import Ack, PlanDocument, Refusal
from bootstrap.protocols.provisioning.device import DeviceState
from devices.models import Device, Membership, Onboarding, Plan
from devices.services.devices import device_retire, device_update
from devices.services.plans import plan_save

ITEMS = [
    {
        "id": "net",
        "kind": "network",
        "value": {"ssid": "Home", "security": "wpa2-psk", "passphrase": "x" * 9},
    },
    {"id": "broker", "kind": "server", "value": {"name": "mqtt", "url": "mqtts://broker.example.com"}},
]


@pytest.fixture
def plan(mine: Membership) -> Plan:
    """Mine's default plan, there before the house reads it."""
    return plan_save(mine.organization, None, name="Default", items=ITEMS)


@pytest.fixture
def planned(plan: Plan, house: House) -> House:
    house.directory.refresh()
    return house


def of(found: Device) -> Onboarding:
    return Onboarding.objects.select_related("device").get(device=found)


def codes(found: Device) -> list[str]:
    return list(Event.objects.filter(device=found).order_by("id").values_list("code", flat=True))


def bootstrapped(house: House, mine: Membership, **words: Any) -> tuple[Lamp, Device]:
    lamp = Lamp(house, **words).arrive()
    found = claims.confirm(lamp.code(), mine)
    assert lamp.converse() is Verdict.ACCEPT
    return lamp, found


def state(found: Device) -> tuple[str, str]:
    found.refresh_from_db()
    return found.state, found.reason


# The steps.


def test_the_plan_reaches_the_device_and_its_results_come_back(planned: House, mine: Membership) -> None:
    lamp, found = bootstrapped(planned, mine)
    planned.work()
    assert of(found).step == "provision"
    answer = lamp.fetch()
    assert isinstance(answer, PlanDocument)
    assert [(item.id, item.kind) for item in answer.items] == [("net", "network"), ("broker", "server")]
    lamp.report()
    planned.work()
    row = of(found)
    assert row.step == "online"
    assert row.results == [{"id": i, "ok": True, "detail": ""} for i in ("net", "broker")]
    lamp.check_in()
    planned.work()
    assert of(found).step == "done"
    assert of(found).finished_at is not None
    assert state(found) == ("onboarded", "")


def test_a_device_without_a_plan_confirms_that_there_is_nothing_to_do(house: House, mine: Membership) -> None:
    lamp, found = bootstrapped(house, mine)
    answer = lamp.fetch()
    assert isinstance(answer, PlanDocument)
    assert (answer.plan_version, answer.items) == (NO_PLAN.plan_version, ())
    lamp.report()
    lamp.check_in()
    house.work()
    assert state(found) == ("onboarded", "")


def test_a_device_that_takes_no_plan_is_done_when_it_is_authenticated(house: House, mine: Membership) -> None:
    _lamp, found = bootstrapped(house, mine, wants_plan=False)
    house.work()
    assert state(found) == ("onboarded", "")


def test_a_device_that_takes_no_plan_waits_while_there_is_one(planned: House, mine: Membership) -> None:
    _lamp, found = bootstrapped(planned, mine, wants_plan=False)
    planned.work()
    assert of(found).step == "provision"
    assert state(found) == ("onboarding", "")


def test_a_plan_of_its_own_comes_before_the_default_one(planned: House, mine: Membership) -> None:
    own = plan_save(mine.organization, None, name="Own", items=ITEMS[:1])
    planned.directory.refresh()
    lamp, found = bootstrapped(planned, mine)
    device_update(found, None, plan=own)
    answer = lamp.fetch()
    assert isinstance(answer, PlanDocument)
    assert [item.id for item in answer.items] == ["net"]


def test_a_certificate_that_nobody_can_issue_yet_is_said_once(house: House, mine: Membership) -> None:
    plan_save(mine.organization, None, name="P", items=[{"kind": "certificate", "value": {"profile": "x"}}])
    house.directory.refresh()
    lamp = Lamp(house)
    found = lamp.onboard(mine)
    house.work()
    onboarding.advance(found.pk)
    assert codes(found).count("onboarding.certificate-unavailable") == 1
    assert state(found) == ("onboarded", "")


# Failure and recovery.


def test_a_failed_item_makes_it_stuck_and_a_good_report_heals_it(planned: House, mine: Membership) -> None:
    lamp, found = bootstrapped(planned, mine)
    lamp.fetch()
    lamp.report(failed=("broker",))
    planned.work()
    assert state(found) == ("stuck", "provisioning.item-failed")
    assert [r["ok"] for r in of(found).results] == [True, False]
    assert codes(found).count("onboarding.stuck") == 1
    for _again in range(3):
        planned.work()
        onboarding.advance(found.pk)
    assert codes(found).count("onboarding.stuck") == 1
    lamp.applied = 0
    lamp.fetch()
    lamp.report()
    planned.work()
    assert state(found) == ("onboarding", "")
    lamp.check_in()
    planned.work()
    assert state(found) == ("onboarded", "")


def test_a_stuck_device_keeps_its_reason_however_long_it_is_silent(planned: House, mine: Membership) -> None:
    lamp, found = bootstrapped(planned, mine)
    lamp.fetch()
    lamp.report(failed=("net",))
    planned.work()
    for _hour in range(12):
        onboarding.sweep(planned.clock.forward(3600))
    assert state(found) == ("stuck", "provisioning.item-failed")
    assert "onboarding.reminder" not in codes(found)


def test_a_later_plan_that_fails_makes_a_done_device_stuck_and_a_good_one_heals_it(
    planned: House, mine: Membership, plan: Plan
) -> None:
    lamp = Lamp(planned)
    found = lamp.onboard(mine)
    assert found.state == "onboarded"
    plan_save(mine.organization, None, name="Default", items=ITEMS[:1], plan=plan)
    planned.directory.refresh()
    stale = lamp.check_in()
    assert isinstance(stale, Refusal)
    lamp.fetch()
    lamp.report(failed=("net",))
    planned.work()
    assert state(found) == ("stuck", "provisioning.item-failed")
    assert codes(found)[-1] == "onboarding.stuck"
    plan.refresh_from_db()
    plan_save(mine.organization, None, name="Default", items=ITEMS, plan=plan)
    planned.directory.refresh()
    lamp.take_plan()
    planned.work()
    assert state(found) == ("onboarded", "")
    assert of(found).step == "done"


def test_a_mismatch_makes_it_stuck_and_a_reconnect_heals_it(house: House, mine: Membership) -> None:
    """Somebody who knows the PeerId says that he starts over: 2002. The device itself still can reconnect."""
    lamp = Lamp(house)
    found = lamp.onboard(mine)
    real, lamp.state = lamp.state, device.initial_state()
    lamp.state = type(real)(state=1, peer_id=real.peer_id, nai=real.nai)
    assert lamp.converse() is Verdict.REJECT
    house.work()
    assert state(found) == ("stuck", "eap-noob.state-mismatch")
    lamp.state = device.rekey(real)
    assert lamp.converse() is Verdict.ACCEPT
    house.work()
    assert state(found) == ("onboarded", "")


def test_a_mismatch_in_the_middle_is_healed_by_a_reconnect_too(planned: House, mine: Membership) -> None:
    lamp, found = bootstrapped(planned, mine)
    planned.work()
    real = lamp.state
    lamp.state = type(real)(state=1, peer_id=real.peer_id, nai=real.nai)
    lamp.converse()
    planned.work()
    assert state(found) == ("stuck", "eap-noob.state-mismatch")
    lamp.state = device.rekey(real)
    assert lamp.converse() is Verdict.ACCEPT
    planned.work()
    assert (state(found), of(found).step) == (("onboarding", ""), "provision")
    lamp.take_plan()
    planned.work()
    assert state(found) == ("onboarded", "")


# Silence.


def test_a_silent_device_is_mentioned_three_times_and_then_stuck(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    found = claims.confirm(lamp.code(), mine)
    patience = mine.organization.silence_reminder_seconds
    onboarding.sweep(house.clock.forward(patience - 5))
    assert "onboarding.reminder" not in codes(found)
    for reminders in (1, 2, 3):
        onboarding.sweep(house.clock.forward(patience + 1))
        assert codes(found).count("onboarding.reminder") == reminders
        onboarding.sweep(house.clock.forward(1))
        assert codes(found).count("onboarding.reminder") == reminders
        assert state(found) == ("onboarding", "")
    onboarding.sweep(house.clock.forward(patience + 1))
    assert state(found) == ("stuck", "onboarding.silent")
    before = codes(found)
    for _day in range(3):
        onboarding.sweep(house.clock.forward(86400))
    assert codes(found) == before
    assert Event.objects.filter(code="onboarding.reminder").first().detail["silent_seconds"] >= patience  # type: ignore[union-attr]


def test_a_silent_device_that_comes_back_goes_on(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    found = claims.confirm(lamp.code(), mine)
    for _time in range(6):
        onboarding.sweep(house.clock.forward(mine.organization.silence_reminder_seconds + 1))
    assert state(found) == ("stuck", "onboarding.silent")
    assert lamp.converse() is Verdict.ACCEPT
    house.work()
    assert state(found) == ("onboarding", "")
    lamp.take_plan()
    house.work()
    assert state(found) == ("onboarded", "")


def test_a_device_that_speaks_is_not_silent(house: House, mine: Membership) -> None:
    """A bootstrapped device that fetches and fetches: seen, so nobody is reminded."""
    lamp, found = bootstrapped(house, mine)
    house.work()
    for _time in range(10):
        house.clock.forward(100)
        lamp.fetch()
        house.work()
    assert "onboarding.reminder" not in codes(found)


def test_a_done_device_may_be_silent(house: House, mine: Membership) -> None:
    found = Lamp(house).onboard(mine)
    for _day in range(5):
        onboarding.sweep(house.clock.forward(86400))
    assert state(found) == ("onboarded", "")
    assert of(found).due_at is None


# Idempotence, lost bells, deletion.


def test_everything_may_run_twice(planned: House, mine: Membership) -> None:
    lamp, found = bootstrapped(planned, mine)

    def twice() -> None:
        now = planned.clock.now + timedelta(seconds=1)
        for _again in range(2):
            onboarding.advance(found.pk)
            onboarding.sweep(now)
            onboarding.remind(found.pk, now)
            onboarding.offers_expire(now)

    twice()
    for deed in (lamp.fetch, lamp.report, lamp.check_in):
        deed()
        twice()
    assert codes(found) == [
        "eap-noob.initial.done",
        "claim.confirmed",
        "eap-noob.completed",
        "provisioning.fetched",
        "provisioning.reported",
        "provisioning.online",
        "onboarding.done",
    ]


def test_no_bell_is_needed(planned: House, mine: Membership) -> None:
    """Nobody rings; the sweep alone finds what each message made due, at its very next look."""
    lamp, found = bootstrapped(planned, mine)
    seen = []
    for deed in (lambda: None, lamp.fetch, lamp.report, lamp.check_in):
        deed()
        onboarding.sweep(datetime.now(tz=planned.clock.now.tzinfo))
        seen.append(of(found).step)
    assert seen == ["provision", "provision", "online", "done"]


def test_the_bell_rings_when_the_worker_has_something_to_do_and_only_then(
    planned: House, mine: Membership
) -> None:
    lamp = Lamp(planned).arrive()
    claims.confirm(lamp.code(), mine)
    rung = []
    for deed in (lamp.converse, lamp.fetch, lamp.report, lamp.check_in, lamp.check_in):
        before = planned.rung
        deed()
        rung.append(planned.rung - before)
    assert rung == [1, 0, 1, 1, 0]


def test_a_device_nobody_onboards_is_nobodys_work(house: House, mine: Membership) -> None:
    onboarding.advance(10**9)
    onboarding.remind(10**9, house.clock.now)
    found = Device.objects.create(organization=mine.organization, method="eap-noob")
    onboarding.advance(found.pk)
    assert onboarding.sweep(house.clock.now) == 0


def test_a_retired_device_is_left_alone(house: House, mine: Membership) -> None:
    lamp, found = bootstrapped(house, mine)
    device_retire(found, mine.user)
    house.work()
    onboarding.sweep(house.clock.forward(86400))
    assert state(found) == ("retired", "")
    assert of(found).due_at is None
    with pytest.raises(NotAuthorized):
        lamp.fetch()


def test_one_row_that_cannot_be_read_holds_up_nobody(house: House, mine: Membership) -> None:
    broken, first = bootstrapped(house, mine, serial="1")
    healthy, second = bootstrapped(house, mine, serial="2")
    broken.take_plan()
    healthy.take_plan()
    Session.objects.filter(protocol="provisioning", device=first).update(state=b"not ours")
    house.work()
    assert state(second) == ("onboarded", "")
    assert state(first)[0] == "onboarding"


# Keys.


def test_a_reconnect_gives_new_keys_and_the_old_ones_last_until_the_new_are_used(
    house: House, mine: Membership
) -> None:
    lamp = Lamp(house)
    lamp.onboard(mine)
    old = lamp.plan_keys
    lamp.state = device.rekey(lamp.state)
    lost = lamp.until_the_end()  # the server's EAP-Success gets lost
    assert isinstance(lamp.check_in(), Ack)
    assert lamp.plan_keys is not None
    assert old is not None
    assert lamp.plan_keys.material == old.material
    old = lamp.plan_keys
    assert lamp.hear_the_end(*lost) is Verdict.ACCEPT
    assert lamp.plan_keys.material != old.material
    lamp.fetch()
    assert isinstance(lamp.check_in(), Ack)
    new, lamp.plan_keys = lamp.plan_keys, old
    with pytest.raises(NotAuthenticated):
        lamp.check_in()
    lamp.plan_keys = new
    assert isinstance(lamp.check_in(), Ack)


def test_a_reconnect_keeps_the_results_and_the_onboarded_state(planned: House, mine: Membership) -> None:
    lamp = Lamp(planned)
    found = lamp.onboard(mine)
    lamp.state = device.rekey(lamp.state)
    assert lamp.converse() is Verdict.ACCEPT
    planned.work()
    assert isinstance(lamp.fetch(), Ack)
    assert state(found) == ("onboarded", "")
    assert Session.objects.filter(protocol="provisioning").count() == 1


def test_one_devices_keys_open_nothing_of_another(house: House, mine: Membership) -> None:
    first, second = Lamp(house, "1"), Lamp(house, "2")
    first.onboard(mine)
    second.onboard(mine)
    assert first.plan_keys is not None
    stolen = DeviceState(second.state.peer_id, first.plan_keys.material)
    first.plan_keys = stolen
    with pytest.raises(NotAuthenticated):
        first.fetch()
