"""FDO at the CoAP door, over real UDP: block-wise both ways, the token in the query, message 255 in 5.00."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aiocoap import Context, Message
from aiocoap.numbers import codes
from engine_world import House, mine
from fdo_house import Thing, factory

from bootstrap.contract import Handle, Inbound, Reply, Via
from bootstrap.doors import coap, fdo
from bootstrap.doors.coap.fdo import KEPT_SECONDS, TOKEN_MAX_LENGTH, KeptTokens
from bootstrap.errors import NotAuthenticated, TooManyRequests
from bootstrap.protocols.fdo.constants import InvalidToken
from bootstrap.protocols.fdo.messages import ErrorMessage
from devices.models import Membership

__all__ = ["factory", "mine"]


class Client:
    """A CoAP client that follows the token as a device does."""

    def __init__(self, context: Context, url: str) -> None:
        self._context, self._port = context, urlsplit(url).port

    async def post(self, path: str, body: bytes, token: str = "", content_format: int | None = 60) -> Message:
        query = f"?{token}" if token else ""
        message = Message(code=codes.POST, payload=body, uri=f"coap://127.0.0.1:{self._port}{path}{query}")
        message.opt.content_format = content_format
        return await asyncio.wait_for(self._context.request(message).response, 30)


@asynccontextmanager
async def door(handle: Handle) -> AsyncIterator[Client]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(coap.serve(handle, "127.0.0.1", 0, ready=ready.set_result))
    context = await Context.create_client_context()
    try:
        yield Client(context, await asyncio.wait_for(ready, 10))
    finally:
        await context.shutdown()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def answering(result: Reply | Exception, handed: list[tuple[str, Inbound]]) -> Handle:
    async def handle(slug: str, inbound: Inbound) -> Reply:
        handed.append((slug, inbound))
        if isinstance(result, Exception):
            raise result
        return result

    return handle


async def test_a_message_comes_through_whole_and_its_answer_too() -> None:
    handed: list[tuple[str, Inbound]] = []
    large = bytes(range(256)) * 200
    async with door(answering(Reply(large, token="c-short"), handed)) as client:
        answer = await client.post("/fdo/101/msg/68", large)
    assert (answer.code, answer.payload, answer.opt.content_format) == (codes.CHANGED, large, 60)
    assert answer.opt.location_query == ("t=c-short",)
    ((slug, inbound),) = handed
    assert (slug, inbound.operation, inbound.body, inbound.via) == ("fdo", "68", large, Via.COAP)


async def test_a_long_token_stays_here_under_a_short_name() -> None:
    handed: list[tuple[str, Inbound]] = []
    async with door(answering(Reply(b"\x80", token="h" + "x" * 2000), handed)) as client:
        first = await client.post("/fdo/101/msg/60", b"\x80")
        (name,) = first.opt.location_query
        assert len(name) <= TOKEN_MAX_LENGTH
        await client.post("/fdo/101/msg/62", b"\x80", name)
    assert [inbound.token for _slug, inbound in handed] == ["", "h" + "x" * 2000]


async def test_a_station_is_part_of_the_path() -> None:
    handed: list[tuple[str, Inbound]] = []
    async with door(answering(Reply(b"\x80"), handed)) as client:
        await client.post("/di/line-7/fdo/101/msg/10", b"\x80")
    assert handed[0][1].operation == "10/line-7"


async def test_a_refusal_is_message_255() -> None:
    async with door(answering(NotAuthenticated("why"), [])) as client:
        answer = await client.post("/fdo/101/msg/64", b"\x80")
        unknown = await client.post("/fdo/101/msg/64", b"\x80", "t=~nobody")
    assert answer.code == unknown.code == codes.INTERNAL_SERVER_ERROR
    assert (ErrorMessage.decode(answer.payload).code, answer.opt.content_format) == (101, 60)
    assert ErrorMessage.decode(unknown.payload).code == 1


async def test_a_limit_says_when_to_come_again() -> None:
    async with door(answering(TooManyRequests("slow", 7), [])) as client:
        answer = await client.post("/fdo/101/msg/60", b"\x80")
    assert (answer.opt.max_age, ErrorMessage.decode(answer.payload).code) == (7, 500)


async def test_what_is_no_message_of_fdo_is_refused_by_coap() -> None:
    async with door(answering(Reply(b"\x80"), [])) as client:
        assert (await client.post("/fdo/200/msg/80", b"\x80")).code == codes.NOT_FOUND
        assert (await client.post("/fdo/101/msg/60", b"\x80", content_format=50)).code == (
            codes.UNSUPPORTED_CONTENT_FORMAT
        )
        assert (await client.post("/fdo/101/msg/60", bytes(65_536))).code == codes.REQUEST_ENTITY_TOO_LARGE


def test_kept_tokens_end_with_their_time_and_make_room() -> None:
    now = [0.0]
    kept = KeptTokens(lambda: now[0], most=3)
    names = [kept.keep(f"{number}" + "x" * 100) for number in range(4)]
    with pytest.raises(InvalidToken):
        kept.find(names[0])
    assert kept.find(names[3]) == "3" + "x" * 100
    now[0] = KEPT_SECONDS + 1
    with pytest.raises(InvalidToken):
        kept.find(names[3])
    assert kept.find(kept.keep("short")) == "short"


def test_a_whole_device_over_coap(factory: House, mine: Membership) -> None:
    """DI, TO0, TO1 and TO2 with nothing but datagrams between."""
    thing = Thing(factory)

    async def life() -> None:
        async with door(factory.engine.handle) as client:

            async def converse(party: object, station: str = "") -> object:
                following, token = party.begin(), ""  # type: ignore[attr-defined]
                while isinstance(following, tuple):
                    number, body = following
                    answer = await client.post(f"/fdo/101/msg/{number}", body, token)
                    token = (answer.opt.location_query or (token,))[0]
                    refused = answer.code == codes.INTERNAL_SERVER_ERROR
                    following = party.receive(255 if refused else number + 1, answer.payload)  # type: ignore[attr-defined]
                return following

            thing.credential = await converse(thing.di())  # type: ignore[assignment]
            voucher = await asyncio.to_thread(thing.initialized)
            await asyncio.to_thread(thing.session_of, mine, voucher)
            done = await converse(thing.party())
            assert not done.reused  # type: ignore[attr-defined]

    factory.run(life())


def test_the_operation_is_the_same_for_both_transports() -> None:
    assert fdo.operation_of(fdo.Route(10, "x")) == "10/x"
