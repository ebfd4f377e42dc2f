"""The RADIUS door on a real loopback socket, a small real EAP method behind it and access points before it.

The method ("keyed", EAP type 255) is a challenge, its HMAC under a password, and keys from both.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_network

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.contract import Inbound, Reply, Verdict, Via
from bootstrap.doors.radius import BEHAVIOURS, Behaviour, Limits, RadiusClient, most_specific, serve
from bootstrap.errors import (
    PEER_ERRORS,
    LocalError,
    NotAuthenticated,
    UnknownDevice,
)
from bootstrap.simulator.radius import RadiusTransport
from bootstrap.simulator.transport import Faults
from bootstrap.wire import eap, radius
from bootstrap.wire.radius import Attribute, AttributeType, Code, Packet

SECRET = b"correct horse battery staple"
PASSWORD = b"keyed password"
KEYED = eap.EapType.EXPERIMENTAL
IDENTITY = eap.response(1, eap.EapType.IDENTITY, b"thing@example.com").encode()


def _proof(challenge: bytes, password: bytes) -> bytes:
    return hmac.digest(password, challenge, "sha256")


def _msk(challenge: bytes, password: bytes) -> bytes:
    return hashlib.sha512(b"msk" + challenge + password).digest()


class KeyedServer:
    """The server side of "keyed" as the door's ``handle``; its token is the challenge in hexadecimal."""

    def __init__(self) -> None:
        self.inbound: list[Inbound] = []

    async def __call__(self, protocol: str, inbound: Inbound) -> Reply:
        assert protocol == "eap"
        self.inbound.append(inbound)
        await asyncio.sleep(0)
        packet = eap.EapPacket.decode(inbound.body)
        if packet.type == eap.EapType.IDENTITY:
            challenge = os.urandom(16)
            ask = eap.request((packet.identifier + 1) % 256, KEYED, challenge)
            return Reply(ask.encode(), token=challenge.hex())
        challenge = bytes.fromhex(inbound.token)
        if not challenge:
            raise UnknownDevice("no conversation")
        if not hmac.compare_digest(packet.data, _proof(challenge, PASSWORD)):
            return Reply(eap.failure(packet.identifier).encode(), Verdict.REJECT)
        success = eap.success(packet.identifier).encode()
        return Reply(success, Verdict.ACCEPT, msk=_msk(challenge, PASSWORD))


class KeyedPeer:
    """The device side of "keyed"."""

    def __init__(self, password: bytes = PASSWORD, identity: bytes = b"thing@example.com") -> None:
        self.msk = b""
        self.last: eap.EapPacket | None = None
        self._password = password
        self._identity = identity
        self._candidate = b""

    def respond(self, request: bytes) -> bytes | None:
        packet = self.last = eap.EapPacket.decode(request)
        if packet.code is eap.EapCode.SUCCESS:
            self.msk = self._candidate
        if packet.code is not eap.EapCode.REQUEST:
            return None
        if packet.type == eap.EapType.IDENTITY:
            return eap.response(packet.identifier, eap.EapType.IDENTITY, self._identity).encode()
        self._candidate = _msk(packet.data, self._password)
        return eap.response(packet.identifier, KEYED, _proof(packet.data, self._password)).encode()


