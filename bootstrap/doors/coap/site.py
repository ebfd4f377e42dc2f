"""What the door serves: the trigger, provisioning, FDO and a list of them. One small router, no aiocoap Site:
a Site assembles block-wise requests, without a bound, for every path, also for those that do not exist.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog
from aiocoap import Message
from aiocoap import error as coap_error
from aiocoap.numbers import codes
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.pipe import Pipe
from aiocoap.resource import Resource
from aiocoap.transports.udp6 import UDP6EndpointAddress

from bootstrap.contract import Handle, Inbound, Via
from bootstrap.doors.coap import fdo
from bootstrap.doors.coap.blockwise import BoundedDownloads, BoundedUploads
from bootstrap.doors.coap.codes import refusal
from bootstrap.doors.coap.endpoint import address_of
from bootstrap.errors import PeerError, TooManyRequests
from bootstrap.wire import coap_eap, cose

log = structlog.get_logger(__name__)

PROVISION = "provision"
MAX_LOCATOR_LENGTH = 128
WELL_KNOWN_CORE = (".well-known", "core")
LINKS = (
    f'</{"/".join(coap_eap.WELL_KNOWN_PATH)}>;rt="core.coap-eap";ct={coap_eap.COAP_CONTENT_FORMAT},'
    f'</{PROVISION}>;rt="onward.provision";ct={cose.COAP_CONTENT_FORMAT},'
    f'</fdo/101/msg>;rt="onward.fdo";ct={fdo.CONTENT_FORMAT}'
).encode()

_UNDERSTOOD = frozenset(
    {
        OptionNumber.URI_HOST,
        OptionNumber.URI_PORT,
        OptionNumber.URI_PATH,
        OptionNumber.URI_QUERY,
        OptionNumber.ACCEPT,
        OptionNumber.BLOCK1,
        OptionNumber.BLOCK2,
    }
)
_PROXY = frozenset({OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME})

Trigger = Callable[[UDP6EndpointAddress, tuple[str, ...]], None]
"""Start a conversation with the device at this address; its first resource. Raises PeerError."""


class Router(Resource):  # type: ignore[misc]
    """The root of the door; ``needs_blockwise_assembly`` and ``render`` are aiocoap's two questions."""

    def __init__(self, handle: Handle, trigger: Trigger) -> None:
        super().__init__()
        self._block1 = BoundedUploads()
        self._block2 = BoundedDownloads()
        self._handle = handle
        self._fdo = fdo.FdoResource(handle, time.monotonic)
        self._trigger = trigger

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        ours = _locator(request) is not None or fdo.route_of(request) is not None
        return request.code == codes.POST and ours

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """As aiocoap has it, but critical options that nobody reads are refused (RFC 7252 section 5.4.1)."""
        unread = {option.number for option in pipe.request.opt.option_list() if option.number.is_critical()}
        if unread & _PROXY:
            raise coap_error.ProxyingNotSupported
        if not unread <= _UNDERSTOOD:
            raise coap_error.BadOption
        await super().render_to_pipe(pipe)

    async def render(self, request: Message) -> Message:
        """One request to its response; a refusal honours No-Response (RFC 7967) as a success does."""
        try:
            response = await self._route(request)
        except PeerError as error:
            source = address_of(request.remote)
            # A limit says so itself, once in a while: a flood must not flood the log too.
            say = log.debug if isinstance(error, TooManyRequests) else log.warning
            say("request refused", source=source, error=f"{type(error).__name__}: {error}")
            response = refusal(error)
        except coap_error.ConstructionRenderableError as refused:
            response = refused.to_message()
        response.opt.no_response = request.opt.no_response
        return response

    async def _route(self, request: Message) -> Message:
        path = tuple(request.opt.uri_path)
        locator = _locator(request)
        if path == coap_eap.WELL_KNOWN_PATH:
            return await _only(codes.POST, request, self._render_trigger)
        if path == WELL_KNOWN_CORE:
            return await _only(codes.GET, request, self._render_links)
        if locator is not None:
            return await _only(codes.POST, request, self._render_provision)
        route = fdo.route_of(request)
        if route is not None:
            return await _only(codes.POST, request, lambda asked: self._fdo.render(asked, route))
        raise coap_error.NotFound

    async def _render_trigger(self, request: Message) -> Message:
        """Step 0 of RFC 9820: the payload names the device's first resource."""
        if request.opt.content_format not in (None, ContentFormat.TEXT, coap_eap.COAP_CONTENT_FORMAT):
            raise coap_error.UnsupportedContentFormat
        if request.opt.block1 is not None or len(request.payload) > coap_eap.MAX_PATH_LENGTH:
            raise coap_error.RequestEntityTooLarge
        self._trigger(request.remote, coap_eap.decode_path(request.payload))
        return Message(code=codes.CHANGED)

    async def _render_links(self, request: Message) -> Message:
        if request.opt.accept not in (None, ContentFormat.LINKFORMAT):
            raise coap_error.NotAcceptable
        return Message(code=codes.CONTENT, content_format=ContentFormat.LINKFORMAT, payload=LINKS)

    async def _render_provision(self, request: Message) -> Message:
        """POST /provision/<locator>: octets in, octets out; what they mean is the engine's."""
        if request.opt.content_format not in (None, cose.COAP_CONTENT_FORMAT):
            raise coap_error.UnsupportedContentFormat
        inbound = Inbound(
            body=request.payload,
            via=Via.COAP,
            source=address_of(request.remote),
            operation=_locator(request) or "",
        )
        reply = await self._handle("provisioning", inbound)
        return Message(
            code=codes.CHANGED,
            content_format=cose.COAP_CONTENT_FORMAT if reply.body else None,
            payload=reply.body,
        )


async def _only(
    method: codes.Code, request: Message, render: Callable[[Message], Awaitable[Message]]
) -> Message:
    if request.code != method:
        raise coap_error.MethodNotAllowed
    return await render(request)


def _locator(request: Message) -> str | None:
    """The last segment of /provision/<locator>, None for any other path."""
    path = tuple(request.opt.uri_path)
    if len(path) != 2 or path[0] != PROVISION or not 1 <= len(path[1]) <= MAX_LOCATOR_LENGTH:
        return None
    return str(path[1])
