"""aiocoap's UDP endpoint with what it lacks in front of strangers.

aiocoap 0.4 remembers every request for 247 s without a bound, counts its tokens up, lets no request be
withdrawn, and lets an exception of one datagram fly into the event loop. The three small subclasses
below lean on its inner attributes: its version is pinned and tests/doors/test_coap_door.py notices.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import secrets
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from aiocoap import Context, Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.types import CON
from aiocoap.resource import Resource
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.udp6 import MessageInterfaceUDP6, UDP6EndpointAddress

from bootstrap.doors.coap.limits import MAX_RECENT_MESSAGES
from bootstrap.errors import LocalError

log = structlog.get_logger(__name__)

TOKEN_LENGTH = 4
"""Octets. Random, because only a right token proves that an answer comes from where we asked."""


class RandomTokens(TokenManager):  # type: ignore[misc]
    """Tokens that nobody can foresee (RFC 7252 section 11.4)."""

    def next_token(self) -> bytes:
        return secrets.token_bytes(TOKEN_LENGTH)


class BoundedMessages(MessageManager):  # type: ignore[misc]
    """Duplicate detection that forgets the oldest, and requests that can be withdrawn."""

    def __init__(self, token_manager: TokenManager) -> None:
        super().__init__(token_manager)
        self._ages: deque[tuple[float, tuple[UDP6EndpointAddress, int]]] = deque()

    def _deduplicate_message(self, message: Message) -> bool:
        key = (message.remote, message.mid)
        now = self.loop.time()
        while self._ages and self._ages[0][0] <= now:
            self._forget_oldest()
        if key in self._recent_messages:
            return bool(super()._deduplicate_message(message))
        while len(self._ages) >= MAX_RECENT_MESSAGES:
            self._forget_oldest()
        self._recent_messages[key] = None
        self._ages.append((now + message.transport_tuning.EXCHANGE_LIFETIME, key))
        return False

    def _forget_oldest(self) -> None:
        _, key = self._ages.popleft()
        self._recent_messages.pop(key, None)

    def send_message(self, message: Message, messageerror_monitor: Any) -> Callable[[], None] | None:
        super().send_message(message, messageerror_monitor)
        if message.mtype is CON and message.code.is_request():
            return lambda: self._withdraw(message)
        return None

    def _withdraw(self, message: Message) -> None:
        """Send ``message`` no more, whether it is out already or waits for its turn."""
        if self._active_exchanges is None:
            return
        exchange = self._active_exchanges.pop((message.remote, message.mid), None)
        if exchange is not None:
            exchange[1].cancel()
            self._continue_backlog(message.remote)
        elif message.remote in self._backlogs:
            waiting = self._backlogs[message.remote]
            waiting[:] = [entry for entry in waiting if entry[0] is not message]


class CarefulUDP6(MessageInterfaceUDP6):  # type: ignore[misc]
    """No datagram, however odd, reaches the event loop as an exception."""

    def datagram_msg_received(self, data: bytes, ancdata: Any, flags: int, address: Any) -> None:
        if flags & socket.MSG_TRUNC:
            log.warning("datagram too long", source=address[0])
            return
        try:
            super().datagram_msg_received(data, ancdata, flags, address)
        except Exception as error:
            log.warning("datagram dropped", source=address[0], error=type(error).__name__)

    def datagram_errqueue_received(self, data: bytes, ancdata: Any, flags: int, address: Any) -> None:
        try:
            super().datagram_errqueue_received(data, ancdata, flags, address)
        except Exception as error:
            log.warning("ICMP error dropped", error=type(error).__name__)

    def error_received(self, exc: OSError) -> None:
        """Report a failed send only after it returned: the report may send what waits behind it."""
        remote = self._remote_being_sent_to.get()
        if remote is not None:
            # Without this task's context variables, in which a send is still under way.
            self.loop.call_soon(self._report, exc, remote, context=contextvars.Context())

    def _report(self, exc: OSError, remote: UDP6EndpointAddress) -> None:
        if self._shutting_down is None:
            self._ctx.dispatch_error(exc, remote)


async def open_endpoint(root: Resource, host: str, port: int) -> tuple[Context, int]:
    """A context that serves ``root`` and may send requests, and its port. Raises LocalError.

    Needs the plain asyncio loop: aiocoap's udp6 transport stands still under uvloop.
    """
    loop = asyncio.get_running_loop()
    if type(loop).__module__.startswith("uvloop"):
        raise LocalError("the CoAP door needs the asyncio event loop, not uvloop")
    bound = _bound_socket(host, port)
    context = Context(loop=loop, serversite=root, loggername="coap-server")
    tokens = RandomTokens(context)
    messages = BoundedMessages(tokens)
    interface = await CarefulUDP6._create_transport_endpoint(bound, messages, context.log, loop)
    messages.message_interface = interface
    tokens.token_interface = messages
    context.request_interfaces.append(tokens)
    return context, bound.getsockname()[1]


def _bound_socket(host: str, port: int) -> socket.socket:
    """A UDP socket for both IP versions, with its port to itself.

    aiocoap's own way sets SO_REUSEPORT: then a second server takes half of the datagrams of the first
    without a word, and even port 0 now and then means a port that somebody has.
    """
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        flags = socket.AI_V4MAPPED | socket.AI_PASSIVE
        found = socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_DGRAM, flags=flags)
        udp.bind(found[0][4])
    except OSError as error:
        udp.close()
        reason = "in use" if error.errno == errno.EADDRINUSE else str(error)
        raise LocalError(f"CoAP cannot listen on {host} port {port}: {reason}") from error
    udp.setblocking(False)
    return udp


def address_of(remote: UDP6EndpointAddress) -> str:
    """The sender's IP address as people write it, IPv4 where it is IPv4."""
    return str(remote._plainaddress())
