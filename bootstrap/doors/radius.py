"""The RADIUS door: EAP packets from access points to the engine and back (RFC 3579). It translates only.

Silence is an answer here. Whoever does not hold the shared secret hears nothing at all (RFC 3579 section
3.2), and where the fault is ours the access point hears nothing either, so that it retransmits or fails over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import cast

import structlog

from bootstrap.contract import Handle, Inbound, Reply, Verdict, Via
from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    NotAuthorized,
    OnwardError,
    PeerError,
    Replayed,
    TooManyRequests,
    UnexpectedMessage,
    UnknownDevice,
)
from bootstrap.wire import eap, radius
from bootstrap.wire.radius import Attribute, AttributeType, Code, MppeKeys, Packet

PROTOCOL = "eap"

log = structlog.get_logger("onward.doors.radius")

IPAddress = IPv4Address | IPv6Address
Clients = Callable[[IPAddress], "RadiusClient | None"]
"""Who may speak from this address. Called for every datagram: it answers from memory."""
_Key = tuple[str, int, int, bytes]


@dataclass(frozen=True, slots=True)
class RadiusClient:
    """An access point, or a network of them, and the secret shared with it (RFC 2865 section 3)."""

    address_network: IPv4Network | IPv6Network
    secret: bytes = field(repr=False)
    organization_id: int | None = None
    access_point_id: int | None = None

    def __post_init__(self) -> None:
        if not self.secret:
            raise LocalError("a RADIUS shared secret must not be empty")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the door's memory; none of them is a rate."""

    max_in_flight: int = 1000
    max_answers: int = 4096
    answer_seconds: float = 30.0
    """How long a repeated request gets the same answer again (RFC 5080 section 2.2.2 says 5 to 30)."""
    drain_seconds: float = 5.0


class Behaviour(StrEnum):
    """What an access point gets instead of an answer from the engine."""

    REJECT = "reject"
    """Access-Reject with EAP-Failure: the conversation is over."""
    SILENCE = "silence"


BEHAVIOURS: dict[type[PeerError], Behaviour] = {
    MalformedMessage: Behaviour.REJECT,
    UnexpectedMessage: Behaviour.REJECT,
    NotAuthenticated: Behaviour.REJECT,
    NotAuthorized: Behaviour.REJECT,
    UnknownDevice: Behaviour.REJECT,
    Replayed: Behaviour.SILENCE,
    TooManyRequests: Behaviour.REJECT,
}
"""Of errors the engine raises. A Replayed one must not end the conversation whose message was replayed."""

_VERDICTS: dict[Verdict, tuple[Code, eap.EapCode]] = {
    Verdict.CONTINUE: (Code.ACCESS_CHALLENGE, eap.EapCode.REQUEST),
    Verdict.ACCEPT: (Code.ACCESS_ACCEPT, eap.EapCode.SUCCESS),
    Verdict.REJECT: (Code.ACCESS_REJECT, eap.EapCode.FAILURE),
}
"""RADIUS and EAP must say the same (RFC 3579 section 2.6.3)."""


def most_specific(clients: Iterable[RadiusClient]) -> Clients:
    """A lookup in a fixed list: the client with the longest prefix around the address."""
    ordered = sorted(clients, key=lambda client: client.address_network.prefixlen, reverse=True)
    return lambda address: next((c for c in ordered if address in c.address_network), None)


async def serve(
    handle: Handle, clients: Clients, sock: socket.socket, limits: Limits | None = None
) -> RadiusDoor:
    """Open the door on a bound UDP socket, IPv4, IPv6 or both; ``await door.close()`` closes it."""
    loop = asyncio.get_running_loop()
    _, door = await loop.create_datagram_endpoint(
        lambda: RadiusDoor(handle, clients, limits or Limits()), sock=sock
    )
    return door


