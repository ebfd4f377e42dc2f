"""Key exchange of TO2: six suites, both sides (FDO 1.1 section 3.6).

ECDH parameters are three length-prefixed strings: x, y, random. Diffie-Hellman parameters are one number.
ASYMKEX sends the owner's random in clear and the device's under RSA-OAEP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.protocols.fdo.crypto.groups import GENERATOR, PRIME_14, PRIME_15
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, Signer

Random = Callable[[int], bytes]


class KexSuite(StrEnum):
    """kexSuiteName."""

    ECDH256 = "ECDH256"
    ECDH384 = "ECDH384"
    DHKEXID14 = "DHKEXid14"
    DHKEXID15 = "DHKEXid15"
    ASYMKEX2048 = "ASYMKEX2048"
    ASYMKEX3072 = "ASYMKEX3072"


@dataclass(frozen=True, slots=True)
class _Curve:
    curve: ec.EllipticCurve
    width: int
    order: int
    random_length: int


@dataclass(frozen=True, slots=True)
class _Group:
    prime: int
    width: int
    exponent_length: int


_CURVES = {
    KexSuite.ECDH256: _Curve(
        ec.SECP256R1(), 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, 16
    ),
    KexSuite.ECDH384: _Curve(
        ec.SECP384R1(),
        48,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        48,
    ),
}
_GROUPS = {
    KexSuite.DHKEXID14: _Group(PRIME_14, 256, 32),
    KexSuite.DHKEXID15: _Group(PRIME_15, 384, 96),
}
_ASYMKEX_LENGTH = {KexSuite.ASYMKEX2048: 32, KexSuite.ASYMKEX3072: 96}
_FOR_OWNER: dict[KeyKind, tuple[KexSuite, ...]] = {
    KeyKind.P256: (KexSuite.ECDH256,),
    KeyKind.P384: (KexSuite.ECDH384,),
    KeyKind.RSA2048: (KexSuite.DHKEXID14, KexSuite.ASYMKEX2048),
    KeyKind.RSA3072: (KexSuite.DHKEXID15, KexSuite.ASYMKEX3072),
}
_SPARE = 8
"""Octets of randomness beyond the order's, so that the reduction leaves no bias."""


@dataclass(frozen=True, slots=True)
class Shared:
    """ShSe, the input of the KDF."""

    secret: bytes = field(repr=False)
    context_rand: bytes = field(default=b"", repr=False)
    alternatives: tuple[bytes, ...] = field(default=(), repr=False)
    """The same secret as implementations spell it that drop leading zeros; empty unless there are some."""


def suites_for(owner: KeyKind) -> tuple[KexSuite, ...]:
    """What goes with an owner key of this kind (section 3.6, "suite validity")."""
    return _FOR_OWNER[owner]


def owner_begin(suite: KexSuite, random: Random) -> tuple[bytes, bytes]:
    """The owner's private part, to be kept, and xAKeyExchange for message 61. With ECDH the private part has the
    point beside the scalar: to compute it anew would cost as much as to make a key."""
    if suite in _CURVES:
        key, x_a = _ec_begin(_CURVES[suite], random)
        return _scalar(key).to_bytes(_CURVES[suite].width, "big") + x_a, x_a
    if suite in _GROUPS:
        return _dh_begin(_GROUPS[suite], random)
    rand = random(_ASYMKEX_LENGTH[suite])
    return rand, rand


def owner_finish(suite: KexSuite, private: bytes, x_b: bytes, signer: Signer) -> Shared:
    """The shared secret from the device's xBKeyExchange. Raises MalformedMessage, NotAuthenticated."""
    if suite in _CURVES:
        curve = _CURVES[suite]
        point, device_rand = _ec_split(curve, x_b)
        own, owner_rand = _ec_split(curve, private[curve.width :])
        key = ec.EllipticCurvePrivateNumbers(int.from_bytes(private[: curve.width], "big"), own).private_key()
        return _ec_shared(key, point, device_rand, owner_rand)
    if suite in _GROUPS:
        return _dh_shared(_GROUPS[suite], private, x_b)
    device_rand = signer.decrypt_oaep(x_b)
    if len(device_rand) != _ASYMKEX_LENGTH[suite]:
        raise NotAuthenticated("device random of the wrong length")
    return Shared(device_rand, private)


