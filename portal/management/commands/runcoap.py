"""The CoAP door: CoAP-EAP (RFC 9820) and provisioning over UDP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from django.core.management.base import CommandParser

from bootstrap.doors import coap
from portal.management.base import DoorCommand, migrate_if_needed
from portal.runtime import Runtime


class Command(DoorCommand):
    """The CoAP door: CoAP-EAP (RFC 9820) and provisioning over UDP."""

    help = __doc__ or ""
    hearts = ("coap",)

    def add_arguments(self, parser: CommandParser) -> None:
        """Address; 5683 is CoAP's own port."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=5683)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop."""
        migrate_if_needed()
        self.serve_forever(
            lambda runtime, stopping: self._open(runtime, stopping, options["host"], options["port"])
        )

    async def _open(self, runtime: Runtime, stopping: asyncio.Event, host: str, port: int) -> None:
        ready = asyncio.Event()
        serving = asyncio.create_task(
            coap.serve(runtime.engine.handle, host, port, ready=lambda _url: ready.set())
        )
        await asyncio.wait([serving, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        heart = self.beating()
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        heart.cancel()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
