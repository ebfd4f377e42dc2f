"""The CoAP door over real UDP on loopback, with the simulator's transport as the device."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiocoap import Context, Message
from aiocoap.error import NetworkError
from aiocoap.numbers import codes
from aiocoap.resource import Resource
from aiocoap.transports.udp6 import UDP6EndpointAddress

from bootstrap import errors
from bootstrap.contract import Inbound, Reply, Verdict, Via
from bootstrap.doors import coap
from bootstrap.doors.coap import blockwise, endpoint, limits
from bootstrap.doors.coap.codes import RESPONSE_CODES, refusal
from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    TooManyRequests,
    UnexpectedMessage,
    UnknownDevice,
)
from bootstrap.simulator import coap as simulated
from bootstrap.simulator.coap import CoapTransport
from bootstrap.simulator.coap_endpoint import Authentication
from bootstrap.simulator.transport import Faults
from bootstrap.wire import coap_eap, eap
from bootstrap.wire.coap_eap import CipherSuite, Reading
from bootstrap.wire.eap import EapCode, EapPacket, EapType

ROUNDS = 3
TOO_LONG = limits.MAX_PROVISION_REQUEST + 1
PSK = b"the key both ends know"


def proof(psk: bytes, nonce: bytes) -> bytes:
    return hmac.digest(psk, nonce, "sha256")


def session_key(psk: bytes, nonces: list[bytes]) -> bytes:
    return hashlib.sha512(psk + b"".join(nonces)).digest()


@dataclass
class SmallMethod:
    """An EAP server of its own: three nonces, three proofs, then a 64-octet MSK; and an echo to provision."""

    inbounds: list[Inbound] = field(default_factory=list)
    waiting: dict[str, list[bytes]] = field(default_factory=dict)
    accepted: list[bytes] = field(default_factory=list)
    delay: float = 0.0

    async def __call__(self, protocol: str, inbound: Inbound) -> Reply:
        await asyncio.sleep(self.delay)
        self.inbounds.append(inbound)
        if protocol == "provisioning":
            return self.provision(inbound)
        assert protocol == "eap"
        packet = EapPacket.decode(inbound.body)
        if packet.code is not EapCode.RESPONSE:
            raise MalformedMessage("not a response")
        if not inbound.token:
            if packet.type != EapType.IDENTITY:
                raise UnexpectedMessage("no identity")
            return self.ask(packet.identifier, [])
        nonces = self.waiting.pop(inbound.token, None)
        if nonces is None:
            raise UnknownDevice("no such conversation")
        if not hmac.compare_digest(packet.data, proof(PSK, nonces[-1])):
            return Reply(eap.failure(packet.identifier).encode(), Verdict.REJECT)
        if len(nonces) < ROUNDS:
            return self.ask(packet.identifier, nonces)
        self.accepted.append(session_key(PSK, nonces))
        return Reply(eap.success(packet.identifier).encode(), Verdict.ACCEPT, msk=self.accepted[-1])

    def ask(self, identifier: int, nonces: list[bytes]) -> Reply:
        token, nonce = secrets.token_hex(8), secrets.token_bytes(16)
        self.waiting[token] = [*nonces, nonce]
        request = eap.request((identifier + 1) % 256, EapType.EXPERIMENTAL, nonce)
        return Reply(request.encode(), token=token)

    def provision(self, inbound: Inbound) -> Reply:
        if inbound.operation == "unknown":
            raise UnknownDevice("no such locator")
        if inbound.operation == "busy":
            raise TooManyRequests("later", 7)
        if inbound.operation == "broken":
            raise RuntimeError("a bug of ours")
        if inbound.operation == "large":
            return Reply(inbound.body * 16)
        return Reply(inbound.body[::-1])


@dataclass
class SmallPeer:
    """The device's end of the same method."""

    psk: bytes = PSK
    wrong_msk: bool = False
    dies_at: int | None = None
    nonces: list[bytes] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    die: Callable[[], None] = lambda: None

    @property
    def msk(self) -> bytes:
        if len(self.nonces) < ROUNDS:
            return b""
        return bytes(64) if self.wrong_msk else session_key(self.psk, self.nonces)

    def respond(self, request: bytes) -> bytes | None:
        packet = EapPacket.decode(request)
        self.heard.append(packet.code)
        if self.dies_at == len(self.heard):
            self.die()
        if packet.code is not EapCode.REQUEST:
            return None
        if packet.type == EapType.IDENTITY:
            return eap.response(packet.identifier, EapType.IDENTITY, b"device@example.org").encode()
        self.nonces.append(packet.data)
        return eap.response(packet.identifier, EapType.EXPERIMENTAL, proof(self.psk, packet.data)).encode()


