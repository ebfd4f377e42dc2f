"""A simulated access point: carries the EAP packets of simulated devices in RADIUS (RFC 3579 section 2)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs, urlsplit

import structlog

from bootstrap.errors import LocalError, OnwardError, PeerError, UnexpectedMessage
from bootstrap.simulator.transport import IDENTITY_REQUEST, Dice, EapPeer, EapResult, Faults
from bootstrap.wire import eap, radius
from bootstrap.wire.radius import Attribute, AttributeType, Code, MppeKeys, Packet

DEFAULT_PORT = 1812
IDENTIFIERS = 256
MAX_PORTS = 64
MAX_ROUNDS = 64
"""Rounds after which a conversation that goes nowhere is given up."""
RETRY_SECONDS = (1.0, 2.0, 4.0)
"""How long each of the tries waits for its answer."""

_NO_FAULTS = Faults()
_WIRELESS_80211 = Attribute(AttributeType.NAS_PORT_TYPE, (19).to_bytes(4, "big"))
_FRAMED = Attribute(AttributeType.SERVICE_TYPE, (2).to_bytes(4, "big"))
_FRAMED_MTU = Attribute(AttributeType.FRAMED_MTU, (1400).to_bytes(4, "big"))
_VERDICTS = {Code.ACCESS_CHALLENGE: None, Code.ACCESS_ACCEPT: True, Code.ACCESS_REJECT: False}

log = structlog.get_logger("onward.simulator.radius")


class NoAnswer(OnwardError):
    """The server stayed silent to every retransmission."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one EAP packet brought back."""

    packet: bytes = field(repr=False)
    """The server's EAP packet; empty when the reply carried none."""
    accepted: bool | None
    """True on Access-Accept, False on Access-Reject, None while the conversation goes on."""
    keys: MppeKeys | None = None

    @property
    def recv_key(self) -> bytes:
        """MS-MPPE-Recv-Key, the first half of the MSK; empty without keys."""
        return self.keys.recv_key if self.keys else b""

    @property
    def send_key(self) -> bytes:
        """MS-MPPE-Send-Key, the second half of the MSK; empty without keys."""
        return self.keys.send_key if self.keys else b""

    def msk_matches(self, msk: bytes) -> bool | None:
        """Whether the device's MSK is the server's; None when the server sent no keys."""
        return None if self.keys is None else msk == self.recv_key + self.send_key


