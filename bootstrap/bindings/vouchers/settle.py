"""What devices did becomes what exists: a finished DI is a device with a voucher, a finished TO2 is a new voucher,
results and files. Workers run it; every function may run twice, and a kill anywhere leaves either the old voucher
or the new one as the current.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import structlog
from django.db import DatabaseError, transaction

from bootstrap.bindings.vouchers.admit import Outcome, admit, voucher_words
from bootstrap.bindings.vouchers.hand_over import registrations_due, registrations_off
from bootstrap.bindings.vouchers.sessions import (
    DI_PROTOCOL,
    PROTOCOL,
    material_in,
    session_close,
    voucher_in,
)
from bootstrap.contract import Milestone
from bootstrap.engine import envelope
from bootstrap.engine.models import Event, Session
from bootstrap.errors import LocalError
from bootstrap.protocols.fdo.server import di
from bootstrap.protocols.fdo.server.state import OwnerState, results_of
from bootstrap.protocols.fdo.service_info import ActionResult
from bootstrap.wire.frozen import thaw
from devices.examine import Examined, examine
from devices.models import Device, DeviceFile, Identifier, Onboarding, Organization, Voucher
from devices.selectors.devices import plan_of

BATCH = 100
KEPT = timedelta(hours=1)
"""How long a settled DI session still answers a device that lost our last message."""
DI_DONE = "initialized"
"""Phase of a DI session whose device has left the factory."""
PROVEN = (
    Milestone.BOOTSTRAPPED.value,
    Milestone.RECONNECTED.value,
    Milestone.PROVISIONED.value,
    Milestone.STUCK.value,
)
"""Milestones of a session whose device has signed with its key under that GUID."""
FINISHED = (Milestone.PROVISIONED.value, Milestone.STUCK.value)
log = structlog.get_logger(__name__)


def settle_di(now: datetime) -> int:
    """Every DI that has come to its end; returns how many."""
    done = list(
        Session.objects.filter(protocol=DI_PROTOCOL, device=None, phase=DI_DONE)
        .exclude(organization=None)
        .order_by("pk")
        .values_list("pk", flat=True)[:BATCH]
    )
    for pk in done:
        try:
            with transaction.atomic():
                _settle_di(pk, now)
        except DatabaseError:
            raise
        except Exception:
            log.exception("di.settle-failed", session=pk)
            _park(pk)
    return len(done)


def _settle_di(pk: int, now: datetime) -> None:
    session = Session.objects.select_for_update().get(pk=pk)
    if session.device_id is not None or session.organization_id is None:
        return
    state = thaw(di.DiState, envelope.unseal(bytes(session.state), DI_PROTOCOL, session.locator).state)
    organization = Organization.objects.get(pk=session.organization_id)
    said = examine(state.voucher)
    said = replace(said, serial=state.serial[:120] or said.serial)
    [result] = admit(organization, [said], origin=Voucher.Origin.DI, trust_all=True)
    if result.outcome == Outcome.REJECTED or result.voucher is None:
        raise LocalError(f"our own voucher is refused: {result.code}")
    device = result.voucher.device
    assert device is not None
    Event.objects.filter(session=session).update(device=device, organization=organization)
    session.device, session.expires_at = device, now + KEPT
    session.version += 1
    session.save(update_fields=["device", "expires_at", "version"])


def _park(pk: int) -> None:
    """One that cannot be settled must not hold up the others; it stays for whoever looks into it."""
    Session.objects.filter(pk=pk).update(phase="unsettled", guarded_until=datetime(9000, 1, 1, tzinfo=UTC))


def di_expire(now: datetime) -> int:
    """Settled DI sessions whose hour is over; returns how many."""
    old = Session.objects.filter(protocol=DI_PROTOCOL, expires_at__lt=now).exclude(device=None)[:BATCH]
    with transaction.atomic():
        for session in old:
            session_close(session)
    return len(old)


def settle_to2(device_id: int) -> None:
    """What TO2 left behind for one device: a new credential's voucher, results, files. Inside the caller's
    transaction, before its onboarding advances."""
    device = Device.objects.filter(pk=device_id, method="fdo").first()
    if device is None:
        return
    sessions = list(Session.objects.filter(device=device, protocol=PROTOCOL).order_by("created_at", "pk"))
    _follow(device, sessions)
    finished = [session for session in sessions if session.milestone in FINISHED]
    if finished:
        _results(device, max(finished, key=lambda session: session.seen_at))
    _retire(sessions)


def _retire(sessions: list[Session]) -> None:
    """A credential that has proven itself ends the one it replaced: nobody comes with that any more."""
    by_guid = {session.locator: session for session in sessions}
    for session in sessions:
        if session.milestone in PROVEN and session.material is not None:
            replaced = by_guid.get(material_in(session).replaces)
            if replaced is not None:
                session_close(replaced)


def _follow(device: Device, sessions: list[Session]) -> None:
    """New credentials, oldest first: each voucher follows the one that was current. By octets and not by GUID: a
    device that died in its last message comes again and gets the same GUID with another HMac."""
    known = set(Voucher.objects.filter(device=device).values_list("digest", flat=True))
    for session in sessions:
        content = voucher_in(session) if session.material is not None else b""
        if not content or sha256(content).hexdigest() in known:
            continue
        said = examine(content)
        if said.code:
            log.error("to2.voucher-unsound", session=session.pk, code=said.code)
            continue
        voucher_follow(device, said)


@transaction.atomic
def voucher_follow(device: Device, said: Examined) -> Voucher:
    """The voucher of a device's new credential takes the place of the current one."""
    old = Voucher.objects.select_for_update().filter(device=device, current=True).first()
    known = Voucher.objects.filter(organization_id=device.organization_id, digest=said.digest).first()
    if known is not None:
        return known
    if old is not None:
        old.current, old.state = False, Voucher.State.SUPERSEDED
        old.save(update_fields=["current", "state"])
        registrations_off(old)
    fresh = Voucher.objects.create(
        organization_id=device.organization_id,
        device=device,
        previous=old,
        current=True,
        origin=Voucher.Origin.TO2,
        state=Voucher.State.ONBOARDED,
        **(voucher_words(said) | {"serial": said.serial or device.serial}),
    )
    Identifier.objects.get_or_create(device=device, kind=Identifier.Kind.FDO_GUID, value=fresh.guid)
    registrations_due(fresh, fresh.created_at)
    return fresh


