"""The same statements inside the caller's Django transaction: what a person confirms commits together with
the rows of the claim, or not at all. For pages, API, workers and commands; never for device messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from bootstrap.engine.store.contract import Change, Committed, Record
from bootstrap.engine.store.statements import LOAD_BY_ID, apply_change, load_query, record


def load(protocol: str, *, token: bytes | None = None, locator: str | None = None) -> Record | None:
    """One session by name."""
    return _one(*load_query(protocol, token, locator))


def load_id(session_id: int) -> Record | None:
    """One session by its row."""
    return _one(LOAD_BY_ID, [session_id])


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
