"""The way from confirmed to operational: driven by workers, fed by what the sessions say.

bootstrap (device proves itself) -> provision (takes its plan and reports) -> online (checks in) -> done.
FDO's TO2 is all of these in one conversation; ``settle`` writes what it left behind before its device advances.
Every function may run twice. The rows are the truth: ``due_at`` says when to look again even if every bell
is lost. No device ever waits for this.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from bootstrap.contract import Level, Milestone
from bootstrap.engine import envelope
from bootstrap.engine.events import event_write
from bootstrap.engine.models import Event, Session
from bootstrap.protocols import provisioning
from bootstrap.protocols.fdo.constants import MessageType
from bootstrap.protocols.fdo.server.state import PHASES
from bootstrap.wire.frozen import thaw
from devices.models import Claim, Device, DeviceState, Onboarding, OnboardingStep
from devices.selectors.devices import plan_of
from devices.services.plans import FDO_KINDS
from devices.services.progress import FINAL, Progress, device_progress

BATCH = 200
FDO = "fdo"
"""The method of a device with a voucher, and the protocol of its TO2 sessions."""
LOOK_AGAIN = timedelta(seconds=30)
REMINDERS_MAX = 3
"""Reminders before a silent device counts as stuck."""
BOOTSTRAPPED = (Milestone.BOOTSTRAPPED.value, Milestone.RECONNECTED.value)
_PROVED = ("Registered", "Reconnecting")
"""Phases of a session whose device and we share a persistent association."""
_ENDED = (PHASES[MessageType.TO2_DONE], PHASES[MessageType.ERROR])
"""Phases of a TO2 session without a run under way."""
_TROUBLES = ("fdo.plan-unfit", "fdo.error-received")
"""What ends a run before its items are done."""
log = structlog.get_logger(__name__)


def advance(device_id: int) -> None:
    """Move one device's onboarding as far as its sessions allow now."""
    with transaction.atomic():
        onboarding = (
            Onboarding.objects.select_for_update()
            .select_related("device", "device__organization")
            .filter(device_id=device_id)
            .first()
        )
        if onboarding is None or onboarding.device.state in FINAL:
            return
        _heal(onboarding)
        while _step(onboarding):
            continue
        onboarding.save()


Settle = Callable[[int], None]
"""What the sessions of a device left behind, made into rows; a floor above knows how."""


def sweep(now: datetime, settle: Settle | None = None) -> int:
    """Everything that is due: lost bells, deadlines, reminders, offers that ran out. Returns how many."""
    due = list(
        Onboarding.objects.filter(due_at__lte=now)
        .order_by("due_at")
        .values_list("device_id", flat=True)[:BATCH]
    )
    for device_id in due:
        _look_after(device_id, now, settle)
    return len(due) + offers_expire(now)


def _look_after(device_id: int, now: datetime, settle: Settle | None) -> None:
    """One device of the sweep; whatever is wrong with it must not hold up those behind it."""
    try:
        # One transaction: a message that comes in between says "due now", and that must not be overwritten.
        with transaction.atomic():
            if settle is not None:
                settle(device_id)
            advance(device_id)
            remind(device_id, now)
    except DatabaseError:
        raise
    except Exception:
        log.exception("onboarding.sweep-failed", device=device_id)
        Onboarding.objects.filter(device_id=device_id).update(due_at=now + LOOK_AGAIN)


def _heal(onboarding: Onboarding) -> None:
    """Stuck in the authentication, and authenticated since: it is under way again."""
    device = onboarding.device
    under_way = onboarding.step != OnboardingStep.DONE  # what is done heals in its own step
    if not under_way or device.state != DeviceState.STUCK or not device.reason.startswith("eap-noob."):
        return
    session = next((s for s in reversed(_sessions(device)) if s.protocol == "eap-noob"), None)
    if session is not None and session.milestone in BOOTSTRAPPED:
        _show(device, DeviceState.ONBOARDING, f"onboarding.{onboarding.step}")