def _results(device: Device, session: Session) -> None:
    """Per item what became of it, and the files that came along."""
    opened = envelope.unseal(bytes(session.state), PROTOCOL, session.locator)
    state = thaw(OwnerState, opened.state)
    if not state.runs:
        return
    results = results_of(state.finished)
    Onboarding.objects.filter(device=device).update(results=[_result(one) for one in results])
    Voucher.objects.filter(
        device=device, current=True, state__in=(Voucher.State.STORED, Voucher.State.REGISTERED)
    ).update(state=Voucher.State.ONBOARDED)
    at = datetime.fromtimestamp(state.finished_at, UTC)
    collected = {item["id"]: item["value"]["name"] for item in _items(device) if item["kind"] == "collect"}
    for one in results:
        if one.output:
            file_keep(device, collected.get(one.id, f"{one.id}.out"), one.output, at)
        if one.errors:
            file_keep(device, f"{one.id}.err", one.errors, at)


def _result(one: ActionResult) -> dict[str, Any]:
    said: dict[str, Any] = {"id": one.id, "ok": one.ok, "detail": one.detail}
    return said if one.exit_code is None else said | {"exit_code": one.exit_code}


def _items(device: Device) -> list[dict[str, Any]]:
    """The plan as it is now. Whoever renames an item while devices run finds their files under its id."""
    plan = plan_of(device)
    return plan.current.items if plan and plan.current else []


def file_keep(device: Device, name: str, content: bytes, at: datetime) -> DeviceFile:
    """One file of one run; the same again is the same."""
    fresh = DeviceFile(device=device, name=name[:255], received_at=at)
    fresh.content = content
    known = DeviceFile.objects.filter(
        device=device, name=fresh.name, received_at=at, sha384=fresh.sha384
    ).first()
    if known is not None:
        return known
    fresh.save()
    return fresh
