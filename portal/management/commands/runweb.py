"""Pages, API, live updates, and the HTTP doors for devices, plain and TLS, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from django.core.management.base import CommandParser

from portal.asgi import Application
from portal.certificate import ensure_certificate
from portal.connections import BoundedHead
from portal.live import Bridge
from portal.management.base import DoorCommand, migrate_if_needed
from portal.runtime import Runtime
from portal.sockets import allow_connections, inherited, shown_host, tcp

SHUTDOWN_SECONDS = 8


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: it raises the signal again after serving, which would skip
    everything that we close."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours are handled in DoorCommand."""
        yield

    async def listening(self) -> None:
        """Return once it listens."""
        while not self.started:  # noqa: ASYNC110 (uvicorn offers a flag and no event)
            await asyncio.sleep(0.02)


class Command(DoorCommand):
    """Pages, API, live updates, and the HTTP doors for devices, plain and TLS, in one process."""

    help = __doc__ or ""
    hearts = ("web", "devices")

    def add_arguments(self, parser: CommandParser) -> None:
        """Addresses, or sockets that a supervisor has bound."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--tls-port", type=int, default=8443)
        parser.add_argument("--fd", type=int, help="inherited socket of the portal port")
        parser.add_argument("--tls-fd", type=int, help="inherited socket of the device TLS port")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop."""
        migrate_if_needed()
        allow_connections()
        host = options["host"]
        plain = inherited(options["fd"]) if options["fd"] else tcp(host, options["port"])
        secure = inherited(options["tls_fd"]) if options["tls_fd"] else tcp(host, options["tls_port"])
        certificate, key = ensure_certificate(shown_host(host))
        tls = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
        self.serve_forever(
            lambda runtime, stopping: self._open(runtime, stopping, [(plain, {}), (secure, tls)])
        )

    async def _open(
        self, runtime: Runtime, stopping: asyncio.Event, listeners: list[tuple[socket.socket, dict[str, str]]]
    ) -> None:
        application = Application(runtime.engine.handle)
        bridge = Bridge()
        bridge.open()
        servers = [(Server(_config(application, tls)), listener) for listener, tls in listeners]
        serving = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
        for server, _listener in servers:
            await server.listening()
        heart = self.beating()
        await stopping.wait()
        heart.cancel()
        for server, _listener in servers:
            server.should_exit = True
        await asyncio.gather(*serving)
        bridge.close()


def _config(application: Application, tls: dict[str, str]) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=30,
        limit_concurrency=2000,
        http=BoundedHead,
        ws_max_size=64 * 1024,
        **tls,  # type: ignore[arg-type]
    )