def _bound(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((host, 0))
    return sock


@asynccontextmanager
async def opened(handle, *, host="127.0.0.1", networks=("127.0.0.0/8",), secret=SECRET, limits=None):
    """A served door; gives its port."""
    clients = [RadiusClient(ip_network(n), secret, organization_id=5, access_point_id=9) for n in networks]
    sock = _bound(host)
    door = await serve(handle, most_specific(clients), sock, limits)
    try:
        yield sock.getsockname()[1]
    finally:
        await door.close()


class Knocker:
    """A bare access point: sends datagrams, waits for them, knows nothing."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((host, port))

    async def send(self, datagram: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, datagram)

    async def receive(self, seconds: float = 2.0) -> bytes:
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().sock_recv(self._socket, 65535)

    async def ask(self, request: Packet, secret: bytes = SECRET) -> Packet:
        await self.send(request.encode())
        reply = Packet.decode(await self.receive())
        radius.verify_reply(reply, request, secret)
        return reply

    async def hears_nothing(self, seconds: float = 0.15) -> bool:
        with suppress(TimeoutError):
            return not await self.receive(seconds)
        return True


def _request(*attributes: Attribute, identifier: int = 1, secret: bytes = SECRET) -> Packet:
    return radius.access_request(identifier, os.urandom(16), attributes, secret)


def _eap_request(eap_packet: bytes = IDENTITY, *more: Attribute, **options) -> Packet:
    return _request(*radius.eap_attributes(eap_packet), *more, **options)


async def _alive(knocker: Knocker) -> bool:
    status = radius.status_server(200, os.urandom(16), SECRET)
    return (await knocker.ask(status)).code is Code.ACCESS_ACCEPT


async def test_a_device_authenticates_and_both_ends_hold_the_same_keys():
    server, peer = KeyedServer(), KeyedPeer()
    async with opened(server) as port:
        transport = RadiusTransport("127.0.0.1", port, SECRET)
        result = await transport.authenticate(peer)
        await transport.close()
    assert (result.success, result.msk_confirmed) == (True, True)
    first, second = server.inbound
    assert (first.via, first.source, first.organization_id, first.token) == (Via.RADIUS, "127.0.0.1", 5, "")
    assert first.body == eap.response(0, eap.EapType.IDENTITY, b"thing@example.com").encode()
    assert len(second.token) == 32


async def test_a_wrong_password_ends_in_reject_and_eap_failure():
    peer = KeyedPeer(b"guess")
    async with opened(KeyedServer()) as port:
        transport = RadiusTransport.from_url(
            f"radius://127.0.0.1:{port}?secret=correct%20horse%20battery%20staple"
        )
        result = await transport.authenticate(peer)
        await transport.close()
    assert (result.success, result.msk_confirmed, result.reason) == (False, None, "")
    assert peer.last is not None
    assert peer.last.code is eap.EapCode.FAILURE


async def test_a_dual_stack_socket_knows_its_ipv4_and_its_ipv6_clients():
    server = KeyedServer()
    async with opened(server, host="::", networks=("127.0.0.0/8", "::1/128")) as port:
        for host in ("127.0.0.1", "::1"):
            transport = RadiusTransport(host, port, SECRET)
            assert (await transport.authenticate(KeyedPeer())).msk_confirmed
            await transport.close()
    assert {i.source for i in server.inbound} == {"127.0.0.1", "::1"}


async def test_an_unknown_access_point_hears_nothing_and_leaves_one_line():
    server = KeyedServer()
    with structlog.testing.capture_logs() as lines:
        async with opened(server, networks=("192.0.2.0/24",)) as port:
            knocker = Knocker(port)
            await knocker.send(_eap_request().encode())
            assert await knocker.hears_nothing()
    assert [line["event"] for line in lines] == ["radius.unknown_client"]
    assert lines[0]["source"] == "127.0.0.1"
    assert not server.inbound


@pytest.mark.parametrize("kind", ["wrong secret", "no Message-Authenticator", "status with wrong secret"])
async def test_whoever_lacks_the_secret_hears_nothing_and_leaves_one_line(kind):
    datagram = {
        "wrong secret": _eap_request(secret=b"guess").encode(),
        "no Message-Authenticator": Packet(
            Code.ACCESS_REQUEST, 1, os.urandom(16), radius.eap_attributes(IDENTITY)
        ).encode(),
        "status with wrong secret": radius.status_server(1, os.urandom(16), b"guess").encode(),
    }[kind]
    server = KeyedServer()
    with structlog.testing.capture_logs() as lines:
        async with opened(server) as port:
            knocker = Knocker(port)
            await knocker.send(datagram)
            assert await knocker.hears_nothing()
            assert await _alive(knocker)
    warnings = [line for line in lines if line["log_level"] != "debug"]
    assert [(line["event"], line["error"]) for line in warnings] == [("radius.dropped", "NotAuthenticated")]
    assert SECRET.decode() not in repr(lines)
    assert not server.inbound


async def test_a_flood_of_bad_datagrams_writes_a_few_lines_only():
    with structlog.testing.capture_logs() as lines:
        async with opened(KeyedServer()) as port:
            knocker = Knocker(port)
            for _ in range(100):
                await knocker.send(_eap_request(secret=b"guess").encode())
            assert await _alive(knocker)
    assert 1 <= len([line for line in lines if line["event"] == "radius.dropped"]) <= 10


async def test_a_request_without_eap_is_rejected():
    server = KeyedServer()
    async with opened(server) as port:
        password = Attribute(AttributeType.USER_PASSWORD, bytes(16))
        reply = await Knocker(port).ask(_request(Attribute(AttributeType.USER_NAME, b"nemo"), password))
    assert reply.code is Code.ACCESS_REJECT
    assert [a.type for a in reply.attributes] == [AttributeType.MESSAGE_AUTHENTICATOR]
    assert not server.inbound


async def test_status_server_is_accepted_with_nothing_but_the_signature():
    async with opened(KeyedServer()) as port:
        reply = await Knocker(port).ask(radius.status_server(3, os.urandom(16), SECRET))
    assert reply.code is Code.ACCESS_ACCEPT
    assert [a.type for a in reply.attributes] == [AttributeType.MESSAGE_AUTHENTICATOR]


async def test_eap_start_is_answered_with_an_identity_request_and_keeps_nothing():
    server = KeyedServer()
    async with opened(server) as port:
        reply = await Knocker(port).ask(_request(Attribute(AttributeType.EAP_MESSAGE, b"")))
    asked = eap.EapPacket.decode(radius.eap_message(reply) or b"")
    assert (reply.code, asked.code, asked.type) == (
        Code.ACCESS_CHALLENGE,
        eap.EapCode.REQUEST,
        eap.EapType.IDENTITY,
    )
    assert reply.value(AttributeType.STATE) is None
    assert not server.inbound


async def test_every_kind_of_reply_begins_signed_and_ends_with_the_proxy_states():
    states = [Attribute(AttributeType.PROXY_STATE, b"outer"), Attribute(AttributeType.PROXY_STATE, b"inner")]
    name = Attribute(AttributeType.USER_NAME, b"thing@example.com")
    async with opened(KeyedServer()) as port:
        knocker = Knocker(port)
        challenge = await knocker.ask(_eap_request(IDENTITY, name, *states))
        state = Attribute(AttributeType.STATE, challenge.value(AttributeType.STATE) or b"")
        proof = _proof(bytes.fromhex(state.value.decode()), PASSWORD)
        right = eap.response(2, KEYED, proof).encode()
        wrong = eap.response(2, KEYED, bytes(32)).encode()
        accept = await knocker.ask(_eap_request(right, states[0], name, state, states[1]))
        reject = await knocker.ask(_eap_request(wrong, *states, state, name))
    codes = [r.code for r in (challenge, accept, reject)]
    assert codes == [Code.ACCESS_CHALLENGE, Code.ACCESS_ACCEPT, Code.ACCESS_REJECT]
    for reply in (challenge, accept, reject):
        assert reply.attributes[0].type == AttributeType.MESSAGE_AUTHENTICATOR
        assert list(reply.attributes[-2:]) == states
    assert accept.value(AttributeType.USER_NAME) == b"thing@example.com"
    assert [a.type for a in reject.attributes] == [80, 79, 33, 33]
    assert radius.eap_message(reject) == eap.failure(2).encode()


async def test_a_token_travels_verbatim_and_a_foreign_state_is_an_unknown_device():
    token = "".join(chr(c) for c in range(0x21, 0x7F))
    seen = []

    async def handle(protocol: str, inbound: Inbound) -> Reply:
        seen.append(inbound.token)
        return Reply(eap.request(2, KEYED, b"x").encode(), token=token)

    async with opened(handle) as port:
        knocker = Knocker(port)
        first = await knocker.ask(_eap_request())
        back = Attribute(AttributeType.STATE, first.value(AttributeType.STATE) or b"")
        await knocker.ask(_eap_request(eap.response(2, KEYED).encode(), back))
        foreign = Attribute(AttributeType.STATE, b"\xff\xfe")
        refused = await knocker.ask(_eap_request(eap.response(77, KEYED).encode(), foreign))
    assert seen == ["", token]
    assert refused.code is Code.ACCESS_REJECT
    assert radius.eap_message(refused) == eap.failure(77).encode()


async def test_a_long_eap_packet_crosses_in_pieces_both_ways():
    async def echo(protocol: str, inbound: Inbound) -> Reply:
        return Reply(eap.request(2, KEYED, eap.EapPacket.decode(inbound.body).data).encode())

    data = os.urandom(1000)
    async with opened(echo) as port:
        reply = await Knocker(port).ask(_eap_request(eap.response(1, KEYED, data).encode()))
    assert eap.EapPacket.decode(radius.eap_message(reply) or b"").data == data


def test_every_peer_error_has_a_behaviour():
    assert set(BEHAVIOURS) == set(PEER_ERRORS)


@pytest.mark.parametrize("error", PEER_ERRORS)
async def test_each_peer_error_ends_in_its_behaviour_and_one_line(error):
    async def refuse(protocol: str, inbound: Inbound) -> Reply:
        raise error("as the test wishes")

    with structlog.testing.capture_logs() as lines:
        async with opened(refuse) as port:
            knocker = Knocker(port)
            request = _eap_request(eap.response(42, KEYED).encode())
            if BEHAVIOURS[error] is Behaviour.SILENCE:
                await knocker.send(request.encode())
                assert await knocker.hears_nothing()
            else:
                reply = await knocker.ask(request)
                assert reply.code is Code.ACCESS_REJECT
                assert radius.eap_message(reply) == eap.failure(42).encode()
    assert [(line["event"], line["error"]) for line in lines] == [("radius.refused", error.__name__)]


class StricterError(NotAuthenticated):
    """A protocol's own subclass."""


async def test_a_subclass_behaves_as_its_class():
    async def refuse(protocol: str, inbound: Inbound) -> Reply:
        raise StricterError("x")

    async with opened(refuse) as port:
        assert (await Knocker(port).ask(_eap_request())).code is Code.ACCESS_REJECT


@pytest.mark.parametrize(
    "error", [LocalError("vault is shut"), ValueError("the psk is SESAME"), KeyError("SESAME")]
)
async def test_our_own_faults_are_silence_and_an_error_line_and_a_retransmission_may_succeed(error):
    calls = 0

    async def handle(protocol: str, inbound: Inbound) -> Reply:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error
        return Reply(eap.request(2, KEYED).encode())

    request = _eap_request()
    with structlog.testing.capture_logs() as lines:
        async with opened(handle) as port:
            knocker = Knocker(port)
            await knocker.send(request.encode())
            assert await knocker.hears_nothing()
            assert (await knocker.ask(request)).code is Code.ACCESS_CHALLENGE
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [(line["event"], line["error"]) for line in errors] == [("radius.own_fault", type(error).__name__)]
    assert "SESAME" not in repr(lines)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b""),
        Reply(eap.failure(1).encode(), Verdict.ACCEPT),
        Reply(eap.success(1).encode(), Verdict.REJECT),
        Reply(eap.success(1).encode(), Verdict.ACCEPT, msk=bytes(63)),
        Reply(eap.request(1, KEYED).encode(), token="x" * 254),
        Reply(eap.request(1, KEYED, bytes(5000)).encode()),
    ],
    ids=["empty", "accept with failure", "reject with success", "short MSK", "long token", "too long"],
)
async def test_a_reply_that_radius_cannot_say_is_our_own_fault(reply):
    async def handle(protocol: str, inbound: Inbound) -> Reply:
        return reply

    with structlog.testing.capture_logs() as lines:
        async with opened(handle) as port:
            knocker = Knocker(port)
            await knocker.send(_eap_request().encode())
            assert await knocker.hears_nothing()
            assert await _alive(knocker)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["radius.own_fault"]


