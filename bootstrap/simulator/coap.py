"""CoAP as a way in for simulated devices: CoAP-EAP (RFC 9820), and provisioning over CoAP."""

from __future__ import annotations

import asyncio
import random
from urllib.parse import urlsplit

from aiocoap import Message
from aiocoap import error as coap_error
from aiocoap.numbers import codes

from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    NotAuthorized,
    PeerError,
    TooManyRequests,
    UnexpectedMessage,
)
from bootstrap.simulator.coap_endpoint import Authentication, Endpoint
from bootstrap.simulator.transport import EapPeer, EapResult, Faults
from bootstrap.wire import coap_eap, cose
from bootstrap.wire.coap_eap import CipherSuite, Reading

DEFAULT_PORT = 5683
MAX_ENDPOINTS = 64
"""UDP ports of one transport. CoAP lets one request at a time be under way per port (NSTART, RFC 7252
section 4.7), so devices get their own while there are few and share beyond that."""
TRIGGER_ATTEMPTS = 6
ANSWER_SECONDS = 8.0
"""How long a trigger may go without a first EAP-Request before it is said again."""
BUSY_SECONDS = 15.0
"""The longest that a simulated device waits because the server says it is busy."""
CONVERSATION_SECONDS = 180.0
PROVISION_SECONDS = 180.0
NO_SUCCESS_RESPONSE = 2
"""No-Response (RFC 7967): the POSTs that follow say enough, but a refusal is worth hearing."""

_NO_FAULTS = Faults()
_REFUSALS: dict[codes.Code, type[PeerError]] = {
    codes.BAD_REQUEST: MalformedMessage,
    codes.UNAUTHORIZED: NotAuthenticated,
    codes.FORBIDDEN: NotAuthorized,
}


