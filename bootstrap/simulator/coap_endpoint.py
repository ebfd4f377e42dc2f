"""The device as CoAP server (RFC 9820): its UDP port, its resources and its end of OSCORE."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiocoap import Context, Message, oscore
from aiocoap import error as coap_error
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers import codes
from aiocoap.pipe import Pipe
from aiocoap.resource import Resource
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.udp6 import MessageInterfaceUDP6

from bootstrap.errors import LocalError, NotAuthenticated, PeerError, UnexpectedMessage
from bootstrap.simulator.transport import Dice, EapPeer, EapResult, Faults
from bootstrap.wire import coap_eap
from bootstrap.wire.coap_eap import CipherSuite, OscoreMaster, Parameters, Reading
from bootstrap.wire.eap import EapCode

RECIPIENT_ID_LENGTH = 3

_AEAD = {algorithm.value: algorithm for algorithm in oscore.algorithms.values()}


class PeerContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]
    """The peer's OSCORE context (RFC 8613): Sender ID RID-C, Recipient ID RID-I. Lives for one exchange."""

    id_context = None
    echo_recovery = None

    def __init__(self, suite: CipherSuite, master: OscoreMaster, *, rid_c: bytes, rid_i: bytes) -> None:
        self.alg_aead = _AEAD[coap_eap.COSE_AEAD[suite]]
        self.hashfun = coap_eap.hash_of(suite)
        self.sender_id = rid_c
        self.recipient_id = rid_i
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.derive_keys(master.salt, master.secret)

    def post_seqnoincrease(self) -> None:
        """Nothing to write down."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.sender_id.hex()}>"


@dataclass(slots=True)
class Authentication:
    """One device between its trigger and the closing exchange."""

    peer: EapPeer
    cipher_suites: tuple[CipherSuite, ...]
    reading: Reading
    path: tuple[str, ...]
    rid_i: bytes
    rid_c: bytes = b""
    offered: tuple[int, ...] = ()
    suite: CipherSuite = coap_eap.DEFAULT_SUITE
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """The first EAP-Request came."""
    result: asyncio.Future[EapResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self, success: bool, msk_confirmed: bool | None = None, reason: str = "") -> None:
        """The first verdict stands."""
        if not self.result.done():
            self.result.set_result(EapResult(success, msk_confirmed, reason))

    def take(self, payload: bytes) -> bytes | None:
        """One EAP packet in clear to the answer's payload; None refuses it. Raises PeerError."""
        packet, parameters = coap_eap.split(payload)
        if packet[0] == EapCode.SUCCESS:
            return None  # in clear it proves nothing: anybody can send one
        if packet[0] == EapCode.FAILURE:
            self.peer.respond(packet)
            self.finish(False)
            return None
        answer = Parameters()
        if not self.asked.is_set():
            answer = self._negotiate(parameters)
            self.asked.set()
        response = self.peer.respond(packet)
        if response is None:
            self.finish(False, reason="peer-silent")
            return None
        return coap_eap.join(response, answer)

    def _negotiate(self, theirs: Parameters) -> Parameters:
        """Steps 1 and 2 of RFC 9820: CS-I is said only to a controller that said CS-C."""
        self.offered = theirs.cipher_suites
        self.suite = coap_eap.choose(theirs.cipher_suites, self.cipher_suites)
        self.rid_c = theirs.rid_c or b""
        coap_eap.check_recipient_ids(self.suite, self.rid_c, self.rid_i)
        return Parameters(cipher_suites=(int(self.suite),) if self.offered else (), rid_i=self.rid_i)

    def close(self, protected: Message) -> Message:
        """Step 7 to step 8: EAP-Success under keys from our own MSK. Raises PeerError."""
        if not self.peer.msk:
            raise NotAuthenticated("EAP-Success before the method has an MSK")
        master = coap_eap.derive_oscore_master(self.peer.msk, self.offered, self.suite, self.reading)
        security = PeerContext(self.suite, master, rid_c=self.rid_c, rid_i=self.rid_i)
        try:
            inner, request_id = security.unprotect(protected)
        except (coap_error.Error, ValueError) as error:
            raise NotAuthenticated(f"OSCORE request: {type(error).__name__}") from None
        packet, _ = coap_eap.split(inner.payload)
        if inner.code != codes.POST or tuple(inner.opt.uri_path) != self.path or packet[0] != EapCode.SUCCESS:
            raise UnexpectedMessage("OSCORE request is not EAP-Success to our last resource")
        self.peer.respond(packet)
        answer, _ = security.protect(Message(code=codes.CHANGED), request_id)
        self.finish(True, msk_confirmed=True)
        return answer