class RadiusTransport:
    """One access point. Each of its source ports has at most 256 requests under way; more open as needed."""

    def __init__(
        self,
        host: str,
        port: int,
        secret: bytes,
        *,
        faults: Faults = _NO_FAULTS,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        self.secret = secret
        self._server = (host, port)
        self._dice = faults.dice()
        self._retry_seconds = tuple(retry_seconds)
        self._ports: list[_Port] = []
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(MAX_PORTS * IDENTIFIERS)

    @classmethod
    def from_url(
        cls, url: str, *, faults: Faults = _NO_FAULTS, retry_seconds: Sequence[float] = RETRY_SECONDS
    ) -> RadiusTransport:
        """``radius://HOST[:PORT]?secret=...``. Raises LocalError, whose text does not repeat the URL."""
        parts = urlsplit(url)
        secrets = parse_qs(parts.query).get("secret", [])
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError as error:
            raise LocalError("the port of the RADIUS server is not a number up to 65535") from error
        if parts.scheme != "radius" or not parts.hostname or len(secrets) != 1:
            raise LocalError("a RADIUS server is given as radius://HOST:PORT?secret=SECRET")
        return cls(parts.hostname, port, secrets[0].encode(), faults=faults, retry_seconds=retry_seconds)

    async def authenticate(self, peer: EapPeer) -> EapResult:
        """One EAP run for one device; a server that cannot be reached is a result too."""
        return await self.conversation().run(peer)

    def conversation(self) -> RadiusConversation:
        """A new EAP run."""
        return RadiusConversation(self)

    async def request(self, attributes: Sequence[Attribute]) -> tuple[Packet, Packet]:
        """One Access-Request, retransmitted unchanged, and its verified reply. Raises NoAnswer, OSError."""
        async with self._room:
            port, identifier = await self._reserve()
            try:
                request = radius.access_request(identifier, os.urandom(16), attributes, self.secret)
                return request, await port.exchange(request, self._retry_seconds)
            finally:
                port.release(identifier)

    async def close(self) -> None:
        """Close every source port."""
        for port in self._ports:
            port.close()
        self._ports.clear()

    async def _reserve(self) -> tuple[_Port, int]:
        async with self._opening:
            for port in self._ports:
                identifier = port.reserve()
                if identifier is not None:
                    return port, identifier
            loop = asyncio.get_running_loop()
            _, port = await loop.create_datagram_endpoint(
                lambda: _Port(self.secret, self._dice), remote_addr=self._server
            )
            self._ports.append(port)
            identifier = port.reserve()
            assert identifier is not None
            return port, identifier


class RadiusConversation:
    """One EAP run; keeps State and User-Name between its requests (RFC 3579 section 2.1)."""

    def __init__(self, transport: RadiusTransport) -> None:
        self._transport = transport
        self._state: bytes | None = None
        self._user_name = b""
        self._calling_station_id = "-".join(f"{octet:02X}" for octet in b"\x02" + os.urandom(5))

    async def run(self, peer: EapPeer) -> EapResult:
        """Identity first, then packets back and forth until Access-Accept or Access-Reject."""
        try:
            return await self._run(peer)
        except NoAnswer:
            return EapResult(success=False, reason="no-answer")
        except OSError:
            return EapResult(success=False, reason="unreachable")
        except PeerError as error:
            log.debug("radius.bad_answer", error=type(error).__name__, reason=str(error))
            return EapResult(success=False, reason="bad-answer")

    async def exchange(self, eap_packet: bytes) -> Answer:
        """One EAP packet to the server and what comes back. Raises NoAnswer, OSError, PeerError."""
        request, reply = await self._transport.request(self._attributes(eap_packet))
        if reply.code not in _VERDICTS:
            raise UnexpectedMessage(f"{reply.code.name} answers an Access-Request")
        self._state = reply.value(AttributeType.STATE)
        keys = radius.mppe_keys(reply, self._transport.secret, request.authenticator)
        return Answer(radius.eap_message(reply) or b"", _VERDICTS[reply.code], keys)

    async def _run(self, peer: EapPeer) -> EapResult:
        packet = IDENTITY_REQUEST
        for _ in range(MAX_ROUNDS):
            response = peer.respond(packet)
            if response is None:
                return EapResult(success=False, reason="peer-silent")
            answer = await self.exchange(response)
            if answer.accepted is not None:
                return _ended(peer, answer)
            packet = answer.packet
        return EapResult(success=False, reason="endless")

    def _attributes(self, eap_packet: bytes) -> list[Attribute]:
        attributes = [
            Attribute(AttributeType.CALLING_STATION_ID, self._calling_station_id.encode()),
            Attribute(AttributeType.NAS_IDENTIFIER, b"onward-simulator"),
            _WIRELESS_80211,
            _FRAMED,
            _FRAMED_MTU,
            *radius.eap_attributes(eap_packet),
        ]
        self._user_name = self._user_name or _identity(eap_packet)
        if 0 < len(self._user_name) <= radius.MAX_VALUE_LENGTH:
            attributes.append(Attribute(AttributeType.USER_NAME, self._user_name))
        if self._state:
            attributes.append(Attribute(AttributeType.STATE, self._state))
        return attributes


class _Port(asyncio.DatagramProtocol):
    """One source port: matches verified replies to the requests that wait for them."""

    def __init__(self, secret: bytes, dice: Dice) -> None:
        self._secret = secret
        self._dice = dice
        self._transport: asyncio.DatagramTransport | None = None
        self._reserved: set[int] = set()
        self._last = -1
        self._waiting: dict[int, tuple[Packet, asyncio.Future[Packet]]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio has the socket."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """A reply from the network, as the faults let it through."""
        self._deliver(self._accept, data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (yet): the retransmissions decide."""

    def reserve(self) -> int | None:
        """An identifier that no request of this port uses, the longest unused first; None if all are."""
        if len(self._reserved) == IDENTIFIERS:
            return None
        self._last = (self._last + 1) % IDENTIFIERS
        while self._last in self._reserved:
            self._last = (self._last + 1) % IDENTIFIERS
        self._reserved.add(self._last)
        return self._last

    def release(self, identifier: int) -> None:
        """The request with this identifier is over."""
        self._reserved.discard(identifier)
        self._waiting.pop(identifier, None)

    async def exchange(self, request: Packet, retry_seconds: Sequence[float]) -> Packet:
        """The verified reply to a request that ``reserve`` gave its identifier. Raises NoAnswer."""
        future: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._waiting[request.identifier] = (request, future)
        datagram = request.encode()
        for seconds in retry_seconds:
            self._deliver(self._send, datagram)
            done, _ = await asyncio.wait({future}, timeout=seconds)
            if done:
                return future.result()
        raise NoAnswer(f"no answer after {len(retry_seconds)} tries")

    def close(self) -> None:
        """Release the socket."""
        if self._transport is not None:
            self._transport.close()

    def _deliver(self, deliver: Callable[[bytes], None], datagram: bytes) -> None:
        for delay in self._dice.deliveries():
            if delay:
                asyncio.get_running_loop().call_later(delay, deliver, datagram)
            else:
                deliver(datagram)

    def _send(self, datagram: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram)

    def _accept(self, datagram: bytes) -> None:
        try:
            reply = Packet.decode(datagram)
            request, future = self._waiting.get(reply.identifier, (None, None))
            if request is None or future is None or future.done():
                return
            radius.verify_reply(reply, request, self._secret)
        except PeerError as error:
            log.debug("radius.reply_dropped", error=type(error).__name__, reason=str(error))
            return
        future.set_result(reply)


def _identity(eap_packet: bytes) -> bytes:
    packet = eap.EapPacket.decode(eap_packet)
    return packet.data if packet.type == eap.EapType.IDENTITY else b""


def _ended(peer: EapPeer, answer: Answer) -> EapResult:
    """Hand over EAP-Success or EAP-Failure, then compare keys."""
    if answer.packet:
        peer.respond(answer.packet)
    if not answer.accepted:
        return EapResult(success=False)
    return EapResult(success=True, msk_confirmed=answer.msk_matches(peer.msk))
