"""What happened before a device proved itself: lines of the timeline that wait for the proof.

Until message 64 anybody may be talking, and garbage never writes a row. The lines are kept in this process for the
moment when the device has signed, and then written with it. Another process, or a flood, may lose them: they are for
people to read and nothing depends on them.
"""

from __future__ import annotations

from collections import OrderedDict

from bootstrap.contract import Note

CONVERSATIONS_MAX = 2_000
LINES_MAX = 40
"""Of one conversation; a voucher may have 255 entries, each asked for by itself."""


class Trail:
    """Lines by conversation; the oldest conversation makes room."""

    def __init__(self) -> None:
        self._lines: OrderedDict[bytes, tuple[Note, ...]] = OrderedDict()

    def add(self, conversation: bytes, notes: tuple[Note, ...]) -> None:
        """More of one conversation."""
        lines = self._lines.pop(conversation, ()) + notes
        self._lines[conversation] = lines[:LINES_MAX]
        if len(self._lines) > CONVERSATIONS_MAX:
            self._lines.popitem(last=False)

    def peek(self, conversation: bytes) -> tuple[Note, ...]:
        """All of it. It stays until it is pushed out: the write that follows may lose its race and come again."""
        return self._lines.get(conversation, ())