async def test_a_retransmission_gets_the_same_octets_without_a_second_call():
    server, request = KeyedServer(), _eap_request()
    async with opened(server) as port:
        knocker = Knocker(port)
        answers = []
        for _ in range(3):
            await knocker.send(request.encode())
            answers.append(await knocker.receive())
        assert len(server.inbound) == 1
        assert len(set(answers)) == 1
        fresh = await knocker.ask(_eap_request(identifier=request.identifier))
        assert fresh.identifier == request.identifier
        elsewhere = Knocker(port)
        await elsewhere.send(request.encode())
        await elsewhere.receive()
    assert len(server.inbound) == 3


async def test_a_retransmission_during_the_work_is_dropped():
    release, calls = asyncio.Event(), 0

    async def slow(protocol: str, inbound: Inbound) -> Reply:
        nonlocal calls
        calls += 1
        await release.wait()
        return Reply(eap.request(2, KEYED).encode())

    request = _eap_request()
    async with opened(slow) as port:
        knocker = Knocker(port)
        for _ in range(3):
            await knocker.send(request.encode())
        assert await knocker.hears_nothing()
        release.set()
        Packet.decode(await knocker.receive())
        assert await knocker.hears_nothing()
    assert calls == 1


async def test_remembered_answers_are_bounded_and_expire():
    server = KeyedServer()
    async with opened(server, limits=Limits(max_answers=2, answer_seconds=0.3)) as port:
        knocker = Knocker(port)
        requests = [_eap_request(identifier=i) for i in range(3)]
        for request in requests:
            await knocker.ask(request)
        await knocker.ask(requests[2])
        assert len(server.inbound) == 3
        await knocker.ask(requests[0])
        assert len(server.inbound) == 4
        await asyncio.sleep(0.35)
        await knocker.ask(requests[2])
    assert len(server.inbound) == 5


