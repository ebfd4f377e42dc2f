"""The RADIUS door: EAP from access points (RFC 3579)."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import CommandParser

from bootstrap.bindings.directory import IPAddress
from bootstrap.doors.radius import RadiusClient, serve
from portal.management.base import DoorCommand, migrate_if_needed
from portal.runtime import Runtime
from portal.sockets import inherited, udp


class Command(DoorCommand):
    """The RADIUS door: EAP from access points (RFC 3579)."""

    help = __doc__ or ""
    hearts = ("radius",)

    def add_arguments(self, parser: CommandParser) -> None:
        """Address, or a socket that a supervisor has bound."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=1812)
        parser.add_argument("--fd", type=int, help="inherited UDP socket")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop."""
        migrate_if_needed()
        sock = inherited(options["fd"]) if options["fd"] else udp(options["host"], options["port"])
        sock.setblocking(False)
        self.serve_forever(lambda runtime, stopping: self._open(runtime, stopping, sock))

    async def _open(self, runtime: Runtime, stopping: asyncio.Event, sock: Any) -> None:
        def client(address: IPAddress) -> RadiusClient | None:
            entry = runtime.directory.current.access_point(address)
            if entry is None:
                return None
            return RadiusClient(entry.network, entry.secret, entry.organization_id, entry.id)

        door = await serve(runtime.engine.handle, client, sock)
        heart = self.beating()
        await stopping.wait()
        heart.cancel()
        await door.close()
