"""Foreign implementations at both ends of our RADIUS: Debian's eapol_test at the door, its hostapd as server.

The methods behind the door are local to this file: an offer of EAP-NOOB that any other peer must decline, and
EAP-PSK (RFC 4764), which eapol_test speaks and which yields keys. ``radius_door`` says which door the
declining tests knock at, so that they run against a whole portal as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from bootstrap.contract import Handle, Inbound, Reply, Verdict
from bootstrap.doors.radius import RadiusClient, most_specific, serve
from bootstrap.errors import NotAuthenticated, UnexpectedMessage, UnknownDevice
from bootstrap.simulator.radius import RadiusTransport
from bootstrap.wire import eap

pytestmark = pytest.mark.peer

PSK = b"0123456789abcdef"
SECRET = "testing123"
NOOB_IDENTITY = "noob@eap-noob.arpa"


class RadiusAddress(NamedTuple):
    """Where a RADIUS door is and the secret it shares with 127.0.0.1."""

    host: str
    port: int
    secret: str


def _binary(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        say = f"{name} is missing: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(say)
        pytest.skip(say)
    return found


# --- methods behind the door ----------------------------------------------------------------------------


async def offer_noob(protocol: str, inbound: Inbound) -> Reply:
    """Answers an identity with EAP-NOOB's first request and gives up on a Nak (RFC 3748 section 5.3.1)."""
    packet = eap.EapPacket.decode(inbound.body)
    if packet.type == eap.EapType.IDENTITY:
        ask = eap.request(packet.identifier + 1, eap.EapType.NOOB, b'{"Type":1}')
        return Reply(ask.encode(), token="offered")
    if packet.type == eap.EapType.NAK and inbound.token == "offered":
        return Reply(eap.failure(packet.identifier).encode(), Verdict.REJECT)
    raise UnexpectedMessage(f"EAP type {packet.type}")


