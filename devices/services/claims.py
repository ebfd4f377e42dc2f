"""The rows of a claim: device, identifiers, claim, onboarding, audit. The protocol's side is in
bootstrap/bindings/claims.py, which calls these inside its own transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from devices.models import (
    Claim,
    Device,
    DeviceState,
    Identifier,
    Membership,
    Onboarding,
    OnboardingStep,
    Organization,
)
from devices.services.audit import audit_write
from devices.services.progress import Progress, device_progress


@dataclass(frozen=True, slots=True)
class Words:
    """What a device says of itself, and the session it says it in."""

    session_id: int
    method: str
    peer_id: str
    serial: str
    manufacturer: str
    model: str
    via: str
    wants_report: bool


def merge_candidates(organization: Organization, serials: Collection[str]) -> dict[str, int]:
    """Serial number to the newest living device of the organization that has it: perhaps the same one before
    a reset."""
    same = Device.objects.filter(
        organization=organization, serial__in=[serial for serial in serials if serial]
    )
    living = same.exclude(state__in=[DeviceState.RETIRED, DeviceState.REVOKED]).order_by("pk")
    return dict(living.values_list("serial", "pk"))


def merge_candidate(organization: Organization, words: Words) -> Device | None:
    """The one that this device may be."""
    found = merge_candidates(organization, [words.serial])
    return Device.objects.get(pk=found[words.serial]) if found else None


def claim_record(
    membership: Membership,
    words: Words,
    direction: str,
    *,
    onto: Device | None = None,
    name: str = "",
    room: str = "",
) -> Device:
    """The device this claim makes or continues. For a code that came from the device the claim is accepted now;
    for a code that we show it stays open until the device has proved itself."""
    now = timezone.now()
    confirmed = direction == Claim.Direction.DEVICE_TO_SERVER
    device = onto or Device(organization=membership.organization)
    device.method, device.via = words.method, words.via
    device.serial, device.manufacturer, device.model = words.serial, words.manufacturer, words.model
    device.serial_confirmed = device.serial_confirmed or confirmed
    device.name, device.room = name.strip()[:80] or device.name, room.strip()[:80] or device.room
    device.save()
    _identify(device, words)
    Onboarding.objects.update_or_create(
        device=device,
        defaults={
            "step": OnboardingStep.BOOTSTRAP,
            "started_at": now,
            "step_since": now,
            "due_at": now,
            "finished_at": None,
            "reminders": 0,
            "wants_report": words.wants_report,
            "results": [],
        },
    )
    state = DeviceState.ONBOARDING if confirmed else DeviceState.WAITING
    step = "claim.confirmed" if confirmed else "claim.offered"
    device_progress(Progress(device.pk, now, seen=False, state=state.value, step=step, by_person=True))
    device.refresh_from_db()
    if confirmed:
        Claim.objects.filter(device=device, state=Claim.State.OPEN).update(state=Claim.State.ACCEPTED)
        Claim.objects.create(
            organization=membership.organization,
            device=device,
            person=membership.user,
            session_id=words.session_id,
            direction=direction,
            assurance=Claim.Assurance.FRESH_CODE,
            state=Claim.State.ACCEPTED,
        )
    audit_write(
        membership.organization,
        membership.user,
        "device.claimed" if confirmed else "device.code-offered",
        device.pk,
        serial=words.serial,
        merged=onto is not None,
        direction=direction,
    )
    return device


def claim_open(membership: Membership, device: Device, session_id: int, expires_at: datetime) -> Claim:
    """The open claim of an offered code; asking again prolongs the one that is there."""
    claim, _created = Claim.objects.update_or_create(
        organization=membership.organization,
        device=device,
        session_id=session_id,
        direction=Claim.Direction.SERVER_TO_DEVICE,
        state=Claim.State.OPEN,
        defaults={
            "person": membership.user,
            "assurance": Claim.Assurance.FRESH_CODE,
            "expires_at": expires_at,
        },
    )
    return claim


def claim_voucher(
    membership: Membership,
    device: Device,
    session_id: int,
    assurance: str,
    *,
    proved: bool,
    name: str = "",
    room: str = "",
) -> Claim:
    """A person has the device, whose voucher made it this organization's before. Its onboarding stays as it is."""
    device.name, device.room = name.strip()[:80] or device.name, room.strip()[:80] or device.room
    typed = assurance == Claim.Assurance.SERIAL_ONLY
    device.serial_confirmed = device.serial_confirmed or typed
    device.save(update_fields=["name", "room", "serial_confirmed"])
    claim = Claim.objects.create(
        organization=membership.organization,
        device=device,
        person=membership.user,
        session_id=session_id,
        direction=Claim.Direction.DEVICE_TO_SERVER,
        assurance=assurance,
        state=Claim.State.COMPLETED if proved else Claim.State.ACCEPTED,
    )
    audit_write(
        membership.organization,
        membership.user,
        "device.claimed",
        device.pk,
        serial=device.serial,
        assurance=str(assurance),
    )
    return claim


def _identify(device: Device, words: Words) -> None:
    names = [(Identifier.Kind.PEER_ID, words.peer_id), (Identifier.Kind.SERIAL, words.serial)]
    for kind, value in names:
        if value:
            Identifier.objects.get_or_create(device=device, kind=kind, value=value)
