"""The strict profile of CBOR (RFC 8949) that our protocols read: one item, nothing left over, and no tag but
those that the caller names.

cbor2 follows tags on its own (dates, regular expressions, MIME, shared references that make a value
contain itself); none of them has a place in a message from a device, so every other tag is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, NoReturn

import cbor2
from cbor2 import CBORTag

from bootstrap.errors import MalformedMessage

MAX_DEPTH = 8
"""Containers within containers; our deepest message needs five."""

_TAGS_OF_CBOR2 = (
    0,
    1,
    2,
    3,
    4,
    5,
    25,
    28,
    29,
    30,
    35,
    36,
    37,
    52,
    54,
    100,
    256,
    258,
    260,
    261,
    1004,
    43000,
    55799,
)


COSE_TAGS = frozenset({16, 17, 18})
"""COSE_Encrypt0, COSE_Mac0 and COSE_Sign1 (RFC 9052 section 2)."""


def decode(octets: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The one data item in ``octets``; maps and arrays come as dict and list.

    Raises MalformedMessage for tags, indefinite lengths, repeated map keys and octets after the item.
    """
    return _decode(octets, max_depth, _refuse_tag, _REFUSED)


def decode_tagged(octets: bytes, allowed: frozenset[int] = COSE_TAGS, max_depth: int = MAX_DEPTH) -> Any:
    """Like ``decode``, but the tags in ``allowed`` are left as ``CBORTag``. Raises MalformedMessage."""

    return _decode(octets, max_depth, *_keeping(allowed))


@lru_cache(maxsize=16)
def _keeping(allowed: frozenset[int]) -> tuple[Callable[..., Any], dict[int, Callable[..., Any]]]:
    """The two hooks of cbor2, for tags that it does not know and for those that it does."""

    def keep(tag: CBORTag, *_: object) -> CBORTag:
        return tag if tag.tag in allowed else _refuse_tag()

    known = {tag: partial(_keep, tag) if tag in allowed else _refuse_tag for tag in _TAGS_OF_CBOR2}
    return keep, known


def _keep(tag: int, value: Any, *_: object) -> CBORTag:
    return CBORTag(tag, value)


def _decode(
    octets: bytes, max_depth: int, tag_hook: Callable[..., Any], semantic: dict[int, Callable[..., Any]]
) -> Any:
    stream = BytesIO(octets)
    try:
        item = cbor2.CBORDecoder(
            stream,
            tag_hook=tag_hook,
            semantic_decoders=semantic,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            max_depth=max_depth,
        ).decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedMessage(f"not a plain CBOR item: {type(error).__name__}") from None
    if stream.tell() != len(octets):
        raise MalformedMessage(f"{len(octets) - stream.tell()} octets follow the CBOR item")
    return item


def split_array(octets: bytes, max_items: int = 1024, max_depth: int = MAX_DEPTH) -> list[bytes]:
    """The elements of the one array in ``octets``, each in exactly the encoding that came: what is hashed or
    verified later is what was received. Tags inside elements are not judged here. Raises MalformedMessage."""
    if not octets or octets[0] >> 5 != _ARRAY:
        raise MalformedMessage("not a CBOR array")
    count, position = _head(octets, 0)
    if count > max_items:
        raise MalformedMessage(f"array of more than {max_items} items")
    elements = []
    for _number in range(count):
        end = item_end(octets, position, max_depth - 1)
        elements.append(octets[position:end])
        position = end
    if position != len(octets):
        raise MalformedMessage(f"{len(octets) - position} octets follow the CBOR item")
    return elements


def item_end(octets: bytes, position: int = 0, max_depth: int = MAX_DEPTH) -> int:
    """Where the item that begins at ``position`` ends. Definite lengths only. Raises MalformedMessage."""
    open_items: list[int] = []
    remaining, whole = 1, len(octets)
    while True:
        if remaining == 0:
            if not open_items:
                return position
            remaining = open_items.pop()
            continue
        remaining -= 1
        if position >= whole:
            raise MalformedMessage("CBOR item is cut short")
        major = octets[position] >> 5
        value, position = _head(octets, position)
        if major in _STRINGS:
            position += value
            if position > whole:
                raise MalformedMessage("CBOR item is cut short")
        elif major == _TAG or major in _ITEMS_EACH:
            open_items.append(remaining)
            if len(open_items) > max_depth:
                raise MalformedMessage("CBOR item is nested too deeply")
            remaining = 1 if major == _TAG else value * _ITEMS_EACH[major]


def _head(octets: bytes, position: int) -> tuple[int, int]:
    """The argument of the head at ``position``, and where the head ends (RFC 8949 section 3)."""
    short = octets[position] & 0x1F
    if short < _ONE_OCTET:
        return short, position + 1
    if short > _EIGHT_OCTETS:
        raise MalformedMessage("indefinite or reserved CBOR length")
    end = position + 1 + (1 << (short - _ONE_OCTET))
    if end > len(octets):
        raise MalformedMessage("CBOR item is cut short")
    return int.from_bytes(octets[position + 1 : end], "big"), end


def encode(item: Any) -> bytes:
    """``item`` in deterministic encoding, keys of maps shorter first (RFC 8949 section 4.2.3). For the maps that
    our protocols have, that is the order of section 4.2.1 too."""
    return cbor2.dumps(item, canonical=True)


def _refuse_tag(*_: object) -> NoReturn:
    raise MalformedMessage("CBOR tag where none is allowed")


_REFUSED: dict[int, Callable[..., Any]] = dict.fromkeys(_TAGS_OF_CBOR2, _refuse_tag)
_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6
_STRINGS = (_BYTES, _TEXT)
_ITEMS_EACH = {_ARRAY: 1, _MAP: 2}
_ONE_OCTET, _EIGHT_OCTETS = 24, 27