async def test_work_under_way_is_bounded_and_the_door_stays_answerable():
    release = asyncio.Event()

    async def slow(protocol: str, inbound: Inbound) -> Reply:
        await release.wait()
        return Reply(eap.request(2, KEYED).encode())

    with structlog.testing.capture_logs() as lines:
        async with opened(slow, limits=Limits(max_in_flight=2)) as port:
            knocker = Knocker(port)
            for identifier in range(4):
                await knocker.send(_eap_request(identifier=identifier).encode())
            assert await _alive(knocker)
            release.set()
            answered = {(await knocker.receive())[1] for _ in range(2)}
            assert await knocker.hears_nothing()
    assert answered == {0, 1}
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["radius.overload"] * 2


async def test_closing_lets_work_under_way_be_answered():
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(protocol: str, inbound: Inbound) -> Reply:
        started.set()
        await release.wait()
        return Reply(eap.request(2, KEYED).encode())

    sock = _bound()
    door = await serve(slow, lambda _: RadiusClient(ip_network("0.0.0.0/0"), SECRET), sock)
    knocker, request = Knocker(sock.getsockname()[1]), _eap_request()
    await knocker.send(request.encode())
    await started.wait()
    closing = asyncio.create_task(door.close())
    await asyncio.sleep(0)
    release.set()
    reply = Packet.decode(await knocker.receive())
    radius.verify_reply(reply, request, SECRET)
    await closing


