"""The owner's session of a voucher: what TO2 needs, sealed, under the device's GUID."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bootstrap.engine import envelope
from bootstrap.engine.envelope import Envelope
from bootstrap.engine.models import Event, Session
from bootstrap.protocols.fdo.server.state import OwnerMaterial, OwnerState
from bootstrap.wire.frozen import freeze, thaw
from devices.models import Device

PROTOCOL = "fdo"
"""TO2's sessions; the locator is the GUID in hexadecimal."""
DI_PROTOCOL = "fdo-di"
_BLANK = freeze(OwnerState())


def session_columns(guid: str, content: bytes, device: Device, now: datetime) -> dict[str, Any]:
    """A new session for the voucher, by column."""
    return {
        "protocol": PROTOCOL,
        "locator": guid,
        "organization_id": device.organization_id,
        "device_id": device.pk,
        "via": "",
        "source": "",
        "phase": "",
        "milestone": "",
        "serial": device.serial,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "state": envelope.seal(Envelope(_BLANK), PROTOCOL, guid),
        "material": material_of(guid, content),
        "version": 1,
        "messages": 0,
        "created_at": now,
        "seen_at": now,
    }


def session_of(guid: str, content: bytes, device: Device, now: datetime) -> Session:
    """The same as an object, not saved."""
    return Session(**session_columns(guid, content, device, now))


def session_renew(row: Session, content: bytes, device: Device, now: datetime) -> Session:
    """The same row for another voucher of the same GUID; its history stays. The version moves, so that a message
    under way starts over."""
    fresh = session_of(row.locator, content, device, now)
    fresh.pk, fresh.version, fresh.created_at = row.pk, row.version + 1, row.created_at
    fresh.save()
    return fresh


def material_of(guid: str, content: bytes) -> bytes:
    """What the owner's steps need of the voucher, sealed."""
    return envelope.seal_material(freeze(OwnerMaterial(voucher=content)), PROTOCOL, guid)


def material_in(session: Session) -> OwnerMaterial:
    """What this session was given."""
    blob = envelope.unseal_material(bytes(session.material or b""), session.protocol, session.locator)
    return thaw(OwnerMaterial, blob)


def voucher_in(session: Session) -> bytes:
    """The voucher that this session serves."""
    return material_in(session).voucher


def session_close(row: Session) -> None:
    """No more TO2 for this GUID; what happened stays in the device's history."""
    Event.objects.filter(session=row).update(session=None)
    row.delete()
