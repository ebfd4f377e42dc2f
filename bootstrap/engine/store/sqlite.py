"""SQLite (WAL): readers in the caller's thread, one writer thread, group commit.

Messages that arrive together share one transaction, so the cost of a commit is split among them;
each keeps its own compare-and-swap, and a failed one writes nothing.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import structlog

from bootstrap.engine.store.contract import Change, Committed, Record
from bootstrap.engine.store.statements import apply_change, load_query, record
from bootstrap.errors import LocalError

GROUP_MAX = 256
BUSY_TIMEOUT_SECONDS = 20
log = structlog.get_logger(__name__)


def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


class SqliteStore:
    """The embedded default. Open one per process and close it at the end."""

    def __init__(
        self,
        path: str | Path,
        *,
        full: bool = False,
        published: Callable[[Sequence[Committed]], None] | None = None,
    ) -> None:
        self._path = str(path)
        self._full = full
        self._published = published
        self._readers = threading.local()
        self._queue: queue.SimpleQueue[tuple[Change, Future[Committed | None]] | None] = queue.SimpleQueue()
        self._sql: dict[str, str] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if self._full else 'NORMAL'}")
        return connection

    def _translated(self, sql: str) -> str:
        if sql not in self._sql:
            self._sql[sql] = _question_marks(sql)
        return self._sql[sql]

    def load(self, protocol: str, *, token: bytes | None, locator: str | None) -> Record | None:
        """ONE read, in the caller's thread: in WAL mode a reader never waits for the writer."""
        sql, values = load_query(protocol, token, locator)
        try:
            reader: sqlite3.Connection | None = getattr(self._readers, "connection", None)
            if reader is None:
                reader = self._readers.connection = self._connect()
            return record(reader.execute(self._translated(sql), values).fetchone())
        except sqlite3.Error as error:
            raise LocalError(f"store cannot read: {error}") from error

    async def commit(self, change: Change) -> Committed | None:
        """ONE write, together with whatever else is waiting."""
        return await asyncio.wrap_future(self.submit(change))

    def submit(self, change: Change) -> Future[Committed | None]:
        """Hand a change to the writer thread."""
        future: Future[Committed | None] = Future()
        if self._closed:
            future.set_exception(LocalError("store is closed"))
            return future
        self._queue.put((change, future))
        return future

    def close(self) -> None:
        """Write what waits, then stop."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(timeout=BUSY_TIMEOUT_SECONDS)

    def _write_forever(self) -> None:
        connection: sqlite3.Connection | None = None
        ending = False
        while not ending:
            taken, ending = self._take()
            # From here on nobody can withdraw: a future that is cancelled while we write could not be answered.
            batch = [(change, future) for change, future in taken if future.set_running_or_notify_cancel()]
            if not batch:
                continue
            try:
                connection = connection or self._connect()
            except sqlite3.Error as error:
                _fail(batch, error)
                continue
            self._write(connection, batch)
        if connection is not None:
            connection.close()

    def _take(self) -> tuple[list[tuple[Change, Future[Committed | None]]], bool]:
        """Wait for one change, then take all that are there, up to GROUP_MAX."""
        item = self._queue.get()
        batch: list[tuple[Change, Future[Committed | None]]] = []
        while item is not None:
            batch.append(item)
            if len(batch) == GROUP_MAX:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _write(
        self, connection: sqlite3.Connection, batch: Sequence[tuple[Change, Future[Committed | None]]]
    ) -> None:
        def execute(sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
            return connection.execute(self._translated(sql), values)

        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [_apply_one(connection, execute, change) for change, _future in batch]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _fail(batch, error)
            return
        self._publish([result for result in results if isinstance(result, Committed)])
        for (_change, future), result in zip(batch, results, strict=True):
            if isinstance(result, LocalError):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _publish(self, committed: Sequence[Committed]) -> None:
        """Whoever listens may fail; the writer must not: everybody waits for this thread."""
        if self._published is None:
            return
        try:
            self._published(committed)
        except Exception as error:
            log.error("store.publish-failed", error=type(error).__name__)


def _fail(batch: Sequence[tuple[Change, Future[Committed | None]]], error: sqlite3.Error) -> None:
    log.error("store.write-failed", error=str(error), changes=len(batch))
    for _change, future in batch:
        future.set_exception(LocalError(f"store cannot write: {error}"))


def _apply_one(connection: sqlite3.Connection, execute: Any, change: Change) -> Committed | LocalError | None:
    """One change of a group; a lost race, a taken name or a value that cannot be stored undoes it alone."""
    connection.execute("SAVEPOINT one")
    result: Committed | LocalError | None
    try:
        result = apply_change(execute, change)
    except sqlite3.IntegrityError:
        result = None
    except (ValueError, OverflowError, TypeError, sqlite3.ProgrammingError, sqlite3.DataError) as error:
        log.error("store.value-refused", protocol=change.after.protocol, error=type(error).__name__)
        result = LocalError(f"store cannot hold a value: {type(error).__name__}")
    if not isinstance(result, Committed):
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return result
