"""Waiting devices as people see them before saying yes. Four statements, however many wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bootstrap.bindings import eap_noob
from bootstrap.bindings.local import state_of
from bootstrap.engine.models import Session
from bootstrap.engine.store import Record
from bootstrap.engine.store import django as store
from bootstrap.protocols.eap_noob.constants import Direction
from devices.models import DeviceState, ExpectedSerial, Organization
from devices.services.claims import Words, merge_candidates

WAITING_MAX = 200
WAITING_PHASES = ("Waiting for OOB",)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting device as the person sees it before saying yes. What it says of itself is unverified."""

    session_id: int
    method: str
    serial: str
    manufacturer: str
    model: str
    via: str
    source: str
    created_at: datetime
    seen_at: datetime | None
    """None for a device with a voucher that was never switched on."""
    next_at: datetime | None
    phase: str
    own_way: bool
    """It came through the organization's own access point or realm."""
    expected: bool | None
    """Its serial is on the organization's list; None when the list is not used."""
    merge_with: int | None
    """A device of the organization with the same serial."""
    shows_code: bool
    reads_code: bool
    state: str = DeviceState.WAITING.value
    """Of the device; one that nobody has claimed yet waits."""
    guid: str = ""
    """Of an FDO device."""


def waiting(organization: Organization, limit: int = 100) -> list[Candidate]:
    """Strangers that came the organization's own way, newest first."""
    rows = Session.objects.filter(
        organization=organization, device=None, protocol=eap_noob.PROTOCOL, phase__in=WAITING_PHASES
    ).order_by("-seen_at")
    return candidates(
        store.load_ids(list(rows.values_list("pk", flat=True)[: min(limit, WAITING_MAX)])), organization
    )


def candidates(records: Sequence[Record], organization: Organization) -> list[Candidate]:
    """Each record with what the organization knows of its serial number, in the order given."""
    serials = {record.serial for record in records if record.serial}
    olds = merge_candidates(organization, serials)
    expected: set[str] | None = None
    if organization.expected_serials_only:
        listed = ExpectedSerial.objects.filter(organization=organization, serial__in=serials)
        expected = set(listed.values_list("serial", flat=True))
    return [_candidate(record, organization, olds.get(record.serial), expected) for record in records]


def words_of(record: Record) -> Words:
    """What the device says of itself."""
    return Words(
        session_id=record.id or 0,
        method=eap_noob.PROTOCOL,
        peer_id=record.locator,
        serial=record.serial,
        manufacturer=record.manufacturer,
        model=record.model,
        via=record.via,
        wants_report=record.wants_report,
    )


def _candidate(record: Record, owner: Organization, old: int | None, expected: set[str] | None) -> Candidate:
    assert record.created_at is not None
    assert record.seen_at is not None
    dirp = state_of(record).association.dirp
    return Candidate(
        session_id=record.id or 0,
        method=eap_noob.PROTOCOL,
        serial=record.serial,
        manufacturer=record.manufacturer,
        model=record.model,
        via=record.via,
        source=record.source,
        created_at=record.created_at,
        seen_at=record.seen_at,
        next_at=record.next_at,
        phase=record.phase,
        own_way=record.organization_id == owner.pk,
        expected=None if expected is None else record.serial in expected,
        merge_with=old if old != record.device_id else None,
        shows_code=bool(dirp & Direction.PEER_TO_SERVER),
        reads_code=bool(dirp & Direction.SERVER_TO_PEER),
    )
