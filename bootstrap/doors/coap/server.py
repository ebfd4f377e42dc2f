"""``serve``: the CoAP door of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiocoap.transports.udp6 import UDP6EndpointAddress

from bootstrap.contract import Handle
from bootstrap.doors.coap.conversation import Conversation, Conversations, Path
from bootstrap.doors.coap.endpoint import open_endpoint
from bootstrap.doors.coap.limits import Limits
from bootstrap.doors.coap.site import Router
from bootstrap.wire.coap_eap import DEFAULT_SUITE, CipherSuite, Reading

log = structlog.get_logger(__name__)


async def serve(
    handle: Handle,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] | None = None,
    limits: Limits | None = None,
    cipher_suites: tuple[CipherSuite, ...] = (DEFAULT_SUITE,),
    reading: Reading = Reading.CBOR_ARRAYS,
) -> None:
    """Listen on UDP until cancelled; port 0 picks a free one. Raises LocalError when it cannot listen.

    ``ready`` is called once with the URL, which names the port in any case. ``cipher_suites`` is what
    CoAP-EAP offers, best first; ``reading`` is explained at ``coap_eap.derive_oscore_master``.
    """
    limits = limits or Limits()
    conversations = Conversations(limits)

    def trigger(remote: UDP6EndpointAddress, path: Path) -> None:
        conversation = Conversation(
            context, handle, remote, path, limits=limits, cipher_suites=cipher_suites, reading=reading
        )
        if not conversations.start((remote, path), conversation):
            log.debug("trigger repeated", protocol="eap")

    context, bound = await open_endpoint(Router(handle, trigger), host, port)
    try:
        if ready is not None:
            ready(f"coap://[{host}]:{bound}" if ":" in host else f"coap://{host}:{bound}")
        await asyncio.Event().wait()
    finally:
        await conversations.close()
        await context.shutdown()
