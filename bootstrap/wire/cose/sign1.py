"""COSE_Sign1 (RFC 9052 section 4.2): decode, verify, sign. The protected octets that came are those verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cbor2 import CBORTag

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor
from bootstrap.wire.keys import PublicKeyHandle, Signer

_TAG_SIGN1 = 0xD2
"""CBOR tag 18 as its single octet."""
_ALG = 1
MAX_DEPTH = 8
PROTECTED_MAX_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Sign1:
    """One signed payload, not yet verified unless ``verify`` said so."""

    protected: bytes
    """The serialized protected header, as received."""
    unprotected: dict[int, Any]
    payload: bytes
    signature: bytes = field(repr=False)
    raw: bytes = field(default=b"", compare=False, repr=False)
    """The whole as received, tag and all; empty for one we made."""

    @classmethod
    def decode(cls, octets: Any) -> Sign1:
        """From octets, or from an item decoded already; with tag 18 or without. Raises MalformedMessage."""
        if isinstance(octets, bytes | bytearray):
            octets = bytes(octets)
            array = octets[1:] if octets[:1] == bytes([_TAG_SIGN1]) else octets
            return cls._of(cbor.decode(array, max_depth=MAX_DEPTH), octets)
        if isinstance(octets, CBORTag):
            if octets.tag != 18:
                raise MalformedMessage(f"tag {octets.tag} is not COSE_Sign1's")
            octets = octets.value
        return cls._of(octets, b"")

    @classmethod
    def _of(cls, item: Any, raw: bytes) -> Sign1:
        if not isinstance(item, list | tuple) or len(item) != 4:
            raise MalformedMessage("COSE_Sign1 is not an array of four")
        protected, unprotected, payload, signature = item
        shapes = (type(protected) is bytes, type(payload) is bytes, type(signature) is bytes)
        if not all(shapes) or not hasattr(unprotected, "items"):
            raise MalformedMessage("COSE_Sign1 is not [bstr, map, bstr, bstr]")
        if len(protected) > PROTECTED_MAX_LENGTH:
            raise MalformedMessage("protected header is too long")
        if any(type(label) is not int for label in unprotected):
            raise MalformedMessage("COSE header label is not an integer")
        return cls(protected, dict(unprotected), payload, signature, raw)

    def encode(self) -> bytes:
        """The tagged encoding; of a received one, the octets that came (with the tag, if it had none)."""
        if self.raw:
            return self.raw if self.raw[0] == _TAG_SIGN1 else bytes([_TAG_SIGN1]) + self.raw
        return bytes([_TAG_SIGN1]) + cbor.encode(
            [self.protected, self.unprotected, self.payload, self.signature]
        )

    @property
    def algorithm(self) -> int:
        """From the protected header. Raises MalformedMessage when it names none."""
        return _algorithm(self.protected)

    def verify(
        self, key: PublicKeyHandle, *, external_aad: bytes = b"", payload: bytes | None = None
    ) -> None:
        """Raises NotAuthenticated unless ``key`` signed it. ``payload`` replaces one that travelled apart."""
        signed = self.payload if payload is None else payload
        key.verify(self.algorithm, sig_structure(self.protected, external_aad, signed), self.signature)


def sign1(
    signer: Signer,
    algorithm: int,
    payload: bytes,
    *,
    unprotected: dict[int, Any] | None = None,
    external_aad: bytes = b"",
) -> Sign1:
    """Sign ``payload``."""
    protected = _protected(algorithm)
    signature = signer.sign(algorithm, sig_structure(protected, external_aad, payload))
    return Sign1(protected, unprotected or {}, payload, signature)


def sig_structure(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """Sig_structure, what is really signed (RFC 9052 section 4.4)."""
    return cbor.encode(["Signature1", protected, external_aad, payload])


@lru_cache(maxsize=64)
def _protected(algorithm: int) -> bytes:
    return cbor.encode({_ALG: algorithm})


@lru_cache(maxsize=256)
def _algorithm(protected: bytes) -> int:
    header = cbor.decode(protected, max_depth=3) if protected else {}
    if type(header) is not dict:
        raise MalformedMessage("protected header is not a map")
    algorithm = header.get(_ALG)
    if type(algorithm) is not int:
        raise MalformedMessage("protected header names no algorithm")
    return algorithm
