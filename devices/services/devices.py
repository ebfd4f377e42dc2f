"""What a person changes about a device."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from devices.models import Device, DeviceState, User
from devices.services.audit import audit_write
from devices.services.progress import Progress, device_progress

EDITABLE = ("name", "room", "plan")


@transaction.atomic
def device_update(device: Device, actor: User | None, **fields: object) -> Device:
    """Give a device a name, a room, a plan of its own; the rest stays. Raises ValidationError by field."""
    unknown = set(fields) - set(EDITABLE)
    if unknown:
        raise TypeError(f"not editable: {', '.join(sorted(unknown))}")
    before = {field: getattr(device, field) for field in fields}
    for field, value in fields.items():
        setattr(device, field, value.strip() if isinstance(value, str) else value)
    changed = [field for field in fields if getattr(device, field) != before[field]]
    if not changed:
        return device
    if device.plan is not None and device.plan.organization_id != device.organization_id:
        raise ValidationError({"plan": _("This plan does not exist.")})
    device.clean_fields(exclude=[field.name for field in device._meta.fields if field.name not in EDITABLE])
    device.save(update_fields=changed)
    detail = {field: str(getattr(device, field) or "") for field in changed}
    audit_write(device.organization, actor, "device.changed", device.pk, **detail)
    return device


@transaction.atomic
def device_retire(device: Device, actor: User | None) -> Device:
    """Take a device out of service for good; its history stays. Doing it twice is doing it once."""
    now = timezone.now()
    row = Device.objects.select_for_update().get(pk=device.pk)
    if row.state != DeviceState.RETIRED:
        device_progress(
            Progress(
                row.pk,
                now,
                seen=False,
                state=DeviceState.RETIRED.value,
                step="device.retired",
                by_person=True,
            )
        )
        audit_write(row.organization, actor, "device.retired", row.pk, name=str(row), serial=row.serial)
    device.refresh_from_db(fields=["state", "state_since", "step", "reason"])
    return device
