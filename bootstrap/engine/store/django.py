"""The same statements inside the caller's Django transaction: what a person confirms commits together with
the rows of the claim, or not at all. For pages, API, workers and commands; never for device messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from bootstrap.engine.store.contract import Change, Committed, Record
from bootstrap.engine.store.statements import LOAD_BY_ID, LOAD_BY_IDS, apply_change, load_query, record


def load(protocol: str, *, token: bytes | None = None, locator: str | None = None) -> Record | None:
    """One session by name."""
    return _one(*load_query(protocol, token, locator))


def load_id(session_id: int) -> Record | None:
    """One session by its row."""
    return _one(LOAD_BY_ID, [session_id])


def load_ids(session_ids: Sequence[int]) -> list[Record]:
    """Several sessions by their rows, in the order asked for; one that is gone is left out."""
    if not session_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"{LOAD_BY_IDS}({', '.join(['%s'] * len(session_ids))})", list(session_ids))
        found = {one.id: one for one in map(record, cursor.fetchall()) if one is not None}
    return [found[pk] for pk in session_ids if pk in found]


def commit(change: Change) -> Committed | None:
    """Apply a change in the current transaction; None when the version has moved on."""
    with connection.cursor() as cursor:

        def execute(sql: str, values: Sequence[Any]) -> Any:
            cursor.execute(sql, values)
            return cursor

        return apply_change(execute, change)


def _one(sql: str, values: Sequence[Any]) -> Record | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return record(cursor.fetchone())
