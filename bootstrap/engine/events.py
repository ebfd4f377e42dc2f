"""Lines of history written by people and workers, in the caller's Django transaction."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from bootstrap.contract import Level, Via
from bootstrap.engine.live import publish_on_commit
from bootstrap.engine.models import Event
from bootstrap.engine.store.contract import Committed
from devices.models import Device


def event_write(
    device: Device, code: str, level: Level = Level.INFO, *, session_id: int | None = None, **detail: Any
) -> Event:
    """Append one line to a device's history and tell browsers once it is committed."""
    event = Event.objects.create(
        session_id=session_id,
        device=device,
        organization_id=device.organization_id,
        at=timezone.now(),
        code=code,
        level=level.value,
        detail=detail,
        via=Via.LOCAL.value,
    )
    publish_on_commit(Committed(session_id or 0, device.pk, device.organization_id, (event.pk,)))
    return event