@dataclass
class Door:
    url: str
    method: SmallMethod
    port: int


@contextlib.asynccontextmanager
async def running_door(method: SmallMethod | None = None, **options: object) -> AsyncIterator[Door]:
    method = method or SmallMethod()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        coap.serve(method, "127.0.0.1", 0, ready=url.set_result, **options)  # type: ignore[arg-type]
    )
    await asyncio.wait({task, url}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield Door(url.result(), method, int(url.result().rsplit(":", 1)[1]))
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with running_door() as running:
        yield running


@pytest.fixture
async def transport(door: Door) -> AsyncIterator[CoapTransport]:
    transport = CoapTransport.from_url(door.url)
    yield transport
    await transport.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def unplug(transport: CoapTransport) -> None:
    """Close the device's socket under it, as a power cut does."""
    (device,) = transport._endpoints
    device.context.request_interfaces[0].token_interface.message_interface.transport.close()


def conversations() -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if "Conversation.run" in repr(task.get_coro())]


async def test_a_device_authenticates_and_both_ends_have_the_same_keys(door: Door, transport: CoapTransport):
    peer = SmallPeer()
    result = await transport.authenticate(peer)
    assert (result.success, result.msk_confirmed) == (True, True)
    assert door.method.accepted == [peer.msk]
    assert peer.heard == [EapCode.REQUEST] * (1 + ROUNDS) + [EapCode.SUCCESS]


async def test_the_engine_gets_bare_eap_packets_the_address_and_its_own_token(
    door: Door, transport: CoapTransport
):
    await transport.authenticate(SmallPeer())
    first, *others = door.method.inbounds
    assert first.body == eap.response(first.body[1], EapType.IDENTITY, b"device@example.org").encode()
    assert (first.token, first.via, first.source) == ("", Via.COAP, "127.0.0.1")
    assert len(others) == ROUNDS
    assert all(inbound.token for inbound in others)


@pytest.mark.parametrize("suite", list(CipherSuite))
async def test_every_cipher_suite_closes(suite: CipherSuite):
    async with running_door(cipher_suites=(suite, CipherSuite(0))) as door:
        transport = CoapTransport("127.0.0.1", door.port)
        assert (await transport.authenticate(SmallPeer())).msk_confirmed
        await transport.close()


async def test_both_ends_must_read_the_key_derivation_the_same_way():
    async with running_door(reading=Reading.BARE_NUMBERS) as door:
        same = CoapTransport("127.0.0.1", door.port, reading=Reading.BARE_NUMBERS)
        other = CoapTransport("127.0.0.1", door.port)
        assert (await same.authenticate(SmallPeer())).msk_confirmed
        result = await other.authenticate(SmallPeer())
        assert (result.success, result.msk_confirmed) == (False, False)
        await same.close()
        await other.close()


async def test_a_device_with_another_msk_ends_without_success_and_so_do_we(
    door: Door, transport: CoapTransport
):
    result = await transport.authenticate(SmallPeer(wrong_msk=True))
    assert (result.success, result.msk_confirmed, result.reason) == (False, False, "other-keys")
    await until(lambda: not conversations())


async def test_a_wrong_proof_ends_in_a_clear_eap_failure(door: Door, transport: CoapTransport):
    peer = SmallPeer(psk=b"guessed")
    result = await transport.authenticate(peer)
    assert (result.success, result.msk_confirmed, result.reason) == (False, None, "")
    assert peer.heard[-1] == EapCode.FAILURE
    await until(lambda: not conversations())


async def test_an_engine_that_refuses_ends_in_a_clear_eap_failure(transport: CoapTransport, door: Door):
    peer = SmallPeer()
    door.method.waiting = Forgetful()
    result = await transport.authenticate(peer)
    assert not result.success
    assert peer.heard[-1] == EapCode.FAILURE


