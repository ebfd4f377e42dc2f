"""The one family of errors. A door answers by class; a protocol maps a class to its own number.

The text of an error is for our log. It never holds a secret and never reaches the peer.
"""

from __future__ import annotations


class OnwardError(Exception):
    """Root of everything Onward raises on purpose."""


class LocalError(OnwardError):
    """Our own fault: the peer hears nothing of the reason."""


class PeerError(OnwardError):
    """The peer's fault. Whoever raises it guarantees that nothing was stored."""


class MalformedMessage(PeerError):
    """The bytes do not follow the grammar of the protocol."""


class UnexpectedMessage(PeerError):
    """A well-formed message that this state does not allow."""


class NotAuthenticated(PeerError):
    """A proof is missing or wrong."""


class NotAuthorized(PeerError):
    """The peer is who it says, but may not do this."""


class UnknownDevice(PeerError):
    """Nobody here knows this device or this conversation."""


class Replayed(PeerError):
    """A message that was already used."""


class TooManyRequests(PeerError):
    """A limit is reached; the same message may succeed later."""

    def __init__(self, message: str, retry_after_seconds: int = 60) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


PEER_ERRORS: tuple[type[PeerError], ...] = (
    MalformedMessage,
    UnexpectedMessage,
    NotAuthenticated,
    NotAuthorized,
    UnknownDevice,
    Replayed,
    TooManyRequests,
)
"""Every class a door and a protocol must have a row for (tests/test_shape.py)."""
