"""Hash, HMac and sigInfo: the little arrays that many messages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor

from . import grammar

DIGEST_LENGTHS: dict[int, int] = {-16: 32, -43: 48, 5: 32, 6: 48}
"""Octets by hashtype: SHA-256, SHA-384, HMAC-SHA-256, HMAC-SHA-384."""


@dataclass(frozen=True, slots=True)
class Hash:
    """``[hashtype, bstr]``; an HMac has the same form. The type is one that we know, the length fits it."""

    type: int
    value: bytes
    raw: bytes = field(default=b"", compare=False, repr=False)
    """Its encoding as received, which is what others hash; empty in one we made."""

    @classmethod
    def decode(cls, octets: bytes) -> Hash:
        """Raises MalformedMessage."""
        return cls.from_item(cbor.decode(octets), octets)

    @classmethod
    def from_item(cls, item: Any, raw: bytes = b"") -> Hash:
        kind, value = grammar.array(item, "hash", 2)
        kind = grammar.integer(kind, "hashtype", -grammar.UINT16, grammar.UINT16)
        if kind not in DIGEST_LENGTHS:
            raise MalformedMessage(f"hashtype {kind} is not known")
        return cls(kind, grammar.bstr(value, "hash", length=DIGEST_LENGTHS[kind]), raw)

    def item(self) -> list[Any]:
        """For use inside a larger array."""
        return [self.type, self.value]

    def encode(self) -> bytes:
        """As received, or in deterministic encoding."""
        return self.raw or cbor.encode(self.item())


@dataclass(frozen=True, slots=True)
class SigInfo:
    """``[sgType, bstr]``, eASigInfo and eBSigInfo: the algorithm a device signs with."""

    type: int
    info: bytes = b""
    """Empty for everything but EPID."""

    @classmethod
    def from_item(cls, item: Any) -> SigInfo:
        """Raises MalformedMessage. A type that we do not serve is the caller's business."""
        kind, info = grammar.array(item, "sigInfo", 2)
        return cls(
            grammar.integer(kind, "sgType", -grammar.UINT16, grammar.UINT16),
            grammar.bstr(info, "sigInfo", most=4096),
        )

    def item(self) -> list[Any]:
        return [int(self.type), self.info]
