"""Asymmetric keys as protocols see them: a public handle that verifies, a Signer that signs. Never key bytes.

Algorithms are COSE's (RFC 9053 section 2.1, RFC 8812 section 2, RFC 8230 section 2). ECDSA signatures are the
raw r and s, each as long as the curve's order; PSS salts are as long as the hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated

ES256, ES384 = -7, -35
PS256, PS384 = -37, -38
RS256, RS384 = -257, -258
SPKI_MAX_LENGTH = 1024
"""Octets; RSA-3072 needs 422."""
RSA_EXPONENT_MAX = 2**64
"""Verifying costs what the exponent is long: one as long as the modulus would be work for a stranger's asking."""


class KeyKind(StrEnum):
    """Kinds of keys that FDO 1.1 knows (section 3.3.4) and that we hold."""

    P256 = "P-256"
    P384 = "P-384"
    RSA2048 = "RSA-2048"
    RSA3072 = "RSA-3072"

    @property
    def is_ec(self) -> bool:
        """Whether it is on a curve."""
        return self in (KeyKind.P256, KeyKind.P384)

    @property
    def coordinate_length(self) -> int:
        """Octets of x, y, r and s; 0 for RSA."""
        return {KeyKind.P256: 32, KeyKind.P384: 48}.get(self, 0)


_CURVES: dict[KeyKind, ec.EllipticCurve] = {KeyKind.P256: ec.SECP256R1(), KeyKind.P384: ec.SECP384R1()}
_KIND_OF_CURVE = {"secp256r1": KeyKind.P256, "secp384r1": KeyKind.P384}
_KIND_OF_SIZE = {2048: KeyKind.RSA2048, 3072: KeyKind.RSA3072}
_HASHES: dict[int, hashes.HashAlgorithm] = {
    ES256: hashes.SHA256(),
    ES384: hashes.SHA384(),
    PS256: hashes.SHA256(),
    PS384: hashes.SHA384(),
    RS256: hashes.SHA256(),
    RS384: hashes.SHA384(),
}
_OF_KIND: dict[KeyKind, tuple[int, ...]] = {
    KeyKind.P256: (ES256,),
    KeyKind.P384: (ES384,),
    KeyKind.RSA2048: (RS256, RS384, PS256, PS384),
    KeyKind.RSA3072: (RS256, RS384, PS256, PS384),
}
_PUBLIC = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_PRIVATE = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def default_algorithm(kind: KeyKind, *, pss: bool = False) -> int:
    """The COSE algorithm that a key of this kind signs with."""
    match kind:
        case KeyKind.P256:
            return ES256
        case KeyKind.P384:
            return ES384
        case KeyKind.RSA2048:
            return PS256 if pss else RS256
        case _:
            return PS384 if pss else RS384


@lru_cache(maxsize=4096)
def _load(der: bytes) -> tuple[_PUBLIC, KeyKind]:
    if len(der) > SPKI_MAX_LENGTH:
        raise MalformedMessage("public key is too long")
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MalformedMessage("not a public key") from None
    return _kinded(key)


def _kinded(key: object) -> tuple[_PUBLIC, KeyKind]:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _KIND_OF_CURVE:
        return key, _KIND_OF_CURVE[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _KIND_OF_SIZE:
        if key.public_numbers().e > RSA_EXPONENT_MAX:
            raise MalformedMessage("RSA exponent is too long")
        return key, _KIND_OF_SIZE[key.key_size]
    raise MalformedMessage("a public key of a kind that is not supported")


def _der(key: _PUBLIC) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class PublicKeyHandle:
    """A public key: its SubjectPublicKeyInfo (DER) is its identity; loading it is cached."""

    der: bytes

    @property
    def kind(self) -> KeyKind:
        """What kind of key it is."""
        return _load(self.der)[1]

    @classmethod
    def from_spki(cls, der: bytes) -> PublicKeyHandle:
        """From SubjectPublicKeyInfo. Raises MalformedMessage for what is none, or of a kind not supported."""
        key, _kind = _load(bytes(der))
        return cls(_der(key))

    @classmethod
    def from_certificate(cls, der: bytes) -> PublicKeyHandle:
        """The key of an X.509 certificate. Raises MalformedMessage."""
        try:
            key = x509.load_der_x509_certificate(der).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
            raise MalformedMessage("not a certificate with a public key") from None
        return cls(_der(_kinded(key)[0]))

    @classmethod
    def from_xy(cls, kind: KeyKind, x: bytes, y: bytes) -> PublicKeyHandle:
        """From affine coordinates. Raises MalformedMessage for a point that is not on the curve."""
        if not kind.is_ec or len(x) > kind.coordinate_length or len(y) > kind.coordinate_length:
            raise MalformedMessage("coordinates of the wrong length")
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), _CURVES[kind]
        )
        try:
            return cls(_der(numbers.public_key()))
        except ValueError:
            raise MalformedMessage("point is not on the curve") from None

    @classmethod
    def from_rsa(cls, n: bytes, e: bytes) -> PublicKeyHandle:
        """From modulus and exponent, big-endian. Raises MalformedMessage."""
        if len(n) > SPKI_MAX_LENGTH or len(e) > 8:
            raise MalformedMessage("RSA numbers are too long")
        try:
            key = rsa.RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big")).public_key()
        except ValueError:
            raise MalformedMessage("not an RSA key") from None
        return cls(_der(_kinded(key)[0]))

    def xy(self) -> tuple[bytes, bytes]:
        """Affine coordinates at full width. Raises LocalError for RSA."""
        key, kind = _load(self.der)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise LocalError("an RSA key has no coordinates")
        numbers, width = key.public_numbers(), kind.coordinate_length
        return numbers.x.to_bytes(width, "big"), numbers.y.to_bytes(width, "big")

    def ne(self) -> tuple[bytes, bytes]:
        """Modulus and exponent, shortest big-endian. Raises LocalError for EC."""
        key, _kind = _load(self.der)
        if not isinstance(key, rsa.RSAPublicKey):
            raise LocalError("an EC key has no modulus")
        numbers = key.public_numbers()
        return (
            numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"),
            numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big"),
        )

    def verify(self, algorithm: int, message: bytes, signature: bytes) -> None:
        """Raises NotAuthenticated unless ``signature`` is this key's over ``message``."""
        key, kind = _load(self.der)
        if algorithm not in _OF_KIND[kind]:
            raise NotAuthenticated(f"algorithm {algorithm} is not one of a {kind.value} key")
        digest = _HASHES[algorithm]
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(_asn1(signature, kind.coordinate_length), message, ec.ECDSA(digest))
            else:
                key.verify(signature, message, _padding(algorithm, digest), digest)
        except (InvalidSignature, ValueError):
            raise NotAuthenticated("signature does not verify") from None

    def encrypt_oaep(self, plaintext: bytes) -> bytes:
        """RSAES-OAEP with SHA-256 and MGF1-SHA-256 (FDO 1.1 section 3.6.5). Raises LocalError for EC."""
        key, _kind = _load(self.der)
        if not isinstance(key, rsa.RSAPublicKey):
            raise LocalError("an EC key encrypts nothing")
        return key.encrypt(plaintext, _OAEP)


