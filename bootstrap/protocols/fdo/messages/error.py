"""Message 255: the conversation is over, and this is as much as the other side will say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor

from .. import grammar
from ..constants import ERROR_TEXT, ERROR_TEXT_MAX_LENGTH, MessageType, error_code

_TAG_TEXT_TIME, _TAG_EPOCH_TIME = b"\xc0", b"\xc1"


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """``[EMErrorCode, EMPrevMsgID, EMErrorStr, EMErrorTs, EMErrorCID]``, always in clear.

    Implementations disagree on the last two (integer, null, tagged time, text, missing), so both are read
    as far as they can be and are None otherwise.
    """

    TYPE: ClassVar[MessageType] = MessageType.ERROR
    code: int
    previous: int
    """Number of the message that failed."""
    text: str
    timestamp: int | str | None = None
    """Seconds since 1970, or whatever text the peer has for a time."""
    correlation: int | None = None

    @classmethod
    def decode(cls, octets: bytes) -> ErrorMessage:
        """Raises MalformedMessage. A text that is too long is cut: an error is not refused for its style."""
        parts = grammar.pieces(octets, "Error", 3, 5)
        return cls(
            grammar.uint(cbor.decode(parts[0]), "EMErrorCode", grammar.UINT16),
            grammar.uint(cbor.decode(parts[1]), "EMPrevMsgID", grammar.UINT8),
            grammar.tstr(cbor.decode(parts[2]), "EMErrorStr", len(octets))[:ERROR_TEXT_MAX_LENGTH],
            _timestamp(parts[3]) if len(parts) > 3 else None,
            _correlation(parts[4]) if len(parts) > 4 else None,
        )

    @classmethod
    def of(cls, error: BaseException, previous: int, correlation: int | None = None) -> ErrorMessage:
        """What a peer may hear of ``error``, by its class only."""
        code = error_code(error)
        return cls(int(code), previous, ERROR_TEXT[code], correlation=correlation)

    def encode(self) -> bytes:
        """A missing timestamp goes out as 0: one client reads nothing but integers there."""
        timestamp = 0 if self.timestamp is None else self.timestamp
        return cbor.encode([self.code, self.previous, self.text, timestamp, self.correlation])


def _timestamp(octets: bytes) -> int | str | None:
    value = _untagged(octets)
    if isinstance(value, float):
        return int(value) if abs(value) < 1e15 else None
    if isinstance(value, str):
        return value[:64]
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _untagged(octets: bytes) -> object:
    if octets[:1] in (_TAG_TEXT_TIME, _TAG_EPOCH_TIME):
        octets = octets[1:]
    try:
        return cbor.decode(octets)
    except MalformedMessage:
        return None


def _correlation(octets: bytes) -> int | None:
    value = _untagged(octets)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
