"""The ways in that a run of the simulator uses, made from URLs and shared by all of its devices."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from bootstrap.errors import LocalError, PeerError, TooManyRequests
from bootstrap.simulator.coap import CoapTransport
from bootstrap.simulator.https import Courier, HttpFailed, HttpsTransport
from bootstrap.simulator.radius import RadiusTransport
from bootstrap.simulator.summary import Stopped
from bootstrap.simulator.transport import Faults, Transport
from bootstrap.wire import cose

SCHEMES = ("https", "http", "coap", "radius")
_PROVISION = "/provision"


class Later(Exception):
    """No answer this time; the same body may succeed in ``seconds``."""

    def __init__(self, why: str, seconds: float = 1.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class Ways:
    """One transport for EAP, and whatever sealed bodies travel on beside it."""

    def __init__(self, via: str, faults: Faults) -> None:
        """Raises LocalError for a URL of another kind."""
        self.scheme = urlsplit(via).scheme
        self._faults = faults
        self._courier = Courier(faults)
        self._coap: CoapTransport | None = None
        self.transport = self._transport(via)

    async def send(self, url: str, locator: str, body: bytes) -> bytes:
        """POST one sealed body to ``url`` (it ends in ``/provision``) and ``/<locator>``; the answer's body.

        Raises Later when there was no answer, and Stopped when there was one that says no.
        """
        if urlsplit(url).scheme == "coap":
            return await self._send_coap(url, locator, body)
        try:
            answer = await self._courier.post(f"{url}/{quote(locator, safe='')}", body, cose.MEDIA_TYPE)
        except HttpFailed as error:
            raise Later(str(error)) from error
        if answer.status_code != 200:
            raise Stopped(f"provisioning: HTTP {answer.status_code}")
        return answer.content

    async def close(self) -> None:
        """Release sockets and connections."""
        await self.transport.close()
        await self._courier.close()
        if self._coap:
            await self._coap.close()

    def _transport(self, via: str) -> Transport:
        match self.scheme:
            case "http" | "https":
                return HttpsTransport(via, self._courier)
            case "coap":
                self._coap = CoapTransport.from_url(via, faults=self._faults)
                return self._coap
            case "radius":
                return RadiusTransport.from_url(via, faults=self._faults)
        raise LocalError(f"--via takes {', '.join(f'{scheme}://' for scheme in SCHEMES)}")

    async def _send_coap(self, url: str, locator: str, body: bytes) -> bytes:
        if self._coap is None:
            self._coap = CoapTransport.from_url(url, faults=self._faults)
        try:
            return await self._coap.provision(url.removesuffix(_PROVISION), locator, body)
        except (TimeoutError, OSError) as error:
            raise Later(type(error).__name__) from error
        except TooManyRequests as error:
            raise Later("busy", error.retry_after_seconds) from error
        except PeerError as error:
            raise Stopped(f"provisioning: {type(error).__name__}") from error
