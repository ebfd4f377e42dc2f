"""SQLite (WAL): one read in the caller's thread, group commit.

Messages that arrive together share one transaction, so the cost of a commit is split among them; each keeps its
own compare-and-swap, and a failed one writes nothing. What comes from an event loop is written right there when
nobody else is writing: in WAL mode with ``synchronous=NORMAL`` a commit waits for no disk, while a thread costs two
switches and a second connection, whose every commit empties the page cache of the first. When the database is
busy, or a commit must reach the disk, the writer thread waits instead of the loop.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

import structlog

from bootstrap.engine.store.contract import Change, Committed, Record
from bootstrap.engine.store.group import Result, is_busy, question_marks, write_group
from bootstrap.engine.store.statements import load_query, record
from bootstrap.errors import LocalError

GROUP_MAX = 256
BUSY_TIMEOUT_SECONDS = 20
CHECKPOINT_CHANGES = 400
"""Changes written in a loop before the writer thread moves the log into the database, which waits for the disk.
SQLite's own threshold is 1000 pages; a change touches three or four."""
LOG_FRAMES_MAX = 8_000
"""Pages of the log (32 MiB) from which on everybody waits for it to be moved: else it could grow for ever."""
log = structlog.get_logger(__name__)


class _Word(Enum):
    """What the writer thread is told beside changes, and what it tells the loop."""

    END = auto()
    CHECKPOINT = auto()
    BUSY = auto()


_Queued = tuple[Change, "Future[Committed | None]"]
_Answer = Committed | _Word | None


@dataclass(slots=True)
class _Group:
    """Changes of one turn of an event loop."""

    loop: asyncio.AbstractEventLoop
    changes: list[tuple[Change, asyncio.Future[_Answer]]] = field(default_factory=list)


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
        self._local = threading.local()
        self._queue: queue.SimpleQueue[_Queued | _Word] = queue.SimpleQueue()
        self._group: _Group | None = None
        self._unmoved = 0
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

    def _here(self) -> sqlite3.Connection:
        """This thread's connection: it reads, and writes what need not wait."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            self._local.connection = connection
        return connection

    def load(self, protocol: str, *, token: bytes | None, locator: str | None) -> Record | None:
        """ONE read, in the caller's thread: in WAL mode a reader never waits for a writer."""
        sql, values = load_query(protocol, token, locator)
        sql = question_marks(sql)
        try:
            connection = self._here()
            try:
                row = connection.execute(sql, values).fetchone()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                row = _patiently(connection, sql, values)
        except sqlite3.Error as error:
            raise LocalError(f"store cannot read: {error}") from error
        return record(row)

    async def commit(self, change: Change) -> Committed | None:
        """ONE write, together with whatever else is waiting."""
        if not self._full and not self._closed:
            answer = await self._ask(change)
            if not isinstance(answer, _Word):
                return answer
        return await asyncio.wrap_future(self.submit(change))

    def _ask(self, change: Change) -> asyncio.Future[_Answer]:
        """Write at the next turn of the loop, in this thread."""
        loop = asyncio.get_running_loop()
        group = self._group
        if group is None or group.loop is not loop or len(group.changes) == GROUP_MAX:
            group = self._group = _Group(loop)
            loop.call_soon(self._flush, group)
        future: asyncio.Future[_Answer] = loop.create_future()
        group.changes.append((change, future))
        return future

    def _flush(self, group: _Group) -> None:
        if self._group is group:
            self._group = None
        waiting = [(change, future) for change, future in group.changes if not future.cancelled()]
        if not waiting:
            return
        try:
            results = write_group(self._here(), [change for change, _future in waiting])
        except sqlite3.Error as error:
            for _change, future in waiting:
                if is_busy(error):
                    future.set_result(_Word.BUSY)
                else:
                    future.set_exception(_unwritten(error))
            return
        self._checkpoint_soon(len(waiting))
        self._settle(results, [future for _change, future in waiting])

    def _checkpoint_soon(self, written: int) -> None:
        self._unmoved += written
        if self._unmoved >= CHECKPOINT_CHANGES:
            self._unmoved = 0
            self._queue.put(_Word.CHECKPOINT)

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
        self._queue.put(_Word.END)
        self._thread.join(timeout=BUSY_TIMEOUT_SECONDS)

    def _write_forever(self) -> None:
        connection: sqlite3.Connection | None = None
        word: _Word | None = None
        while word is not _Word.END:
            taken, word = self._take()
            # From here on nobody can withdraw: a future that is cancelled while we write could not be answered.
            batch = [(change, future) for change, future in taken if future.set_running_or_notify_cancel()]
            try:
                connection = connection or self._connect()
            except sqlite3.Error as error:
                _fail(batch, error)
                continue
            if batch:
                self._write(connection, batch)
            if word is _Word.CHECKPOINT:
                _checkpoint(connection)
        if connection is not None:
            connection.close()

    def _take(self) -> tuple[list[_Queued], _Word | None]:
        """Wait for one change or word, then take all changes that are there, up to GROUP_MAX."""
        item = self._queue.get()
        batch: list[_Queued] = []
        while not isinstance(item, _Word):
            batch.append(item)
            if len(batch) == GROUP_MAX:
                return batch, None
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, None
        return batch, item

    def _write(self, connection: sqlite3.Connection, batch: Sequence[_Queued]) -> None:
        try:
            results = write_group(connection, [change for change, _future in batch])
        except sqlite3.Error as error:
            _fail(batch, error)
            return
        self._settle(results, [future for _change, future in batch])

    def _settle(
        self,
        results: Sequence[Result],
        futures: Sequence[Future[Any] | asyncio.Future[Any]],
    ) -> None:
        """Whoever listens hears of it before whoever waits."""
        self._publish([result for result in results if isinstance(result, Committed)])
        for future, result in zip(futures, results, strict=True):
            if isinstance(result, LocalError):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _publish(self, committed: Sequence[Committed]) -> None:
        """Whoever listens may fail; the writer must not: everybody waits for it."""
        if self._published is None:
            return
        try:
            self._published(committed)
        except Exception as error:
            log.error("store.publish-failed", error=type(error).__name__)


def _patiently(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Any:
    """The one moment when a reader must wait: somebody repairs the log after a crash."""
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}")
    try:
        return connection.execute(sql, values).fetchone()
    finally:
        connection.execute("PRAGMA busy_timeout=0")


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Move the log into the database; nobody waits unless it has grown too long."""
    try:
        _busy, frames, _moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > LOG_FRAMES_MAX:
            connection.execute("PRAGMA wal_checkpoint(RESTART)")
    except sqlite3.Error as error:
        log.warning("store.checkpoint-failed", error=str(error))


def _unwritten(error: sqlite3.Error) -> LocalError:
    log.error("store.write-failed", error=str(error))
    return LocalError(f"store cannot write: {error}")


def _fail(batch: Sequence[_Queued], error: sqlite3.Error) -> None:
    failure = _unwritten(error)
    for _change, future in batch:
        future.set_exception(failure)
