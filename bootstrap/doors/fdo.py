"""What both transports of FDO share: which messages go where, how long they may be, and message 255.

A transport gives number, body and token; it gets number, body and token. Every refusal is an answer too: peers know
nothing but message 255. Reference: docs/reference/fdo.md.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

import structlog

from bootstrap.contract import Handle, Inbound, Verdict
from bootstrap.errors import LocalError, PeerError, TooManyRequests, UnexpectedMessage
from bootstrap.protocols.fdo.constants import MESSAGE_MAX_LENGTH, PROTOCOL_VERSION, MessageType
from bootstrap.protocols.fdo.messages import ErrorMessage

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/cbor"
TOKEN_MAX_LENGTH = 8192
"""Octets; DI's token holds a certificate."""
LARGE_MAX_LENGTH = 96 * 1024
BODY_MAX_LENGTH: dict[int, int] = {
    MessageType.TO0_OWNER_SIGN: LARGE_MAX_LENGTH,
    MessageType.TO2_DEVICE_SERVICE_INFO: LARGE_MAX_LENGTH,
}
"""Octets before decoding, for what may be longer than MESSAGE_MAX_LENGTH: a voucher beside its to1d, and service info
of a device that does not count its encryption."""
BINDINGS: dict[int, str] = {
    MessageType.DI_APP_START: "fdo-di",
    MessageType.DI_SET_HMAC: "fdo-di",
    MessageType.TO0_HELLO: "fdo-rv",
    MessageType.TO0_OWNER_SIGN: "fdo-rv",
    MessageType.TO1_HELLO_RV: "fdo-rv",
    MessageType.TO1_PROVE_TO_RV: "fdo-rv",
    MessageType.TO2_HELLO_DEVICE: "fdo",
    MessageType.TO2_GET_OV_NEXT_ENTRY: "fdo",
    MessageType.TO2_PROVE_DEVICE: "fdo",
    MessageType.TO2_DEVICE_SERVICE_INFO_READY: "fdo",
    MessageType.TO2_DEVICE_SERVICE_INFO: "fdo",
    MessageType.TO2_DONE: "fdo",
    MessageType.ERROR: "fdo",
}
_TAIL = f"/fdo/{PROTOCOL_VERSION}/msg/"


class Route(NamedTuple):
    """What a path says."""

    number: int
    station: str = ""


class Answer(NamedTuple):
    """What goes back."""

    number: int
    body: bytes
    token: str = ""
    retry_after_seconds: int = 0


def route_of(path: str) -> Route | None:
    """``/fdo/101/msg/<n>``, or behind ``/di/<station>``; None for any other path, another version's too."""
    station, found, number = path.rpartition(_TAIL)
    if not found or not number.isascii() or not number.isdigit() or len(number) > 3:
        return None
    if not station:
        return Route(int(number))
    head, _slash, name = station.rpartition("/")
    return Route(int(number), name) if head == "/di" and name else None


def body_max(number: int) -> int:
    """Octets that a message of this number may have."""
    return BODY_MAX_LENGTH.get(number, MESSAGE_MAX_LENGTH)


def operation_of(route: Route) -> str:
    """For the binding."""
    return f"{route.number}/{route.station}" if route.station else str(route.number)


async def answer(handle: Handle, route: Route, inbound: Inbound) -> Answer:
    """One message to its answer. Never raises but for what is our crash."""
    if route.number == MessageType.ERROR:
        return await _told(handle, inbound)
    slug = BINDINGS.get(route.number)
    try:
        if slug is None:
            raise UnexpectedMessage(f"message {route.number} is none that is sent to us")
        reply = await handle(slug, inbound)
    except (PeerError, LocalError) as error:
        return refusal(error, route.number, inbound.source)
    if reply.verdict is Verdict.REJECT:
        return Answer(MessageType.ERROR, reply.body)
    return Answer(route.number + 1, reply.body, reply.token)


async def _told(handle: Handle, inbound: Inbound) -> Answer:
    """255 from a peer is never answered with another: what we cannot place is only logged."""
    try:
        await handle(BINDINGS[MessageType.ERROR], inbound)
    except (PeerError, LocalError) as error:
        _log(error, MessageType.ERROR, inbound.source, 0)
    return Answer(MessageType.ERROR, b"")


def refusal(error: Exception, number: int, source: str) -> Answer:
    """Message 255: the code by class, never a reason; the correlation id finds the reason in our log."""
    correlation = secrets.randbits(31)
    _log(error, number, source, correlation)
    wait = error.retry_after_seconds if isinstance(error, TooManyRequests) else 0
    body = ErrorMessage.of(error, number if 0 <= number <= 255 else 0, correlation).encode()
    return Answer(MessageType.ERROR, body, retry_after_seconds=wait)


def _log(error: Exception, number: int, source: str, correlation: int) -> None:
    say = log.warning
    if isinstance(error, TooManyRequests):
        say = log.debug  # a flood must not flood the log too
    elif not isinstance(error, PeerError):
        say = log.error
    say(
        "fdo.refused",
        message=number,
        source=source,
        reason=type(error).__name__,
        error=str(error),
        correlation=correlation,
    )