def _asn1(signature: bytes, width: int) -> bytes:
    if len(signature) != 2 * width:
        raise NotAuthenticated("signature has the wrong length")
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    return utils.encode_dss_signature(r, s)


def _padding(algorithm: int, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if algorithm in (PS256, PS384):
        return padding.PSS(padding.MGF1(digest), digest.digest_size)
    return padding.PKCS1v15()


_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class Signer(Protocol):
    """Whoever holds a private key, in memory or in a token."""

    @property
    def public(self) -> PublicKeyHandle:
        """Its public half."""
        ...

    def sign(self, algorithm: int, message: bytes) -> bytes:
        """A signature by a COSE algorithm. Raises LocalError when the key cannot."""
        ...

    def decrypt_oaep(self, ciphertext: bytes) -> bytes:
        """What was encrypted to an RSA key. Raises NotAuthenticated when it does not open."""
        ...


class SoftSigner:
    """A private key in memory. Never shown: repr names the public half only."""

    __slots__ = ("_key", "_kind", "_public")

    def __init__(self, key: _PRIVATE) -> None:
        public, self._kind = _kinded(key.public_key())
        self._key = key
        self._public = PublicKeyHandle(_der(public))

    def __repr__(self) -> str:
        return f"SoftSigner({self._kind.value})"

    @property
    def public(self) -> PublicKeyHandle:
        """Its public half."""
        return self._public

    @classmethod
    def generate(cls, kind: KeyKind) -> SoftSigner:
        """A new key pair; never inside a protocol step."""
        if kind.is_ec:
            return cls(ec.generate_private_key(_CURVES[kind]))
        return cls(rsa.generate_private_key(65537, int(kind.value.partition("-")[2])))

    @classmethod
    def from_pkcs8(cls, der: bytes) -> SoftSigner:
        """From unencrypted PKCS#8. Raises LocalError: whoever hands it over is one of us."""
        try:
            key = serialization.load_der_private_key(der, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise LocalError("not a private key") from None
        return cls._of(key)

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> SoftSigner:
        """From a PEM file. Raises LocalError."""
        try:
            key = serialization.load_pem_private_key(pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise LocalError("not a private key that opens") from None
        return cls._of(key)

    @classmethod
    def _of(cls, key: object) -> SoftSigner:
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise LocalError("a private key of a kind that is not supported")
        try:
            return cls(key)
        except MalformedMessage as error:
            raise LocalError(str(error)) from None

    def to_pkcs8(self) -> bytes:
        """For sealing, and nothing else."""
        return self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def private_key(self) -> _PRIVATE:
        """For ``bootstrap.wire.x509``, which signs certificates with it."""
        return self._key

    def sign(self, algorithm: int, message: bytes) -> bytes:
        """A signature by a COSE algorithm. Raises LocalError for one that is not this key's."""
        if algorithm not in _OF_KIND[self._kind]:
            raise LocalError(f"algorithm {algorithm} is not one of a {self._kind.value} key")
        digest = _HASHES[algorithm]
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            r, s = utils.decode_dss_signature(self._key.sign(message, ec.ECDSA(digest)))
            width = self._kind.coordinate_length
            return r.to_bytes(width, "big") + s.to_bytes(width, "big")
        return self._key.sign(message, _padding(algorithm, digest), digest)

    def decrypt_oaep(self, ciphertext: bytes) -> bytes:
        """What was encrypted to this RSA key. Raises NotAuthenticated when it does not open, LocalError for EC."""
        if not isinstance(self._key, rsa.RSAPrivateKey):
            raise LocalError("an EC key decrypts nothing")
        try:
            return self._key.decrypt(ciphertext, _OAEP)
        except ValueError:
            raise NotAuthenticated("ciphertext does not open") from None
