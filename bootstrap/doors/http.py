"""Device paths over HTTP: a bare ASGI application. Device requests never enter Django's request stack.

``/eap``        EAP over HTTP, our own profile (docs/reference/eap-over-http.md)
``/provision``  the plan, end-to-end protected (docs/reference/provisioning.md)
``/fdo``        FIDO Device Onboard 1.1; ``/di/<station>/fdo`` for DI of one organization (docs/reference/fdo.md)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from bootstrap.contract import Handle, Inbound, PeerTLS, Reply, Verdict, Via
from bootstrap.doors import fdo
from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    NotAuthorized,
    PeerError,
    Replayed,
    TooManyRequests,
    UnexpectedMessage,
    UnknownDevice,
)
from bootstrap.protocols.fdo.constants import InvalidToken, MessageType
from bootstrap.protocols.provisioning.constants import MAX_REQUEST_LENGTH

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

EAP_TYPE = "application/vnd.onward.eap"
EAP_BODY_MAX = 4096
PROVISION_TYPE = 'application/cose; cose-type="cose-encrypt0"'
PROVISION_BODY_MAX = MAX_REQUEST_LENGTH
TOKEN_MAX_LENGTH = 300
BODY_SECONDS = 20.0
"""How long one body may take to come; the bodies are small, so only the idle are slower."""

STATUS: dict[type[PeerError], int] = {
    MalformedMessage: 400,
    UnexpectedMessage: 409,
    NotAuthenticated: 403,
    NotAuthorized: 403,
    UnknownDevice: 404,
    Replayed: 409,
    TooManyRequests: 429,
}
_CLOSE = (b"connection", b"close")
"""What is left of the body is not worth reading."""
_FDO_HEADERS = ((b"content-type", fdo.MEDIA_TYPE.encode()), (b"cache-control", b"no-store"))
log = structlog.get_logger(__name__)


def is_device_path(path: str) -> bool:
    """Whether this door answers the path."""
    return path.startswith(("/fdo/", "/eap/", "/provision/", "/di/")) or path == "/eap"


class HttpDoor:
    """ASGI application over ``handle``."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        try:
            if scope["method"] != "POST":
                raise _Refused(405, b"POST only\n", (b"allow", b"POST"))
            if path.startswith(("/fdo/", "/di/")):
                await self._fdo(scope, receive, send, path)
            elif path.startswith("/provision/"):
                await self._provision(scope, receive, send, path.removeprefix("/provision/"))
            else:
                await self._eap(scope, receive, send, path.removeprefix("/eap").lstrip("/"))
        except _Refused as refused:
            log.warning("http.refused", path=_shown(path), source=_source(scope), status=refused.status)
            await _answer(send, refused.status, refused.text, list(refused.headers))
        except PeerError as error:
            await self._peer_error(send, scope, error)
        except LocalError as error:
            log.error("http.failed", path=_shown(path), error=str(error))
            await _answer(send, 503, b"try again later\n", [(b"retry-after", b"5")])
        except Exception:
            log.exception("http.crashed", path=_shown(path))
            await _answer(send, 500, b"our fault\n")

    async def _eap(self, scope: Scope, receive: Receive, send: Send, token: str) -> None:
        _require_type(scope, EAP_TYPE)
        if len(token) > TOKEN_MAX_LENGTH:
            raise UnknownDevice("token too long")
        body = await _body(scope, receive, EAP_BODY_MAX)
        reply = await self._handle("eap", _inbound(scope, body, token=token))
        headers = [
            (b"content-type", EAP_TYPE.encode()),
            (b"onward-eap", _verdict(reply)),
        ]
        if reply.token and reply.token != token:
            headers.append((b"location", b"/eap/" + reply.token.encode()))
        await _answer(
            send, 201 if not token and reply.verdict is Verdict.CONTINUE else 200, reply.body, headers
        )

    async def _provision(self, scope: Scope, receive: Receive, send: Send, locator: str) -> None:
        _require_type(scope, "application/cose")
        body = await _body(scope, receive, PROVISION_BODY_MAX)
        reply = await self._handle("provisioning", _inbound(scope, body, operation=locator))
        await _answer(
            send, 200, reply.body, [(b"content-type", (reply.media_type or PROVISION_TYPE).encode())]
        )

    async def _fdo(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Every answer of ours is 200, or 500 with message 255: peers take no other status."""
        route = fdo.route_of(path)
        if route is None:
            raise _Refused(404, b"no such message\n", _CLOSE)
        source, token = _source(scope), _bearer(scope)
        if token is None:
            await _fdo_answer(send, fdo.refusal(InvalidToken("token too long"), route.number, source), _CLOSE)
            return
        try:
            body = await _body(scope, receive, fdo.body_max(route.number))
        except _Refused as refused:
            error = MalformedMessage(refused.text.decode().strip())
            await _fdo_answer(send, fdo.refusal(error, route.number, source), _CLOSE)
            return
        inbound = _inbound(scope, body, token=token, operation=fdo.operation_of(route))
        try:
            done = await fdo.answer(self._handle, route, inbound)
        except Exception as crash:
            log.exception("http.crashed", path=_shown(path))
            done = fdo.refusal(crash, route.number, source)
        await _fdo_answer(send, done)

    async def _peer_error(self, send: Send, scope: Scope, error: PeerError) -> None:
        log.warning(
            "http.refused",
            path=_shown(scope["path"]),
            source=_source(scope),
            reason=type(error).__name__,
            error=str(error),
        )
        extra = []
        if isinstance(error, TooManyRequests):
            extra.append((b"retry-after", str(error.retry_after_seconds).encode()))
        await _answer(send, _status(error), f"{type(error).__name__}\n".encode(), extra)


def _status(error: PeerError) -> int:
    """By the nearest class that the table knows."""
    return next(STATUS[cls] for cls in (*type(error).__mro__, MalformedMessage) if cls in STATUS)


class _Refused(Exception):
    """The HTTP envelope itself is wrong."""

    def __init__(self, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(status)
        self.status, self.text, self.headers = status, text, headers


def _bearer(scope: Scope) -> str | None:
    """The token of ``Authorization: Bearer``, empty without one; None when it is too long for ours."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    if len(given) > fdo.TOKEN_MAX_LENGTH:
        return None
    scheme, _space, token = given.decode("latin-1").strip().rpartition(" ")
    return token.strip() if scheme.strip().lower() in ("bearer", "") else ""


async def _fdo_answer(send: Send, done: fdo.Answer, *extra: tuple[bytes, bytes]) -> None:
    refused = done.number == MessageType.ERROR and bool(done.body)
    headers = [*_FDO_HEADERS, (b"content-length", b"%d" % len(done.body)), *extra]
    headers.append((b"message-type", b"%d" % done.number))
    if done.token:
        headers.append((b"authorization", b"Bearer " + done.token.encode()))
    if done.retry_after_seconds:
        headers.append((b"retry-after", b"%d" % done.retry_after_seconds))
    await send({"type": "http.response.start", "status": 500 if refused else 200, "headers": headers})
    await send({"type": "http.response.body", "body": done.body})


def _verdict(reply: Reply) -> bytes:
    return {Verdict.CONTINUE: b"continue", Verdict.ACCEPT: b"success", Verdict.REJECT: b"failure"}[
        reply.verdict
    ]


def _require_type(scope: Scope, wanted: str) -> None:
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if given.split(b";")[0].strip().lower() != wanted.encode():
        raise _Refused(415, f"Content-Type must be {wanted}\n".encode())


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; refused as soon as it is known to be too large or too slow."""
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if announced.isdigit() and (len(announced) > 12 or int(announced) > limit):
        raise _Refused(413, b"too large\n", _CLOSE)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(receive, limit)
    except TimeoutError as error:
        raise _Refused(408, b"too slow\n", _CLOSE) from error


async def _collect(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, b"incomplete\n")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _Refused(413, b"too large\n", _CLOSE)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _inbound(scope: Scope, body: bytes, *, token: str = "", operation: str = "") -> Inbound:
    tls = PeerTLS("TLS") if scope.get("scheme") == "https" else None
    return Inbound(body, Via.HTTPS, _source(scope), operation=operation, token=token, tls=tls)


def _source(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _shown(path: str) -> str:
    """The path without the conversation's token or the station's name, for logs."""
    for secret in ("/eap/", "/di/"):
        if path.startswith(secret):
            return f"{secret}…"
    return path[:80]


async def _answer(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    own = headers or []
    if not any(name == b"content-type" for name, _value in own):
        own = [*own, (b"content-type", b"text/plain; charset=utf-8")]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                *own,
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
