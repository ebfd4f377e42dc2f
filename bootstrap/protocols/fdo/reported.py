"""Message 255 from the other side, as an error of ours."""

from __future__ import annotations

from bootstrap.errors import UnexpectedMessage

from .constants import MESSAGE_NAMES, MessageType
from .messages import ErrorMessage


class Reported(UnexpectedMessage):
    """The other side ended the protocol; ``code`` is its error code (FDO 1.1 section 5.1.1)."""

    def __init__(self, message: ErrorMessage) -> None:
        super().__init__(f"error {message.code} after message {message.previous}: {message.text}")
        self.code = message.code
        self.previous = message.previous
        self.text = message.text


def expect(number: int, body: bytes, wanted: MessageType) -> None:
    """Raises Reported for message 255, UnexpectedMessage for any other than ``wanted``."""
    if number == MessageType.ERROR:
        raise Reported(ErrorMessage.decode(body))
    if number != wanted:
        raise UnexpectedMessage(f"message {number} where {MESSAGE_NAMES[wanted]} belongs")
