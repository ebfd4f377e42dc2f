"""One transaction for many changes (SQLite). Who loses a race, takes a name twice or holds a value that cannot be
stored is alone with it; the others commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import structlog

from bootstrap.engine.store.contract import Change, Committed
from bootstrap.engine.store.statements import Execute, apply_change
from bootstrap.errors import LocalError

Result = Committed | LocalError | None
log = structlog.get_logger(__name__)

_OWN_FAULT = (ValueError, OverflowError, TypeError, sqlite3.ProgrammingError, sqlite3.DataError)


@lru_cache(maxsize=1024)
def question_marks(sql: str) -> str:
    """SQLite's placeholders; the text stays the same object, so that its prepared statement is found again."""
    return sql.replace("%s", "?")


def write_group(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Result]:
    """Commit all that can be; raises sqlite3.Error when nothing was, with the transaction rolled back."""
    try:
        return _write_plainly(connection, changes)
    except (sqlite3.IntegrityError, *_OWN_FAULT):
        _roll_back(connection)
        return _write_apart(connection, changes)
    except BaseException:
        _roll_back(connection)
        raise


def is_busy(error: sqlite3.Error) -> bool:
    """Somebody else is writing: the same change may be written later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _write_plainly(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Result]:
    """Without savepoints. A lost race is no error and has written nothing: the UPDATE comes first."""
    execute = _executor(connection)
    connection.execute("BEGIN IMMEDIATE")
    results: list[Result] = [apply_change(execute, change) for change in changes]
    connection.execute("COMMIT")
    return results


def _write_apart(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Result]:
    """Each change in a savepoint of its own."""
    execute = _executor(connection)
    try:
        connection.execute("BEGIN IMMEDIATE")
        results = [_apply_apart(connection, execute, change) for change in changes]
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return results


def _apply_apart(connection: sqlite3.Connection, execute: Execute, change: Change) -> Result:
    connection.execute("SAVEPOINT one")
    result: Result
    try:
        result = apply_change(execute, change)
    except sqlite3.IntegrityError:
        result = None
    except _OWN_FAULT as error:
        log.error("store.value-refused", protocol=change.after.protocol, error=type(error).__name__)
        result = LocalError(f"store cannot hold a value: {type(error).__name__}")
    if not isinstance(result, Committed):
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return result


def _executor(connection: sqlite3.Connection) -> Execute:
    run = connection.execute

    def execute(sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        return run(question_marks(sql), values)

    return execute


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