class Forgetful(dict[str, list[bytes]]):
    """A store that lost every conversation."""

    def __setitem__(self, key: str, value: list[bytes]) -> None: ...


async def test_success_in_clear_is_not_success(transport: CoapTransport):
    peer = SmallPeer()
    one = Authentication(peer, tuple(CipherSuite), Reading.CBOR_ARRAYS, ("a",), b"1")
    assert one.take(eap.success(3).encode()) is None
    assert not one.result.done()


@pytest.mark.parametrize("step", range(1, ROUNDS + 2))
async def test_a_device_that_dies_at_any_step_leaves_nothing_behind(step: int):
    method = SmallMethod()
    async with running_door(
        method, limits=coap.Limits(first_answer_seconds=0.6, deadline_seconds=0.8)
    ) as door:
        transport = CoapTransport.from_url(door.url)
        peer = SmallPeer(dies_at=step)
        peer.die = lambda: unplug(transport)
        dying = asyncio.ensure_future(transport.authenticate(peer))
        await until(lambda: len(peer.heard) == step)
        dying.cancel()
        await until(lambda: not conversations())
        survivor = CoapTransport.from_url(door.url)
        assert (await survivor.authenticate(SmallPeer())).success
        await survivor.close()


async def test_sixty_devices_at_once_all_get_in(door: Door, transport: CoapTransport):
    results = await asyncio.gather(*(transport.authenticate(SmallPeer()) for _ in range(60)))
    assert all(result.success and result.msk_confirmed for result in results)
    await until(lambda: not conversations())


def udp_socket(context: Context) -> socket.socket:
    interface = context.request_interfaces[0].token_interface.message_interface
    return interface.transport.get_extra_info("socket")


async def test_nobody_gets_the_datagrams_of_another_port(door: Door, transport: CoapTransport):
    """With SO_REUSEPORT, two of sixty sockets get the same "free" port one time in twenty."""
    await asyncio.gather(*(transport.authenticate(SmallPeer()) for _ in range(40)))
    devices = [udp_socket(device.context) for device in transport._endpoints]
    assert len({device.getsockname()[1] for device in devices}) == len(devices) == 40
    context, _ = await endpoint.open_endpoint(Resource(), "127.0.0.1", 0)
    for opened in (*devices, udp_socket(context)):
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    await context.shutdown()


@pytest.mark.parametrize("host", ["::1", "127.0.0.1", "localhost", "0.0.0.0", "::"])
async def test_the_door_listens_where_it_is_told(host: str):
    context, port = await endpoint.open_endpoint(Resource(), host, 0)
    with pytest.raises(LocalError, match="in use"):
        await endpoint.open_endpoint(Resource(), host, port)
    await context.shutdown()
    again, _ = await endpoint.open_endpoint(Resource(), host, port)
    await again.shutdown()


async def test_a_host_that_is_not_ours_is_said():
    with pytest.raises(LocalError):
        await endpoint.open_endpoint(Resource(), "192.0.2.1", 0)


