"""What a person does to a device, with everything that follows from it. Pages and API call these alike."""

from __future__ import annotations

from django.db import transaction

from bootstrap.bindings import claims
from bootstrap.engine.events import event_write
from devices.models import Claim, Device, DeviceState, Membership
from devices.services.devices import device_retire, device_update


@transaction.atomic
def device_change(device: Device, membership: Membership, **fields: object) -> Device:
    """Name, room, plan, group, tags; a new name is a line in the device's history. Raises ValidationError by field."""
    before = device.name
    device_update(device, membership.user, **fields)
    if device.name != before:
        event_write(device, "device.renamed", person=str(membership.user), name=device.name)
    return device


@transaction.atomic
def device_remove(device: Device, membership: Membership) -> None:
    """Take a device out of service: codes it has not read die, its history stays.

    A device that was nothing but such a code is gone with it.
    """
    for claim in device.claims.filter(state=Claim.State.OPEN).select_related("device"):
        claims.cancel(claim, membership)
    if not Device.objects.filter(pk=device.pk).exclude(state=DeviceState.RETIRED).exists():
        return
    device_retire(device, membership.user)
    event_write(device, "device.retired", person=str(membership.user))