def _aes(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _counted(block: bytes, i: int) -> bytes:
    return _xor(block, i.to_bytes(16, "big"))


def _eax(key: bytes, number: int, header: bytes, octet: int) -> bytes:
    """PCHANNEL: nonce, tag, one encrypted octet (RFC 4764 section 3.3, EAX with AES-128)."""
    nonce = number.to_bytes(4, "big")
    whitened = _cmac(key, bytes(16) + bytes(12) + nonce)
    stream = Cipher(algorithms.AES(key), modes.CTR(whitened)).encryptor()
    sealed = stream.update(bytes((octet,)))
    tag = _xor(
        _xor(whitened, _cmac(key, bytes(15) + b"\x01" + header)), _cmac(key, bytes(15) + b"\x02" + sealed)
    )
    return nonce + tag + sealed


class PskKeys:
    """RFC 4764 sections 3.1 and 3.2."""

    def __init__(self, psk: bytes) -> None:
        top = _aes(psk, bytes(16))
        self.ak = _aes(psk, _counted(top, 1))
        self._kdk = _aes(psk, _counted(top, 2))

    def session(self, rand_p: bytes) -> tuple[bytes, bytes]:
        """TEK and MSK."""
        top = _aes(self._kdk, rand_p)
        blocks = [_aes(self._kdk, _counted(top, i)) for i in range(1, 6)]
        return blocks[0], b"".join(blocks[1:])


class PskServer:
    """EAP-PSK's four messages; the token carries what the server must remember."""

    ID_S = b"onward"
    DONE_SUCCESS = 0x80

    def __init__(self, psk: bytes) -> None:
        self._keys = PskKeys(psk)

    async def __call__(self, protocol: str, inbound: Inbound) -> Reply:
        packet = eap.EapPacket.decode(inbound.body)
        identifier = (packet.identifier + 1) % 256
        if packet.type == eap.EapType.IDENTITY:
            rand_s = os.urandom(16)
            first = eap.request(identifier, eap.EapType.PSK, b"\x00" + rand_s + self.ID_S)
            return Reply(first.encode(), token=rand_s.hex())
        if packet.type != eap.EapType.PSK or not inbound.token:
            raise UnknownDevice("no EAP-PSK conversation")
        if packet.data[0] == 0x40:
            return self._second(packet, identifier, bytes.fromhex(inbound.token))
        return self._fourth(packet, bytes.fromhex(inbound.token))

    def _second(self, packet: eap.EapPacket, identifier: int, rand_s: bytes) -> Reply:
        rand_p, mac_p, id_p = packet.data[17:33], packet.data[33:49], packet.data[49:]
        if mac_p != _cmac(self._keys.ak, id_p + self.ID_S + rand_s + rand_p):
            raise NotAuthenticated("wrong MAC_P")
        tek, _ = self._keys.session(rand_p)
        clear = b"\x80" + rand_s + _cmac(self._keys.ak, self.ID_S + rand_p)
        whole = eap.request(identifier, eap.EapType.PSK, clear + bytes(21)).encode()
        third = eap.request(identifier, eap.EapType.PSK, clear + _eax(tek, 0, whole[:22], self.DONE_SUCCESS))
        return Reply(third.encode(), token=(rand_s + rand_p).hex())

    def _fourth(self, packet: eap.EapPacket, memory: bytes) -> Reply:
        tek, msk = self._keys.session(memory[16:])
        if packet.data[17:] != _eax(tek, 1, packet.encode()[:22], self.DONE_SUCCESS):
            raise NotAuthenticated("wrong PCHANNEL")
        return Reply(eap.success(packet.identifier).encode(), Verdict.ACCEPT, msk=msk)


class PskPeer:
    """The device side, for our access point before a foreign server."""

    def __init__(self, psk: bytes, identity: bytes) -> None:
        self.msk = b""
        self._keys = PskKeys(psk)
        self._identity = identity
        self._rand_p = os.urandom(16)

    def respond(self, request: bytes) -> bytes | None:
        packet = eap.EapPacket.decode(request)
        if packet.code is eap.EapCode.SUCCESS:
            self.msk = self._keys.session(self._rand_p)[1]
        if packet.code is not eap.EapCode.REQUEST:
            return None
        if packet.type == eap.EapType.IDENTITY:
            return eap.response(packet.identifier, eap.EapType.IDENTITY, self._identity).encode()
        rand_s = packet.data[1:17]
        if packet.data[0] == 0x00:
            mac = _cmac(self._keys.ak, self._identity + packet.data[17:] + rand_s + self._rand_p)
            data = b"\x40" + rand_s + self._rand_p + mac + self._identity
        else:
            tek, _ = self._keys.session(self._rand_p)
            clear = b"\xc0" + rand_s
            whole = eap.response(packet.identifier, eap.EapType.PSK, clear + bytes(21)).encode()
            data = clear + _eax(tek, 1, whole[:22], PskServer.DONE_SUCCESS)
        return eap.response(packet.identifier, eap.EapType.PSK, data).encode()


# --- the foreign programs -------------------------------------------------------------------------------


@asynccontextmanager
async def _door(handle: Handle) -> AsyncIterator[RadiusAddress]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    client = RadiusClient(ip_network("127.0.0.1/32"), SECRET.encode())
    door = await serve(handle, most_specific([client]), sock)
    try:
        yield RadiusAddress("127.0.0.1", sock.getsockname()[1], SECRET)
    finally:
        await door.close()


@pytest.fixture
async def radius_door() -> AsyncIterator[RadiusAddress]:
    """A door that offers EAP-NOOB to whoever names itself ``noob@eap-noob.arpa``."""
    async with _door(offer_noob) as address:
        yield address


class Run(NamedTuple):
    """What one eapol_test left."""

    code: int
    output: str
    seconds: float


async def eapol_test(folder: Path, door: RadiusAddress, network: dict[str, str], *options: str) -> Run:
    program = _binary("eapol_test", "eapoltest")
    lines = "".join(f"  {key}={value}\n" for key, value in {"key_mgmt": "WPA-EAP", **network}.items())
    config = folder / "network.conf"
    config.write_text(f"network={{\n{lines}}}\n")
    arguments = ("-c", str(config), "-a", door.host, "-p", str(door.port), "-s", door.secret, *options)
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Run(process.returncode, output.decode(errors="replace"), time.monotonic() - started)


def quoted(text: str) -> str:
    return f'"{text}"'


PSK_NETWORK = {"eap": "PSK", "password": PSK.hex(), "identity": quoted("psk@example.com")}
OTHER_METHODS = {
    "PSK": {**PSK_NETWORK, "identity": quoted(NOOB_IDENTITY)},
    "MD5": {"eap": "MD5", "identity": quoted(NOOB_IDENTITY), "password": quoted("x")},
    "PEAP": {"eap": "PEAP", "identity": quoted(NOOB_IDENTITY), "password": quoted("x")},
}


@pytest.mark.parametrize("method", OTHER_METHODS)
async def test_a_peer_without_noob_is_offered_it_declines_and_is_rejected_at_once(
    radius_door, tmp_path, method
):
    run = await eapol_test(tmp_path, radius_door, OTHER_METHODS[method], "-t", "10")
    assert run.code == 252, run.output
    assert "vendor 0 method 56" in run.output
    assert "EAP: Building EAP-Nak" in run.output
    assert "Access-Reject" in run.output
    assert "EAP: Received EAP-Failure" in run.output
    assert "EAPOL test timed out" not in run.output
    assert run.seconds < 5


async def test_a_wrong_secret_is_met_with_silence(radius_door, tmp_path):
    wrong = radius_door._replace(secret="not the secret")
    run = await eapol_test(tmp_path, wrong, OTHER_METHODS["PSK"], "-t", "4")
    assert run.code == 252, run.output
    assert "EAPOL test timed out" in run.output
    assert "Received RADIUS message" not in run.output


async def test_the_first_attribute_a_foreign_client_sees_is_message_authenticator(radius_door, tmp_path):
    run = await eapol_test(tmp_path, radius_door, OTHER_METHODS["PSK"], "-t", "10")
    replies = run.output.split("Received RADIUS message")[1:]
    assert len(replies) == 2, run.output
    for reply in replies:
        first = next(line for line in reply.splitlines() if line.strip().startswith("Attribute "))
        assert "(Message-Authenticator)" in first


async def test_attributes_of_real_access_points_do_not_disturb(radius_door, tmp_path):
    """Called-Station-Id, NAS-Identifier, Chargeable-User-Identity, two Proxy-States, a Cisco attribute."""
    more = ("-N30:s:02-00-00-00-00-02:ssid", "-N32:s:ap-7", "-N89:d:0", "-N33:x:0102", "-N33:x:03",
            "-N26:x:00000009010d73756273637269626572")  # fmt: skip
    run = await eapol_test(tmp_path, radius_door, OTHER_METHODS["PSK"], "-t", "10", *more)
    assert "Access-Reject" in run.output, run.output
    assert "Attribute 33 (Proxy-State) length=4" in run.output.split("Received RADIUS message")[-1]
    assert run.seconds < 5


async def test_a_foreign_peer_is_accepted_and_finds_the_mppe_keys_right(tmp_path):
    async with _door(PskServer(PSK)) as address:
        run = await eapol_test(tmp_path, address, PSK_NETWORK, "-t", "10", "-r", "2")
    assert run.code == 0, run.output
    assert run.output.rstrip().endswith("SUCCESS")
    assert "MPPE keys OK: 3  mismatch: 0" in run.output


async def test_a_foreign_peer_with_another_key_is_rejected(tmp_path):
    async with _door(PskServer(PSK[::-1])) as address:
        run = await eapol_test(tmp_path, address, PSK_NETWORK, "-t", "10")
    assert run.code == 252
    assert "Access-Reject" in run.output
    assert "EAP: Received EAP-Failure" in run.output


@asynccontextmanager
async def _hostapd(folder: Path) -> AsyncIterator[RadiusAddress]:
    """Debian's hostapd as RADIUS server with one EAP-PSK user; needs no privileges."""
    program = _binary("hostapd", "hostapd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "users").write_text(f'"psk@example.com" PSK {PSK.hex()}\n')
    (folder / "clients").write_text(f"127.0.0.1/32 {SECRET}\n")
    (folder / "hostapd.conf").write_text(
        f"interface=lo\ndriver=none\neap_server=1\neap_user_file={folder}/users\n"
        f"radius_server_clients={folder}/clients\nradius_server_auth_port={port}\n"
    )
    process = await asyncio.create_subprocess_exec(
        program, str(folder / "hostapd.conf"), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield RadiusAddress("127.0.0.1", port, SECRET)
    finally:
        process.terminate()
        await process.wait()


async def test_our_access_point_authenticates_devices_at_a_foreign_server(tmp_path):
    async with _hostapd(tmp_path) as server:
        url = f"radius://{server.host}:{server.port}?secret={server.secret}"
        transport = RadiusTransport.from_url(url, retry_seconds=(0.3,) * 20)
        good = [PskPeer(PSK, b"psk@example.com") for _ in range(5)]
        results = await asyncio.gather(*(transport.authenticate(peer) for peer in good))
        stranger = await transport.authenticate(PskPeer(PSK, b"nobody@example.com"))
        await transport.close()
    assert all(r.success and r.msk_confirmed for r in results), results
    assert stranger.success is False


def test_the_recorded_session_recomputes_with_the_methods_of_this_file():
    """Guards the yardstick itself: recorded RAND_P gives the recorded MSK."""
    recorded = json.loads((Path(__file__).parents[1] / "vectors/radius/hostapd-eap-psk.json").read_text())
    rand_p = bytes.fromhex("efb02057015f3202808a54721f6fff8b")
    assert rand_p.hex() in recorded["packets"][2]["hex"]
    msk = PskKeys(bytes.fromhex(recorded["psk"])).session(rand_p)[1]
    assert msk.hex() == recorded["msk"]
