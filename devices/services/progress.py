"""The one place that writes a device's state, step, reason and presence.

The engine runs the statement inside its own transaction, everybody else through ``device_progress``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection

from devices.models import DeviceState

FINAL = (DeviceState.SUSPENDED.value, DeviceState.REVOKED.value, DeviceState.RETIRED.value)
"""States that only a person changes; nothing a device says moves it out of them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A device was seen, and perhaps moved."""

    device_id: int
    at: datetime
    seen: bool = True
    state: str | None = None
    """New state, unless a person has put the device into a final one."""
    step: str | None = None
    reason: str = ""
    """Why it is stuck; written together with ``state``."""
    by_person: bool = False
    """A person's decision: may also leave a final state."""


@lru_cache(maxsize=256)
def database_time(moment: datetime | None) -> Any:
    """A moment as this database's driver wants it in raw SQL. One message has the same moment in many places."""
    return _adapt()(moment) if moment else None


@lru_cache(maxsize=1)
def _adapt() -> Callable[[datetime], Any]:
    """Of whichever thread's connection asks first: all are of one kind, and finding one's own costs more."""
    return connection.ops.adapt_datetimefield_value


def progress_statement(progress: Progress) -> tuple[str, list[Any]]:
    """The UPDATE for one progress, with ``%s`` placeholders."""
    at = database_time(progress.at)
    sets: list[str] = []
    values: list[Any] = []
    if progress.seen:
        sets.append("seen_at = %s")
        values.append(at)
    if progress.step is not None:
        sets.append("step = %s")
        values.append(progress.step)
    if progress.state is not None:
        sets += [
            "state_since = CASE WHEN state = %s THEN state_since ELSE %s END",
            "state = %s",
            "reason = %s",
        ]
        values += [progress.state, at, progress.state, progress.reason]
    if not sets:
        sets.append("id = id")
    guard = ""
    values.append(progress.device_id)
    if progress.state is not None and not progress.by_person:
        guard = " AND state NOT IN (%s, %s, %s)"
        values += list(FINAL)
    return f"UPDATE devices_device SET {', '.join(sets)} WHERE id = %s{guard}", values  # noqa: S608 (own words only)


def device_progress(progress: Progress) -> None:
    """Write one progress in the current transaction."""
    sql, values = progress_statement(progress)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