def test_the_most_specific_client_counts():
    wide = RadiusClient(ip_network("10.0.0.0/8"), b"wide")
    narrow = RadiusClient(ip_network("10.1.0.0/16"), b"narrow")
    lookup = most_specific([wide, narrow])
    assert lookup(ip_address("10.1.2.3")) is narrow
    assert lookup(ip_address("10.2.2.3")) is wide
    assert lookup(ip_address("11.0.0.1")) is None
    assert lookup(ip_address("::1")) is None


def test_a_client_without_a_secret_cannot_exist_and_none_shows_its_secret():
    with pytest.raises(LocalError):
        RadiusClient(ip_network("10.0.0.0/8"), b"")
    assert "narrow" not in repr(RadiusClient(ip_network("10.0.0.0/8"), b"narrow"))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=120), st.booleans()), max_size=20))
def test_any_bytes_signed_or_not_leave_the_door_alive(datagrams):
    """Signed ones carry the bytes as EAP packet, to a method that answers only what it can read."""

    async def run() -> None:
        async with opened(KeyedServer()) as port:
            knocker = Knocker(port)
            for octets, signed in datagrams:
                await knocker.send(_eap_request(octets or b"\x00").encode() if signed else octets or b"\x00")
            probe = Knocker(port)
            assert await _alive(probe)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run())
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_hundreds_of_devices_at_once_share_one_access_point_on_a_bad_network():
    """More than 256 requests are under way, so further source ports open; none of the devices is lost."""
    count = 400
    async with opened(KeyedServer()) as port:
        faults = Faults(loss=0.1, repeat=0.1, reorder=0.1, seed=7)
        transport = RadiusTransport("127.0.0.1", port, SECRET, faults=faults, retry_seconds=(0.5,) * 8)
        results = await asyncio.gather(*(transport.authenticate(KeyedPeer()) for _ in range(count)))
        await transport.close()
    assert [r for r in results if not (r.success and r.msk_confirmed)] == []


