"""Vouchers come in: whose are they, whom do we believe, and the rows that follow, a batch at a time.

Run inside the caller's transaction. The same voucher again is no news; a GUID has one organization.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from bootstrap.bindings.vouchers.problems import AdmitProblem
from bootstrap.bindings.vouchers.rows import rows_insert
from bootstrap.bindings.vouchers.sessions import PROTOCOL, session_columns, session_renew
from bootstrap.contract import Level, Via
from bootstrap.engine.models import Event, Session
from devices.examine import Examined
from devices.models import (
    Device,
    DeviceState,
    Identifier,
    Job,
    JobRow,
    Onboarding,
    Organization,
    OwnerKey,
    Registration,
    TrustedManufacturer,
    Voucher,
)
from devices.services.progress import Progress, device_progress

METHOD = "fdo"
Outcome = JobRow.Outcome
_GONE = (Voucher.State.EXTENDED_AWAY, Voucher.State.DELETED)


@dataclass(slots=True)
class Admitted:
    """What became of one voucher."""

    examined: Examined
    outcome: str
    code: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    voucher: Voucher | None = None


@dataclass(slots=True)
class _Here:
    """What the database knows of a batch: four statements, whatever its size."""

    owners: frozenset[str]
    makers: dict[str, str]
    digests: dict[str, Voucher]
    vouchers: dict[str, Voucher]
    """By GUID, the newest."""
    sessions: dict[str, Session]


def admit(
    organization: Organization,
    batch: Sequence[Examined],
    *,
    job: Job | None = None,
    origin: str = Voucher.Origin.IMPORT,
    trust_all: bool = False,
) -> list[Admitted]:
    """Judge every voucher and write the rows of those that are welcome. ``trust_all`` is for our own making."""
    here = _look(organization, batch)
    results: list[Admitted] = []
    fresh: list[Admitted] = []
    for examined in batch:
        result = _judge(organization, examined, here, trust_all=trust_all)
        if result.outcome == Outcome.ADDED:
            result.voucher = _voucher(organization, examined, here, job, origin)
            here.digests[examined.digest] = here.vouchers[examined.guid] = result.voucher
            fresh.append(result)
        results.append(result)
    if fresh:
        _write([one.voucher for one in fresh if one.voucher], fresh, here, timezone.now())
    return results


def _look(organization: Organization, batch: Sequence[Examined]) -> _Here:
    guids = {one.guid for one in batch if one.guid}
    mine = Voucher.objects.filter(organization=organization)
    owners = OwnerKey.objects.filter(organization=organization).exclude(purpose=OwnerKey.Purpose.DEVICE_CA)
    makers = TrustedManufacturer.objects.filter(organization=organization)
    same = mine.filter(digest__in={one.digest for one in batch}).select_related("device").defer("content")
    by_guid = mine.filter(guid__in=guids).select_related("device").defer("content").order_by("pk")
    return _Here(
        frozenset(owners.values_list("fingerprint", flat=True)),
        dict(makers.values_list("fingerprint", "name")),
        {row.digest: row for row in same},
        {row.guid: row for row in by_guid},
        {row.locator: row for row in Session.objects.filter(protocol=PROTOCOL, locator__in=guids)},
    )


def _judge(organization: Organization, one: Examined, here: _Here, *, trust_all: bool) -> Admitted:
    known = here.digests.get(one.digest)
    if known is not None:
        return Admitted(one, Outcome.ALREADY_HERE, detail={"state": known.state}, voucher=known)
    if one.code:
        return Admitted(one, Outcome.REJECTED, one.code, {"text": one.problem})
    if one.owner_fingerprint not in here.owners:
        return _reject(one, AdmitProblem.NOT_OURS, owner=one.owner_fingerprint)
    if not trust_all and one.manufacturer_fingerprint not in here.makers:
        return _reject(one, AdmitProblem.UNTRUSTED, manufacturer=one.manufacturer_fingerprint)
    session = here.sessions.get(one.guid)
    if session is not None and session.organization_id != organization.pk:
        return _reject(one, AdmitProblem.TAKEN)
    other = here.vouchers.get(one.guid)
    if other is not None and other.state not in _GONE:
        return _reject(one, AdmitProblem.OTHER_BYTES, here=other.digest, this=one.digest)
    if other is not None and other.state == Voucher.State.EXTENDED_AWAY and one.entries <= other.entries:
        return _reject(one, AdmitProblem.SOLD)
    return Admitted(one, Outcome.ADDED)


def _reject(one: Examined, problem: AdmitProblem, **detail: str) -> Admitted:
    return Admitted(one, Outcome.REJECTED, problem.value, detail)


def _voucher(organization: Organization, one: Examined, here: _Here, job: Job | None, origin: str) -> Voucher:
    previous = here.vouchers.get(one.guid)
    return Voucher(
        organization=organization,
        device=(previous.device if previous else None)
        or device_of(organization, one, here.makers.get(one.manufacturer_fingerprint, "")),
        current=True,
        previous=previous,
        job=job,
        origin=origin,
        **voucher_words(one),
    )


def voucher_words(one: Examined) -> dict[str, Any]:
    """The columns that a voucher's own octets say."""
    return {
        "guid": one.guid,
        "digest": one.digest,
        "content": one.content,
        "device_info": one.device_info,
        "serial": one.serial,
        "manufacturer_fingerprint": one.manufacturer_fingerprint,
        "owner_fingerprint": one.owner_fingerprint,
        "entries": one.entries,
    }


