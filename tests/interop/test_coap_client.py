"""libcoap's coap-client and coap-server against the CoAP door.

``door_url`` is the door under test; a test of the whole portal may override the fixture with its own URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiocoap import Message
from aiocoap.numbers import codes

from bootstrap.contract import Inbound, Reply, Verdict
from bootstrap.doors import coap
from bootstrap.errors import TooManyRequests
from bootstrap.wire import coap_eap, eap
from bootstrap.wire.eap import EapCode, EapPacket

pytestmark = pytest.mark.peer

NO_RESPONSE = "258,0x1a"


def binary(*names: str) -> str:
    """The first of these that is installed; Debian calls them by their TLS library."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    message = f"none of {', '.join(names)} is installed: apt-get install libcoap3-bin"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def coap_client() -> str:
    return binary("coap-client-notls", "coap-client-openssl", "coap-client-gnutls", "coap-client")


@pytest.fixture(scope="module")
def coap_server() -> str:
    return binary("coap-server-notls", "coap-server-openssl", "coap-server-gnutls", "coap-server")


async def engine(protocol: str, inbound: Inbound) -> Reply:
    if protocol == "eap":
        return Reply(eap.failure(inbound.body[1]).encode(), Verdict.REJECT)
    if inbound.operation == "busy":
        raise TooManyRequests("later", 7)
    return Reply(inbound.body[::-1])


@pytest.fixture
async def door_url() -> AsyncIterator[str]:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(coap.serve(engine, "127.0.0.1", 0, ready=url.set_result))
    yield await url
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def run(*arguments: str) -> tuple[bytes, str]:
    """Standard output and error of a program that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    return output, errors.decode(errors="replace")


async def test_it_reads_the_list_of_resources(coap_client: str, door_url: str):
    output, errors = await run(coap_client, "-B", "5", f"{door_url}/.well-known/core")
    assert b"</.well-known/coap-eap>" in output
    assert errors == ""


@pytest.mark.parametrize(
    ("arguments", "path", "code"),
    [
        ((), "/nothing", "4.04"),
        (("-m", "put", "-e", "x"), "/.well-known/core", "4.05"),
        (("-m", "get"), "/.well-known/coap-eap", "4.05"),
        (("-m", "post", "-e", "no path"), "/.well-known/coap-eap", "4.00"),
        (("-m", "post", "-e", "/a", "-t", "60"), "/.well-known/coap-eap", "4.15"),
        (("-m", "post", "-e", "/" + "a" * 300), "/.well-known/coap-eap", "4.13"),
        (("-O", "9,0x0900"), "/.well-known/core", "4.02"),
    ],
)
async def test_it_hears_the_code_of_a_bad_request(
    coap_client: str, door_url: str, arguments: tuple[str, ...], path: str, code: str
):
    _, errors = await run(coap_client, "-B", "5", *arguments, f"{door_url}{path}")
    assert errors.startswith(code)


async def test_a_trigger_is_taken_and_our_request_arrives_where_it_came_from(coap_client: str, door_url: str):
    """The client asked for no response, so it is still there when the door turns around and asks."""
    output, errors = await run(
        coap_client, "-m", "post", "-B", "2", "-v", "7", "-O", NO_RESPONSE, "-e", "/libcoap/first",
        f"{door_url}/.well-known/coap-eap",
    )  # fmt: skip
    heard = output.decode(errors="replace") + errors
    assert "c:POST" in heard.split("received", 1)[1]
    assert "Uri-Path:libcoap, Uri-Path:first, Content-Format:269" in heard


async def test_a_trigger_without_no_response_is_answered(coap_client: str, door_url: str):
    output, errors = await run(
        coap_client, "-m", "post", "-B", "5", "-v", "7", "-e", "/a", f"{door_url}/.well-known/coap-eap"
    )
    assert "c:2.04" in output.decode(errors="replace") + errors


@pytest.mark.parametrize("block", ["16", "64", "1024"])
async def test_provisioning_goes_block_wise_both_ways(
    coap_client: str, door_url: str, tmp_path: Path, block: str
):
    body = os.urandom(3000)
    (tmp_path / "body").write_bytes(body)
    _, errors = await run(
        coap_client, "-m", "post", "-B", "20", "-b", block, "-t", "16", "-f", str(tmp_path / "body"),
        "-o", str(tmp_path / "answer"), f"{door_url}/provision/locator",
    )  # fmt: skip
    assert errors == ""
    assert (tmp_path / "answer").read_bytes() == body[::-1]


async def test_a_body_that_is_too_long_is_refused_at_its_first_block(
    coap_client: str, door_url: str, tmp_path: Path
):
    (tmp_path / "body").write_bytes(bytes(100_000))
    output, errors = await run(
        coap_client, "-m", "post", "-B", "10", "-v", "7", "-f", str(tmp_path / "body"),
        f"{door_url}/provision/locator",
    )  # fmt: skip
    heard = output.decode(errors="replace") + errors
    assert "4.13" in heard
    assert heard.count("Block1:") == 1


async def test_a_busy_answer_carries_max_age(coap_client: str, door_url: str):
    output, errors = await run(
        coap_client, "-m", "post", "-B", "5", "-v", "7", "-e", "x", f"{door_url}/provision/busy"
    )
    heard = output.decode(errors="replace") + errors
    assert "c:4.29" in heard
    assert "Max-Age:7" in heard


class Relay(asyncio.DatagramProtocol):
    """The device's face towards the door, libcoap's server behind it: datagrams go through untouched."""

    def __init__(self, door: tuple[str, int], device: tuple[str, int]) -> None:
        self.other = {door: device, device: door}
        self.device = device
        self.to_device: list[bytes] = []
        self.to_door: list[bytes] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        to = self.other[addr]
        (self.to_device if to == self.device else self.to_door).append(data)
        self.transport.sendto(data, to)


@contextlib.asynccontextmanager
async def libcoap_device(program: str) -> AsyncIterator[tuple[str, int]]:
    """coap-server that creates any resource it is asked for, and says so with 2.01 and Location-Path."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address: tuple[str, int] = free.getsockname()
    process = await asyncio.create_subprocess_exec(
        program, "-A", "127.0.0.1", "-p", str(address[1]), "-d", "10", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield address
    finally:
        process.terminate()
        await process.wait()


async def test_libcoap_as_device_is_followed_to_the_resource_it_names(coap_server: str, door_url: str):
    """It answers 2.01 with Location-Path but speaks no EAP: we go there to say EAP-Failure, and end."""
    door = ("127.0.0.1", int(door_url.rsplit(":", 1)[1]))
    async with libcoap_device(coap_server) as device:
        await asyncio.sleep(0.3)
        transport, relay = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Relay(door, device), local_addr=("127.0.0.1", 0)
        )
        trigger = b"\x50\x02\x00\x01\xbb.well-known\x08coap-eap\xd1\xea\x1a\xff/libcoap/device"
        transport.sendto(trigger, door)
        async with asyncio.timeout(10):
            while len(relay.to_door) < 2:
                await asyncio.sleep(0.02)
        transport.close()
    first, last = map(Message.decode, relay.to_device)
    answers = [Message.decode(answer) for answer in relay.to_door]
    assert EapPacket.decode(coap_eap.split(first.payload)[0]).code is EapCode.REQUEST
    assert answers[0].code == codes.CREATED
    assert last.opt.uri_path == answers[0].opt.location_path == ("libcoap", "device")
    assert EapPacket.decode(last.payload).code is EapCode.FAILURE
    assert answers[1].code.is_response()
