"""One CoAP-EAP authentication (RFC 9820) from our side: the EAP authenticator as CoAP client.

``Conversation`` speaks to one device; ``Conversations`` holds those that run, and their bounds.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable

import structlog
from aiocoap import Context, Message
from aiocoap import error as coap_error
from aiocoap.numbers import codes
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports.udp6 import UDP6EndpointAddress

from bootstrap.contract import Handle, Inbound, Reply, Verdict, Via
from bootstrap.doors.coap.endpoint import address_of
from bootstrap.doors.coap.limits import BUSY_RETRY_SECONDS, Limits
from bootstrap.doors.coap.oscore import ClosingContext
from bootstrap.errors import (
    NotAuthenticated,
    PeerError,
    TooManyRequests,
    UnexpectedMessage,
)
from bootstrap.wire import coap_eap, eap
from bootstrap.wire.coap_eap import CipherSuite, Parameters, Reading

log = structlog.get_logger(__name__)

Path = tuple[str, ...]
Key = tuple[UDP6EndpointAddress, Path]

RECIPIENT_ID_LENGTH = 2
"""Of our RID-C: enough for a context that lives for one exchange, and short in the first message."""


class FirstMessage(TransportTuning):  # type: ignore[misc]
    """The sender address of a trigger may be forged, so it is asked three times at most."""

    MAX_RETRANSMIT = 2


class _Declined(UnexpectedMessage):
    """The device answered with an error: its resource is gone or unwilling, so nothing more is said."""


class Conversation:
    """One device from trigger to end. ``run`` never raises for anything that came from outside."""

    def __init__(
        self,
        context: Context,
        handle: Handle,
        remote: UDP6EndpointAddress,
        path: Path,
        *,
        limits: Limits,
        cipher_suites: tuple[CipherSuite, ...],
        reading: Reading,
    ) -> None:
        self._context = context
        self._handle = handle
        self._remote = remote
        self._path = path
        """The device's newest resource: every answer names the next one."""
        self._source = address_of(remote)
        self._limits = limits
        # The default alone goes unsaid, so that the first message is no longer than the trigger.
        self._offered = () if cipher_suites == (coap_eap.DEFAULT_SUITE,) else tuple(map(int, cipher_suites))
        self._reading = reading
        self._rid_c = secrets.token_bytes(RECIPIENT_ID_LENGTH)
        self._identifier = 0
        """Of the last EAP packet that the device sent."""
        self._log = log.bind(protocol="eap", source=self._source)

    async def run(self, verified: Callable[[], None]) -> None:
        """Speak to the end; ``verified`` is called when the device has answered from its address."""
        try:
            async with asyncio.timeout(self._limits.deadline_seconds):
                failure = await self._converse(verified)
                if failure is not None:
                    await self._say_failure(failure)
        except (coap_error.NetworkError, TimeoutError) as error:
            self._log.info("device fell silent", error=type(error).__name__)
        except coap_error.LibraryShutdown:
            self._log.debug("door closes")
        except Exception:
            self._log.exception("conversation failed")

    async def _converse(self, verified: Callable[[], None]) -> bytes | None:
        """The EAP-Failure that is still to be said, None after success."""
        try:
            reply, parameters = await self._authenticate(verified)
            if reply.verdict is Verdict.ACCEPT:
                await self._close(reply, parameters)
                self._log.info("device authenticated")
                return None
        except (coap_error.NetworkError, coap_error.LibraryShutdown, TimeoutError):
            raise
        except PeerError as error:
            self._log.warning("conversation ended", error=f"{type(error).__name__}: {error}")
            return None if isinstance(error, _Declined) else eap.failure(self._identifier).encode()
        except Exception:
            self._log.exception("conversation failed")
            return eap.failure(self._identifier).encode()
        self._log.info("device not authenticated")
        return reply.body or eap.failure(self._identifier).encode()

    async def _authenticate(self, verified: Callable[[], None]) -> tuple[Reply, Parameters]:
        """Steps 1 to 6: until the engine has a verdict."""
        packet, parameters = await self._ask_identity(verified)
        reply = await self._ask_engine(packet, token="")
        while reply.verdict is Verdict.CONTINUE:
            packet, _ = await self._exchange(coap_eap.join(reply.body))
            reply = await self._ask_engine(packet, reply.token)
        return reply, parameters

    async def _ask_identity(self, verified: Callable[[], None]) -> tuple[bytes, Parameters]:
        """Steps 1 and 2: EAP-Request/Identity with our offer, EAP-Response/Identity with the choice."""
        identity = eap.request(secrets.randbelow(256), eap.EapType.IDENTITY).encode()
        offer = Parameters(cipher_suites=self._offered, rid_c=self._rid_c)
        async with asyncio.timeout(self._limits.first_answer_seconds):
            answer = await self._post(coap_eap.join(identity, offer), FirstMessage())
        verified()
        return self._accept(answer)

    async def _exchange(self, payload: bytes) -> tuple[bytes, Parameters]:
        return self._accept(await self._post(payload))

    async def _post(self, payload: bytes, tuning: TransportTuning | None = None) -> Message:
        request = Message(
            code=codes.POST,
            uri_path=self._path,
            content_format=coap_eap.COAP_CONTENT_FORMAT,
            payload=payload,
            transport_tuning=tuning,
        )
        return await self._send(request)

    async def _send(self, request: Message) -> Message:
        request.remote = self._remote
        # Not block-wise: an EAP packet fits one message, and nobody feeds us an answer without end.
        response: Message = await self._context.request(request, handle_blockwise=False).response
        return response

    def _accept(self, answer: Message) -> tuple[bytes, Parameters]:
        """The EAP packet of a 2.01, and its Location-Path as our next stop. Raises PeerError."""
        if answer.code != codes.CREATED:
            raise _Declined(f"device answered {answer.code}")
        if answer.opt.content_format not in (None, coap_eap.COAP_CONTENT_FORMAT):
            raise UnexpectedMessage(f"device answered in Content-Format {int(answer.opt.content_format)}")
        self._path = coap_eap.checked_path(tuple(answer.opt.location_path))
        packet, parameters = coap_eap.split(answer.payload)
        self._identifier = packet[1]
        return packet, parameters

    async def _ask_engine(self, packet: bytes, token: str) -> Reply:
        inbound = Inbound(body=packet, via=Via.COAP, source=self._source, token=token)
        return await self._handle("eap", inbound)

    async def _close(self, reply: Reply, answered: Parameters) -> None:
        """Steps 7 and 8: EAP-Success under OSCORE; the answer under the same keys confirms them."""
        suite = coap_eap.agree(self._offered, answered.cipher_suites)
        rid_i = answered.rid_i or b""
        coap_eap.check_recipient_ids(suite, self._rid_c, rid_i)
        master = coap_eap.derive_oscore_master(reply.msk, self._offered, suite, self._reading)
        security = ClosingContext(suite, master, rid_c=self._rid_c, rid_i=rid_i)
        success = Message(
            code=codes.POST,
            uri_path=self._path,
            content_format=coap_eap.COAP_CONTENT_FORMAT,
            payload=coap_eap.join(reply.body),
        )
        protected, request_id = security.protect(success)
        inner = security.open_response(await self._send(protected), request_id)
        if inner.code != codes.CHANGED:
            raise NotAuthenticated(f"device answered {inner.code} to EAP-Success")

    async def _say_failure(self, packet: bytes) -> None:
        """EAP-Failure in clear; the device answers 4.01, and whatever it answers, we are done."""
        answer = await self._post(coap_eap.join(packet))
        self._log.debug("device heard the failure", code=str(answer.code))


