"""Child processes under ``up``: start, watch, restart with back-off, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 30.0
CALM_SECONDS = 60.0
"""A child that lived this long starts again at once, without the back-off of its past."""
STOP_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Child:
    """One supervised command."""

    name: str
    command: Sequence[str]
    pass_fds: tuple[int, ...] = ()
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)


def _die_with_parent() -> None:
    """In the child, before exec: SIGTERM when the supervisor is gone, however it went (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Keeps every child running until told to stop."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask everything to end; ``run`` returns when it has."""
        self._stopping.set()

    async def run(self) -> None:
        """Until ``stop``."""
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        await self._stopping.wait()
        await asyncio.gather(*(self._end(child) for child in self._children))
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, child: Child) -> None:
        backoff = BACKOFF_FIRST_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            child.process = await asyncio.create_subprocess_exec(
                *child.command,
                pass_fds=child.pass_fds,
                preexec_fn=_die_with_parent,
                # Ctrl-C reaches the supervisor alone, and only it may print to standard output.
                start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
            )
            log.info("child.started", name=child.name, pid=child.process.pid)
            code = await child.process.wait()
            _clear(child.process.pid)
            if self._stopping.is_set():
                return
            if time.monotonic() - started > CALM_SECONDS:
                backoff = BACKOFF_FIRST_SECONDS
            log.error("child.ended", name=child.name, code=code, restart_in_seconds=backoff)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)
            backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)

    async def _end(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            log.error("child.killed", name=child.name)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        _clear(process.pid)


def _clear(leader: int) -> None:
    """End what a child left behind in its session, as a killed worker leaves its pool."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def manage(*words: str) -> list[str]:
    """A management command of this project in a child process."""
    return [sys.executable, sys.argv[0], *words]