def _step(onboarding: Onboarding) -> bool:
    """One step forward if it may; True when it moved."""
    if onboarding.device.method == FDO:
        return _fdo(onboarding)
    sessions = {session.protocol: session for session in _sessions(onboarding.device)}
    return _MOVES[OnboardingStep(onboarding.step)](onboarding, sessions)


def _sessions(device: Device) -> list[Session]:
    """The device's newest session of each protocol, oldest first."""
    return list(Session.objects.filter(device=device).order_by("seen_at", "pk"))


def _bootstrap(onboarding: Onboarding, sessions: dict[str, Session]) -> bool:
    device = onboarding.device
    session = _claimed(device)
    if session is None or session.phase not in _PROVED:
        return False
    onboarding.wants_report = session.wants_report
    open_claims = Claim.objects.filter(device=device, session_id=session.pk)
    open_claims.exclude(state=Claim.State.EXPIRED).update(state=Claim.State.COMPLETED)
    _retire_older(device, session)
    return _move(onboarding, OnboardingStep.PROVISION)


def _claimed(device: Device) -> Session | None:
    """The session that the newest claim speaks of. Not the one heard last: of a device that was merged, the
    old association may still be talking, and must not pass for the new one."""
    claim = device.claims.exclude(state=Claim.State.EXPIRED).order_by("-pk").first()
    return Session.objects.filter(pk=claim.session_id, device=device).first() if claim else None


def _retire_older(device: Device, current: Session) -> None:
    """A device that was reset and merged has one association: the one it just completed."""
    older = Session.objects.filter(device=device, protocol=current.protocol).exclude(pk=current.pk)
    names = list(older.values_list("locator", flat=True))
    Session.objects.filter(device=device, protocol="provisioning", locator__in=names).delete()
    older.delete()


def _provision(onboarding: Onboarding, sessions: dict[str, Session]) -> bool:
    session = sessions.get("provisioning")
    state = _provisioning_state(session)
    if state is not None and state.reported_version:
        onboarding.results = _reported(onboarding.device, state)
        if all(ok for _id, ok, _detail in state.results):
            return _move(onboarding, OnboardingStep.ONLINE)
        _stuck(onboarding, "provisioning.item-failed")
        return False
    if not onboarding.wants_report and not _plan_has_items(onboarding.device):
        return _move(onboarding, OnboardingStep.ONLINE)
    return False


def _online(onboarding: Onboarding, sessions: dict[str, Session]) -> bool:
    state = _provisioning_state(sessions.get("provisioning"))
    if onboarding.wants_report and not (state and state.online):
        return False
    device = onboarding.device
    certificate = next((i for i in _plan_items(device) if i["kind"] == "certificate"), None)
    if certificate is not None:
        event_write(device, "onboarding.certificate-unavailable", Level.WARNING)
    _finish(onboarding)
    return False


def _done(onboarding: Onboarding, sessions: dict[str, Session]) -> bool:
    """Onboarded already: a newer plan may have been reported, or refused."""
    onboarding.due_at = None
    state = _provisioning_state(sessions.get("provisioning"))
    if state is not None and state.reported_version:
        onboarding.results = _reported(onboarding.device, state)
    session = sessions.get("eap-noob")
    trouble = session is not None and session.milestone == Milestone.STUCK.value
    failed = any(not result["ok"] for result in onboarding.results)
    if not trouble and not failed and onboarding.device.state == DeviceState.STUCK:
        _show(onboarding.device, DeviceState.ONBOARDED, "onboarding.done")
    elif failed and onboarding.device.state == DeviceState.ONBOARDED:
        _stuck(onboarding, "provisioning.item-failed")
    return False


_MOVES = {
    OnboardingStep.BOOTSTRAP: _bootstrap,
    OnboardingStep.PROVISION: _provision,
    OnboardingStep.ONLINE: _online,
    OnboardingStep.DONE: _done,
}


