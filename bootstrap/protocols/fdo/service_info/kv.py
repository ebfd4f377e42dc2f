"""Service-info key-values: put together from pieces, and packed into messages of a given size.

A value is a bstr with one CBOR item. One item may be cut over several key-values of the same key, and one
key-value may hold several items of the same key, one after the other: real devices do both.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.protocols.fdo.service_info.constants import (
    DEFAULT_LIMIT,
    KEY_LENGTH_MAX,
    LIMIT_MAX,
    LIMIT_MIN,
    VALUE_LENGTH_MAX,
)
from bootstrap.wire import cbor

KV = tuple[str, bytes]
Item = tuple[str, Any]
"""A key with one whole decoded value."""

TRUE = b"\xf5"
NULL = b"\xf6"

_DEPTH_MAX = 8
_MESSAGE_OVERHEAD = 6
"""Array of three, two booleans, and the longest array header of a list of key-values."""


def service_info_limit(announced: int | None) -> int:
    """The size to keep to, from maxOwnerServiceInfoSz or maxDeviceServiceInfoSz; null and 0 mean the default."""
    if not announced:
        return DEFAULT_LIMIT
    return max(LIMIT_MIN, min(announced, LIMIT_MAX))


def module_of(key: str) -> str:
    """The module of ``module:message``."""
    return key.partition(":")[0]


def message_of(key: str) -> str:
    """The message of ``module:message``."""
    return key.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Assembled:
    """Whole items, and the beginning of one that goes on in the next message."""

    items: tuple[Item, ...]
    partial_key: str = ""
    partial: bytes = field(default=b"", repr=False)


def assemble(
    kvs: Iterable[KV], known: Container[str], partial_key: str = "", partial: bytes = b""
) -> Assembled:
    """Join pieces and cut items; values of modules outside ``known`` are passed over unread.

    Raises MalformedMessage for an item that breaks off, is too long, or is not plain CBOR.
    """
    items: list[Item] = []
    for key, value in kvs:
        if len(key) > KEY_LENGTH_MAX:
            raise MalformedMessage(f"service-info key of {len(key)} characters")
        if partial and key != partial_key:
            raise MalformedMessage("a service-info value breaks off before another key")
        if module_of(key) not in known:
            continue
        whole, partial = _cut(partial + value if partial else value)
        if len(partial) > VALUE_LENGTH_MAX:
            raise MalformedMessage("a service-info value is too long")
        partial_key = key if partial else ""
        items.extend((key, item) for item in whole)
    return Assembled(tuple(items), partial_key, partial)


def _cut(octets: bytes) -> tuple[list[Any], bytes]:
    items: list[Any] = []
    start = 0
    while start < len(octets):
        end = item_end(octets, start)
        if end is None:
            break
        items.append(cbor.decode(octets[start:end], max_depth=_DEPTH_MAX))
        start = end
    return items, octets[start:]


def item_end(octets: bytes, start: int = 0) -> int | None:
    """Where the CBOR item at ``start`` ends; None when more octets are needed. Raises MalformedMessage."""
    pending = [1]
    at = start
    while pending:
        if pending[-1] == 0:
            pending.pop()
            continue
        pending[-1] -= 1
        head = _head(octets, at)
        if head is None:
            return None
        major, argument, at = head
        if major in (2, 3):
            at += _bounded(argument)
            if at > len(octets):
                return None
        elif major in (4, 5, 6):
            pending.append({4: _bounded(argument), 5: 2 * _bounded(argument), 6: 1}[major])
            if len(pending) > _DEPTH_MAX + 1:
                raise MalformedMessage("CBOR nested too deep")
    return at


def _bounded(length: int) -> int:
    if length > VALUE_LENGTH_MAX:
        raise MalformedMessage("a service-info value is too long")
    return length


def _head(octets: bytes, at: int) -> tuple[int, int, int] | None:
    """Major type, argument, and where the head ends (RFC 8949 section 3)."""
    if at >= len(octets):
        return None
    major, additional = octets[at] >> 5, octets[at] & 0x1F
    if additional < 24:
        return major, additional, at + 1
    if additional > 27:
        raise MalformedMessage("CBOR of indefinite length")
    end = at + 1 + (1 << (additional - 24))
    if end > len(octets):
        return None
    return major, int.from_bytes(octets[at + 1 : end], "big"), end


def _head_length(argument: int) -> int:
    return 1 if argument < 24 else 2 if argument < 256 else 3


class Packer:
    """Collects key-values up to ``limit`` octets of one encoded message."""

    def __init__(self, limit: int) -> None:
        self._left = limit - _MESSAGE_OVERHEAD
        self._whole = self._left
        self.kvs: list[KV] = []

    def room(self, key: str) -> int:
        """Octets of value that still fit under ``key``; negative when not even the key does."""
        return self._value_room(self._left, key)

    def room_when_empty(self, key: str) -> int:
        """Octets of value that a message with nothing else has for ``key``."""
        return self._value_room(self._whole, key)

    def add(self, key: str, value: bytes) -> None:
        """Take one key-value that ``room`` has room for."""
        self.kvs.append((key, value))
        name = len(key.encode())
        self._left -= 1 + _head_length(name) + name + _head_length(len(value)) + len(value)

    @staticmethod
    def _value_room(left: int, key: str) -> int:
        name = len(key.encode())
        free = left - 1 - _head_length(name) - name
        return max(length for length in (min(free - 1, 23), min(free - 2, 255), free - 3))
