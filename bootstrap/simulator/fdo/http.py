"""FDO over HTTP from the device's side (FDO 1.1 section 4.3): one POST a message, the token in Authorization.

TLS certificates are not checked: a device that is being onboarded has no trust anchor yet, and FDO
authenticates both sides itself.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import httpx

from bootstrap.errors import MalformedMessage, PeerError
from bootstrap.protocols.fdo.constants import MESSAGE_MAX_LENGTH, MessageType
from bootstrap.protocols.fdo.device import error_for
from bootstrap.simulator.https import Connections, HttpFailed
from bootstrap.simulator.person import retry_after
from bootstrap.simulator.transport import Dice, Faults

MEDIA_TYPE = "application/cbor"
TRIES = 8
PAUSE_SECONDS = (0.2, 0.5, 1.0, 1.0, 2.0, 2.0, 4.0)
TRIES_WHERE_NOBODY_LISTENS = 2
_LATER = frozenset({429, 503})


class Party(Protocol):
    """One side of one FDO protocol, sans I/O."""

    def begin(self) -> tuple[int, bytes]:
        """The first message."""
        ...

    def receive(self, number: int, body: bytes) -> Any:
        """``(number, body)`` to send next, or the result."""
        ...


class FdoHttp:
    """A way to any FDO server, shared by all devices of a run."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._dice: Dice = (faults or Faults()).dice()
        self._connections = Connections()

    async def close(self) -> None:
        """Release the connections."""
        await self._connections.close()

    async def converse(self, base: str, party: Party, *, patient: bool = False) -> Any:
        """Carry messages until the party has its result. Raises PeerError, after telling the server, and
        HttpFailed when it cannot be reached. Who has other addresses to try is not ``patient`` with one
        where nobody listens.
        """
        number, body = party.begin()
        token = ""
        while True:
            tries = TRIES if token or patient else TRIES_WHERE_NOBODY_LISTENS
            answer, received, token = await self._exchange(base, number, body, token, tries)
            try:
                # In a thread: what the owner has a device do may take long, and others are waiting.
                following = await asyncio.to_thread(party.receive, answer, received)
            except PeerError as error:
                await self._tell(base, error, number, token)
                raise
            if not _is_send(following):
                return following
            number, body = following

    async def _exchange(
        self, base: str, number: int, body: bytes, token: str, connects: int
    ) -> tuple[int, bytes, str]:
        failure = "no-answer"
        for attempt in range(TRIES):
            try:
                reply = await self._through_faults(base, number, body, token)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = "unreachable"
                connects -= 1
                if not connects:
                    raise HttpFailed(failure) from error
            except httpx.TransportError:
                failure = "no-answer"
            except httpx.InvalidURL as error:
                raise HttpFailed("no-url") from error
            else:
                if reply is not None and reply.status_code not in _LATER:
                    return _read(reply, token)
                if reply is not None:
                    failure = f"busy-{reply.status_code}"
                    await asyncio.sleep(retry_after(reply, PAUSE_SECONDS[0]))
            await asyncio.sleep(PAUSE_SECONDS[min(attempt, len(PAUSE_SECONDS) - 1)])
        raise HttpFailed(failure)

    async def _through_faults(self, base: str, number: int, body: bytes, token: str) -> httpx.Response | None:
        """The answer, if neither message nor answer is lost; a repeated message is sent twice."""
        reply = None
        for delay in self._dice.deliveries():
            await asyncio.sleep(delay)
            reply = await self._post(base, number, body, token)
        return reply if reply is not None and self._dice.deliveries() else None

    async def _post(self, base: str, number: int, body: bytes, token: str) -> httpx.Response:
        headers = {"Content-Type": MEDIA_TYPE, "Message-Type": str(number)}
        if token:
            headers["Authorization"] = token
        url = f"{base.rstrip('/')}/fdo/101/msg/{number}"
        async with self._connections.one() as client:
            return await client.post(url, content=body, headers=headers)

    async def _tell(self, base: str, error: PeerError, previous: int, token: str) -> None:
        octets = error_for(error, previous)
        if octets is None:
            return
        try:
            await self._post(base, int(MessageType.ERROR), octets, token)
        except httpx.TransportError:
            return  # it will find out by itself


def _is_send(following: Any) -> bool:
    return isinstance(following, tuple) and len(following) == 2 and isinstance(following[0], int)


def _read(reply: httpx.Response, token: str) -> tuple[int, bytes, str]:
    number = reply.headers.get("Message-Type", "")
    if not number.isdigit() or len(number) > 3:
        raise HttpFailed(f"http-{reply.status_code}")
    if len(reply.content) > MESSAGE_MAX_LENGTH:
        raise MalformedMessage("answer is too long")
    return int(number), reply.content, reply.headers.get("Authorization", token)
