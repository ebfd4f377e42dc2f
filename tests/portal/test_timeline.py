"""How far a device is, for every state and step it can be in."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from api_device import Device as Thing
from api_device import waiting, work
from api_world import Side
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pages_world import browser, text

from bootstrap.bindings import claims
from bootstrap.contract import Verdict
from bootstrap.engine.models import Event, Session
from devices.models import Device, DeviceState, Membership, Onboarding, OnboardingStep
from portal.timeline import HISTORY_MAX, OUT, PAUSED, SILENCE, timeline

pytestmark = pytest.mark.django_db
EVERY = list(product(DeviceState.values, [*OnboardingStep.values, None]))


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def device_at(side: Side, state: str, step: str | None, **fields: Any) -> Device:
    """A device in this state with its onboarding at this step; it said a minute ago when it comes back."""
    device = side.device(state=state, reason="onboarding.silent" if state == "stuck" else "", **fields)
    now = timezone.now()
    started = now - timedelta(minutes=5)
    if step is None:
        Onboarding.objects.filter(device=device).delete()
    else:
        Onboarding.objects.filter(device=device).update(step=step, started_at=started, step_since=started)
    Session.objects.filter(device=device).update(
        seen_at=now - timedelta(seconds=60), next_at=now + timedelta(seconds=5)
    )
    return Device.objects.get(pk=device.pk)


@pytest.mark.parametrize(("state", "step"), EVERY)
def test_every_state_and_step_is_four_sensible_steps(mine: Side, state: str, step: str | None) -> None:
    shown = timeline(device_at(mine, state, step))
    states = [one.state for one in shown.steps]
    assert len(states) == 4
    assert states == sorted(states, key=["done", "now", "stuck", ""].index), (
        "done, then at most one, then ahead"
    )
    assert states.count("now") + states.count("stuck") <= 1
    assert all(one.title for one in shown.steps)
    assert shown.sentence
    assert [bool(one.sentence) for one in shown.steps] == [s in ("now", "stuck") for s in states]

    assert ("stuck" in states) == (state == DeviceState.STUCK)
    assert shown.out == (state in OUT)
    if state == DeviceState.ONBOARDED:
        assert states == ["done"] * 4
    if state in (DeviceState.KNOWN, DeviceState.WAITING):
        assert states == ["now", "", "", ""]
    if state in PAUSED:
        assert "now" not in states

    if shown.next_at is not None:
        assert state in (DeviceState.KNOWN, DeviceState.WAITING, DeviceState.ONBOARDING)
        assert states.index("now") <= 1
    else:
        assert (state, step) != (DeviceState.ONBOARDING, OnboardingStep.BOOTSTRAP)


@pytest.mark.parametrize(
    ("reason", "number"),
    [("eap-noob.state-mismatch", 1), ("provisioning.item-failed", 2), ("onboarding.silent", 3)],
)
def test_trouble_after_the_end_shows_at_its_step(mine: Side, reason: str, number: int) -> None:
    device = device_at(mine, DeviceState.STUCK, OnboardingStep.DONE)
    device.reason = reason
    shown = timeline(device)
    assert shown.steps[number].state == "stuck"
    assert shown.reason == reason


class TestSeconds:
    """Numbers beside the steps come from the events, and only grow."""

    def at(self, device: Device, code: str, seconds: float) -> None:
        started = Onboarding.objects.get(device=device).started_at
        Event.objects.create(
            device=device,
            organization=device.organization,
            at=started + timedelta(seconds=seconds),
            code=code,
            level="info",
            detail={},
            via="https",
        )

    def seconds(self, device: Device) -> list[int | None]:
        return [one.seconds for one in timeline(device).steps]

    @pytest.fixture
    def done(self, mine: Side) -> Device:
        return device_at(mine, DeviceState.ONBOARDED, OnboardingStep.DONE)

    def test_each_step_has_the_moment_it_was_done(self, done: Device) -> None:
        marks = [
            ("claim.confirmed", -0.4),
            ("eap-noob.completed", 3.2),
            ("provisioning.reported", 5),
            ("onboarding.done", 8.6),
        ]
        for code, seconds in marks:
            self.at(done, code, seconds)
        assert self.seconds(done) == [0, 3, 5, 9]

    def test_clocks_that_disagree_never_make_them_fall(self, done: Device) -> None:
        for code, seconds in [
            ("claim.confirmed", 2),
            ("eap-noob.completed", 7),
            ("provisioning.reported", 6),
            ("onboarding.done", 1),
        ]:
            self.at(done, code, seconds)
        shown = self.seconds(done)
        assert shown == sorted(shown)

    def test_what_happened_before_this_onboarding_does_not_count(self, done: Device) -> None:
        self.at(done, "eap-noob.completed", -3600)
        assert self.seconds(done)[1] is None

    def test_a_step_that_is_still_ahead_has_no_number(self, mine: Side) -> None:
        device = device_at(mine, DeviceState.ONBOARDING, OnboardingStep.BOOTSTRAP)
        self.at(device, "provisioning.reported", 4)
        assert self.seconds(device)[1:] == [None, None, None]


class TestSilence:
    """The code is accepted and the device does not come: said at once, with its last contact."""

    def heard(self, device: Device, ago: timedelta, came_back: timedelta) -> datetime:
        now = timezone.now()
        Session.objects.filter(device=device).update(seen_at=now - ago, next_at=now + came_back)
        return now - ago

    def test_a_device_that_is_late_is_named(self, mine: Side) -> None:
        device = device_at(mine, DeviceState.ONBOARDING, OnboardingStep.BOOTSTRAP)
        seen = self.heard(device, timedelta(minutes=3), timedelta(minutes=-2))
        assert timeline(device).silent_since == seen
        page = text(browser(mine.owner).get(f"/devices/{device.pk}"))
        assert "Code accepted. Waiting for the device (last seen 3 minutes ago)." in page
        assert "Checks in again" not in page

    @pytest.mark.parametrize("late", [-SILENCE / 2, timedelta(seconds=5), timedelta(minutes=50)])
    def test_a_device_that_may_still_sleep_is_not(self, mine: Side, late: timedelta) -> None:
        device = device_at(mine, DeviceState.ONBOARDING, OnboardingStep.BOOTSTRAP)
        self.heard(device, timedelta(minutes=3), late)
        assert timeline(device).silent_since is None
        assert "Code accepted" not in text(browser(mine.owner).get(f"/devices/{device.pk}"))

    def test_a_long_sleep_has_a_way_to_shorten_it(self, mine: Side) -> None:
        device = device_at(mine, DeviceState.ONBOARDING, OnboardingStep.BOOTSTRAP)
        self.heard(device, timedelta(minutes=1), timedelta(minutes=50))
        assert timeline(device).sleeps_long
        assert "off and on is quicker" in text(browser(mine.owner).get(f"/devices/{device.pk}/progress"))

    @pytest.mark.parametrize("step", [step for step in OnboardingStep.values if step != "bootstrap"])
    def test_a_device_that_proved_itself_is_not(self, mine: Side, step: str) -> None:
        device = device_at(mine, DeviceState.ONBOARDING, step)
        self.heard(device, timedelta(minutes=30), timedelta(minutes=-20))
        assert timeline(device).silent_since is None

    @pytest.mark.parametrize("state", [state for state in DeviceState.values if state != "onboarding"])
    def test_no_other_state_is(self, mine: Side, state: str) -> None:
        device = device_at(mine, state, OnboardingStep.BOOTSTRAP)
        self.heard(device, timedelta(minutes=30), timedelta(minutes=-20))
        assert timeline(device).silent_since is None


class TestRealDevice:
    """One device from the code to the end, by the real engine."""

    @pytest.fixture
    def membership(self, mine: Side) -> Membership:
        return Membership.objects.get(user=mine.owner)

    @pytest.fixture
    def thing(self) -> Thing:
        return waiting("T2-1")

    def test_it_goes_down_the_steps(self, thing: Thing, membership: Membership) -> None:
        device = claims.confirm(thing.shows(), membership)
        assert [one.state for one in timeline(device).steps] == ["done", "now", "", ""]
        assert timeline(device).steps[0].seconds == 0
        assert timeline(device).next_at is not None
        assert thing.connect() is Verdict.ACCEPT
        work()
        device.refresh_from_db()
        shown = timeline(device)
        assert shown.steps[1].state == "done"
        assert shown.steps[1].seconds is not None
        assert shown.silent_since is None
        assert shown.cursor == Event.objects.filter(device=device).latest("pk").pk
        assert [line.id for line in shown.lines] == sorted((line.id for line in shown.lines), reverse=True)
        # No value is missing in any sentence that the engine's own notes fill.
        assert not [line.said.sentence for line in shown.lines if "–" in line.said.sentence]

    def test_an_offered_code_is_the_first_step(self, thing: Thing, membership: Membership) -> None:
        made = claims.offer(membership, serial="T2-1")
        shown = timeline(Device.objects.get(pk=made.device_id))
        assert (shown.steps[0].state, shown.steps[0].title) == ("now", "The device reads the code")


def test_the_same_again_and_again_is_one_line(mine: Side) -> None:
    device = device_at(mine, DeviceState.ONBOARDING, OnboardingStep.BOOTSTRAP)
    session = Session.objects.get(device=device)
    before = len(timeline(device).lines)
    asked = [
        mine.event(session, "eap-noob.waiting", device=device, detail={"sleep_seconds": 5}) for _ in range(9)
    ]
    mine.event(session, "claim.merged", device=device)
    slower = mine.event(session, "eap-noob.waiting", device=device, detail={"sleep_seconds": 60})
    shown = timeline(device)
    assert [line.times for line in shown.lines[:3]] == [1, 1, 9]
    assert len(shown.lines) == before + 3
    assert (shown.lines[0].id, shown.lines[2].id) == (slower.pk, asked[0].pk)
    assert shown.cursor == slower.pk
    assert "× 9" in text(browser(mine.owner).get(f"/devices/{device.pk}"))


def test_it_costs_five_statements_however_long_the_history(mine: Side) -> None:
    device = device_at(mine, DeviceState.ONBOARDING, OnboardingStep.PROVISION)
    session = Session.objects.get(device=device)
    for number in range(HISTORY_MAX + 30):
        mine.event(session, "eap-noob.waiting", device=device, detail={"sleep_seconds": number})
    with CaptureQueriesContext(
        connection,
    ) as spent:
        shown = timeline(device)
    assert len(spent) <= 5
    assert len(shown.lines) == HISTORY_MAX
    assert str(HISTORY_MAX + 29) in shown.lines[0].said.sentence