class RadiusDoor(asyncio.DatagramProtocol):
    """Takes requests, sees each one answered once, and outlives whatever the engine raises."""

    def __init__(self, handle: Handle, clients: Clients, limits: Limits) -> None:
        self._handle = handle
        self._clients = clients
        self._limits = limits
        self._transport: asyncio.DatagramTransport | None = None
        self._in_flight: dict[_Key, asyncio.Task[None]] = {}
        self._answered: OrderedDict[_Key, tuple[float, bytes]] = OrderedDict()
        self._throttle = _Throttle()
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio has the socket."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error: an access point went away between request and answer."""
        log.debug("radius.unreachable", error=type(exc).__name__)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One datagram, from anybody. Never raises."""
        if self._closing:
            return
        try:
            self._receive(data, addr)
        except PeerError as error:
            self._warn("radius.dropped", source=addr[0], error=type(error).__name__, reason=str(error))
        except Exception as error:
            self._own_fault(error, source=addr[0])

    async def close(self) -> None:
        """Take nothing new, let what is under way be answered, then release the socket."""
        self._closing = True
        under_way = list(self._in_flight.values())
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=self._limits.drain_seconds)
            for task in late:
                task.cancel()
        if self._transport is not None:
            self._transport.close()

    def _receive(self, data: bytes, addr: tuple[str, int]) -> None:
        source = _plain(addr[0])
        client = self._clients(source)
        if client is None:
            self._warn("radius.unknown_client", source=str(source))
            return
        request = Packet.decode(data)
        if request.code not in (Code.ACCESS_REQUEST, Code.STATUS_SERVER):
            raise UnexpectedMessage(f"{request.code.name} is not a request")
        radius.verify_request(request, client.secret)
        if request.code is Code.STATUS_SERVER:
            self._send(radius.reply_to(request, Code.ACCESS_ACCEPT, (), client.secret).encode(), addr)
            return
        key = (addr[0], addr[1], request.identifier, request.authenticator)
        if not self._repeat(key, addr):
            self._admit(key, request, client, addr)

    def _repeat(self, key: _Key, addr: tuple[str, int]) -> bool:
        """Whether this is a retransmission; answered as before, or dropped while we still work on it."""
        if key in self._in_flight:
            return True
        now = asyncio.get_running_loop().time()
        expires, answer = self._answered.get(key, (now, b""))
        if expires <= now:
            return False
        self._send(answer, addr)
        return True

    def _admit(self, key: _Key, request: Packet, client: RadiusClient, addr: tuple[str, int]) -> None:
        if len(self._in_flight) >= self._limits.max_in_flight:
            self._warn("radius.overload", source=addr[0], in_flight=len(self._in_flight))
            return
        task = asyncio.get_running_loop().create_task(self._serve_one(key, request, client, addr))
        self._in_flight[key] = task

    async def _serve_one(
        self, key: _Key, request: Packet, client: RadiusClient, addr: tuple[str, int]
    ) -> None:
        try:
            reply = await self._reply(request, client, str(_plain(addr[0])))
            if reply is not None:
                answer = reply.encode()
                self._remember(key, answer)
                self._send(answer, addr)
        except Exception as error:
            self._own_fault(error, source=addr[0], access_point=client.access_point_id)
        finally:
            self._in_flight.pop(key, None)

    async def _reply(self, request: Packet, client: RadiusClient, source: str) -> Packet | None:
        """The signed answer to a verified Access-Request, or None for silence."""
        eap_packet = b""
        try:
            inside = radius.eap_message(request)
            if inside is None:
                return radius.reply_to(request, Code.ACCESS_REJECT, (), client.secret)
            if not inside:
                return _ask_identity(request, client)
            eap_packet = inside
            inbound = Inbound(
                body=eap_packet,
                via=Via.RADIUS,
                source=source,
                token=_token(request),
                organization_id=client.organization_id,
            )
            reply = await self._handle(PROTOCOL, inbound)
        except PeerError as error:
            return self._refusal(error, request, client, eap_packet, source)
        log.debug("radius.answered", source=source, protocol=PROTOCOL, verdict=reply.verdict.value)
        return _translate(reply, request, client)

    def _refusal(
        self, error: PeerError, request: Packet, client: RadiusClient, eap_packet: bytes, source: str
    ) -> Packet | None:
        behaviour = next(BEHAVIOURS[c] for c in (*type(error).__mro__, MalformedMessage) if c in BEHAVIOURS)
        self._warn(
            "radius.refused",
            source=source,
            protocol=PROTOCOL,
            access_point=client.access_point_id,
            error=type(error).__name__,
            reason=str(error),
            behaviour=behaviour.value,
        )
        if behaviour is Behaviour.SILENCE:
            return None
        failure = eap.failure(eap_packet[1] if len(eap_packet) > 1 else 0).encode()
        return radius.reply_to(request, Code.ACCESS_REJECT, radius.eap_attributes(failure), client.secret)

    def _remember(self, key: _Key, answer: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self._answered[key] = (now + self._limits.answer_seconds, answer)
        self._answered.move_to_end(key)
        while self._answered:
            oldest = next(iter(self._answered))
            if len(self._answered) <= self._limits.max_answers and self._answered[oldest][0] > now:
                break
            del self._answered[oldest]

    def _send(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, addr)

    def _warn(self, event: str, **detail: object) -> None:
        self._log(logging.WARNING, event, **detail)

    def _own_fault(self, error: Exception, **detail: object) -> None:
        """One ERROR line. Only the text of our own errors is known to be free of secrets."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = str(error) if isinstance(error, OnwardError) else ""
        where = f"{last.filename}:{last.lineno}"
        self._log(
            logging.ERROR,
            "radius.own_fault",
            error=type(error).__name__,
            reason=reason,
            where=where,
            **detail,
        )

    def _log(self, level: int, event: str, **detail: object) -> None:
        suppressed = self._throttle.admit(event, asyncio.get_running_loop().time())
        if suppressed is not None:
            log.log(level, event, **detail, **({"suppressed": suppressed} if suppressed else {}))


