"""Checked access to the integer-keyed CBOR maps of this protocol.

Labels that a reader does not know are left alone, so that version 1 can grow.
"""

from __future__ import annotations

from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor


class Fields:
    """One decoded map; every getter raises MalformedMessage when the value has another type or size."""

    __slots__ = ("_values",)

    def __init__(self, item: Any) -> None:
        if type(item) is not dict or any(type(label) is not int for label in item):
            raise MalformedMessage("not a map with integer labels")
        self._values: dict[int, Any] = item

    @classmethod
    def decode(cls, octets: bytes) -> Fields:
        """The map that ``octets`` are."""
        return cls(cbor.decode(octets))

    def has(self, label: int) -> bool:
        """Whether the sender set this label."""
        return label in self._values

    def uint(self, label: int, maximum: int, default: int | None = None) -> int:
        """An unsigned integer; ``default`` stands in for an absent label."""
        value = self._values.get(label, default)
        if type(value) is not int or not 0 <= value <= maximum:
            raise MalformedMessage(f"label {label} is not an integer up to {maximum}")
        return value

    def flag(self, label: int) -> bool:
        """A boolean."""
        value = self._values.get(label)
        if type(value) is not bool:
            raise MalformedMessage(f"label {label} is not a boolean")
        return value

    def text(self, label: int, maximum: int, default: str | None = None) -> str:
        """A text string of at most ``maximum`` characters."""
        value = self._values.get(label, default)
        if type(value) is not str or len(value) > maximum:
            raise MalformedMessage(f"label {label} is not a text of up to {maximum} characters")
        return value

    def octets(self, label: int, maximum: int, minimum: int = 0) -> bytes:
        """A byte string."""
        value = self._values.get(label)
        if type(value) is not bytes or not minimum <= len(value) <= maximum:
            raise MalformedMessage(f"label {label} is not {minimum} to {maximum} octets")
        return value

    def maps(self, label: int, maximum: int) -> list[Fields]:
        """An array of at most ``maximum`` maps."""
        return [Fields(item) for item in self._array(label, maximum)]

    def map(self, label: int) -> Fields:
        """One map within this one."""
        return Fields(self._values.get(label))

    def texts(self, label: int, maximum: int, length: int) -> tuple[str, ...]:
        """An array of texts; empty when absent."""
        items = self._array(label, maximum) if self.has(label) else []
        if any(type(item) is not str or len(item) > length for item in items):
            raise MalformedMessage(f"label {label} is not an array of short texts")
        return tuple(items)

    def _array(self, label: int, maximum: int) -> list[Any]:
        value = self._values.get(label)
        if type(value) is not list or len(value) > maximum:
            raise MalformedMessage(f"label {label} is not an array of up to {maximum} items")
        return value