def device_answer(
    suite: KexSuite, x_a: bytes, random: Random, owner: PublicKeyHandle
) -> tuple[bytes, Shared]:
    """The device's xBKeyExchange for message 64, and the shared secret. Raises MalformedMessage."""
    if suite in _CURVES:
        curve = _CURVES[suite]
        point, owner_rand = _ec_split(curve, x_a)
        key, x_b = _ec_begin(curve, random)
        return x_b, _ec_shared(key, point, x_b[-curve.random_length :], owner_rand)
    if suite in _GROUPS:
        private, x_b = _dh_begin(_GROUPS[suite], random)
        return x_b, _dh_shared(_GROUPS[suite], private, x_a)
    if len(x_a) != _ASYMKEX_LENGTH[suite]:
        raise MalformedMessage("owner random of the wrong length")
    if owner.kind.is_ec:
        raise LocalError("ASYMKEX needs an RSA owner key")
    rand = random(_ASYMKEX_LENGTH[suite])
    return owner.encrypt_oaep(rand), Shared(rand, x_a)


def _ec_begin(curve: _Curve, random: Random) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    scalar = int.from_bytes(random(curve.width + _SPARE), "big") % (curve.order - 1) + 1
    rand = random(curve.random_length)
    key = ec.derive_private_key(scalar, curve.curve)
    numbers = key.public_key().public_numbers()
    parts = (numbers.x.to_bytes(curve.width, "big"), numbers.y.to_bytes(curve.width, "big"), rand)
    return key, b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def _scalar(key: ec.EllipticCurvePrivateKey) -> int:
    return key.private_numbers().private_value


def _ec_split(curve: _Curve, parameter: bytes) -> tuple[ec.EllipticCurvePublicNumbers, bytes]:
    """The point, which may not be on the curve, and the random."""
    parts, position = [], 0
    for _number in range(3):
        length = int.from_bytes(parameter[position : position + 2], "big")
        part = parameter[position + 2 : position + 2 + length]
        if position + 2 > len(parameter) or len(part) != length:
            raise MalformedMessage("ECDH parameter is cut short")
        parts.append(part)
        position += 2 + length
    x, y, rand = parts
    if position != len(parameter) or len(x) > curve.width or len(y) > curve.width:
        raise MalformedMessage("ECDH parameter of the wrong length")
    if len(rand) != curve.random_length:
        raise MalformedMessage("ECDH random of the wrong length")
    point = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve.curve)
    return point, rand


def _ec_shared(
    key: ec.EllipticCurvePrivateKey,
    point: ec.EllipticCurvePublicNumbers,
    device_rand: bytes,
    owner_rand: bytes,
) -> Shared:
    try:
        other = point.public_key()
    except ValueError:
        raise MalformedMessage("point is not on the curve") from None
    secret = key.exchange(ec.ECDH(), other)
    short = secret.lstrip(b"\x00")
    rest = device_rand + owner_rand
    return Shared(secret + rest, alternatives=(short + rest,) if short != secret else ())


def _dh_begin(group: _Group, random: Random) -> tuple[bytes, bytes]:
    private = random(group.exponent_length)
    public = pow(GENERATOR, int.from_bytes(private, "big") or 2, group.prime)
    return private, public.to_bytes((public.bit_length() + 7) // 8, "big")


def _dh_shared(group: _Group, private: bytes, parameter: bytes) -> Shared:
    """Bounds as NIST SP 800-56A Rev. 3 sections 5.6.2.3.2 and 5.7.1.1 want them."""
    other = int.from_bytes(parameter, "big")
    if len(parameter) > group.width + 1 or not 2 <= other <= group.prime - 2:
        raise MalformedMessage("Diffie-Hellman parameter out of range")
    secret = pow(other, int.from_bytes(private, "big") or 2, group.prime)
    if secret in (0, 1, group.prime - 1):
        raise NotAuthenticated("Diffie-Hellman secret is degenerate")
    padded = secret.to_bytes(group.width, "big")
    short = padded.lstrip(b"\x00")
    return Shared(padded, alternatives=(short,) if short != padded else ())
