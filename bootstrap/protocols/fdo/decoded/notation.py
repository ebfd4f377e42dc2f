"""CBOR octets to a tree, and the tree to diagnostic notation (RFC 8949 section 8); any octets will do.

A reader of its own, because the view must show what a hostile or broken peer really sent, and must never
turn tags into objects.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

DEPTH_MAX = 16
NODES_MAX = 20_000
OCTETS_SHOWN = 64
CHARACTERS_SHOWN = 300
ITEMS_SHOWN = 200


class Major(IntEnum):
    """Major types (RFC 8949 section 3.1)."""

    UNSIGNED = 0
    NEGATIVE = 1
    OCTETS = 2
    TEXT = 3
    ARRAY = 4
    MAP = 5
    TAG = 6
    SIMPLE = 7


@dataclass(frozen=True, slots=True)
class Node:
    """One data item."""

    major: Major
    number: int = 0
    """Value of an integer (negative ones too), tag number, or number of a simple value."""
    octets: bytes = b""
    """Of a bstr, of a tstr, or of a float."""
    items: tuple[Node, ...] = ()
    """Elements; of a map keys and values in turn; of a tag the one item."""

    @property
    def text(self) -> str:
        """A tstr, or what a bstr would read as."""
        return self.octets.decode("utf-8", "replace")


class Unreadable(Exception):
    """Not one whole CBOR item within the limits. Never leaves this package."""


Renderer = Callable[[Node, int], str]
"""Gives the notation of a node at a depth of indentation."""


class _Reader:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0
        self._nodes = 0

    def read_all(self) -> Node:
        node = self._read(0)
        if self._at != len(self._octets):
            raise Unreadable("octets follow the item")
        return node

    def _take(self, count: int) -> bytes:
        if count > len(self._octets) - self._at:
            raise Unreadable("ends early")
        self._at += count
        return self._octets[self._at - count : self._at]

    def _read(self, depth: int) -> Node:
        self._nodes += 1
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            raise Unreadable("too deep or too many items")
        head = self._take(1)[0]
        major, additional = Major(head >> 5), head & 0x1F
        if additional > 27:
            raise Unreadable("indefinite or reserved length")
        raw = b"" if additional < 24 else self._take(1 << (additional - 24))
        number = int.from_bytes(raw, "big") if raw else additional
        return self._node(major, number, raw, depth)

    def _node(self, major: Major, number: int, raw: bytes, depth: int) -> Node:
        match major:
            case Major.UNSIGNED:
                return Node(major, number)
            case Major.NEGATIVE:
                return Node(major, -1 - number)
            case Major.OCTETS | Major.TEXT:
                return Node(major, octets=self._take(number))
            case Major.SIMPLE:
                return Node(major, number, raw if len(raw) > 1 else b"")
            case _:
                count = {Major.ARRAY: number, Major.MAP: 2 * number}.get(major, 1)
                if count > len(self._octets) - self._at:
                    raise Unreadable("ends early")
                return Node(major, number, items=tuple(self._read(depth + 1) for _ in range(count)))


def read(octets: bytes) -> Node:
    """The one item in ``octets``. Raises Unreadable."""
    return _Reader(octets).read_all()


def plain(node: Node, indent: int = 0) -> str:
    """A node on one line; long strings are cut, with their length in a comment."""
    match node.major:
        case Major.UNSIGNED | Major.NEGATIVE:
            return str(node.number)
        case Major.OCTETS:
            return octets_shown(node.octets)
        case Major.TEXT:
            return text_shown(node.text)
        case Major.ARRAY:
            return f"[{', '.join(_some(plain(item) for item in node.items))}]"
        case Major.MAP:
            pairs = zip(node.items[::2], node.items[1::2], strict=True)
            return f"{{{', '.join(_some(f'{plain(k)}: {plain(v)}' for k, v in pairs))}}}"
        case Major.TAG:
            return f"{node.number}({plain(node.items[0])})"
        case Major.SIMPLE:
            return _simple(node)


def _some(shown: Iterable[str]) -> list[str]:
    texts = list(islice(shown, ITEMS_SHOWN + 1))
    return texts if len(texts) <= ITEMS_SHOWN else [*texts[:ITEMS_SHOWN], "…"]


def _simple(node: Node) -> str:
    if node.octets:
        form = {2: ">e", 4: ">f", 8: ">d"}[len(node.octets)]
        value = struct.unpack(form, node.octets)[0]
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))
    return {20: "false", 21: "true", 22: "null", 23: "undefined"}.get(node.number, f"simple({node.number})")


def octets_shown(octets: bytes, shown: int = OCTETS_SHOWN) -> str:
    """``h'…'``, whole or the beginning with the length beside it."""
    if len(octets) <= shown:
        return f"h'{octets.hex()}'"
    return f"h'{octets[:shown].hex()}…' / {len(octets)} octets /"


def text_shown(text: str, shown: int = CHARACTERS_SHOWN) -> str:
    """A quoted text without anything that does not print; long ones are cut."""
    quoted = json.dumps(text[:shown], ensure_ascii=False)
    line = "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in quoted)
    return line if len(text) <= shown else f"{line} / and {len(text) - shown} characters more /"
