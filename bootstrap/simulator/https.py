"""EAP over HTTP from the device's side (docs/reference/eap-over-http.md), and sealed bodies beside it.

TLS certificates are not checked: a device that is being bootstrapped has no trust anchor yet, and EAP-NOOB
and the provisioning protocol authenticate the server themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import structlog

from bootstrap.errors import LocalError, MalformedMessage, OnwardError
from bootstrap.simulator.person import retry_after
from bootstrap.simulator.transport import IDENTITY_REQUEST, EapPeer, EapResult, Faults
from bootstrap.wire.eap import EapCode, EapPacket

EAP_MEDIA_TYPE = "application/vnd.onward.eap"
CONNECTIONS = 64
MAX_ROUNDS = 64
"""Rounds after which a conversation that goes nowhere is given up."""
RETRY_SECONDS = (0.5, 0.5, *(1.0,) * 28)
"""Pauses after a try that brought nothing, a refused connection too: the server may be restarting."""
ANSWER_SECONDS = 30.0
_LATER = frozenset({429, 503})
_MAX_BUSY = 8
_NO_FAULTS = Faults()

log = structlog.get_logger("onward.simulator.https")


class HttpFailed(OnwardError):
    """No usable answer. The text is one word for a summary."""


class Connections:
    """At most ``CONNECTIONS`` clients of one connection each, made when all others are busy.

    One client with a pool of many looks at all of its connections twice per request and, with hundreds of
    devices, spends most of the run doing so.
    """

    def __init__(self) -> None:
        self._tls = httpx.create_ssl_context(verify=False)
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._free: list[httpx.AsyncClient] = []

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """The connection used last, which is the most likely one to be alive."""
        async with self._places:
            client = self._free.pop() if self._free else self._open()
            try:
                yield client
            finally:
                self._free.append(client)

    async def close(self) -> None:
        """Once nothing is under way."""
        for client in self._free:
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        return httpx.AsyncClient(verify=self._tls, limits=limits, timeout=ANSWER_SECONDS)


class Courier:
    """Carries bodies by POST, over a network as bad as ``faults`` say. Shared by all devices of a run."""

    def __init__(self, faults: Faults = _NO_FAULTS) -> None:
        self._dice = faults.dice()
        self._under_way: set[asyncio.Task[None]] = set()
        self._connections = Connections()

    async def post(self, url: str, body: bytes, media_type: str) -> httpx.Response:
        """The answer to one body, sent again unchanged until there is one; waits when told to come later.

        Raises HttpFailed. An answer with an error status is an answer.
        """
        for _ in range(_MAX_BUSY):
            answer = await self._persist(url, body, media_type)
            if answer.status_code not in _LATER:
                return answer
            await asyncio.sleep(retry_after(answer, 1.0))
        raise HttpFailed(f"busy-{answer.status_code}")

    async def close(self) -> None:
        """Drop what is still on its way and release the connections."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._connections.close()

    async def _persist(self, url: str, body: bytes, media_type: str) -> httpx.Response:
        """Try after try. TCP loses nothing, so a try is over when the faults have eaten all of its copies:
        a timer beside it would only send more to a server that is slow because there is too much to do.
        """
        arrived: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        for seconds in RETRY_SECONDS:
            copies = {
                self._start(self._carry(delay, url, body, media_type, arrived))
                for delay in self._dice.deliveries()
            }
            under_way: set[asyncio.Future[Any]] = {arrived, *copies}
            while not arrived.done() and under_way - {arrived}:
                _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            if arrived.done():
                return arrived.result()
            await asyncio.sleep(seconds)
        raise HttpFailed("no-answer")

    async def _carry(
        self, delay: float, url: str, body: bytes, media_type: str, arrived: asyncio.Future[httpx.Response]
    ) -> None:
        """One copy of a request to the server, and its answer back as the faults let it through."""
        await asyncio.sleep(delay)
        try:
            async with self._connections.one() as client:
                answer = await client.post(url, content=body, headers={"Content-Type": media_type})
        except httpx.TransportError as error:
            log.debug("http.broken", url=url, error=type(error).__name__)
            return
        for way_back in self._dice.deliveries():
            await asyncio.sleep(way_back)
            if not arrived.done():
                arrived.set_result(answer)

    def _start(self, carried: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(carried)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


class HttpsTransport:
    """The way in over HTTPS or plain HTTP."""

    def __init__(self, url: str, courier: Courier) -> None:
        """``url`` is the portal's device address; ``/eap`` is added unless it ends so. Raises LocalError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LocalError("a server over HTTP is given as https://HOST:PORT")
        self._url = url if parts.path.endswith("/eap") else f"{url.rstrip('/')}/eap"
        self._courier = courier

    async def authenticate(self, peer: EapPeer) -> EapResult:
        """One EAP run; a server that cannot be reached is a result too."""
        try:
            return await self._run(peer)
        except HttpFailed as error:
            return EapResult(success=False, reason=str(error))
        except MalformedMessage:
            return EapResult(success=False, reason="bad-answer")

    async def close(self) -> None:
        """Release the connections."""
        await self._courier.close()

    async def _run(self, peer: EapPeer) -> EapResult:
        url, request = self._url, IDENTITY_REQUEST
        for _ in range(MAX_ROUNDS):
            response = peer.respond(request)
            if response is None:
                return EapResult(success=False, reason="peer-silent")
            answer = await self._courier.post(url, response, EAP_MEDIA_TYPE)
            if not answer.is_success:
                return EapResult(success=False, reason=f"http-{answer.status_code}")
            url = urljoin(url, answer.headers.get("Location", url))
            request = answer.content
            code = EapPacket.decode(request).code
            if code in (EapCode.SUCCESS, EapCode.FAILURE):
                peer.respond(request)
                return EapResult(success=code is EapCode.SUCCESS)
        return EapResult(success=False, reason="endless")
