"""FDO at the HTTP door: tokens, headers, limits and message 255; the real engine behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from engine_world import House, mine
from fdo_house import Thing, factory

from bootstrap.contract import Inbound, Reply, Verdict
from bootstrap.doors import fdo
from bootstrap.doors.http import HttpDoor, is_device_path
from bootstrap.errors import (
    PEER_ERRORS,
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    PeerError,
    TooManyRequests,
    UnknownDevice,
)
from bootstrap.protocols.fdo.constants import InvalidOwnerSign, InvalidToken, InvalidVoucher, ResourceNotFound
from bootstrap.protocols.fdo.messages import ErrorMessage
from devices.models import Membership

__all__ = ["factory", "mine"]

Handle = Callable[[str, Inbound], Awaitable[Reply]]


class Engine:
    """Answers or raises as it is told, and remembers what it was handed."""

    def __init__(self, result: Reply | Exception) -> None:
        self.result = result
        self.handed: list[tuple[str, Inbound]] = []

    async def __call__(self, slug: str, inbound: Inbound) -> Reply:
        self.handed.append((slug, inbound))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def post(
    handle: Handle, path: str, body: bytes = b"\x80", method: str = "POST", **headers: str
) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(HttpDoor(handle), client=("192.0.2.5", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://portal") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=body, headers=named)

    return asyncio.run(ask())


def told(response: httpx.Response) -> ErrorMessage:
    """Of an answer that carries message 255 as every client wants it."""
    assert response.status_code == 500
    assert response.headers["message-type"] == "255"
    assert response.headers["content-type"] == "application/cbor"
    assert int(response.headers["content-length"]) == len(response.content)
    return ErrorMessage.decode(response.content)


def test_a_message_goes_to_its_binding_and_comes_back_with_number_and_token() -> None:
    for number, slug in fdo.BINDINGS.items():
        if number == 255:
            continue
        engine = Engine(Reply(b"\x81\x01", token="new"))
        answer = post(
            engine, f"/fdo/101/msg/{number}", b"\x80", authorization="Bearer old", content_type="text/x"
        )
        assert (answer.status_code, answer.content) == (200, b"\x81\x01")
        assert answer.headers["message-type"] == str(number + 1)
        assert answer.headers["content-type"] == "application/cbor"
        assert answer.headers["authorization"] == "Bearer new"
        ((handed, inbound),) = engine.handed
        assert (handed, inbound.operation, inbound.token, inbound.source) == (
            slug,
            str(number),
            "old",
            "192.0.2.5",
        )


@pytest.mark.parametrize("given", ["Bearer abc", "bearer abc", "BEARER  abc", "abc"])
def test_a_token_comes_back_however_it_is_spelled(given: str) -> None:
    engine = Engine(Reply(b""))
    post(engine, "/fdo/101/msg/64", authorization=given)
    assert engine.handed[0][1].token == "abc"


@pytest.mark.parametrize("given", ["Basic abc", "Bearer", ""])
def test_what_is_no_bearer_token_is_none(given: str) -> None:
    engine = Engine(Reply(b""))
    post(engine, "/fdo/101/msg/64", authorization=given)
    assert engine.handed[0][1].token in ("", "Bearer")


def test_headers_of_odd_clients_are_no_reason_to_refuse() -> None:
    answer = post(Engine(Reply(b"")), "/fdo/101/msg/60", Http="1", _connection="x", accept="image/png")
    assert answer.status_code == 200


def test_a_station_is_part_of_the_path() -> None:
    engine = Engine(Reply(b""))
    post(engine, "/di/line-7/fdo/101/msg/10")
    assert engine.handed[0][1].operation == "10/line-7"


@pytest.mark.parametrize(
    "error", [*PEER_ERRORS, InvalidToken, InvalidVoucher, InvalidOwnerSign, ResourceNotFound]
)
def test_every_refusal_is_message_255_with_its_code(error: type[PeerError]) -> None:
    codes = {
        MalformedMessage: 100,
        UnknownDevice: 6,
        InvalidToken: 1,
        InvalidVoucher: 2,
        InvalidOwnerSign: 3,
        ResourceNotFound: 6,
        TooManyRequests: 500,
    }
    said = told(post(Engine(error("which check failed")), "/fdo/101/msg/64"))
    assert (said.code, said.previous) == (codes.get(error, 101), 64)
    assert "which check failed" not in said.text
    assert said.correlation is not None


def test_a_limit_says_when_to_come_again() -> None:
    answer = post(Engine(TooManyRequests("slow", 7)), "/fdo/101/msg/60")
    assert told(answer).code == 500
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("error", [LocalError("disk"), RuntimeError("bug"), ZeroDivisionError()])
def test_our_own_faults_are_500_too(error: Exception) -> None:
    assert told(post(Engine(error), "/fdo/101/msg/64")).code == 500


def test_a_reply_that_is_a_rejection_is_message_255() -> None:
    body = ErrorMessage(500, 68, "x").encode()
    answer = post(Engine(Reply(body, Verdict.REJECT)), "/fdo/101/msg/68")
    assert told(answer).previous == 68


@pytest.mark.parametrize("result", [Reply(b"", Verdict.REJECT), NotAuthenticated("x"), LocalError("x")])
def test_an_error_from_the_device_is_answered_with_nothing(result: Any) -> None:
    answer = post(Engine(result), "/fdo/101/msg/255", ErrorMessage(1, 61, "x").encode())
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("number", [0, 11, 13, 61, 71, 99, 254, 256, 999])
def test_a_number_that_nobody_sends_to_us_is_an_invalid_message(number: int) -> None:
    engine = Engine(Reply(b""))
    assert told(post(engine, f"/fdo/101/msg/{number}")).code == 101
    assert not engine.handed


@pytest.mark.parametrize(
    "path",
    ["/fdo/200/msg/80", "/fdo/101/msg/", "/fdo/101/msg/x", "/fdo/101/msg/1000", "/fdo/101/msg/60/", "/fdo/",
     "/fdo/101/msg/-1", "/fdo/101/msg/٣", "/di/", "/di/x", "/di//fdo/101/msg/10", "/di/a/b/fdo/101/msg/10"],
)  # fmt: skip
def test_other_paths_are_not_found(path: str) -> None:
    assert post(Engine(Reply(b"")), path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_only_post(method: str) -> None:
    assert post(Engine(Reply(b"")), "/fdo/101/msg/60", method=method).status_code == 405


@pytest.mark.parametrize(("number", "most"), [(60, 65535), (64, 65535), (22, 98304), (68, 98304)])
def test_a_body_has_a_limit_before_anything_is_decoded(number: int, most: int) -> None:
    engine = Engine(Reply(b""))
    assert post(engine, f"/fdo/101/msg/{number}", bytes(most)).status_code == 200
    answer = post(engine, f"/fdo/101/msg/{number}", bytes(most + 1))
    assert told(answer).code == 100
    assert len(engine.handed) == 1


def test_a_token_has_a_limit() -> None:
    engine = Engine(Reply(b""))
    assert told(post(engine, "/fdo/101/msg/64", authorization="Bearer " + "x" * 9000)).code == 1
    assert not engine.handed


def test_the_router_knows_the_paths() -> None:
    assert all(map(is_device_path, ("/fdo/101/msg/60", "/di/x/fdo/101/msg/10", "/eap", "/provision/x")))
    assert not any(map(is_device_path, ("/fdo", "/devices/1", "/d/guid", "/", "/digits")))


def test_a_whole_device_over_http(factory: House, mine: Membership) -> None:
    """The same peers as everywhere, with nothing but requests between."""
    thing = Thing(factory)

    def over_http(number: int, body: bytes, token: str = "", station: str = "") -> fdo.Answer:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(HttpDoor(factory.engine.handle), client=("192.0.2.5", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://portal") as client:
                headers = {"content-type": "application/cbor"}
                if token:
                    headers["authorization"] = token
                return await client.post(f"/fdo/101/msg/{number}", content=body, headers=headers)

        answer = factory.run(ask())
        return fdo.Answer(
            int(answer.headers["message-type"]), answer.content, answer.headers.get("authorization", "")
        )

    thing.send = over_http  # type: ignore[method-assign, assignment]
    thing.admit(mine)
    thing.to0(thing.initialized())
    assert not thing.to2(thing.to1()).reused
