"""The SQL of the hot path, shared by every backend; placeholders are ``%s``.

``execute`` is a backend's ``(sql, values) -> cursor``. Times go in as the driver wants them
(``database_time``) and come out as aware datetimes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bootstrap.engine.store.contract import Change, Committed, EventRow, NextRow, Record
from devices.services.progress import database_time, progress_statement

Execute = Callable[[str, Sequence[Any]], Any]

COLUMNS = (
    "protocol",
    "locator",
    "id",
    "token",
    "organization_id",
    "device_id",
    "via",
    "source",
    "phase",
    "milestone",
    "serial",
    "manufacturer",
    "model",
    "wants_report",
    "state",
    "material",
    "version",
    "messages",
    "created_at",
    "seen_at",
    "next_at",
    "expires_at",
    "guarded_until",
)
"""In the order of Record's fields."""
_TIMES = frozenset({"created_at", "seen_at", "next_at", "expires_at", "guarded_until"})
_WRITTEN = tuple(name for name in COLUMNS if name != "id")
# What people and workers may change while a message is under way is written by them alone, not here.
_UPDATED = tuple(name for name in _WRITTEN if name not in ("created_at", "material", "guarded_until"))

_SELECT = (
    "SELECT "  # noqa: S608
    + ", ".join(f"s.{name}" for name in COLUMNS)
    + ", COALESCE(d.plan_id, g.plan_id), COALESCE(d.state, ''), d.tags FROM engine_session s "
    "LEFT JOIN devices_device d ON d.id = s.device_id LEFT JOIN devices_group g ON g.id = d.group_id"
)
LOAD_BY_TOKEN = f"{_SELECT} WHERE s.protocol = %s AND s.token = %s"
LOAD_BY_LOCATOR = f"{_SELECT} WHERE s.protocol = %s AND s.locator = %s"
LOAD_BY_EITHER = (
    f"{_SELECT} WHERE s.protocol = %s AND (s.token = %s OR s.locator = %s) "
    "ORDER BY CASE WHEN s.token = %s THEN 0 ELSE 1 END LIMIT 1"
)
LOAD_BY_ID = f"{_SELECT} WHERE s.id = %s"
LOAD_BY_IDS = f"{_SELECT} WHERE s.id IN "
_VALUES = f"({', '.join(_WRITTEN)}) VALUES ({', '.join(['%s'] * len(_WRITTEN))})"
_INSERT = f"INSERT INTO engine_session {_VALUES} RETURNING id"
_EVENT = (
    "INSERT INTO engine_event (session_id, device_id, organization_id, at, code, level, detail, via, trace) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id"
)
_DUE = "UPDATE devices_onboarding SET due_at = %s WHERE device_id = %s"
_NEXT = (
    f"INSERT INTO engine_session {_VALUES} "
    "ON CONFLICT (protocol, locator) DO UPDATE SET material = excluded.material, device_id = excluded.device_id, "
    "organization_id = excluded.organization_id, expires_at = NULL, version = engine_session.version + 1"
)


def load_query(protocol: str, token: bytes | None, locator: str | None) -> tuple[str, list[Any]]:
    """The one SELECT that finds a session."""
    if token is not None and locator is not None:
        return LOAD_BY_EITHER, [protocol, token, locator, token]
    if token is not None:
        return LOAD_BY_TOKEN, [protocol, token]
    return LOAD_BY_LOCATOR, [protocol, locator]


def record(row: Sequence[Any] | None) -> Record | None:
    """A fetched row as a Record."""
    if row is None:
        return None
    values = list(row)
    values[3] = _octets(row[3])  # token
    values[13] = bool(row[13])  # wants_report
    values[14] = bytes(row[14])  # state
    values[15] = _octets(row[15])  # material
    values[18:23] = map(_time, row[18:23])
    if not isinstance(values[25], str):  # tags: SQLite has text, PostgreSQL's driver a dict, a stranger none
        values[25] = json.dumps(values[25]) if values[25] else "{}"
    return Record(*values)


def _octets(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    # SQLite's text; Django's connection has made it a naive datetime already; PostgreSQL's is aware.
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _value(row: Record, name: str) -> Any:
    value = getattr(row, name)
    return database_time(value) if name in _TIMES else value


def _values(row: Record, names: Sequence[str]) -> list[Any]:
    return [_value(row, name) for name in names]


@lru_cache(maxsize=512)
def _update(names: tuple[str, ...]) -> str:
    sets = ", ".join(f"{name} = %s" for name in names)
    return f"UPDATE engine_session SET {sets} WHERE id = %s AND version = %s"  # noqa: S608 (own words only)


def _changed(before: Record, after: Record) -> tuple[str, ...]:
    """Only what differs: a column that is named costs its indexes, changed or not."""
    return tuple(name for name in _UPDATED if getattr(before, name) != getattr(after, name))


def apply_change(execute: Execute, change: Change) -> Committed | None:
    """Run one change; None (and nothing written) when the version has moved on."""
    before, after = change.before, change.after
    if before.id is None:
        session_id = execute(_INSERT, _values(after, _WRITTEN)).fetchone()[0]
    else:
        session_id = before.id
        names = _changed(before, after)
        if execute(_update(names), [*_values(after, names), session_id, before.version]).rowcount != 1:
            return None
    events = tuple(_insert_event(execute, session_id, after, event) for event in change.events)
    if change.progress is not None:
        execute(*progress_statement(change.progress))
    if change.due and after.device_id is not None:
        execute(_DUE, [database_time(after.seen_at), after.device_id])
    if change.next is not None:
        _apply_next(execute, after, change.next)
    return Committed(session_id, after.device_id, after.organization_id, events)


def _insert_event(execute: Execute, session_id: int, session: Record, event: EventRow) -> int:
    values = [
        session_id,
        session.device_id,
        session.organization_id,
        database_time(event.at),
        event.code,
        event.level,
        json.dumps(event.detail),
        event.via,
        event.trace,
    ]
    return int(execute(_EVENT, values).fetchone()[0])


def _apply_next(execute: Execute, parent: Record, following: NextRow) -> None:
    row = replace(
        parent,
        protocol=following.protocol,
        locator=following.locator,
        token=None,
        phase="",
        milestone="",
        state=following.state,
        material=following.material,
        version=1,
        messages=0,
        created_at=parent.seen_at,
        next_at=None,
        expires_at=None,
        guarded_until=None,
    )
    execute(_NEXT, _values(row, _WRITTEN))
