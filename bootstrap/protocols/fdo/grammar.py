"""Small readers for decoded CBOR items: each gives a value of the right type or raises MalformedMessage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor

UINT8 = 0xFF
UINT16 = 0xFFFF
UINT32 = 0xFFFFFFFF
UINT64 = 0xFFFFFFFFFFFFFFFF


def pieces(octets: bytes, what: str, least: int, most: int | None = None) -> list[bytes]:
    """The exact received encoding of each element of the one array in ``octets``."""
    found = cbor.split_array(octets)
    _check_count(found, what, least, most)
    return found


def items(octets: bytes, what: str, least: int, most: int | None = None) -> list[Any]:
    """The decoded elements of the one array in ``octets``."""
    return array(cbor.decode(octets), what, least, most)


def array(value: object, what: str, least: int, most: int | None = None) -> list[Any]:
    """An array of ``least`` to ``most`` elements; of exactly ``least`` when no ``most`` is given."""
    if not isinstance(value, list):
        raise MalformedMessage(f"{what} is {_name(value)}, not an array")
    _check_count(value, what, least, most)
    return value


def integer(value: object, what: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedMessage(f"{what} is {_name(value)}, not an integer")
    if not least <= value <= most:
        raise MalformedMessage(f"{what} is not within {least} to {most}")
    return value


def uint(value: object, what: str, most: int) -> int:
    return integer(value, what, 0, most)


def boolean(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise MalformedMessage(f"{what} is {_name(value)}, not a boolean")
    return value


def bstr(value: object, what: str, *, length: int | None = None, most: int | None = None) -> bytes:
    """A byte string, of ``length`` octets or of at most ``most``."""
    if not isinstance(value, bytes):
        raise MalformedMessage(f"{what} is {_name(value)}, not a byte string")
    if length is not None and len(value) != length:
        raise MalformedMessage(f"{what} has {len(value)} octets, not {length}")
    if most is not None and len(value) > most:
        raise MalformedMessage(f"{what} has {len(value)} octets, more than {most}")
    return value


def tstr(value: object, what: str, most: int) -> str:
    """A text string of at most ``most`` characters."""
    if not isinstance(value, str):
        raise MalformedMessage(f"{what} is {_name(value)}, not a text string")
    if len(value) > most:
        raise MalformedMessage(f"{what} has {len(value)} characters, more than {most}")
    return value


def member(value: object, what: str, members: type[Any]) -> Any:
    """A number of an IntEnum."""
    try:
        return members(integer(value, what, -UINT64, UINT64))
    except ValueError:
        raise MalformedMessage(f"{what} {value} is not known") from None


def key_values(value: object, what: str, key_most: int) -> tuple[tuple[str, bytes], ...]:
    """Service info: an array of ``[tstr, bstr]``."""
    if not isinstance(value, list):
        raise MalformedMessage(f"{what} is {_name(value)}, not an array")
    found = []
    for entry in value:
        key, octets = array(entry, what, 2)
        found.append((tstr(key, what, key_most), bstr(octets, what)))
    return tuple(found)


def _check_count(found: Sequence[object], what: str, least: int, most: int | None) -> None:
    if not least <= len(found) <= (least if most is None else most):
        raise MalformedMessage(f"{what} has {len(found)} elements")


def _name(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
