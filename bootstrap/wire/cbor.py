"""The strict profile of CBOR (RFC 8949) that our own protocols read: one item, no tags, nothing left over.

cbor2 follows tags on its own (dates, regular expressions, MIME, shared references that make a value
contain itself); none of them has a place in a message from a device, so every tag is refused.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NoReturn

import cbor2

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


def decode(octets: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The one data item in ``octets``; maps and arrays come as dict and list.

    Raises MalformedMessage for tags, indefinite lengths, repeated map keys and octets after the item.
    """
    stream = BytesIO(octets)
    try:
        item = cbor2.CBORDecoder(
            stream,
            tag_hook=_refuse_tag,
            semantic_decoders=dict.fromkeys(_TAGS_OF_CBOR2, _refuse_tag),
            allow_indefinite=False,
            allow_duplicate_keys=False,
            max_depth=max_depth,
        ).decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedMessage(f"not a plain CBOR item: {type(error).__name__}") from None
    if stream.tell() != len(octets):
        raise MalformedMessage(f"{len(octets) - stream.tell()} octets follow the CBOR item")
    return item


def encode(item: Any) -> bytes:
    """``item`` in core deterministic encoding (RFC 8949 section 4.2.1)."""
    return cbor2.dumps(item, canonical=True)


def _refuse_tag(*_: object) -> NoReturn:
    raise MalformedMessage("CBOR tag where none is allowed")
