"""PublicKey, ``[pkType, pkEnc, pkBody]``: four encodings of five types of key, kept in the octets that came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor, cose
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, default_algorithm

from . import grammar
from .constants import CERTIFICATE_MAX_LENGTH, CHAIN_MAX, KeyEncoding, KeyType

_RSA_KINDS = frozenset({KeyKind.RSA2048, KeyKind.RSA3072})
_KINDS: dict[KeyType, frozenset[KeyKind]] = {
    KeyType.RSA2048RESTR: frozenset({KeyKind.RSA2048}),
    KeyType.RSAPKCS: _RSA_KINDS,
    KeyType.RSAPSS: _RSA_KINDS,
    KeyType.SECP256R1: frozenset({KeyKind.P256}),
    KeyType.SECP384R1: frozenset({KeyKind.P384}),
}
_EC_KINDS = {KeyType.SECP256R1: KeyKind.P256, KeyType.SECP384R1: KeyKind.P384}
_RESTRICTED_EXPONENT = b"\x01\x00\x01"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key as others sign and hash it. Two encodings of one key differ here; compare ``handle()`` for the key."""

    raw: bytes
    """The whole array, octet for octet."""
    type: KeyType
    encoding: KeyEncoding
    body: bytes
    """Encoding of pkBody."""

    @classmethod
    def decode(cls, octets: bytes) -> PublicKey:
        """Raises MalformedMessage. The body is looked at only by ``handle`` and ``chain``."""
        kind, encoding, body = grammar.pieces(octets, "PublicKey", 3)
        return cls(
            octets,
            grammar.member(cbor.decode(kind), "pkType", KeyType),
            grammar.member(cbor.decode(encoding), "pkEnc", KeyEncoding),
            body,
        )

    @classmethod
    def from_item(cls, item: Any) -> PublicKey:
        """From a decoded array, where the received octets are out of reach. Raises MalformedMessage."""
        return cls.decode(cbor.encode(grammar.array(item, "PublicKey", 3)))

    @classmethod
    def of(
        cls,
        handle: PublicKeyHandle,
        encoding: KeyEncoding = KeyEncoding.X509,
        pss: bool = False,
        chain: Sequence[bytes] = (),
        type: KeyType | None = None,
    ) -> PublicKey:
        """Ours, in deterministic encoding. X5CHAIN needs ``chain``: DER certificates, the key's own first.

        ``type`` chooses between the two names of an RSA-2048 key with PKCS #1 v1.5; a voucher's keys all
        carry the type of the manufacturer's.
        """
        chosen = type or _type_of(handle.kind, pss)
        body = cbor.encode(_body(handle, encoding, chain))
        return cls(
            b"\x83" + cbor.encode(int(chosen)) + cbor.encode(int(encoding)) + body, chosen, encoding, body
        )

    def encode(self) -> bytes:
        """As received."""
        return self.raw

    def item(self) -> list[Any]:
        """Decoded, for use inside a larger structure."""
        return [int(self.type), int(self.encoding), cbor.decode(self.body)]

    def handle(self) -> PublicKeyHandle:
        """The key itself. Raises MalformedMessage when the body is none, or none of this type."""
        return _handle(self)

    def chain(self) -> tuple[bytes, ...]:
        """The certificates of an X5CHAIN, the key's own first; empty for every other encoding."""
        return _certificates(cbor.decode(self.body)) if self.encoding is KeyEncoding.X5CHAIN else ()

    @property
    def is_pss(self) -> bool:
        return self.type is KeyType.RSAPSS

    def algorithm(self) -> int:
        """The COSE algorithm that this key signs with. Raises MalformedMessage like ``handle``."""
        return default_algorithm(self.handle().kind, pss=self.is_pss)


@lru_cache(maxsize=4096)
def _handle(key: PublicKey) -> PublicKeyHandle:
    handle = _READERS[key.encoding](key.type, cbor.decode(key.body))
    if handle.kind not in _KINDS[key.type]:
        raise MalformedMessage(f"a {handle.kind.value} key that is called {key.type.name}")
    if key.type is KeyType.RSA2048RESTR and handle.ne()[1] != _RESTRICTED_EXPONENT:
        raise MalformedMessage("an RSA2048RESTR key with another exponent than 65537")
    return handle


def _type_of(kind: KeyKind, pss: bool) -> KeyType:
    match kind:
        case KeyKind.P256:
            return KeyType.SECP256R1
        case KeyKind.P384:
            return KeyType.SECP384R1
        case KeyKind.RSA2048 if not pss:
            return KeyType.RSA2048RESTR
        case _:
            return KeyType.RSAPSS if pss else KeyType.RSAPKCS


def _certificates(value: object) -> tuple[bytes, ...]:
    """COSE's x5chain (RFC 9360 section 2) may be a bare byte string when there is one certificate."""
    found = [value] if isinstance(value, bytes) else grammar.array(value, "X5CHAIN", 1, CHAIN_MAX)
    return tuple(grammar.bstr(item, "certificate", most=CERTIFICATE_MAX_LENGTH) for item in found)


def _read_crypto(kind: KeyType, body: object) -> PublicKeyHandle:
    """Encoding 0: ``[n, e]`` for RSA, x and y in one byte string for EC."""
    curve = _EC_KINDS.get(kind)
    if curve is None:
        n, e = grammar.array(body, "RSA key", 2)
        return PublicKeyHandle.from_rsa(grammar.bstr(n, "modulus"), grammar.bstr(e, "exponent"))
    width = curve.coordinate_length
    point = grammar.bstr(body, "EC key", length=2 * width)
    return PublicKeyHandle.from_xy(curve, point[:width], point[width:])


def _read_x509(_kind: KeyType, body: object) -> PublicKeyHandle:
    return PublicKeyHandle.from_spki(grammar.bstr(body, "SubjectPublicKeyInfo"))


def _read_x5chain(_kind: KeyType, body: object) -> PublicKeyHandle:
    return PublicKeyHandle.from_certificate(_certificates(body)[0])


def _read_cose_key(_kind: KeyType, body: object) -> PublicKeyHandle:
    """A COSE_Key map. Some wrap it in a byte string, and some leave kty out: the other labels say as much."""
    return cose.decode_key(cbor.decode(body) if isinstance(body, bytes) else body, need_type=False)


_READERS: dict[KeyEncoding, Callable[[KeyType, object], PublicKeyHandle]] = {
    KeyEncoding.CRYPTO: _read_crypto,
    KeyEncoding.X509: _read_x509,
    KeyEncoding.X5CHAIN: _read_x5chain,
    KeyEncoding.COSEKEY: _read_cose_key,
}


def _body(handle: PublicKeyHandle, encoding: KeyEncoding, chain: Sequence[bytes]) -> Any:
    if encoding is KeyEncoding.X509:
        return handle.der
    if encoding is KeyEncoding.X5CHAIN:
        if not chain or PublicKeyHandle.from_certificate(chain[0]) != handle:
            raise MalformedMessage("X5CHAIN does not begin with a certificate of this key")
        return list(chain)
    if encoding is KeyEncoding.COSEKEY:
        return cose.encode_key(handle)
    return b"".join(handle.xy()) if handle.kind.is_ec else list(handle.ne())
