"""The only place that seals. AES-256-GCM, key id in front, so that keys rotate by sealing again.

Layout: 4 octets key id | 12 octets nonce | ciphertext and tag. The context is authenticated: a blob
moved to another place does not open there.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from bootstrap.errors import LocalError
from devices.entropy import take

KEY_ID_LENGTH = 4
NONCE_LENGTH = 12
OVERHEAD = KEY_ID_LENGTH + NONCE_LENGTH + 16


@lru_cache(maxsize=4)
def _keys(configured: tuple[str, ...]) -> dict[bytes, AESGCM]:
    """Key id to cipher, in order; the first one seals."""
    keys: dict[bytes, AESGCM] = {}
    for text in configured:
        raw = HKDF(SHA256(), 32, salt=None, info=b"Onward vault v1").derive(text.encode())
        keys[hashlib.sha256(b"id" + raw).digest()[:KEY_ID_LENGTH]] = AESGCM(raw)
    return keys


def seal(plaintext: bytes, context: bytes) -> bytes:
    """Encrypt under the newest key, bound to ``context`` (what it is and whose)."""
    key_id, cipher = next(iter(_keys(tuple(settings.VAULT_KEYS)).items()))
    nonce = take(NONCE_LENGTH)
    return key_id + nonce + cipher.encrypt(nonce, plaintext, context)


def unseal(sealed: bytes, context: bytes) -> bytes:
    """Decrypt; raises LocalError when the key is gone, the blob was changed or belongs elsewhere."""
    sealed = bytes(sealed)
    cipher = _keys(tuple(settings.VAULT_KEYS)).get(sealed[:KEY_ID_LENGTH])
    if cipher is None or len(sealed) < OVERHEAD:
        raise LocalError("sealed value: unknown key id")
    nonce = sealed[KEY_ID_LENGTH : KEY_ID_LENGTH + NONCE_LENGTH]
    try:
        return cipher.decrypt(nonce, sealed[KEY_ID_LENGTH + NONCE_LENGTH :], context)
    except InvalidTag as error:
        raise LocalError("sealed value does not open") from error


def seal_text(plaintext: bytes, context: bytes) -> str:
    """``seal`` as base64url without padding, for URLs and RADIUS State."""
    return base64.urlsafe_b64encode(seal(plaintext, context)).rstrip(b"=").decode()


def unseal_text(text: str, context: bytes) -> bytes:
    """The inverse of ``seal_text``; raises LocalError on anything else."""
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise LocalError("sealed text is not base64url") from error
    return unseal(sealed, context)
