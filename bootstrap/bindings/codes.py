"""One registry for everything a person may scan, photograph, type or paste; the server parses it.

A kind we know but cannot take yet gets its own refusal instead of "unreadable".
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass

from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.errors import MalformedMessage
from bootstrap.protocols.eap_noob import sticker
from bootstrap.protocols.eap_noob.sticker import Oob
from bootstrap.protocols.fdo.voucher import Voucher

CODE_MAX_LENGTH = 96 * 1024
"""Characters; the longest kind is a voucher as text."""
STICKER_MAX_LENGTH = 4096
"""Characters of every other kind."""
SERIAL_MAX_LENGTH = 120

NOT_YET: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Wi-Fi Easy Connect (DPP)", re.compile(r"DPP:", re.IGNORECASE)),
    ("Matter", re.compile(r"MT:[0-9A-Z.-]")),
    ("HomeKit", re.compile(r"X-HM://")),
    ("Wi-Fi network", re.compile(r"WIFI:", re.IGNORECASE)),
    ("LoRaWAN", re.compile(r"LW:D", re.IGNORECASE)),
    ("Thread", re.compile(r"v=1&&", re.IGNORECASE)),
    ("Zigbee", re.compile(r"(Z:|ZB:)[0-9A-F]{16}", re.IGNORECASE)),
    ("Z-Wave", re.compile(r"90\d{50,}$")),
)
"""Kinds of sticker by how they begin."""

_GUID = r"(?P<guid>[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_FDO = (
    re.compile(rf"(?:fdo:|urn:uuid:)?{_GUID}\Z", re.IGNORECASE | re.ASCII),
    # Whose host it is does not matter: the name is the device's, wherever its maker let it point.
    re.compile(rf"https?://[^/?#\s]+/d/{_GUID}/?(?:[?#].*)?\Z", re.IGNORECASE | re.ASCII),
)
_VOUCHER = re.compile(r"-----BEGIN OWNERSHIP VOUCHER-----(.*)-----END OWNERSHIP VOUCHER-----\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Guid:
    """The name of an FDO device: on its sticker, or in its voucher."""

    guid: str
    """32 hexadecimal digits, lower case."""

    def __str__(self) -> str:
        return f"fdo:{self.guid}"


@dataclass(frozen=True, slots=True)
class Serial:
    """What may be a serial number: no kind of code, but a short text."""

    serial: str

    def __str__(self) -> str:
        return self.serial


def read(code: str) -> Oob | Guid | Serial:
    """What ``code`` says; raises ClaimRefused (UNREADABLE, NOT_YET)."""
    text = code.strip()
    if not text or len(text) > CODE_MAX_LENGTH:
        raise ClaimRefused(ClaimProblem.UNREADABLE)
    if text.startswith("-----BEGIN"):
        return _voucher(text)
    if len(text) > STICKER_MAX_LENGTH:
        raise ClaimRefused(ClaimProblem.UNREADABLE)
    try:
        return sticker.decode(text)
    except MalformedMessage:
        pass
    if (guid := guid_in(text)) is not None:
        return guid
    for kind, pattern in NOT_YET:
        if pattern.match(text):
            raise ClaimRefused(ClaimProblem.NOT_YET, kind=kind)
    if len(text) > SERIAL_MAX_LENGTH or not text.isprintable():
        raise ClaimRefused(ClaimProblem.UNREADABLE)
    return Serial(text)


def read_oob(code: str) -> Oob:
    """The EAP-NOOB message in ``code``, and nothing else; raises ClaimRefused."""
    found = read(code)
    if not isinstance(found, Oob):
        raise ClaimRefused(ClaimProblem.UNREADABLE)
    return found


def guid_in(text: str) -> Guid | None:
    """The GUID that ``text`` spells: bare, dashed, ``fdo:…``, or in the link of a sticker."""
    for pattern in _FDO:
        if found := pattern.match(text):
            return Guid(found["guid"].replace("-", "").lower())
    return None


def shortened(code: str) -> str:
    """The same in few characters, to be put away: of a voucher its GUID. What is unreadable stays as it is."""
    try:
        found = read(code)
    except ClaimRefused:
        return code
    return str(found) if isinstance(found, Guid) else code


def _voucher(text: str) -> Guid:
    """A voucher as text. Fields of a form lose its line ends, so none are asked for."""
    block = _VOUCHER.match(text)
    try:
        octets = b64decode("".join(block[1].split()), validate=True) if block else b""
        return Guid(Voucher.decode(octets).guid.hex())
    except (NotBase64, ValueError, MalformedMessage) as error:
        raise ClaimRefused(ClaimProblem.UNREADABLE) from error
