"""One registry for everything a person may scan, photograph, type or paste; the server parses it.

A kind we know but cannot take yet gets its own refusal instead of "unreadable".
"""

from __future__ import annotations

import re

from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.errors import MalformedMessage
from bootstrap.protocols.eap_noob import sticker
from bootstrap.protocols.eap_noob.sticker import Oob

CODE_MAX_LENGTH = 4096

NOT_YET: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Wi-Fi Easy Connect (DPP)", re.compile(r"DPP:", re.IGNORECASE)),
    ("Matter", re.compile(r"MT:[0-9A-Z.-]")),
    ("HomeKit", re.compile(r"X-HM://")),
    ("Wi-Fi network", re.compile(r"WIFI:", re.IGNORECASE)),
    ("LoRaWAN", re.compile(r"LW:D", re.IGNORECASE)),
    ("Thread", re.compile(r"v=1&&", re.IGNORECASE)),
    ("Zigbee", re.compile(r"(Z:|ZB:)[0-9A-F]{16}", re.IGNORECASE)),
    ("Z-Wave", re.compile(r"90\d{50,}$")),
    ("FIDO Device Onboard", re.compile(r"-----BEGIN OWNERSHIP VOUCHER-----|https?://[^/]+/d/")),
)
"""Kinds of sticker by how they begin."""


def read(code: str) -> Oob:
    """The EAP-NOOB message in ``code``; raises ClaimRefused (UNREADABLE, NOT_YET)."""
    text = code.strip()
    if not text or len(text) > CODE_MAX_LENGTH:
        raise ClaimRefused(ClaimProblem.UNREADABLE)
    try:
        return sticker.decode(text)
    except MalformedMessage:
        pass
    for kind, pattern in NOT_YET:
        if pattern.match(text):
            raise ClaimRefused(ClaimProblem.NOT_YET, kind=kind)
    raise ClaimRefused(ClaimProblem.UNREADABLE)
