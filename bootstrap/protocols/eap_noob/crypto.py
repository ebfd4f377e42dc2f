"""ECDHE, key derivation, fingerprints and MACs of EAP-NOOB (RFC 9140 sections 3.3.2, 3.5 and 5.1)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootstrap.errors import LocalError

from .constants import (
    HOOB_LENGTH,
    NOOB_ID_LENGTH,
    Cryptosuite,
    KeyingMode,
    NoobError,
    NoobErrorCode,
)
from .messages.members import base64url, from_base64url

SESSION_ID_TYPE = b"\x38"
"""EAP type 56 in front of MethodId (section 3.5)."""
_ALGORITHM_ID = b"EAP-NOOB"
_COORDINATE_LENGTH = 32
_DIGEST_LENGTH = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_TRIES = 8
"""A candidate is out of range once in 2**32; eight in a row mean a broken generator."""


@dataclass(frozen=True, slots=True)
class Convention:
    """Which published reading of two unclear places a peer follows; the defaults are the RFC's own text.

    ``kdf_datalength``: one octet of length before SuppPrivInfo (section 3.5). ``null_datalength``: it also
    stands, as 00, for the null SuppPrivInfo of KeyingMode 1. ``mac_nai``: element 10 of MACs2 and MACp2 is
    the NAI (section 3.3.2) and not an empty string. README.md gives the reasons.
    """

    kdf_datalength: bool = True
    null_datalength: bool = True
    mac_nai: bool = True


RFC_TEXT = Convention()


@dataclass(frozen=True, slots=True)
class Pins:
    """What is already known of a peer's convention; None is not known yet."""

    kdf_datalength: bool | None = None
    null_datalength: bool | None = None
    mac_nai: bool | None = None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ephemeral key: the private octets for our state, the JWK text for the wire."""

    private: bytes = field(repr=False)
    jwk: str


@dataclass(frozen=True, slots=True, repr=False)
class DerivedKeys:
    """The KDF output, cut as Table 5 says. ``kz`` is empty in KeyingModes 1 and 2."""

    msk: bytes
    emsk: bytes
    amsk: bytes
    method_id: bytes
    kms: bytes
    kmp: bytes
    kz: bytes

    def __repr__(self) -> str:
        return "DerivedKeys(...)"


_CUTS = (64, 64, 64, 32, 32, 32, 32)
_WITH_KZ = frozenset({KeyingMode.COMPLETION, KeyingMode.RECONNECT_NEW_SUITE})


def candidates(default: Convention, pins: Pins, mode: KeyingMode) -> tuple[Convention, ...]:
    """The conventions worth trying in this exchange, the likeliest first.

    Only what changes the messages of ``mode`` is varied: the NAI element is no question in the Completion
    Exchange, and the null counter only one in KeyingMode 1 of a peer that writes counters at all.
    """

    def choices(pinned: bool | None, preferred: bool, matters: bool) -> tuple[bool, ...]:
        if pinned is not None:
            return (pinned,)
        return (preferred, not preferred) if matters else (preferred,)

    completion = mode is KeyingMode.COMPLETION
    found = []
    for datalength, nai, null in product(
        choices(pins.kdf_datalength, default.kdf_datalength, True),
        choices(pins.mac_nai, default.mac_nai, not completion),
        choices(pins.null_datalength, default.null_datalength, mode is KeyingMode.RECONNECT),
    ):
        convention = Convention(datalength, null, nai)
        if datalength or null == choices(pins.null_datalength, default.null_datalength, False)[0]:
            found.append(convention)
    return tuple(found)


def key_pair(suite: int, random: Callable[[int], bytes]) -> KeyPair:
    """A fresh ECDHE key for ``suite``, made from ``random(32)``."""
    if suite == Cryptosuite.X25519:
        private = random(_COORDINATE_LENGTH)
    elif suite == Cryptosuite.P256:
        private = _p256_scalar(random)
    else:
        raise LocalError(f"no cryptosuite {suite}")
    return KeyPair(private, public_jwk(suite, private))


def public_jwk(suite: int, private: bytes) -> str:
    """The public key of ``private`` as compact JWK text (section 5.1, Table 8)."""
    if suite == Cryptosuite.X25519:
        public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        return f'{{"kty":"OKP","crv":"X25519","x":"{base64url(public)}"}}'
    point = _p256(private).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    x, y = point[1 : 1 + _COORDINATE_LENGTH], point[1 + _COORDINATE_LENGTH :]
    return f'{{"kty":"EC","crv":"P-256","x":"{base64url(x)}","y":"{base64url(y)}"}}'


def shared_secret(suite: int, private: bytes, jwk_text: str) -> bytes:
    """Z: 32 octets, for P-256 the x coordinate.

    Raises NoobError 1005 for a key of another kind, a point off the curve, or an all-zero result.
    """
    jwk = json.loads(jwk_text)
    try:
        if suite == Cryptosuite.X25519:
            public = X25519PublicKey.from_public_bytes(_coordinates(jwk, "OKP", "X25519", "x"))
            return X25519PrivateKey.from_private_bytes(private).exchange(public)
        point = b"\x04" + _coordinates(jwk, "EC", "P-256", "x", "y")
        return _p256(private).exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        )
    except (ValueError, InvalidKey) as error:
        raise NoobError(
            NoobErrorCode.INVALID_KEY, "public key not on the curve, or of small order"
        ) from error


def derive(
    mode: KeyingMode, z: bytes, np: bytes, ns: bytes, secret: bytes, convention: Convention
) -> DerivedKeys:
    """The one-step KDF of SP 800-56A section 5.8.2.1 with SHA-256 (section 3.5, Tables 4 and 5).

    ``secret`` is SuppPrivInfo: Noob, or Kz, or nothing in KeyingMode 1 (where Kz is ``z``).
    """
    counted = convention.kdf_datalength and (bool(secret) or convention.null_datalength)
    fixed_info = _ALGORITHM_ID + np + ns + (bytes((len(secret),)) if counted else b"") + secret
    length = sum(_CUTS) if mode in _WITH_KZ else sum(_CUTS[:-1])
    blocks = -(-length // _DIGEST_LENGTH)
    output = b"".join(
        hashlib.sha256(counter.to_bytes(4, "big") + z + fixed_info).digest()
        for counter in range(1, blocks + 1)
    )[:length]
    parts, at = [], 0
    for cut in _CUTS:
        parts.append(output[at : at + cut])
        at += cut
    return DerivedKeys(*parts)


def hoob(hash_input: bytes) -> bytes:
    """The fingerprint over the 17-element array: the 16 leftmost octets."""
    return hashlib.sha256(hash_input).digest()[:HOOB_LENGTH]


def noob_id(noob: bytes) -> bytes:
    """H("NoobId", Noob): plain concatenation with the base64url text, as all implementations read it."""
    return hashlib.sha256(b"NoobId" + base64url(noob).encode()).digest()[:NOOB_ID_LENGTH]


def mac(key: bytes, hash_input: bytes) -> bytes:
    """MACs, MACp, MACs2 or MACp2: HMAC-SHA-256, 32 octets."""
    return hmac.digest(key, hash_input, "sha256")


def equal(one: bytes, other: bytes) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(one, other)


def session_id(method_id: bytes) -> bytes:
    """The exported Session-Id (section 3.5)."""
    return SESSION_ID_TYPE + method_id


def _p256_scalar(random: Callable[[int], bytes]) -> bytes:
    for _ in range(_P256_TRIES):
        candidate = random(_COORDINATE_LENGTH)
        if 0 < int.from_bytes(candidate, "big") < _P256_ORDER:
            return candidate
    raise LocalError("random numbers are not random")


def _p256(private: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())


def _coordinates(jwk: Mapping[str, Any], kty: str, crv: str, *names: str) -> bytes:
    """The coordinates in a row; 32 octets each, unpadded base64url (RFC 7518 section 6.2.1, RFC 8037)."""
    if jwk.get("kty") != kty or jwk.get("crv") != crv:
        raise NoobError(NoobErrorCode.INVALID_KEY, f"JWK is not {kty}/{crv}")
    found = b""
    for name in names:
        text = jwk.get(name)
        octets = (
            from_base64url(text, _COORDINATE_LENGTH) if isinstance(text, str) and text.isascii() else None
        )
        if octets is None:
            raise NoobError(NoobErrorCode.INVALID_KEY, f"JWK {name} is not 32 octets of base64url")
        found += octets
    return found
