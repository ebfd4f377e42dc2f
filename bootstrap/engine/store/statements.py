"""The SQL of the hot path, shared by every backend; placeholders are ``%s``.

``execute`` is a backend's ``(sql, values) -> cursor``. Times go in as the driver wants them
(``database_time``) and come out as aware datetimes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bootstrap.engine.store.contract import Change, Committed, NextRow, Record
from devices.services.progress import database_time, progress_statement

Execute = Callable[[str, Sequence[Any]], Any]

COLUMNS = (
    "id",
    "protocol",
    "locator",
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
_TIMES = frozenset({"created_at", "seen_at", "next_at", "expires_at", "guarded_until"})
_WRITTEN = tuple(name for name in COLUMNS if name != "id")
# What people and workers may change while a message is under way is written by them alone, not here.
_UPDATED = tuple(name for name in _WRITTEN if name not in ("created_at", "material", "guarded_until"))

_SELECT = (
    "SELECT "  # noqa: S608
    + ", ".join(f"s.{name}" for name in COLUMNS)
    + ", d.plan_id, COALESCE(d.state, '') FROM engine_session s LEFT JOIN devices_device d ON d.id = s.device_id"
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
_SETS = ", ".join(f"{name} = %s" for name in _UPDATED)
_UPDATE = f"UPDATE engine_session SET {_SETS} WHERE id = %s AND version = %s"  # noqa: S608
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
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=False))
    for name in _TIMES:
        values[name] = _time(values[name])
    for name in ("token", "state", "material"):
        values[name] = bytes(values[name]) if values[name] is not None else None
    values["wants_report"] = bool(values["wants_report"])
    plan_id, device_state = row[len(COLUMNS) :]
    return Record(**values, plan_id=plan_id, device_state=device_state)


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    # SQLite's text; Django's connection has made it a naive datetime already; PostgreSQL's is aware.
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _values(row: Record, names: Sequence[str]) -> list[Any]:
    return [database_time(getattr(row, name)) if name in _TIMES else getattr(row, name) for name in names]


def apply_change(execute: Execute, change: Change) -> Committed | None:
    """Run one change; None (and nothing written) when the version has moved on."""
    after = change.after
    if change.before.id is None:
        session_id = execute(_INSERT, _values(after, _WRITTEN)).fetchone()[0]
    else:
        session_id = change.before.id
        done = execute(_UPDATE, [*_values(after, _UPDATED), session_id, change.before.version])
        if done.rowcount != 1:
            return None
    events = tuple(
        execute(
            _EVENT,
            [
                session_id,
                after.device_id,
                after.organization_id,
                database_time(event.at),
                event.code,
                event.level,
                json.dumps(event.detail),
                event.via,
                event.trace,
            ],
        ).fetchone()[0]
        for event in change.events
    )
    if change.progress is not None:
        execute(*progress_statement(change.progress))
    if change.due and after.device_id is not None:
        execute(_DUE, [database_time(after.seen_at), after.device_id])
    if change.next is not None:
        _apply_next(execute, after, change.next)
    return Committed(session_id, after.device_id, after.organization_id, events)


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
