"""FDO over CoAP: the same messages under the same paths, block-wise, and where the token goes.

FDO 1.1 names the path and the content; it says nothing of a token that CoAP, unlike HTTP, has no header for. Ours is
a Location-Query of the answer, ``t=<name>``, which the peer brings back as Uri-Query of its next message. A query has
at most 255 octets and is repeated with every block, so a longer token stays here under a short random name.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable

from aiocoap import Message
from aiocoap import error as coap_error
from aiocoap.numbers import codes

from bootstrap.contract import Handle, Inbound, Via
from bootstrap.doors import fdo
from bootstrap.doors.coap.endpoint import address_of
from bootstrap.doors.coap.limits import MAX_FDO_TOKENS
from bootstrap.protocols.fdo import SPEC
from bootstrap.protocols.fdo.constants import InvalidToken, MessageType

CONTENT_FORMAT: int = SPEC["coap_content_format"]
PARAMETER = "t="
TOKEN_MAX_LENGTH = 48
"""Characters of a token that travels itself; a longer one is kept."""
NAME_OCTETS = 12
KEPT_SECONDS = 600.0
"""At least as long as any token lives."""
_KEPT = "~"
"""First character of a name; no token of ours begins with it."""


class KeptTokens:
    """Tokens by name, for a while; the oldest makes room."""

    def __init__(self, clock: Callable[[], float], most: int = MAX_FDO_TOKENS) -> None:
        self._clock = clock
        self._most = most
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def keep(self, token: str) -> str:
        """What to send in place of the token."""
        if len(token) <= TOKEN_MAX_LENGTH:
            return token
        now = self._clock()
        while self._tokens and next(iter(self._tokens.values()))[0] <= now:
            self._tokens.popitem(last=False)
        if len(self._tokens) >= self._most:
            self._tokens.popitem(last=False)
        name = _KEPT + secrets.token_urlsafe(NAME_OCTETS)
        self._tokens[name] = (now + KEPT_SECONDS, token)
        return name

    def find(self, name: str) -> str:
        """The token again. Raises InvalidToken for a name that is not (or no longer) known."""
        if not name.startswith(_KEPT):
            return name
        until, token = self._tokens.get(name, (0.0, ""))
        if until <= self._clock():
            raise InvalidToken("the door does not know this token's name")
        return token


class FdoResource:
    """``/fdo/101/msg/<n>`` and ``/di/<station>/fdo/101/msg/<n>``."""

    def __init__(self, handle: Handle, clock: Callable[[], float]) -> None:
        self._handle = handle
        self._kept = KeptTokens(clock)

    async def render(self, request: Message, route: fdo.Route) -> Message:
        """One message to its answer: 2.04, or 5.00 with message 255, as HTTP has 200 and 500."""
        if request.opt.content_format not in (None, CONTENT_FORMAT):
            raise coap_error.UnsupportedContentFormat
        source = address_of(request.remote)
        if len(request.payload) > fdo.body_max(route.number):
            raise coap_error.RequestEntityTooLarge
        try:
            token = self._kept.find(_token(request))
        except InvalidToken as error:
            return self._answer(fdo.refusal(error, route.number, source))
        inbound = Inbound(request.payload, Via.COAP, source, operation=fdo.operation_of(route), token=token)
        return self._answer(await fdo.answer(self._handle, route, inbound))

    def _answer(self, done: fdo.Answer) -> Message:
        refused = done.number == MessageType.ERROR and bool(done.body)
        message = Message(
            code=codes.INTERNAL_SERVER_ERROR if refused else codes.CHANGED,
            content_format=CONTENT_FORMAT if done.body else None,
            payload=done.body,
        )
        if done.token:
            message.opt.location_query = (PARAMETER + self._kept.keep(done.token),)
        if done.retry_after_seconds:
            message.opt.max_age = done.retry_after_seconds
        return message


def route_of(request: Message) -> fdo.Route | None:
    """What the path says; None when it is no message of FDO 1.1."""
    return fdo.route_of("/" + "/".join(request.opt.uri_path))


def _token(request: Message) -> str:
    found = [text for text in request.opt.uri_query if text.startswith(PARAMETER)]
    return found[0].removeprefix(PARAMETER) if found else ""
