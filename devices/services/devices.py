"""What a person changes about a device."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from devices.models import Device, DeviceState, User
from devices.services.audit import audit_write
from devices.services.progress import Progress, device_progress

EDITABLE = ("name", "room", "plan", "group", "tags")
TAGS_MAX = 32
TAG_MAX_LENGTH = 200
_TAG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
"""What ``${tag.name}`` of a plan can spell."""


@transaction.atomic
def device_update(device: Device, actor: User | None, **fields: object) -> Device:
    """Give a device a name, a room, a plan of its own, a group, tags. Raises ValidationError by field."""
    unknown = set(fields) - set(EDITABLE)
    if unknown:
        raise TypeError(f"not editable: {', '.join(sorted(unknown))}")
    if "tags" in fields:
        fields["tags"] = tags_clean(fields["tags"])
    before = {field: getattr(device, field) for field in fields}
    for field, value in fields.items():
        setattr(device, field, value.strip() if isinstance(value, str) else value)
    changed = [field for field in fields if getattr(device, field) != before[field]]
    if not changed:
        return device
    if device.plan is not None and device.plan.organization_id != device.organization_id:
        raise ValidationError({"plan": _("This plan does not exist.")})
    if device.group is not None and device.group.organization_id != device.organization_id:
        raise ValidationError({"group": _("This group does not exist.")})
    device.clean_fields(exclude=[field.name for field in device._meta.fields if field.name not in EDITABLE])
    device.save(update_fields=changed)
    detail = {field: _said(getattr(device, field)) for field in changed}
    audit_write(device.organization, actor, "device.changed", device.pk, **detail)
    return device


def _said(value: object) -> str:
    """For the audit log."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items())
    return str(value or "")


def tags_clean(tags: Any) -> dict[str, str]:
    """Short texts by name, in the order of names; raises ValidationError."""
    if not isinstance(tags, dict) or len(tags) > TAGS_MAX:
        raise ValidationError({"tags": _("At most %d tags.") % TAGS_MAX})
    for name, text in tags.items():
        if not isinstance(name, str) or not _TAG_NAME.fullmatch(name):
            raise ValidationError(
                {
                    "tags": _("A tag's name has letters, digits, dots and hyphens, like site: %s")
                    % str(name)[:60]
                }
            )
        if not isinstance(text, str) or not text or len(text) > TAG_MAX_LENGTH or not text.isprintable():
            raise ValidationError(
                {
                    "tags": _("Tag %(name)s needs a text of at most %(max)d characters.")
                    % {"name": name, "max": TAG_MAX_LENGTH}
                }
            )
    return dict(sorted(tags.items()))


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