def _fdo(onboarding: Onboarding) -> bool:
    """TO2 proves, provisions and reports in one conversation, and may be run again at any time."""
    session = _newest_to2(onboarding.device)
    if session is None:
        return False
    accepted = Claim.objects.filter(device=onboarding.device, state=Claim.State.ACCEPTED)
    accepted.update(state=Claim.State.COMPLETED)
    under_way = session.phase not in _ENDED
    if session.milestone in BOOTSTRAPPED or under_way:
        if onboarding.step == OnboardingStep.PROVISION or onboarding.device.state != DeviceState.ONBOARDING:
            return False
        onboarding.started_at, onboarding.finished_at = onboarding.device.state_since, None
        return _move(onboarding, OnboardingStep.PROVISION)
    if session.milestone == Milestone.STUCK.value:
        onboarding.step, onboarding.due_at = OnboardingStep.PROVISION, None
        _stuck(onboarding, _fdo_trouble(onboarding.device))
    elif onboarding.step != OnboardingStep.DONE or onboarding.device.state != DeviceState.ONBOARDED:
        _finish(onboarding)
    return False


def to2_proved(device: Device) -> bool:
    """Whether the device has ever proved itself to its owner (TO2)."""
    return _newest_to2(device) is not None


def _fdo_trouble(device: Device) -> str:
    """Why its last TO2 did not come to a good end: the code of a line in its history."""
    ends = Event.objects.filter(device=device, code__in=(*_TROUBLES, "fdo.action-failed", "fdo.done"))
    newest = ends.order_by("-id").values_list("code", flat=True).first()
    # A device that ends it because of an item is followed by the line of that item.
    return newest if newest in _TROUBLES else "fdo.item-failed"


def _newest_to2(device: Device) -> Session | None:
    """The TO2 heard last, of those that got as far as a proof. A new credential opens a session that nobody has
    used yet."""
    proved = (*BOOTSTRAPPED, Milestone.PROVISIONED.value, Milestone.STUCK.value)
    sessions = Session.objects.filter(device=device, protocol=FDO, milestone__in=proved)
    return sessions.order_by("-seen_at", "-pk").first()


def _finish(onboarding: Onboarding) -> None:
    now = timezone.now()
    seconds = int((now - onboarding.started_at).total_seconds())
    onboarding.finished_at = now
    _move(onboarding, OnboardingStep.DONE)
    onboarding.due_at = None
    _show(onboarding.device, DeviceState.ONBOARDED, "onboarding.done")
    event_write(onboarding.device, "onboarding.done", Level.SUCCESS, seconds=seconds)


def _move(onboarding: Onboarding, step: OnboardingStep) -> bool:
    now = timezone.now()
    onboarding.step, onboarding.step_since, onboarding.reminders = step, now, 0
    patience = onboarding.device.organization.silence_reminder_seconds
    onboarding.due_at = now + timedelta(seconds=patience)
    if onboarding.device.state == DeviceState.STUCK:
        _show(onboarding.device, DeviceState.ONBOARDING, f"onboarding.{step.value}")
    return True


def remind(device_id: int, now: datetime) -> None:
    """A device that should speak and does not: say so, a few times, then call it stuck."""
    with transaction.atomic():
        onboarding = (
            Onboarding.objects.select_for_update()
            .select_related("device", "device__organization")
            .filter(device_id=device_id)
            .first()
        )
        if onboarding is None or onboarding.step == OnboardingStep.DONE or not _awaited(onboarding.device):
            Onboarding.objects.filter(device_id=device_id).update(due_at=None)
            return
        patience = timedelta(seconds=onboarding.device.organization.silence_reminder_seconds)
        heard = max(onboarding.step_since, onboarding.device.seen_at or onboarding.step_since)
        if now - heard < patience:
            onboarding.due_at = heard + patience
        elif onboarding.reminders < REMINDERS_MAX:
            onboarding.reminders += 1
            onboarding.due_at = now + patience
            silent = int((now - heard).total_seconds())
            event_write(onboarding.device, "onboarding.reminder", Level.WARNING, silent_seconds=silent)
        else:
            onboarding.due_at = None
            _stuck(onboarding, "onboarding.silent")
        onboarding.save(update_fields=["due_at", "reminders"])


