"""What our commands share."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from portal.health import beat_forever
from portal.logs import configure
from portal.runtime import Runtime


def migrate_if_needed() -> None:
    """Bring the database up to date; quick when it is."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)


class DoorCommand(BaseCommand):
    """A process that holds doors: runs until SIGTERM or SIGINT, its heart beating under ``hearts``."""

    hearts: tuple[str, ...] = ()

    def serve_forever(self, open_doors: Callable[[Runtime, asyncio.Event], Awaitable[Any]]) -> None:
        """``open_doors(runtime, stopping)`` opens, waits for ``stopping``, closes."""
        configure(settings.LOG_LEVEL, json=settings.LOG_JSON)
        asyncio.run(self._serve(open_doors))

    async def _serve(self, open_doors: Callable[[Runtime, asyncio.Event], Awaitable[Any]]) -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        runtime = await asyncio.to_thread(Runtime)
        try:
            await open_doors(runtime, stopping)
        finally:
            await asyncio.to_thread(runtime.close)

    def beating(self) -> asyncio.Task[None]:
        """Start the heart once the doors listen."""
        return asyncio.create_task(beat_forever(*self.hearts))
