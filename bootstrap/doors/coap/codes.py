"""One table: what went wrong, by class, to the response code (RFC 7252 section 5.9, RFC 8132, RFC 8516)."""

from __future__ import annotations

from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.codes import Code

from bootstrap.errors import (
    MalformedMessage,
    NotAuthenticated,
    NotAuthorized,
    PeerError,
    Replayed,
    TooManyRequests,
    UnexpectedMessage,
    UnknownDevice,
)

RESPONSE_CODES: dict[type[PeerError], Code] = {
    MalformedMessage: codes.BAD_REQUEST,
    UnexpectedMessage: codes.CONFLICT,
    NotAuthenticated: codes.UNAUTHORIZED,
    NotAuthorized: codes.FORBIDDEN,
    # Like a wrong proof: a guess must not tell which locators exist.
    UnknownDevice: codes.UNAUTHORIZED,
    Replayed: codes.CONFLICT,
    TooManyRequests: codes.TOO_MANY_REQUESTS,
}


def refusal(error: PeerError) -> Message:
    """The answer to a refused request: the code and, where it helps, Max-Age. Never a reason."""
    if isinstance(error, TooManyRequests):
        return Message(code=RESPONSE_CODES[TooManyRequests], max_age=error.retry_after_seconds)
    for cls in type(error).__mro__:
        if cls in RESPONSE_CODES:
            return Message(code=RESPONSE_CODES[cls])
    return Message(code=codes.BAD_REQUEST)
