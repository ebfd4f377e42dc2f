"""Why a device with a voucher has not come yet: where it looks for us, whether we are to be found there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from devices.models import Device, DeviceState, FdoSettings, Registration, Voucher
from portal import catalogue

FDO = "fdo"
UNSEEN = (DeviceState.KNOWN, DeviceState.WAITING)


@dataclass(frozen=True, slots=True)
class Place:
    """One rendezvous server."""

    registration: Registration
    said: catalogue.Said | None
    """Why we are not registered there."""
    held: bool
    """A device that asks there now is sent here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands between the device and us."""

    places: tuple[Place, ...]
    hindrance: str
    """no-voucher, sold, owner-off, or empty."""

    @property
    def hopeless(self) -> bool:
        """Whoever switches the device on now waits for nothing."""
        states = {place.registration.state for place in self.places}
        lost = bool(self.places) and not any(place.held for place in self.places)
        return bool(self.hindrance) or (lost and Registration.State.DUE not in states)


def finding(device: Device) -> Finding | None:
    """None for devices of other methods, and for those that came already. Three queries at most."""
    if device.method != FDO or device.state not in UNSEEN:
        return None
    voucher = device.vouchers.defer("content").filter(current=True).first()
    if voucher is None:
        return Finding((), "no-voucher")
    now = timezone.now()
    places = tuple(_place(row, now) for row in voucher.registrations.order_by("pk"))
    if voucher.state == Voucher.State.EXTENDED_AWAY:
        return Finding(places, "sold")
    serves = FdoSettings.objects.filter(organization=device.organization_id, owner_on=True).exists()
    return Finding(places, "" if serves else "owner-off")


def _place(row: Registration, now: datetime) -> Place:
    said = catalogue.voucher_problem(row.last_error_code, {}) if row.last_error_code else None
    held = row.state != Registration.State.OFF and row.lease_until is not None and row.lease_until > now
    return Place(row, said, held)