class Conversations:
    """Those that run, one task each; a full house turns away, but for silent strangers, who make room."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._unverified: dict[Key, asyncio.Task[None]] = {}
        """In order of arrival: the first is the oldest."""
        self._of_source: Counter[str] = Counter()
        self._next_warning = 0.0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, key: Key, conversation: Conversation) -> bool:
        """Run it. False: this trigger's conversation is under way already. Raises TooManyRequests.

        The key holds the path beside the address, because a gateway may carry several devices.
        """
        if key in self._running:
            return False
        source = address_of(key[0])
        if len(self._unverified) >= self._limits.unverified:
            self._unverified.pop(next(iter(self._unverified))).cancel()
        full = len(self._running) >= self._limits.conversations
        if full or self._of_source[source] >= self._limits.per_source:
            self._warn_of_crowd(source)
            raise TooManyRequests(f"{len(self._running)} conversations", BUSY_RETRY_SECONDS)
        task = asyncio.create_task(conversation.run(lambda: self._verified(key)))
        self._running[key] = task
        self._unverified[key] = task
        self._of_source[source] += 1
        task.add_done_callback(lambda _: self._forget(key, source))
        return True

    def _warn_of_crowd(self, source: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_warning:
            self._next_warning = now + BUSY_RETRY_SECONDS
            log.warning("too many conversations", running=len(self._running), newest_source=source)

    def _verified(self, key: Key) -> None:
        self._unverified.pop(key, None)

    def _forget(self, key: Key, source: str) -> None:
        self._running.pop(key, None)
        self._unverified.pop(key, None)
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]

    async def close(self) -> None:
        """Stop them all."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