class _Throttle:
    """Lets a few lines of each event through per window and counts the rest: anybody can send datagrams."""

    LINES = 10
    WINDOW_SECONDS = 10.0

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def admit(self, event: str, now: float) -> int | None:
        """How many lines were left out before this one; None when this one is left out too."""
        started, count = self._windows.get(event, (now, 0))
        if now - started < self.WINDOW_SECONDS:
            self._windows[event] = (started, count + 1)
            return 0 if count < self.LINES else None
        self._windows[event] = (now, 1)
        return max(0, count - self.LINES)


def _translate(reply: Reply, request: Packet, client: RadiusClient) -> Packet:
    """The engine's Reply as Access-Challenge, Access-Accept or Access-Reject. Raises LocalError."""
    code, eap_code = _VERDICTS[reply.verdict]
    if not reply.body or reply.body[0] != eap_code:
        raise LocalError(f"a reply with verdict {reply.verdict} must carry EAP-{eap_code.name}")
    attributes = [*radius.eap_attributes(reply.body)]
    if reply.verdict is Verdict.CONTINUE and reply.token:
        attributes.append(Attribute(AttributeType.STATE, reply.token.encode("ascii")))
    if reply.verdict is Verdict.ACCEPT:
        user_name = request.value(AttributeType.USER_NAME)
        if user_name is not None:
            attributes.append(Attribute(AttributeType.USER_NAME, user_name))
        if reply.msk:
            keys = MppeKeys.of_msk(reply.msk)
            attributes += keys.attributes(client.secret, request.authenticator, os.urandom(2))
    return radius.reply_to(request, code, attributes, client.secret)


def _ask_identity(request: Packet, client: RadiusClient) -> Packet:
    """Answer EAP-Start (RFC 3579 section 2.1). Nothing is kept: the identity opens the conversation."""
    identity = eap.request(request.identifier, eap.EapType.IDENTITY).encode()
    return radius.reply_to(request, Code.ACCESS_CHALLENGE, radius.eap_attributes(identity), client.secret)


def _token(request: Packet) -> str:
    """State as the token we once gave; a State that cannot be ours raises UnknownDevice."""
    state = request.value(AttributeType.STATE)
    try:
        return state.decode("ascii") if state else ""
    except UnicodeDecodeError as error:
        raise UnknownDevice("the State is not one of ours") from error


def _plain(address: str) -> IPAddress:
    """The address as people write it; a dual-stack socket shows IPv4 as ::ffff:a.b.c.d."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
