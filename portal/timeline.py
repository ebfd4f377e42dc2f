"""How far a device is, as people see it: four steps, why it waits, who can fix it, and the history below."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as later

from bootstrap.engine.models import Event, Session
from devices.models import Device, DeviceState, Onboarding, OnboardingStep
from portal import catalogue

HISTORY_MAX = 200
SAME_MOMENT = timedelta(seconds=2)
"""A claim's line may be a little older than the onboarding it starts."""
STEPS = (
    later("You confirmed the device"),
    later("Device proves itself"),
    later("Certificate and settings"),
    later("Online"),
)
POSITION = {
    OnboardingStep.BOOTSTRAP: 1,
    OnboardingStep.PROVISION: 2,
    OnboardingStep.ONLINE: 3,
    OnboardingStep.DONE: 4,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One of the four."""

    title: str
    state: str
    """done, now, stuck, or empty while it lies ahead."""
    seconds: int | None = None
    """After the start of the onboarding, once reached."""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of history."""

    id: int
    at: datetime
    level: str
    said: catalogue.Said
    via: str
    facts: tuple[tuple[str, Any], ...]
    """The values behind the sentence, for engineers."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything the page shows."""

    steps: tuple[Step, ...]
    sentence: str
    """Where it is, in one sentence."""
    fix: str
    who: str
    reason: str
    """Catalogue code when it is stuck."""
    next_at: datetime | None
    cursor: int
    """Newest event, for the live connection."""
    lines: tuple[Line, ...]


def timeline(device: Device, history: int = HISTORY_MAX) -> Timeline:
    """Build it; five queries."""
    onboarding = Onboarding.objects.filter(device=device).first()
    sessions = {
        session.protocol: session for session in Session.objects.filter(device=device).order_by("seen_at")
    }
    events = list(_events(device).order_by("-id")[:history])
    position = POSITION[OnboardingStep(onboarding.step)] if onboarding else 4
    session = sessions.get("eap-noob")
    next_at = session.next_at if session and position <= 1 else None
    said = _where(device, position, events)
    steps = _steps(device, onboarding, position, said)
    return Timeline(
        steps,
        said.sentence,
        said.fix,
        said.who,
        device.reason,
        next_at,
        events[0].pk if events else 0,
        tuple(_line(event) for event in events),
    )


def _events(device: Device) -> QuerySet[Event]:
    return Event.objects.filter(device=device)


def _line(event: Event) -> Line:
    return Line(
        event.pk,
        event.at,
        event.level,
        catalogue.event(event.code, event.detail),
        event.via,
        tuple(event.detail.items()),
    )


def _where(device: Device, position: int, events: list[Event]) -> catalogue.Said:
    """What holds it, or what comes next."""
    if device.state == DeviceState.STUCK:
        newest = next((event for event in events if event.code == device.reason), None)
        return catalogue.event(device.reason or "onboarding.stuck", newest.detail if newest else {})
    place = 0 if device.state == DeviceState.WAITING else position
    sentence, fix = wait_sentences()[place]
    if device.state in (DeviceState.RETIRED, DeviceState.REVOKED, DeviceState.SUSPENDED):
        sentence, fix = _("This device was taken out of service."), ""
    return catalogue.Said("", sentence, fix, "", "info", ())


def wait_sentences() -> dict[int, tuple[str, str]]:
    """By the number of the step it is at: what it waits for, and what helps."""
    return {
        0: (_("Waiting for the device to read the code."), _("Hold the code to its camera, or type it.")),
        1: (_("Waiting for the device to ask again."), _("Keep it powered on.")),
        2: (_("The device fetches its settings."), _("Keep it powered on and in reach of its network.")),
        3: (
            _("Waiting for its first report from operation."),
            _("Keep it powered on and in reach of its network."),
        ),
        4: (_("Everything is done."), ""),
    }


def _steps(
    device: Device, onboarding: Onboarding | None, position: int, said: catalogue.Said
) -> tuple[Step, ...]:
    reached = _reached(device, onboarding)
    waiting = device.state == DeviceState.WAITING
    steps = []
    for number, title in enumerate(STEPS):
        title = _("The device reads the code") if waiting and number == 0 else _(title)
        current = 0 if waiting else position
        state = "done" if number < current else "now" if number == current else ""
        if state == "now" and device.state == DeviceState.STUCK:
            state = "stuck"
        sentence = f"{said.sentence} {said.fix}".strip() if number == current else ""
        steps.append(Step(title, state, reached.get(number), sentence))
    return tuple(steps)


_MARKS = {
    0: ("claim.confirmed", "claim.offered"),
    1: ("eap-noob.completed", "eap-noob.reconnected"),
    2: ("provisioning.reported",),
    3: ("onboarding.done", "provisioning.online"),
}


def _reached(device: Device, onboarding: Onboarding | None) -> dict[int, int]:
    """Seconds from the start to each step's first mark."""
    if onboarding is None:
        return {}
    codes = [code for marks in _MARKS.values() for code in marks]
    since = _events(device).filter(code__in=codes, at__gte=onboarding.started_at - SAME_MOMENT).order_by("id")
    first: dict[str, datetime] = {}
    for code, at in since.values_list("code", "at")[:50]:
        first.setdefault(code, at)
    seconds = {}
    for number, marks in _MARKS.items():
        reached = next((first[code] for code in marks if code in first), None)
        if reached is not None:
            seconds[number] = max(0, round((reached - onboarding.started_at).total_seconds()))
    return seconds