async def test_silence_and_a_dead_port_are_results_with_a_reason():
    async with opened(KeyedServer()) as port:
        transport = RadiusTransport("127.0.0.1", port, b"wrong", retry_seconds=(0.05, 0.05))
        assert (await transport.authenticate(KeyedPeer())).reason == "no-answer"
        await transport.close()
    closed = _bound()
    dead = closed.getsockname()[1]
    closed.close()
    transport = RadiusTransport("127.0.0.1", dead, SECRET, retry_seconds=(0.05, 0.05))
    assert (await transport.authenticate(KeyedPeer())).reason == "no-answer"
    await transport.close()


class _Forger(asyncio.DatagramProtocol):
    """Answers each request with an unsigned Access-Accept, then one under the wrong secret, then rightly."""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr) -> None:
        request = Packet.decode(data)
        success = radius.eap_attributes(eap.success(0).encode())
        bare = Packet(Code.ACCESS_ACCEPT, request.identifier, bytes(16), success)
        signed = radius.response_authenticator(bare, request.authenticator, SECRET)
        half = Packet(Code.ACCESS_ACCEPT, request.identifier, signed, success)
        wrong = radius.reply_to(request, Code.ACCESS_ACCEPT, success, b"guess")
        failure = radius.eap_attributes(eap.failure(0).encode())
        right = radius.reply_to(request, Code.ACCESS_REJECT, failure, SECRET)
        for reply in (bare, half, wrong, right):
            self.transport.sendto(reply.encode(), addr)


async def test_the_access_point_believes_only_fully_signed_replies():
    sock = _bound()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Forger, sock=sock)
    access_point = RadiusTransport("127.0.0.1", sock.getsockname()[1], SECRET)
    result = await access_point.authenticate(KeyedPeer())
    await access_point.close()
    transport.close()
    assert result.success is False
    assert result.reason == ""


@pytest.mark.parametrize(
    "url",
    [
        "radius://127.0.0.1:1812",
        "http://127.0.0.1?secret=SESAME",
        "radius://?secret=SESAME",
        "radius://h:99999?secret=SESAME",
    ],
)
def test_a_bad_radius_url_is_refused_without_repeating_the_secret(url):
    with pytest.raises(LocalError) as caught:
        RadiusTransport.from_url(url)
    assert "SESAME" not in str(caught.value)


def test_the_same_seed_brings_the_same_faults():
    faults = Faults(loss=0.3, repeat=0.3, reorder=0.3, seed=3)
    first, second = faults.dice(), faults.dice()
    fates = [first.deliveries() for _ in range(200)]
    assert fates == [second.deliveries() for _ in range(200)]
    assert {len(f) for f in fates} == {0, 1, 2}
    assert all(d == (0.0,) for d in [Faults().dice().deliveries() for _ in range(10)])
