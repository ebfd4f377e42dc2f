"""Large uploads: spooled to disk before a thread of Django sees them, and only for callers who say who they are.

Every other body is at most a few megabytes and stays in memory (portal/connections.py).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from bootstrap.bindings.vouchers.uploads import UPLOAD_MAX_LENGTH

App = Callable[[Any, Any, Any], Awaitable[None]]
PATHS = frozenset({"/api/v1/vouchers", "/vouchers/import"})
FORM_OVERHEAD = 64 * 1024
"""What multipart/form-data adds around one file."""
CHUNK = 256 * 1024
AT_ONCE = 4
"""Uploads spooled at a time; one more is told to come back."""
SILENCE_SECONDS = 30.0
"""A sender may be slow, but not silent."""


def is_upload(scope: Any) -> bool:
    """Whether this request may carry a large body: the right path, and credentials of some kind with it."""
    if scope["method"] not in ("POST", "PUT"):
        return False
    path = scope["path"].rstrip("/")
    return (path in PATHS or path.startswith("/api/v1/vouchers/files/")) and _says_who(scope)


def _says_who(scope: Any) -> bool:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return True
        if name == b"cookie":
            try:
                return settings.SESSION_COOKIE_NAME in SimpleCookie(value.decode("latin-1"))
            except CookieError:
                return False
    return False


class Spooled:
    """Hands a request to ``app`` when its whole body is in a file that has no name."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._busy = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._busy >= AT_ONCE:
            await _refuse(send, 503, b"other uploads are under way\n", (b"retry-after", b"10"))
            return
        self._busy += 1
        try:
            await self._spool(scope, receive, send)
        finally:
            self._busy -= 1

    async def _spool(self, scope: Any, receive: Any, send: Any) -> None:
        folder = Path(settings.DATA_DIR) / "uploads"
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            try:
                complete = await _receive_into(file, receive)
            except TimeoutError:
                await _refuse(send, 408, b"too slow\n")
                return
            except OverflowError:
                await _refuse(send, 413, b"too large\n")
                return
            if not complete:
                return
            length = file.tell()
            file.seek(0)
            await self._app(_with_length(scope, length), _reader(file, receive), send)


def _with_length(scope: Any, length: int) -> Any:
    """A body that came in chunks of unknown number has a length by now, and WSGI reads nothing without one."""
    about_length = (b"content-length", b"transfer-encoding")
    headers = [header for header in scope["headers"] if header[0] not in about_length]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}


async def _receive_into(file: IO[bytes], receive: Any) -> bool:
    """False when the sender is gone. Raises OverflowError beyond the limit, TimeoutError on silence."""
    length, more = 0, True
    while more:
        async with asyncio.timeout(SILENCE_SECONDS):
            message = await receive()
        if message["type"] == "http.disconnect":
            return False
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > UPLOAD_MAX_LENGTH + FORM_OVERHEAD:
            raise OverflowError
        file.write(chunk)
        more = message.get("more_body", False)
    return True


def _reader(file: IO[bytes], receive: Any) -> Callable[[], Awaitable[Any]]:
    ended = False

    async def read() -> Any:
        nonlocal ended
        if ended:
            return await receive()
        chunk = file.read(CHUNK)
        ended = len(chunk) < CHUNK
        return {"type": "http.request", "body": chunk, "more_body": not ended}

    return read


async def _refuse(send: Any, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> None:
    every = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": text})
