"""COSE_Mac0 (RFC 9052 section 6.2): its form, and what is authenticated. Key and hash are the protocol's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor

TAG_MAC0 = 0xD1
"""CBOR tag 17 as its single octet."""


@dataclass(frozen=True, slots=True)
class Mac0:
    """One authenticated payload; nobody has compared ``tag`` yet."""

    protected: bytes
    """The serialized protected header, as received."""
    unprotected: dict[int, Any]
    payload: bytes
    tag: bytes = field(repr=False)

    @classmethod
    def decode(cls, octets: bytes) -> Mac0:
        """With CBOR tag 17 or without. Raises MalformedMessage."""
        match cbor.decode(octets[1:] if octets[:1] == bytes([TAG_MAC0]) else octets):
            case [bytes(protected), dict(unprotected), bytes(payload), bytes(tag)]:
                pass
            case _:
                raise MalformedMessage("COSE_Mac0 is not [bstr, map, bstr, bstr]")
        if any(type(label) is not int for label in unprotected):
            raise MalformedMessage("COSE header label is not an integer")
        return cls(protected, unprotected, payload, tag)

    def encode(self) -> bytes:
        """Tagged."""
        return bytes([TAG_MAC0]) + cbor.encode([self.protected, self.unprotected, self.payload, self.tag])


def mac_structure(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """MAC_structure (RFC 9052 section 6.3)."""
    return cbor.encode(["MAC0", protected, external_aad, payload])
