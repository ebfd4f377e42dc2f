"""What a door process is made of: store, directory, bindings, engine; built once, closed once."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from django.conf import settings
from kombu.exceptions import OperationalError

from bootstrap.bindings import bindings
from bootstrap.bindings.directory import Directory
from bootstrap.doors.tasks import sweep
from bootstrap.engine.admission import Admission
from bootstrap.engine.live import Poker
from bootstrap.engine.service import Engine
from bootstrap.engine.store.sqlite import SqliteStore
from devices.services.env import live_env

RING_SECONDS = 0.05
"""What becomes due within this time shares one ring."""
QUIET_SECONDS = 0.5
"""After a ring; the worker looks by itself every two seconds, and a ring costs milliseconds."""
COLLECT_ALLOCATIONS = 20_000
"""Containers made between two looks for cycles; Python's own 700 is one message or two."""
log = structlog.get_logger(__name__)


class Runtime:
    """Open in a door process, close when it ends."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.directory.start()
        self._poker = Poker()
        self._store = SqliteStore(
            str(settings.DATABASES["default"]["NAME"]),
            full=settings.ENV.synchronous_full,
            published=self._poker,
        )
        # Putting a task on the file queue touches the disk: not in the event loop.
        self._bell = ThreadPoolExecutor(max_workers=1, thread_name_prefix="doorbell")
        self._ringing = False
        self._rung_at = 0.0
        self.engine = Engine(
            self._store,
            bindings(self.directory),
            Admission(settings.STRANGERS_PER_SECOND, settings.STRANGERS_BURST),
            live_env,
            self._wake,
        )

        _collect_seldom()

    def _wake(self) -> None:
        """Called in the event loop after a commit that made an onboarding due; many calls are one ring."""
        if not self._ringing:
            self._ringing = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time() + RING_SECONDS, self._rung_at + QUIET_SECONDS), self._ring)

    def _ring(self) -> None:
        self._ringing = False
        self._rung_at = asyncio.get_running_loop().time()
        self._bell.submit(ring)

    def close(self) -> None:
        """Write and tell what waits, then let go."""
        self.directory.stop()
        self._bell.shutdown(wait=True)
        self._store.close()
        self._poker.flush()


def _collect_seldom() -> None:
    """What was imported stays: no use in looking through it again and again. Messages leave hardly any cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_ALLOCATIONS, 20, 20)


def ring(*tasks: Any) -> None:
    """Tell a worker that something is due, the sweep unless other ``tasks`` are named. The rows are the truth; a
    lost bell only costs two seconds."""
    try:
        for task in tasks or (sweep,):
            task.delay()
    except (OperationalError, OSError) as error:
        log.warning("doorbell.failed", error=str(error))
