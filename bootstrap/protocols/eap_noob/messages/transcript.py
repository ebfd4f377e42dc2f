"""The 17-element array under Hoob and the MACs (RFC 9140 section 3.3.2), gathered as messages pass by.

A transcript is elements 2 to 16 as JSON text, in order, each copied verbatim from the message that carried
it. Element 1 (the direction) and element 17 (Noob) are added when the array is written.
"""

from __future__ import annotations

from enum import IntEnum

from bootstrap.errors import LocalError

from .base import Message
from .members import base64url, quote

Transcript = tuple[str, ...]
MISSING = '""'


class Element(IntEnum):
    """Positions within a transcript."""

    VERS = 0
    VERP = 1
    PEER_ID = 2
    CRYPTOSUITES = 3
    DIRS = 4
    SERVER_INFO = 5
    CRYPTOSUITEP = 6
    DIRP = 7
    NAI = 8
    PEER_INFO = 9
    KEYING_MODE = 10
    PKS = 11
    NS = 12
    PKP = 13
    NP = 14


_ELEMENT_OF = {
    "Vers": Element.VERS,
    "Verp": Element.VERP,
    "PeerId": Element.PEER_ID,
    "Cryptosuites": Element.CRYPTOSUITES,
    "Dirs": Element.DIRS,
    "ServerInfo": Element.SERVER_INFO,
    "Cryptosuitep": Element.CRYPTOSUITEP,
    "Dirp": Element.DIRP,
    "NewNAI": Element.NAI,
    "PeerInfo": Element.PEER_INFO,
    "KeyingMode": Element.KEYING_MODE,
    "PKs": Element.PKS,
    "PKs2": Element.PKS,
    "Ns": Element.NS,
    "Ns2": Element.NS,
    "PKp": Element.PKP,
    "PKp2": Element.PKP,
    "Np": Element.NP,
    "Np2": Element.NP,
}


def opened(nai: str, keying_mode: str = MISSING) -> Transcript:
    """A transcript with nothing in it but the NAI in force, which a NewNAI replaces."""
    elements = [MISSING] * len(Element)
    elements[Element.NAI] = quote(nai)
    elements[Element.KEYING_MODE] = keying_mode
    return tuple(elements)


def recorded(transcript: Transcript, message: Message) -> Transcript:
    """The transcript with what ``message`` adds. PeerId stays as the server first wrote it."""
    elements = list(transcript)
    for name, text in message.verbatim().items():
        element = _ELEMENT_OF.get(name)
        if element is None or (element is Element.PEER_ID and elements[element] != MISSING):
            continue
        elements[element] = text
    return tuple(elements)


def without_nai(transcript: Transcript) -> Transcript:
    """The other reading of MACs2 and MACp2: an empty string as element 10."""
    elements = list(transcript)
    elements[Element.NAI] = MISSING
    return tuple(elements)


def hash_input(direction: int, transcript: Transcript, noob: bytes | None) -> bytes:
    """The array itself, without white space; ``noob`` is None in the Reconnect Exchange."""
    if len(transcript) != len(Element):
        raise LocalError(f"transcript of {len(transcript)} elements")
    last = MISSING if noob is None else f'"{base64url(noob)}"'
    return f"[{int(direction)},{','.join(transcript)},{last}]".encode()
