"""The device's own message 255."""

from __future__ import annotations

from bootstrap.errors import PeerError

from ..messages import ErrorMessage
from ..reported import Reported


def error_for(error: PeerError, previous: int) -> bytes | None:
    """The message for an error that ended a protocol after message ``previous``; None when the other side has
    ended it already: nobody answers an error with an error."""
    if isinstance(error, Reported):
        return None
    return ErrorMessage.of(error, previous).encode()
