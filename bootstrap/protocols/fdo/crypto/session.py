"""The protected messages of TO2: COSE_Encrypt0, alone or inside a COSE_Mac0 (FDO 1.1 section 4.4, RFC 9052)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, SessionKeys
from bootstrap.wire import cbor
from bootstrap.wire.cose import Mac0, enc_structure, mac_structure

__all__ = ["CipherSuite", "Dialect", "SessionKeys", "open_", "open_first", "seal"]

Random = Callable[[int], bytes]
_TAG_ENCRYPT0 = 0xD0
_ALG, _IV = 1, 5
_CCM_IV_LENGTH = {
    CipherSuite.CCM_16_128_128: 13,
    CipherSuite.CCM_16_128_256: 13,
    CipherSuite.CCM_64_128_128: 7,
    CipherSuite.CCM_64_128_256: 7,
}
"""15 less the length of CCM's length field (RFC 9053 section 4.2)."""
_GCM_IV_LENGTH = 12
_TAG_LENGTH = 16
_BLOCK = 16
_MAC_ALG = {"sha256": 5, "sha384": 6}
_GO_ALG = {
    CipherSuite.AES128_CTR: -65534,
    CipherSuite.AES256_CTR: -65532,
    CipherSuite.AES128_CBC: -65531,
    CipherSuite.AES256_CBC: -65529,
}
_CTR = (CipherSuite.AES128_CTR, CipherSuite.AES256_CTR)
_PROTECTED_MAX_LENGTH = 64


def seal(
    suite: CipherSuite, keys: SessionKeys, plaintext: bytes, random: Random, dialect: Dialect = Dialect.GO
) -> bytes:
    """One protected message, tagged. Raises LocalError for a plaintext longer than the suite can take."""
    if suite.is_aead:
        iv = random(_CCM_IV_LENGTH.get(suite, _GCM_IV_LENGTH))
        protected = _protected(int(suite))
        if len(plaintext) > _most(suite):
            raise LocalError(f"{suite.name} cannot seal {len(plaintext)} octets")
        ciphertext = _aead(suite, keys.sek).encrypt(iv, plaintext, enc_structure(protected, b""))
        return bytes([_TAG_ENCRYPT0]) + cbor.encode([protected, {_IV: iv}, ciphertext])
    iv = random(_BLOCK)
    ciphertext = _crypt(suite, keys.sek, iv, plaintext, encrypt=True)
    if dialect is Dialect.GO:
        inner = cbor.encode([b"", {_ALG: _GO_ALG[suite], _IV: iv}, ciphertext])
    else:
        inner = cbor.encode([_protected(int(suite)), {_IV: iv}, ciphertext])
    protected = _protected(_MAC_ALG[suite.prf])
    return Mac0(protected, {}, inner, _mac(suite, keys, protected, inner, dialect)).encode()


def open_(suite: CipherSuite, keys: SessionKeys, octets: bytes, dialect: Dialect = Dialect.GO) -> bytes:
    """The plaintext. Raises MalformedMessage for another shape, NotAuthenticated when it does not open."""
    if suite.is_aead:
        return _open_aead(suite, keys, octets)
    outer = Mac0.decode(octets)
    if not hmac.compare_digest(outer.tag, _mac(suite, keys, outer.protected, outer.payload, dialect)):
        raise NotAuthenticated("COSE_Mac0 does not verify")
    protected, unprotected, ciphertext = _encrypt0(outer.payload)
    named = _alg_of(protected) or unprotected.get(_ALG, suite)
    if named not in (suite, _GO_ALG[suite]):  # both spellings in either header; CBC and CTR share their keys
        raise NotAuthenticated("message names another algorithm")
    iv = unprotected.get(_IV)
    if type(iv) is not bytes or len(iv) != _BLOCK:
        raise MalformedMessage(f"IV is not {_BLOCK} octets")
    return _crypt(suite, keys.sek, iv, ciphertext, encrypt=False)