class CoapTransport:
    """EAP over CoAP; implements ``bootstrap.simulator.transport.Transport``."""

    def __init__(
        self,
        host: str,
        port: int = DEFAULT_PORT,
        *,
        faults: Faults = _NO_FAULTS,
        cipher_suites: tuple[CipherSuite, ...] = tuple(CipherSuite),
        reading: Reading = Reading.CBOR_ARRAYS,
    ) -> None:
        self._base = f"coap://[{host}]:{port}" if ":" in host else f"coap://{host}:{port}"
        self._dice = faults.dice()
        self._cipher_suites = cipher_suites
        self._reading = reading
        self._endpoints: list[Endpoint] = []

    @classmethod
    def from_url(cls, url: str, *, faults: Faults = _NO_FAULTS) -> CoapTransport:
        """``coap://HOST[:PORT]``. Raises LocalError."""
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError as error:
            raise LocalError("the port of the CoAP server is not a number up to 65535") from error
        if parts.scheme != "coap" or not parts.hostname:
            raise LocalError("a CoAP server is given as coap://HOST:PORT")
        return cls(parts.hostname, port, faults=faults)

    async def authenticate(self, peer: EapPeer) -> EapResult:
        """Run RFC 9820 once. ``msk_confirmed`` is True only when the server proved, with OSCORE keys from
        the peer's own MSK, that it has the same. ``peer.msk`` must be there before EAP-Success comes,
        because that packet is what the keys protect.
        """
        try:
            endpoint = await self._take_endpoint()
        except OSError:
            return EapResult(success=False, reason="unreachable")
        one = endpoint.admit(peer, self._cipher_suites, self._reading)
        try:
            await self._trigger(endpoint, one)
            async with asyncio.timeout(CONVERSATION_SECONDS):
                return await one.result
        except TimeoutError:
            return EapResult(success=False, reason="no-answer")
        except OSError:
            return EapResult(success=False, reason="unreachable")
        except TooManyRequests:
            return EapResult(success=False, reason="busy")
        except PeerError:
            return EapResult(success=False, reason="refused")
        finally:
            endpoint.drop(one)
            endpoint.users -= 1

    async def provision(self, url: str, locator: str, body: bytes) -> bytes:
        """POST ``body`` to ``<url>/provision/<locator>``, block-wise if need be, for what comes back.

        Raises the PeerError that the response code stands for, TimeoutError, or ConnectionError.
        """
        endpoint = await self._take_endpoint()
        request = Message(
            code=codes.POST,
            uri=f"{url.rstrip('/')}/provision/{locator}",
            content_format=cose.COAP_CONTENT_FORMAT,
            payload=body,
        )
        try:
            async with asyncio.timeout(PROVISION_SECONDS):
                response = await _answer(endpoint.context.request(request).response)
        finally:
            endpoint.users -= 1
        if response.code != codes.CHANGED:
            raise _refused(response)
        return bytes(response.payload)

    async def close(self) -> None:
        """Give the ports back; safe to call twice."""
        endpoints, self._endpoints = self._endpoints, []
        for endpoint in endpoints:
            await endpoint.context.shutdown()

    async def _take_endpoint(self) -> Endpoint:
        """An idle port, a new one while there may be more, else the least used."""
        chosen = min(self._endpoints, key=lambda endpoint: endpoint.users, default=None)
        if chosen is None or (chosen.users and len(self._endpoints) < MAX_ENDPOINTS):
            chosen = Endpoint()
            self._endpoints.append(chosen)
        chosen.users += 1
        try:
            await chosen.ready(self._dice)
        except OSError:
            self._endpoints.remove(chosen)
            raise
        return chosen

    async def _trigger(self, endpoint: Endpoint, one: Authentication) -> None:
        """Step 0, again until the first EAP-Request comes: nothing else tells that the server took it."""
        asked = asyncio.ensure_future(one.asked.wait())
        path = "/" + "/".join(one.path)
        try:
            for attempt in range(TRIGGER_ATTEMPTS):
                response = asyncio.ensure_future(self._say(endpoint, path))
                try:
                    await asyncio.wait(
                        {asked, response}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if asked.done():
                        return
                    await _wait_if_busy(response, last=attempt + 1 == TRIGGER_ATTEMPTS)
                finally:
                    _abandon(response)
        finally:
            asked.cancel()
        raise TimeoutError(f"no EAP-Request after {TRIGGER_ATTEMPTS} triggers")

    async def _say(self, endpoint: Endpoint, path: str) -> Message:
        trigger = Message(
            code=codes.POST,
            uri=f"{self._base}/{'/'.join(coap_eap.WELL_KNOWN_PATH)}",
            no_response=NO_SUCCESS_RESPONSE,
            payload=path.encode(),
        )
        return await _answer(endpoint.context.request(trigger, handle_blockwise=False).response)


async def _wait_if_busy(response: asyncio.Future[Message], *, last: bool) -> None:
    """Sleep as long as a busy server says; raises what any other refusal means."""
    if not response.done():
        return
    try:
        answer = response.result()
    except TimeoutError:
        return
    if answer.code.is_successful():
        return
    refusal = _refused(answer)
    if last or not isinstance(refusal, TooManyRequests):
        raise refusal
    # Spread out, or all that were refused together come again together.
    await asyncio.sleep(min(refusal.retry_after_seconds, BUSY_SECONDS) * random.uniform(0.5, 1.0))  # noqa: S311


def _abandon(response: asyncio.Future[Message]) -> None:
    """Want it no more, and take a late network error silently."""
    response.cancel()
    response.add_done_callback(lambda future: future.cancelled() or future.exception())


async def _answer(response: asyncio.Future[Message]) -> Message:
    """aiocoap's network errors as Python's own."""
    try:
        return await response
    except coap_error.TimeoutError as error:
        raise TimeoutError(str(error)) from error
    except coap_error.Error as error:
        raise ConnectionError(str(error)) from error


def _refused(response: Message) -> PeerError:
    if response.code in (codes.SERVICE_UNAVAILABLE, codes.TOO_MANY_REQUESTS):
        seconds = 60 if response.opt.max_age is None else int(response.opt.max_age)
        return TooManyRequests(f"server answered {response.code}", seconds)
    return _REFUSALS.get(response.code, UnexpectedMessage)(f"server answered {response.code}")