def device_of(organization: Organization, one: Examined, maker: str) -> Device:
    """A device that nobody has seen yet, not saved. Its serial is the manufacturer's word, signed."""
    return Device(
        organization=organization,
        serial=one.serial,
        serial_confirmed=bool(one.serial),
        manufacturer=maker[:120],
        model=one.device_info[:120],
        method=METHOD,
        state=DeviceState.KNOWN,
        step="voucher.admitted",
    )


def _write(rows: list[Voucher], fresh: list[Admitted], here: _Here, now: datetime) -> None:
    """About ten statements for the whole batch."""
    devices = [row.device for row in rows if row.device is not None]
    new = [device for device in devices if device.pk is None]
    again = [device for device in devices if device.pk is not None]
    Device.objects.bulk_create(new)
    for device in again:
        _come_back(device, now)
    for row in rows:
        row.device = row.device  # the key that bulk_create gave it
    Voucher.objects.bulk_create(rows)
    _name(rows)
    _sessions(rows, here, now)
    rows_insert(
        Onboarding, ({"device_id": device.pk, "started_at": now, "step_since": now} for device in new)
    )
    rows_insert(
        Registration,
        (
            {"voucher_id": row.pk, "url": url[:300], "next_at": now}
            for row, one in zip(rows, fresh, strict=True)
            for url in one.examined.rendezvous
        ),
        unique=("voucher_id", "url"),
    )
    ids = dict(
        Session.objects.filter(protocol=PROTOCOL, locator__in=[row.guid for row in rows]).values_list(
            "locator", "pk"
        )
    )
    rows_insert(Event, (_event(row, ids[row.guid], now) for row in rows))


def _come_back(device: Device, now: datetime) -> None:
    """A device that was sold on or deleted is here again."""
    known = DeviceState.KNOWN.value
    device_progress(
        Progress(device.pk, now, seen=False, state=known, step="voucher.admitted", by_person=True)
    )
    Voucher.objects.filter(device=device, current=True).update(current=False)


def _name(rows: list[Voucher]) -> None:
    names = [(row.device_id, Identifier.Kind.FDO_GUID, row.guid) for row in rows]
    names += [(row.device_id, Identifier.Kind.SERIAL, row.serial) for row in rows if row.serial]
    rows_insert(
        Identifier,
        ({"device_id": device, "kind": kind, "value": value} for device, kind, value in names),
        unique=("device_id", "kind", "value"),
    )


def _sessions(rows: list[Voucher], here: _Here, now: datetime) -> None:
    """One for each voucher; a GUID that was here before keeps its row, and with it its history."""
    fresh = []
    for row in rows:
        assert row.device is not None
        old = here.sessions.get(row.guid)
        if old is not None:
            session_renew(old, bytes(row.content), row.device, now)
        else:
            fresh.append(session_columns(row.guid, bytes(row.content), row.device, now))
    rows_insert(Session, fresh)


def _event(row: Voucher, session_id: int, now: datetime) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "device_id": row.device_id,
        "organization_id": row.organization_id,
        "at": now,
        "code": "voucher.admitted",
        "level": Level.SUCCESS.value,
        "detail": {"voucher": row.pk, "entries": row.entries, "origin": str(row.origin)},
        "via": Via.LOCAL.value,
    }
