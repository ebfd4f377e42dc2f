"""EAP over HTTP from the device's side (docs/reference/eap-over-http.md), and sealed bodies beside it.

TLS certificates are not checked: a device that is being bootstrapped has no trust anchor yet, and EAP-NOOB
and the provisioning protocol authenticate the server themselves.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from bootstrap.errors import LocalError, MalformedMessage, OnwardError
from bootstrap.simulator.person import retry_after
from bootstrap.simulator.transport import IDENTITY_REQUEST, EapPeer, EapResult, Faults
from bootstrap.wire.eap import EapCode, EapPacket

EAP_MEDIA_TYPE = "application/vnd.onward.eap"
CONNECTIONS = 64
MAX_ROUNDS = 64
"""Rounds after which a conversation that goes nowhere is given up."""
RETRY_SECONDS = (5.0, 10.0, 20.0)
"""How long each try waits for its answer."""
FAULTY_RETRY_SECONDS = (0.5, 0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 8.0)
"""The same where messages get lost on purpose."""
UNREACHABLE_SECONDS = 1.0
"""Pause after a refused or broken connection, which is not the end of a try: the server may be restarting."""
UNREACHABLE_TRIES = 20
_LATER = frozenset({429, 503})
_MAX_BUSY = 8
_NO_FAULTS = Faults()


class HttpFailed(OnwardError):
    """No usable answer. The text is one word for a summary."""


class Courier:
    """Carries bodies by POST, over a network as bad as ``faults`` say. Shared by all devices of a run."""

    def __init__(self, faults: Faults = _NO_FAULTS, retry_seconds: Sequence[float] | None = None) -> None:
        faulty = faults.loss > 0
        self._dice = faults.dice()
        self._retry_seconds = tuple(retry_seconds or (FAULTY_RETRY_SECONDS if faulty else RETRY_SECONDS))
        self._under_way: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(
            verify=False,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            timeout=httpx.Timeout(30, pool=None),
        )

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
        await self._client.aclose()

    async def _persist(self, url: str, body: bytes, media_type: str) -> httpx.Response:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[httpx.Response] = loop.create_future()
        refusals = 0
        tries = iter(self._retry_seconds)
        while (seconds := next(tries, None)) is not None:
            broken: asyncio.Future[httpx.Response] = loop.create_future()
            for delay in self._dice.deliveries():
                request = self._client.build_request(
                    "POST", url, content=body, headers={"Content-Type": media_type}
                )
                self._start(self._carry(delay, request, arrived, broken))
            await asyncio.wait({arrived, broken}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if arrived.done():
                return arrived.result()
            if broken.cancelled():
                refusals += 1
                if refusals > UNREACHABLE_TRIES:
                    raise HttpFailed("unreachable")
                tries = itertools.chain([seconds], tries)
                await asyncio.sleep(UNREACHABLE_SECONDS)
        raise HttpFailed("no-answer")

    async def _carry(
        self,
        delay: float,
        request: httpx.Request,
        arrived: asyncio.Future[httpx.Response],
        broken: asyncio.Future[httpx.Response],
    ) -> None:
        """One copy of a request to the server, and its answer back as the faults let it through."""
        await asyncio.sleep(delay)
        try:
            answer = await self._client.send(request)
        except httpx.TransportError:
            broken.cancel()
            return
        for way_back in self._dice.deliveries():
            await asyncio.sleep(way_back)
            if not arrived.done():
                arrived.set_result(answer)

    def _start(self, carried: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(carried)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


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