class FaultyUDP6(MessageInterfaceUDP6):  # type: ignore[misc]
    """A UDP port on a network as bad as the dice say, in both directions."""

    dice: Dice = Faults().dice()

    def send(self, message: Message) -> None:
        self._deliver(lambda: self._shutting_down is None and super(FaultyUDP6, self).send(message))

    def datagram_msg_received(self, data: bytes, ancdata: Any, flags: int, address: Any) -> None:
        receive = super().datagram_msg_received
        self._deliver(lambda: self._shutting_down is None and receive(data, ancdata, flags, address))

    def _deliver(self, deliver: Callable[[], object]) -> None:
        for delay in self.dice.deliveries():
            if delay:
                self.loop.call_later(delay, deliver)
            else:
                deliver()


class Endpoint(Resource):  # type: ignore[misc]
    """One UDP port and the authentications that run on it."""

    def __init__(self) -> None:
        super().__init__()
        self.users = 0
        self.context = Context(loop=asyncio.get_running_loop(), serversite=self, loggername="coap-device")
        self._opening: asyncio.Future[None] | None = None
        self._by_path: dict[tuple[str, ...], Authentication] = {}
        self._by_rid: dict[bytes, Authentication] = {}

    async def ready(self, dice: Dice) -> None:
        """Open a port, which the first datagram gives a number; whoever comes while that is under way waits for it."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open(dice))
        await asyncio.shield(self._opening)

    async def _open(self, dice: Dice) -> None:
        tokens = TokenManager(self.context)
        messages = MessageManager(tokens)
        # A client's socket, though we serve on it: aiocoap gives a server's SO_REUSEPORT, and then two
        # devices now and then get the same free port and each other's datagrams.
        interface = await FaultyUDP6.create_client_transport_endpoint(
            messages, log=self.context.log, loop=self.context.loop
        )
        interface.dice = dice
        messages.message_interface = interface
        tokens.token_interface = messages
        self.context.request_interfaces.append(tokens)

    def admit(self, peer: EapPeer, suites: tuple[CipherSuite, ...], reading: Reading) -> Authentication:
        """A new authentication with its first resource."""
        rid_i = secrets.token_bytes(RECIPIENT_ID_LENGTH)
        while rid_i in self._by_rid:
            rid_i = secrets.token_bytes(RECIPIENT_ID_LENGTH)
        one = Authentication(peer, suites, reading, _fresh_path(), rid_i)
        self._by_path[one.path] = self._by_rid[rid_i] = one
        return one

    def drop(self, one: Authentication) -> None:
        self._by_path.pop(one.path, None)
        self._by_rid.pop(one.rid_i, None)

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """The two kinds of request an authenticator sends: EAP in clear, and the closing one under OSCORE."""
        request = pipe.request
        if request.code != codes.POST:
            raise coap_error.MethodNotAllowed
        answer = self._take_closing(request) if request.opt.oscore is not None else self._take(request)
        pipe.add_response(answer, is_last=True)

    def _take(self, request: Message) -> Message:
        one = self._by_path.get(tuple(request.opt.uri_path))
        if one is None:
            raise coap_error.NotFound
        if request.opt.content_format not in (None, coap_eap.COAP_CONTENT_FORMAT):
            raise coap_error.UnsupportedContentFormat
        try:
            payload = one.take(request.payload)
        except (PeerError, LocalError):
            one.finish(False, reason="bad-request")
            raise coap_error.BadRequest from None
        if payload is None:
            return Message(code=codes.UNAUTHORIZED)
        del self._by_path[one.path]
        one.path = _fresh_path()
        self._by_path[one.path] = one
        return Message(
            code=codes.CREATED,
            location_path=one.path,
            content_format=coap_eap.COAP_CONTENT_FORMAT,
            payload=payload,
        )

    def _take_closing(self, request: Message) -> Message:
        try:
            kid = oscore.verify_start(request).get(oscore.COSE_KID)
        except (coap_error.Error, ValueError):
            raise coap_error.BadOption from None
        one = self._by_rid.get(kid or b"")
        if one is None:
            raise coap_error.Unauthorized  # RFC 8613 section 8.2: no such security context
        try:
            return one.close(request)
        except (PeerError, LocalError):
            one.finish(False, msk_confirmed=False, reason="other-keys")
            raise coap_error.BadRequest from None


def _fresh_path() -> tuple[str, str]:
    return "eap", secrets.token_hex(4)
