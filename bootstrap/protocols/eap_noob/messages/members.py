"""How each member of a message reads and writes (RFC 9140 section 3.3.2, Table 1)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bootstrap.errors import LocalError

from ..constants import (
    INFO_MAX_LENGTH,
    NAI_MAX_LENGTH,
    PEER_ID_MAX_LENGTH,
    SLEEP_TIME_MAX_SECONDS,
    NoobError,
    NoobErrorCode,
)

_MAX_LIST = 16
_MAX_NUMBER = 0xFFFFFFFF

# RFC 7542 section 2.2. Only the structure matters here: IDN normalization is the business of AAA routing.
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?"
_USERNAME = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_REALM = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its JSON name, the attribute that holds it, and both ways of the translation."""

    name: str
    attribute: str
    read: Callable[[Any, str], Any]
    """From the parsed value and its verbatim text; raises NoobError."""
    write: Callable[[Any], str]
    """To compact JSON text."""
    optional: bool = False


def is_nai(text: str) -> bool:
    """Whether ``text`` follows the NAI grammar of RFC 7542 (username, @realm, or both)."""
    if not 0 < len(text.encode("utf-8", "surrogatepass")) <= NAI_MAX_LENGTH:
        return False
    username, at, realm = text.partition("@")
    if username and not _USERNAME.fullmatch(username):
        return False
    return _REALM.fullmatch(realm) is not None if at else bool(username)


def is_peer_id(text: str) -> bool:
    """Whether ``text`` is a utf8-username (section 3.3.1) of bearable length."""
    octets = len(text.encode("utf-8", "surrogatepass"))
    return octets <= PEER_ID_MAX_LENGTH and _USERNAME.fullmatch(text) is not None


def quote(text: str) -> str:
    """``text`` as a JSON string, non-ASCII as is."""
    return json.dumps(text, ensure_ascii=False)


def base64url(octets: bytes) -> str:
    """Without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def from_base64url(text: str, length: int) -> bytes | None:
    """The ``length`` octets that ``text`` is the one canonical spelling of, or None."""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return octets if len(octets) == length and base64url(octets) == text else None


def _invalid(name: str, code: NoobErrorCode = NoobErrorCode.INVALID_DATA) -> NoobError:
    return NoobError(code, f"{name} has an invalid value")


def number(name: str, attribute: str, low: int, high: int = _MAX_NUMBER, optional: bool = False) -> Member:
    """An integer within bounds; ``1.0`` and ``true`` are none."""

    def read(value: Any, _: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _invalid(name)
        return value

    return Member(name, attribute, read, str, optional)


def numbers(name: str, attribute: str) -> Member:
    """A non-empty array of different unsigned integers."""

    def read(value: Any, _: str) -> tuple[int, ...]:
        if not isinstance(value, list) or not 0 < len(value) <= _MAX_LIST:
            raise _invalid(name)
        if any(type(v) is not int or not 0 <= v <= _MAX_NUMBER for v in value) or len(set(value)) < len(
            value
        ):
            raise _invalid(name)
        return tuple(value)

    def write(value: tuple[int, ...]) -> str:
        return "[" + ",".join(str(v) for v in value) + "]"

    return Member(name, attribute, read, write)


def octets(name: str, attribute: str, length: int) -> Member:
    """A base64url string of exactly ``length`` octets."""

    def read(value: Any, _: str) -> bytes:
        found = from_base64url(value, length) if isinstance(value, str) and value.isascii() else None
        if found is None:
            raise _invalid(name)
        return found

    def write(value: bytes) -> str:
        if len(value) != length:
            raise LocalError(f"{name} of {len(value)} octets, not {length}")
        return f'"{base64url(value)}"'

    return Member(name, attribute, read, write)


def info(name: str, attribute: str, code: NoobErrorCode, optional: bool = False) -> Member:
    """A JSON object of at most 500 octets, kept as its verbatim text."""

    def read(value: Any, text: str) -> str:
        if not isinstance(value, dict) or len(text.encode()) > INFO_MAX_LENGTH:
            raise _invalid(name, code)
        return text

    def write(value: str) -> str:
        if len(value.encode()) > INFO_MAX_LENGTH:
            raise LocalError(f"{name} is longer than {INFO_MAX_LENGTH} octets")
        return value

    return Member(name, attribute, read, write, optional)


def public_key(name: str, attribute: str, optional: bool = False) -> Member:
    """A JWK, kept as its verbatim text; what is in it only the cryptosuite can judge.

    An empty string counts as absent where the key is optional: the drafts' generator sends one.
    """

    def read(value: Any, text: str) -> str | None:
        if optional and value == "":
            return None
        if not isinstance(value, dict):
            raise _invalid(name, NoobErrorCode.INVALID_KEY)
        return text

    return Member(name, attribute, read, str, optional)


def _text(name: str, attribute: str, accepts: Callable[[str], bool], optional: bool = False) -> Member:
    def read(value: Any, _: str) -> str:
        if not isinstance(value, str) or not accepts(value):
            raise _invalid(name)
        return value

    return Member(name, attribute, read, quote, optional)


TYPE = "Type"
PEER_ID = _text("PeerId", "peer_id", is_peer_id)
OPTIONAL_PEER_ID = _text("PeerId", "peer_id", is_peer_id, optional=True)
NEW_NAI = _text("NewNAI", "new_nai", is_nai, optional=True)
ERROR_INFO = _text("ErrorInfo", "error_info", lambda t: len(t.encode()) <= INFO_MAX_LENGTH, optional=True)
SLEEP_TIME = number("SleepTime", "sleep_time", 0, SLEEP_TIME_MAX_SECONDS, optional=True)