def _awaited(device: Device) -> bool:
    """Whether it should speak soon. While a code is only offered the person has the next move, and a device that
    nobody has switched on yet is no news; a stuck device keeps the reason it has; the next message makes the
    onboarding due again."""
    return device.state not in (*FINAL, DeviceState.KNOWN, DeviceState.WAITING, DeviceState.STUCK)


def offers_expire(now: datetime) -> int:
    """Codes that we showed and nobody read in time."""
    over = list(Claim.objects.filter(state=Claim.State.OPEN, expires_at__lt=now)[:BATCH])
    for claim in over:
        with transaction.atomic():
            offer_end(claim.pk)
    return len(over)


def offer_end(claim_id: int) -> None:
    """Read again inside the transaction: the device may have proved itself in the last moment."""
    claim = Claim.objects.select_for_update().filter(pk=claim_id, state=Claim.State.OPEN).first()
    if claim is None:
        return
    proved = Session.objects.filter(pk=claim.session_id, device=claim.device_id, phase__in=_PROVED).exists()
    claim.state = Claim.State.COMPLETED if proved else Claim.State.EXPIRED
    claim.save(update_fields=["state"])
    if not proved:
        offer_release(claim)


def offer_release(claim: Claim) -> None:
    """Let go of a device that an offer held and that never proved itself; call inside a transaction."""
    device = claim.device
    held = Session.objects.filter(device=device)
    # The version moves too, or a message under way would write the device back.
    released = (
        held.filter(pk=claim.session_id)
        .exclude(phase__in=_PROVED)
        .update(
            device=None,
            organization=None,
            expires_at=timezone.now() + timedelta(days=1),
            version=F("version") + 1,
        )
    )
    if released:
        # Its history is a stranger's again, but for what our people did: that is nobody else's business.
        history = device.events.filter(session_id=claim.session_id).exclude(code__startswith="claim.")
        history.update(device=None, organization=None)
    if device.claims.exclude(pk=claim.pk).exclude(state=Claim.State.EXPIRED).exists():
        event_write(device, "claim.expired", Level.INFO)
        if device.state == DeviceState.WAITING:
            _show(device, DeviceState.ONBOARDING, "claim.expired")
            Onboarding.objects.filter(device=device).update(due_at=timezone.now())
        return
    if device.state == DeviceState.WAITING:
        held.update(device=None, version=F("version") + 1)
        device.delete()


def _stuck(onboarding: Onboarding, reason: str) -> None:
    if onboarding.device.state == DeviceState.STUCK and onboarding.device.reason == reason:
        return
    _show(onboarding.device, DeviceState.STUCK, "onboarding.stuck", reason)
    event_write(onboarding.device, "onboarding.stuck", Level.ERROR, reason=reason)


def _show(device: Device, state: DeviceState, step: str, reason: str = "") -> None:
    device_progress(
        Progress(device.pk, timezone.now(), seen=False, state=state.value, step=step, reason=reason)
    )
    device.refresh_from_db()


def _provisioning_state(session: Session | None) -> provisioning.ProvisioningState | None:
    if session is None:
        return None
    opened = envelope.unseal(bytes(session.state), session.protocol, session.locator)
    return thaw(provisioning.ProvisioningState, opened.state)


def _reported(device: Device, state: provisioning.ProvisioningState) -> list[dict[str, object]]:
    """Per item what the device reported; and, so that nobody waits for it, what this method cannot carry."""
    results = [{"id": i, "ok": ok, "detail": detail} for i, ok, detail in state.results]
    said = {result["id"] for result in results}
    left = [i["id"] for i in _plan_items(device) if i["kind"] in FDO_KINDS and i["id"] not in said]
    return results + [{"id": i, "ok": True, "skipped": True, "detail": "for FDO devices only"} for i in left]


def _plan_items(device: Device) -> list[dict[str, object]]:
    plan = plan_of(device)
    return plan.current.items if plan and plan.current else []


def _plan_has_items(device: Device) -> bool:
    """Anything that the provisioning protocol carries."""
    return any(item["kind"] not in FDO_KINDS for item in _plan_items(device))
