"""A JSON object (RFC 8259) together with the exact text of each of its members.

Protocols that hash JSON "verbatim" cannot parse and dump again: key order, escapes, number spelling and
white space would be lost. The value and the slice of the text it came from are therefore kept side by side.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from bootstrap.errors import MalformedMessage

MAX_OCTETS = 4096
MAX_DEPTH = 8
MAX_DIGITS = 20
"""Of an integer: 2**64 has 20. Longer ones are no counters, and converting them costs quadratic time."""
_BLANKS = " \t\n\r"


@dataclass(frozen=True, slots=True)
class JsonObject:
    """The members of one object, in the order they were written."""

    values: dict[str, Any]
    slices: dict[str, str]
    """The text of each value as received, without the white space around it."""


def parse_object(octets: bytes, max_octets: int = MAX_OCTETS, max_depth: int = MAX_DEPTH) -> JsonObject:
    """Parse one JSON object; a single trailing NUL is tolerated, as C implementations send it.

    Raises MalformedMessage for anything else that is not exactly one object: bad UTF-8, duplicate member
    names at any depth, NaN and infinities, lone surrogates, deep nesting, long integers, trailing text.
    """
    if octets.endswith(b"\0"):
        octets = octets[:-1]
    if len(octets) > max_octets:
        raise MalformedMessage(f"JSON of {len(octets)} octets, more than {max_octets}")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage("JSON is not UTF-8") from error
    _check_depth(text, max_depth)
    try:
        parsed = _members(text)
        json.dumps(parsed.values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedMessage("JSON string with a lone surrogate") from error
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not a JSON object: {type(error).__name__}") from error
    return parsed


def _members(text: str) -> JsonObject:
    """Walk the top level by hand and leave each value to the standard decoder, which tells where it ends."""
    values: dict[str, Any] = {}
    slices: dict[str, str] = {}
    at = _expect(text, _skip(text, 0), "{")
    at = _skip(text, at)
    more = not text.startswith("}", at)
    while more:
        name, at = _DECODER.raw_decode(text, at)
        if not isinstance(name, str) or name in values:
            raise MalformedMessage("JSON member name is repeated or no string")
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        values[name], end = _DECODER.raw_decode(text, at)
        slices[name] = text[at:end]
        at = _skip(text, end)
        more = text.startswith(",", at)
        if more:
            at = _skip(text, at + 1)
    if _skip(text, _expect(text, at, "}")) != len(text):
        raise MalformedMessage("text after the JSON object")
    return JsonObject(values, slices)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise MalformedMessage(f"JSON without {mark!r} where one belongs")
    return at + 1


def _check_depth(text: str, max_depth: int) -> None:
    """Count brackets outside strings before the recursive decoder sees them."""
    depth = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string = escaped or char != '"'
            escaped = not escaped and char == "\\"
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
            if depth > max_depth:
                raise MalformedMessage(f"JSON nested deeper than {max_depth}")
        elif char in "}]":
            depth -= 1


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedMessage("JSON member name is repeated")
    return members


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise MalformedMessage(f"JSON integer of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise MalformedMessage("JSON number out of range")
    return number


def _constant(name: str) -> NoReturn:
    raise MalformedMessage(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
