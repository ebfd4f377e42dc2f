"""Our private keys as signers: sealed PKCS#8 from the database, or a key that stays in a PKCS#11 token.

Nothing outside this file and ``devices/vault.py`` sees the bytes of a sealed key; nobody sees those of a token's.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from bootstrap.errors import LocalError
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, Signer, SoftSigner
from devices import vault
from devices.models import OwnerKey
from devices.pkcs11 import token_signer


def fingerprint_of(public: PublicKeyHandle) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, hexadecimal: how people and rows name a key."""
    return hashlib.sha256(public.der).hexdigest()


def seal_key(signer: SoftSigner) -> bytes:
    """The private half as the database keeps it, bound to its public half."""
    return vault.seal(signer.to_pkcs8(), _context(fingerprint_of(signer.public)))


def signer_of(key: OwnerKey) -> Signer:
    """The key, ready to sign. Raises LocalError when it does not open or its token is away."""
    if key.backend == OwnerKey.Backend.PKCS11:
        signer: Signer = token_signer(key.pkcs11_uri)
    elif key.sealed:
        signer = SoftSigner.from_pkcs8(vault.unseal(bytes(key.sealed), _context(key.fingerprint)))
    else:
        raise LocalError(f"key {key.fingerprint[:16]} has no private half here")
    if signer.public.der != bytes(key.public):
        raise LocalError(f"key {key.fingerprint[:16]}: its private half is another key's")
    return signer


def public_of(key: OwnerKey) -> PublicKeyHandle:
    """Its public half."""
    return public_from(bytes(key.public))


@lru_cache(maxsize=256)
def public_from(spki: bytes) -> PublicKeyHandle:
    """A public key from its DER; loading one costs more than using it."""
    return PublicKeyHandle.from_spki(spki)


def kind_of(text: str) -> KeyKind:
    """``P-256`` and its like; raises ValueError."""
    return KeyKind(text)


def _context(fingerprint: str) -> bytes:
    return b"owner key " + fingerprint.encode()