async def test_many_devices_share_one_port_without_mixing_up(door: Door, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(simulated, "MAX_ENDPOINTS", 1)
    transport = CoapTransport.from_url(door.url)
    peers = [SmallPeer(psk=PSK if i % 3 else b"guessed") for i in range(30)]
    results = await asyncio.gather(*(transport.authenticate(peer) for peer in peers))
    assert [result.success for result in results] == [bool(i % 3) for i in range(30)]
    assert len(transport._endpoints) == 1
    await transport.close()


async def test_devices_get_in_over_a_network_that_repeats_reorders_and_loses(door: Door):
    transport = CoapTransport.from_url(door.url, faults=Faults(loss=0.05, repeat=0.3, reorder=0.3, seed=7))
    results = await asyncio.gather(*(transport.authenticate(SmallPeer()) for _ in range(6)))
    assert all(result.success and result.msk_confirmed for result in results)
    await transport.close()


async def test_nobody_there_is_a_result_and_not_an_exception():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = CoapTransport("127.0.0.1", port)
    assert (await transport.authenticate(SmallPeer())).reason == "unreachable"
    await transport.close()


# --- a device made of a bare socket -----------------------------------------------------------------------


class BareDevice:
    """A UDP socket that says exactly what a test wants."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))
        self.server = ("127.0.0.1", port)

    def __enter__(self) -> BareDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, octets: bytes) -> None:
        self.socket.sendto(octets, self.server)

    async def hear(self, seconds: float = 3.0) -> bytes:
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().sock_recv(self.socket, 4096)

    def trigger(self, path: bytes = b"/a", *, mid: int = 1) -> bytes:
        """A non-confirmable POST without token: the shortest there is."""
        octets = b"\x50\x02" + mid.to_bytes(2, "big") + b"\xbb.well-known\x08coap-eap\xd2\xea\x1a\xff"
        return octets.replace(b"\xd2\xea\x1a", b"\xd1\xea\x1a") + path


def test_the_shortest_trigger_is_what_the_tests_think():
    request = Message.decode(BareDevice.trigger(None, b"/a"))  # type: ignore[arg-type]
    assert tuple(request.opt.uri_path) == coap_eap.WELL_KNOWN_PATH
    assert (request.opt.no_response, request.payload) == (26, b"/a")


async def test_a_forged_sender_gets_no_more_than_three_times_what_was_spent_on_it(
    door: Door, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bootstrap.doors.coap.conversation.FirstMessage.ACK_TIMEOUT", 0.05)
    with BareDevice(door.port) as device:
        trigger = device.trigger()
        device.say(trigger)
        heard = []
        with contextlib.suppress(TimeoutError):
            while True:
                heard.append(await device.hear(1.0))
        await until(lambda: not conversations())
    assert len(heard) == 3
    assert len(set(heard)) == 1
    assert sum(map(len, heard)) <= 3 * len(trigger)


async def test_the_first_message_is_an_identity_request_to_the_named_resource(door: Door):
    with BareDevice(door.port) as device:
        device.say(device.trigger(b"/first/one"))
        request = Message.decode(await device.hear())
    assert request.code == codes.POST
    assert tuple(request.opt.uri_path) == ("first", "one")
    assert request.opt.content_format == coap_eap.COAP_CONTENT_FORMAT
    packet, parameters = coap_eap.split(request.payload)
    assert EapPacket.decode(packet).type == EapType.IDENTITY
    assert parameters.rid_c
    assert parameters.cipher_suites == ()


async def test_a_repeated_trigger_is_one_conversation(door: Door):
    with BareDevice(door.port) as device:
        for mid in range(20):
            device.say(device.trigger(mid=mid))
        await device.hear()
        await asyncio.sleep(0.1)
        assert len(conversations()) == 1


async def test_a_flood_of_triggers_is_bounded_and_a_live_device_still_gets_in():
    async with running_door(limits=coap.Limits(unverified=16, per_source=1000)) as door:
        with BareDevice(door.port) as device:
            for mid in range(200):
                device.say(device.trigger(b"/%d" % mid, mid=mid))
                if mid % 20 == 0:
                    await asyncio.sleep(0.01)
            # What is pushed out ends at its next turn; on a busy machine that may take a moment.
            for _look in range(100):
                if len(conversations()) <= 16:
                    break
                await asyncio.sleep(0.05)
            assert len(conversations()) <= 16
            transport = CoapTransport.from_url(door.url)
            assert (await transport.authenticate(SmallPeer())).success
            await transport.close()


async def test_one_address_cannot_take_every_place():
    async with running_door(limits=coap.Limits(per_source=3)) as door:
        with BareDevice(door.port) as device:
            for mid in range(10):
                device.say(device.trigger(b"/%d" % mid, mid=mid))
            await asyncio.sleep(0.2)
            assert len(conversations()) == 3


async def test_a_full_house_says_so_and_when_to_come_again():
    async with running_door(limits=coap.Limits(conversations=0)) as door:
        with BareDevice(door.port) as device:
            device.say(device.trigger().replace(b"\xd1\xea\x1a", b"\xd1\xea\x02"))
            answer = Message.decode(await device.hear())
    assert (answer.code, answer.opt.max_age) == (codes.TOO_MANY_REQUESTS, limits.BUSY_RETRY_SECONDS)


def created(request: Message, payload: bytes, *location: str) -> bytes:
    """A piggy-backed 2.01, by hand."""
    answer = Message(code=codes.CREATED, location_path=location, payload=payload, _mtype=2, _mid=request.mid)
    answer.token = request.token
    return answer.encode()


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: created(request, b"", "b"),
        lambda request: created(request, b"\x02\x01\x00\x04"),
        lambda request: created(request, b"\x02\x01\xff\xff\x01", "b"),
        lambda request: created(request, b"\x02\x01\x00\x06\x01a\xff", "b"),
        lambda request: created(request, b"\x02\x01\x00\x06\x01a\xa1\x03\x58", "b"),
        lambda request: created(request, b"\x02\x01\x00\x06\x01a", ".well-known", "coap-eap"),
        lambda request: created(request, b"\x01\x01\x00\x06\x01a", "b"),
        lambda request: b"\x60\x44" + request.mid.to_bytes(2, "big"),
        lambda request: b"\x70\x00" + request.mid.to_bytes(2, "big"),
        lambda request: (
            bytes([0x60 | len(request.token), 0x84]) + request.mid.to_bytes(2, "big") + request.token
        ),
    ],
    ids=[
        "empty",
        "no-location",
        "length",
        "tail",
        "map",
        "well-known",
        "not-a-response",
        "no-token",
        "reset",
        "4.04",
    ],
)
async def test_a_device_that_answers_nonsense_ends_its_own_conversation(
    answer: Callable[[Message], bytes],
):
    async with running_door(limits=coap.Limits(first_answer_seconds=0.5, deadline_seconds=0.7)) as door:
        with BareDevice(door.port) as device:
            device.say(device.trigger())
            device.say(answer(Message.decode(await device.hear())))
            await until(lambda: not conversations())
        assert not door.method.accepted


async def test_an_answer_with_a_guessed_token_verifies_nothing(door: Door):
    with BareDevice(door.port) as device:
        device.say(device.trigger())
        request = Message.decode(await device.hear())
        assert len(request.token) == endpoint.TOKEN_LENGTH
        request.token = bytes(4)
        device.say(created(request, b"\x02\x01\x00\x06\x01a", "b"))
        await asyncio.sleep(0.1)
        assert door.method.inbounds == []


async def test_garbage_at_the_port_changes_nothing(door: Door, transport: CoapTransport):
    generator = secrets.SystemRandom()
    with BareDevice(door.port) as device:
        for length in [*range(64), 1200, 5000, 9000]:
            device.say(generator.randbytes(length))
            device.say(bytes([0x40 | generator.randrange(64)]) + generator.randbytes(length))
            device.say(b"\x40\x02" + generator.randbytes(length))
        for cut in range(len(device.trigger())):
            device.say(device.trigger()[:cut])
        await asyncio.sleep(0.1)
    assert (await transport.authenticate(SmallPeer())).success


# --- requests ---------------------------------------------------------------------------------------------


async def ask(door: Door, code: codes.Code, path: str, **fields: object) -> Message:
    """One request, sent and answered by an ordinary aiocoap client."""
    context = await Context.create_client_context(transports=["udp6"])
    try:
        request = Message(code=code, uri=f"{door.url}{path}", **fields)
        async with asyncio.timeout(20):
            return await context.request(request).response
    finally:
        await context.shutdown()


async def test_the_list_of_resources_names_both(door: Door):
    answer = await ask(door, codes.GET, "/.well-known/core")
    assert (answer.code, int(answer.opt.content_format)) == (codes.CONTENT, 40)
    assert b"</.well-known/coap-eap>" in answer.payload
    assert b"</provision>" in answer.payload


@pytest.mark.parametrize(
    ("code", "path", "fields", "expected"),
    [
        (codes.GET, "/", {}, codes.NOT_FOUND),
        (codes.GET, "/.well-known/nothing", {}, codes.NOT_FOUND),
        (codes.POST, "/provision", {"payload": b"x"}, codes.NOT_FOUND),
        (codes.POST, "/provision/a/b", {"payload": b"x"}, codes.NOT_FOUND),
        (codes.POST, "/provision/" + "a" * 129, {"payload": b"x"}, codes.NOT_FOUND),
        (codes.GET, "/.well-known/coap-eap", {}, codes.METHOD_NOT_ALLOWED),
        (codes.GET, "/provision/known", {}, codes.METHOD_NOT_ALLOWED),
        (codes.POST, "/.well-known/core", {"payload": b"x"}, codes.METHOD_NOT_ALLOWED),
        (codes.POST, "/.well-known/coap-eap", {"payload": b"no path"}, codes.BAD_REQUEST),
        (codes.POST, "/.well-known/coap-eap", {"payload": b"/" + b"a" * 200}, codes.REQUEST_ENTITY_TOO_LARGE),
        (codes.POST, "/.well-known/coap-eap", {"payload": b"/" * 3000}, codes.REQUEST_ENTITY_TOO_LARGE),
        (
            codes.POST,
            "/.well-known/coap-eap",
            {"payload": b"/a", "content_format": 60},
            codes.UNSUPPORTED_CONTENT_FORMAT,
        ),
        (
            codes.POST,
            "/provision/known",
            {"payload": b"x", "content_format": 60},
            codes.UNSUPPORTED_CONTENT_FORMAT,
        ),
        (codes.POST, "/provision/known", {"payload": bytes(TOO_LONG)}, codes.REQUEST_ENTITY_TOO_LARGE),
        (codes.GET, "/.well-known/core", {"accept": 60}, codes.NOT_ACCEPTABLE),
        (codes.POST, "/provision/unknown", {"payload": b"x"}, codes.UNAUTHORIZED),
        (codes.POST, "/provision/broken", {"payload": b"x"}, codes.INTERNAL_SERVER_ERROR),
        (codes.GET, "/.well-known/core", {"if_none_match": True}, codes.BAD_OPTION),
        (codes.GET, "/.well-known/core", {"oscore": b"\x09\x00\x01"}, codes.BAD_OPTION),
        (codes.GET, "/.well-known/core", {"proxy_scheme": "http"}, codes.PROXYING_NOT_SUPPORTED),
    ],
)  # fmt: skip
async def test_a_bad_request_gets_its_code_and_no_reason(
    door: Door, code: codes.Code, path: str, fields: dict[str, object], expected: codes.Code
):
    answer = await ask(door, code, path, **fields)
    assert answer.code == expected
    assert answer.payload == b""


async def test_a_busy_engine_says_when_to_come_again(door: Door):
    answer = await ask(door, codes.POST, "/provision/busy", payload=b"x")
    assert (answer.code, answer.opt.max_age) == (codes.TOO_MANY_REQUESTS, 7)


@pytest.mark.parametrize("length", [0, 1, 1024, 1025, limits.MAX_PROVISION_REQUEST])
async def test_provisioning_carries_octets_both_ways_in_as_many_blocks_as_it_takes(
    door: Door, transport: CoapTransport, length: int
):
    body = secrets.token_bytes(length)
    assert await transport.provision(door.url, "known", body) == body[::-1]
    (inbound,) = door.method.inbounds
    assert (inbound.operation, inbound.via, inbound.source) == ("known", Via.COAP, "127.0.0.1")


async def test_a_reply_of_a_mebibyte_arrives(door: Door, transport: CoapTransport):
    body = secrets.token_bytes(65536)
    assert await transport.provision(door.url, "large", body) == body * 16
    assert len(door.method.inbounds) == 1


async def test_provisioning_tells_the_device_why_by_class(door: Door, transport: CoapTransport):
    with pytest.raises(NotAuthenticated):
        await transport.provision(door.url, "unknown", b"x")
    with pytest.raises(TooManyRequests) as caught:
        await transport.provision(door.url, "busy", b"x")
    assert caught.value.retry_after_seconds == 7


async def test_half_an_upload_does_not_stay(door: Door):
    """Block 0 of a request that never goes on, five hundred times more than there are places."""
    shelf = blockwise.Shelf(4, 100)
    for key in range(500):
        shelf[key] = Message(code=codes.POST, payload=bytes(10))
    assert len(shelf) == 4
    shelf[501] = Message(code=codes.POST, payload=bytes(95))
    assert len(shelf) == 1


async def test_a_block_out_of_turn_is_incomplete_and_not_an_error_of_ours(door: Door):
    with BareDevice(door.port) as device:
        # POST /provision/k with Block1 number 3, more, 16 octets
        device.say(b"\x40\x02\x00\x01\xb9provision\x01k\xd1\x03\x38\xff" + bytes(16))
        assert Message.decode(await device.hear()).code == codes.REQUEST_ENTITY_INCOMPLETE
        octets = b"\x40\x02\x00\x20\xb9provision\x01k\xd1\x03\x08\xff" + bytes(16)
        device.say(octets)
        device.say(octets.replace(b"\x00\x20", b"\x00\x21").replace(b"\xd1\x03\x08", b"\xd1\x03\x28"))
        heard = [Message.decode(await device.hear()).code for _ in range(2)]
    assert heard == [codes.CONTINUE, codes.REQUEST_ENTITY_INCOMPLETE]


async def test_duplicate_detection_forgets_the_oldest(door: Door, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endpoint, "MAX_RECENT_MESSAGES", 8)
    with BareDevice(door.port) as device:
        for mid in range(40):
            device.say(b"\x40\x01" + mid.to_bytes(2, "big"))
            await device.hear()
        device.say(b"\x40\x01\x00\x27")
        assert Message.decode(await device.hear()).mid == 39
    (messages,) = [m for m in gc_objects(endpoint.BoundedMessages) if m._active_exchanges is not None]
    assert len(messages._recent_messages) == len(messages._ages) == 8


def gc_objects(cls: type) -> list[endpoint.BoundedMessages]:
    import gc

    # Not isinstance: that asks lazy objects of others for their class, and they load something.
    return [found for found in gc.get_objects() if issubclass(type(found), cls)]


async def test_an_address_that_cannot_be_sent_to_fails_its_own_requests_only():
    """Port 0: sendmsg fails at once, inside the sending of a request that others wait behind."""
    context, _ = await endpoint.open_endpoint(Resource(), "127.0.0.1", 0)
    interface = context.request_interfaces[0].token_interface.message_interface
    nowhere = UDP6EndpointAddress(("::ffff:127.0.0.1", 0, 0, 0), interface)
    requests = []
    for _ in range(3):
        request = Message(code=codes.POST)
        request.remote = nowhere
        requests.append(context.request(request, handle_blockwise=False).response)
    async with asyncio.timeout(2):
        ends = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(end, NetworkError) for end in ends)
    messages = context.request_interfaces[0].token_interface
    assert (messages._active_exchanges, messages._backlogs) == ({}, {})
    await context.shutdown()


async def test_a_request_that_nobody_waits_for_is_not_sent_again():
    context, _ = await endpoint.open_endpoint(Resource(), "127.0.0.1", 0)
    messages = context.request_interfaces[0].token_interface
    with BareDevice(0) as device:
        uri = f"coap://127.0.0.1:{device.socket.getsockname()[1]}"
        requests = [
            context.request(Message(code=codes.POST, uri=uri), handle_blockwise=False).response
            for _ in range(3)
        ]
        await until(lambda: [len(waiting) for waiting in messages._backlogs.values()] == [2])
        for request in requests:
            request.cancel()
        await until(lambda: not messages._active_exchanges and not messages._backlogs)
    await context.shutdown()


async def test_a_taken_port_is_said_at_once(door: Door):
    with pytest.raises(LocalError, match="in use"):
        await coap.serve(SmallMethod(), "127.0.0.1", door.port)


async def test_an_overlong_wait_of_the_engine_ends_at_the_deadline():
    async with running_door(SmallMethod(delay=30), limits=coap.Limits(deadline_seconds=0.3)) as door:
        transport = CoapTransport.from_url(door.url)
        running = asyncio.ensure_future(transport.authenticate(SmallPeer()))
        await until(lambda: len(conversations()) == 1)
        await until(lambda: not conversations())
        running.cancel()
        await transport.close()


async def test_a_door_that_closes_leaves_no_task():
    async with running_door() as door:
        with BareDevice(door.port) as device:
            for mid in range(5):
                device.say(device.trigger(b"/%d" % mid, mid=mid))
            await until(lambda: len(conversations()) == 5)
    assert conversations() == []


def test_every_peer_error_has_a_code():
    assert set(RESPONSE_CODES) == set(errors.PEER_ERRORS)
    for cls in errors.PEER_ERRORS:
        assert refusal(cls("why")).payload == b""


@pytest.mark.parametrize("url", ["http://h", "coap://", "coap://h:99999", "coap://h:x"])
def test_a_bad_url_is_refused(url: str):
    with pytest.raises(LocalError):
        CoapTransport.from_url(url)


def test_url_without_port_means_the_registered_one():
    assert CoapTransport.from_url("coap://[::1]")._base == "coap://[::1]:5683"
