"""Hashes and HMACs by FDO's numbers (FDO 1.1 section 3.3.2)."""

from __future__ import annotations

import hashlib
import hmac as std_hmac
from enum import IntEnum

from bootstrap.errors import MalformedMessage
from bootstrap.wire.keys import KeyKind


class HashType(IntEnum):
    """hashtype, as COSE numbers them."""

    SHA256 = -16
    SHA384 = -43
    HMAC_SHA256 = 5
    HMAC_SHA384 = 6


_HASHES = {int(HashType.SHA256): hashlib.sha256, int(HashType.SHA384): hashlib.sha384}
_HMACS = {int(HashType.HMAC_SHA256): "sha256", int(HashType.HMAC_SHA384): "sha384"}
_HMAC_OF = {HashType.SHA256: HashType.HMAC_SHA256, HashType.SHA384: HashType.HMAC_SHA384}


def digest(kind: int, *parts: bytes) -> bytes:
    """The hash over the concatenation of ``parts``. Raises MalformedMessage when ``kind`` is no hash: peers
    name the type of what they ask us to compare, and an HMAC's number must not stand for its bare hash."""
    new = _HASHES.get(kind)
    if new is None:
        raise MalformedMessage(f"hashtype {int(kind)} is not a hash")
    return new(b"".join(parts)).digest()


def hmac(kind: int, key: bytes, data: bytes) -> bytes:
    """The HMAC over ``data``. Raises MalformedMessage when ``kind`` is no HMAC."""
    name = _HMACS.get(kind)
    if name is None:
        raise MalformedMessage(f"hashtype {int(kind)} is not an HMAC")
    return std_hmac.digest(key, data, name)


def same(one: bytes, other: bytes) -> bool:
    """Compared in constant time."""
    return std_hmac.compare_digest(one, other)


def hmac_type_of(kind: int) -> HashType:
    """The HMAC that goes with a hash."""
    return _HMAC_OF[HashType(kind)]


def hash_type_of(kind: KeyKind) -> HashType:
    """The hash as wide as the key (section 3.2.2): 256 for P-256 and RSA-2048, 384 for the larger ones."""
    return HashType.SHA256 if kind in (KeyKind.P256, KeyKind.RSA2048) else HashType.SHA384
