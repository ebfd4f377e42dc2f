"""What a slow or endless sender may take up: a connection for a while, never a thread.

uvicorn waits for ever for a request to come, and its httptools parser takes a head of any length. Django runs
in a small pool of threads, and reading a body there would let six idle connections stop every page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 32 * 1024
"""Octets of request line and header fields."""
HEAD_SECONDS = 10.0
BODY_MAX = 4 * 1024 * 1024
"""Octets of a body for pages and API; a photo of a code is read in the browser and never comes here."""
BODY_SECONDS = 30.0
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
log = structlog.get_logger(__name__)
App = Callable[[Any, Any, Any], Awaitable[None]]


class Joined:
    """A transport that writes once for all that is written in one turn of the loop: uvicorn writes head and body
    apart, and every write is a system call and a segment of its own."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, at the end of this turn."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._transport.write(data)


class BoundedHead(HttpToolsProtocol):
    """A request's head must come within some seconds and octets."""

    def connection_made(self, transport: Any) -> None:
        """The first request is awaited like the next ones."""
        super().connection_made(cast(Any, Joined(transport, self.loop)))
        self._head_open = True
        self._head_octets = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """First octet of a request."""
        self._head_came()
        self._head_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What follows is bounded by who reads it."""
        self._head_came()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that has not ended. Most come whole, and need no timer."""
        super().data_received(data)
        if not self._head_open:
            return
        if self._head_timer is None:
            self._await_head()
        self._head_octets += len(data)
        if self._head_octets > HEAD_MAX and not self.transport.is_closing():
            log.warning("http.head-too-large", source=self._sender())
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _await_head(self) -> None:
        self._head_octets = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _head_came(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            log.warning("http.head-too-slow", source=self._sender())
            self.transport.abort()

    def _sender(self) -> str:
        return self.client[0] if self.client else "unknown"


class Buffered:
    """Hands a request to ``app`` only when its whole body is here."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _whole(receive)
        except TimeoutError:
            await _refuse(scope, send, 408, b"too slow\n")
            return
        if body is None:
            return
        if len(body) > BODY_MAX:
            await _refuse(scope, send, 413, b"too large\n")
            return
        first = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return first.pop() if first else await receive()

        await self._app(scope, again, send)


async def _whole(receive: Any) -> bytes | None:
    """The body, or a little more than BODY_MAX of it; None when the sender is gone."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= BODY_MAX:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    return b"".join(chunks)


async def _refuse(scope: Any, send: Any, status: int, text: bytes) -> None:
    source = scope["client"][0] if scope.get("client") else "unknown"
    log.warning("http.refused", source=source, status=status)
    headers = [
        (b"content-type", b"text/plain"),
        (b"connection", b"close"),
        (b"content-length", b"%d" % len(text)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
