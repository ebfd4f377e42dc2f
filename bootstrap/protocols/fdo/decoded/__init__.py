"""The decoded view: any FDO message as diagnostic notation for people, with secrets left out."""

from __future__ import annotations

from bootstrap.protocols.fdo.decoded.masks import masked
from bootstrap.protocols.fdo.decoded.notation import Unreadable, read
from bootstrap.protocols.fdo.decoded.schemas import SCHEMAS

TEXT_LENGTH_MAX = 16_000
"""Characters of one view."""
MESSAGE_LENGTH_MAX = 128 * 1024
"""Octets of a message that are looked at."""

__all__ = ["TEXT_LENGTH_MAX", "decoded"]


def decoded(number: int, plaintext: bytes) -> str:
    """Message ``number`` (10 to 71, 255) in diagnostic notation (RFC 8949 section 8).

    Names of fields stand in comments. File contents, passwords, and arguments that look like either are
    masked; proofs are shortened. Takes any octets: what cannot be read is shown by its length alone.
    """
    name, how = SCHEMAS.get(number, ("", None))
    if how is None:
        return f"/ message {number} is not known /\n{masked(plaintext)}"
    title = f"/ {name} ({number}) /"
    if len(plaintext) > MESSAGE_LENGTH_MAX:
        return f"{title}\n{masked(plaintext)}"
    try:
        text = how(read(plaintext), 0)
    except Unreadable as error:
        return f"{title}\n/ {error} /\n{masked(plaintext)}"
    if len(text) > TEXT_LENGTH_MAX:
        text = text[:TEXT_LENGTH_MAX] + "\n… / cut here /"
    return f"{title}\n{text}"