def open_first(
    suite: CipherSuite, candidates: Iterable[tuple[SessionKeys, Dialect]], octets: bytes
) -> tuple[bytes, SessionKeys, Dialect]:
    """What the first fitting candidate opens: the peer's spelling of the secret and of the suite shows here.
    Raises NotAuthenticated when none fits."""
    for keys, dialect in candidates:
        try:
            return open_(suite, keys, octets, dialect), keys, dialect
        except NotAuthenticated:
            continue
    raise NotAuthenticated("message opens with no session key")


def _open_aead(suite: CipherSuite, keys: SessionKeys, octets: bytes) -> bytes:
    protected, unprotected, ciphertext = _encrypt0(octets)
    if _alg_of(protected) != suite:
        raise NotAuthenticated("message names another algorithm")
    iv = unprotected.get(_IV)
    if type(iv) is not bytes or len(iv) != _CCM_IV_LENGTH.get(suite, _GCM_IV_LENGTH):
        raise MalformedMessage("IV of the wrong length")
    if not 0 <= len(ciphertext) - _TAG_LENGTH <= _most(suite):
        raise MalformedMessage(f"ciphertext of {len(ciphertext)} octets")
    try:
        return _aead(suite, keys.sek).decrypt(iv, ciphertext, enc_structure(protected, b""))
    except InvalidTag:
        raise NotAuthenticated("COSE_Encrypt0 does not open") from None


def _encrypt0(octets: bytes) -> tuple[bytes, dict[Any, Any], bytes]:
    """Protected header as received, unprotected header, ciphertext; with tag 16 or without."""
    match cbor.decode(octets[1:] if octets[:1] == bytes([_TAG_ENCRYPT0]) else octets):
        case [bytes(protected), dict(unprotected), bytes(ciphertext)]:
            pass
        case _:
            raise MalformedMessage("COSE_Encrypt0 is not [bstr, map, bstr]")
    if len(protected) > _PROTECTED_MAX_LENGTH:
        raise MalformedMessage("protected header is too long")
    return protected, unprotected, ciphertext


@lru_cache(maxsize=64)
def _protected(algorithm: int) -> bytes:
    return cbor.encode({_ALG: algorithm})


@lru_cache(maxsize=64)
def _alg_of(protected: bytes) -> int | None:
    header = cbor.decode(protected, max_depth=2) if protected else {}
    value = header.get(_ALG) if type(header) is dict else None
    return value if type(value) is int else None


def _most(suite: CipherSuite) -> int:
    """Octets of plaintext: CCM with a 13-octet nonce has two for the length."""
    return 0xFFFF if _CCM_IV_LENGTH.get(suite) == 13 else 1 << 30


def _aead(suite: CipherSuite, key: bytes) -> AESGCM | AESCCM:
    """Set up anew each time, at about 1.5 us: a cache would keep keys of sessions that have ended."""
    if suite in _CCM_IV_LENGTH:
        return AESCCM(key, tag_length=_TAG_LENGTH)
    return AESGCM(key)


def _mac(suite: CipherSuite, keys: SessionKeys, protected: bytes, inner: bytes, dialect: Dialect) -> bytes:
    data = mac_structure(protected, b"", inner) if dialect is Dialect.GO else inner
    return hmac.digest(keys.svk, data, suite.prf)


def _crypt(suite: CipherSuite, key: bytes, iv: bytes, data: bytes, *, encrypt: bool) -> bytes:
    """CTR, or CBC with PKCS#7 padding; the MAC was checked before, so padding tells nobody anything."""
    if suite in _CTR:
        context = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        return context.update(data) + context.finalize()
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    if encrypt:
        padder = padding.PKCS7(_BLOCK * 8).padder()
        context = cipher.encryptor()
        return context.update(padder.update(data) + padder.finalize()) + context.finalize()
    if not data or len(data) % _BLOCK:
        raise NotAuthenticated("ciphertext is not whole blocks")
    context = cipher.decryptor()
    unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
    try:
        return unpadder.update(context.update(data) + context.finalize()) + unpadder.finalize()
    except ValueError:
        raise NotAuthenticated("message does not open") from None
