"""How far a device is, as people see it: four steps, why it waits, who can fix it, and the history below."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from bootstrap.engine.models import Event, Session
from devices.models import Device, DeviceState, Onboarding, OnboardingStep
from portal import catalogue

HISTORY_MAX = 200
SAME_MOMENT = timedelta(seconds=2)
"""A claim's line may be a little older than the onboarding it starts."""
SILENCE = timedelta(seconds=20)
"""This much later than it should have come back, a device counts as silent."""
LONG_SLEEP = timedelta(minutes=1)
STEPS = (
    gettext_noop("You confirmed the device"),
    gettext_noop("Device proves itself"),
    gettext_noop("Certificate and settings"),
    gettext_noop("Online"),
)
FDO_STEPS = (
    gettext_noop("Its voucher is here"),
    gettext_noop("Device finds us and proves itself"),
    gettext_noop("Settings"),
    gettext_noop("Done"),
)
POSITION = {
    OnboardingStep.BOOTSTRAP: 1,
    OnboardingStep.PROVISION: 2,
    OnboardingStep.ONLINE: 3,
    OnboardingStep.DONE: 4,
}
FINISHED = len(STEPS)
OUT = (DeviceState.SUSPENDED, DeviceState.REVOKED, DeviceState.RETIRED)
PAUSED = (*OUT, DeviceState.TRANSFERRING)
"""States in which nothing is under way, whatever step the device had reached."""
FDO = "fdo"
_TROUBLE = {"eap-noob": 1, "provisioning": 2, "fdo": 2}
"""Which step is in trouble, by the first word of the reason, when all had been done before."""


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
    """One line of history; the same thing again and again is one line."""

    id: int
    """Of the oldest: it stays while the line grows."""
    newest: int
    at: datetime
    """Of the newest."""
    level: str
    said: catalogue.Said
    via: str
    facts: tuple[tuple[str, Any], ...]
    """The values behind the sentence, for engineers."""
    decoded: bool
    """Whether the message itself was kept, for the decoded view."""
    times: int
    since: datetime


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
    """When it checks in again, while it should."""
    silent_since: datetime | None
    """Its code was accepted, and it should have come back by now."""
    cursor: int
    """Newest event, for the live connection."""
    lines: tuple[Line, ...]
    out: bool
    """Taken out of service; nothing is under way."""

    @property
    def sleeps_long(self) -> bool:
        """So long that switching it off and on is quicker."""
        return self.next_at is not None and self.next_at - timezone.now() > LONG_SLEEP


def timeline(device: Device, history: int = HISTORY_MAX) -> Timeline:
    """Build it; five queries."""
    onboarding = Onboarding.objects.filter(device=device).first()
    sessions = {
        session.protocol: session for session in Session.objects.filter(device=device).order_by("seen_at")
    }
    events = list(_events(device).order_by("-id")[:history])
    position = _position(device, onboarding)
    session = sessions.get("eap-noob")
    waits = position <= 1 and device.state not in (*PAUSED, DeviceState.STUCK)
    next_at = session.next_at if session and waits else None
    said = _where(device, position, events)
    steps = _steps(device, onboarding, position, said)
    return Timeline(
        steps,
        said.sentence,
        said.fix,
        said.who,
        device.reason,
        next_at,
        _silent_since(device, position, session),
        events[0].pk if events else 0,
        _lines(events),
        device.state in OUT,
    )


def _position(device: Device, onboarding: Onboarding | None) -> int:
    """Number of the step it is at; FINISHED when all are done."""
    if device.method == FDO and device.state == DeviceState.KNOWN:
        return 1  # nobody has to confirm what a voucher says
    if device.state in (DeviceState.KNOWN, DeviceState.WAITING):
        return 0
    if device.state == DeviceState.ONBOARDED:
        return FINISHED
    position = POSITION[OnboardingStep(onboarding.step)] if onboarding else 1
    if device.state == DeviceState.STUCK and position == FINISHED:
        return _TROUBLE.get(device.reason.partition(".")[0], FINISHED - 1)
    return position


def _silent_since(device: Device, position: int, session: Session | None) -> datetime | None:
    """When it was last heard, if the person has done their part and it has not come back."""
    if session is None or position != 1 or device.state != DeviceState.ONBOARDING:
        return None
    late = timezone.now() - (session.next_at or session.seen_at) > SILENCE
    return session.seen_at if late else None


def _events(device: Device) -> QuerySet[Event]:
    """Without the messages themselves; ``has_trace`` says whether there is one."""
    rows = Event.objects.filter(device=device).defer("trace")
    return rows.annotate(has_trace=Q(trace__isnull=False))


def _lines(events: list[Event]) -> tuple[Line, ...]:
    """Newest first; a device that asked for an hour did so on one line."""
    runs = groupby(events, key=lambda event: (event.code, event.via, str(event.detail)))
    return tuple(_line(list(run)) for _same, run in runs)


def _line(run: list[Event]) -> Line:
    newest, oldest = run[0], run[-1]
    return Line(
        oldest.pk,
        newest.pk,
        newest.at,
        newest.level,
        catalogue.event(newest.code, newest.detail),
        newest.via,
        tuple(newest.detail.items()),
        getattr(newest, "has_trace", False),
        len(run),
        oldest.at,
    )


def _where(device: Device, position: int, events: list[Event]) -> catalogue.Said:
    """What holds it, or what comes next."""
    if device.state == DeviceState.STUCK:
        newest = next((event for event in events if event.code == device.reason), None)
        return catalogue.event(device.reason or "onboarding.stuck", newest.detail if newest else {})
    sentence, fix = (fdo_wait_sentences() if device.method == FDO else wait_sentences())[position]
    if device.state in OUT:
        sentence, fix = _("This device was taken out of service."), ""
    elif device.state == DeviceState.TRANSFERRING:
        sentence, fix = _("The device is being handed over."), ""
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


def fdo_wait_sentences() -> dict[int, tuple[str, str]]:
    """The same for a device that comes with a voucher."""
    return wait_sentences() | {
        0: (_("Its voucher is on its way in."), ""),
        1: (_("Waiting for the device to find us."), _("Connect it to a network and switch it on.")),
        2: (_("The device takes its settings."), _("Keep it powered on and in reach of its network.")),
    }


def _steps(
    device: Device, onboarding: Onboarding | None, position: int, said: catalogue.Said
) -> tuple[Step, ...]:
    reached = _reached(device, onboarding)
    at_step = {DeviceState.STUCK: "stuck"}.get(DeviceState(device.state), "now")
    if device.state in PAUSED:
        at_step = ""
    steps = []
    for number, title in enumerate(FDO_STEPS if device.method == FDO else STEPS):
        reads = position == number == 0 and device.method != FDO
        title = _("The device reads the code") if reads else _(title)
        state = "done" if number < position else at_step if number == position else ""
        sentence = f"{said.sentence} {said.fix}".strip() if number == position and state else ""
        steps.append(Step(title, state, reached.get(number) if state == "done" else None, sentence))
    return tuple(steps)


_MARKS = {
    0: ("claim.confirmed", "claim.offered"),
    1: ("eap-noob.completed", "eap-noob.reconnected", "fdo.prove-device"),
    2: ("provisioning.reported", "fdo.done"),
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
    seconds: dict[int, int] = {}
    for number, marks in _MARKS.items():
        reached = next((first[code] for code in marks if code in first), None)
        if reached is not None:
            # A step cannot be done before the one above it, whatever the clocks of two processes say.
            after = round((reached - onboarding.started_at).total_seconds())
            seconds[number] = max(0, after, *seconds.values())
    return seconds
