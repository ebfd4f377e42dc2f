"""Keys from AMSK, and the sealed bodies of requests and replies.

``material`` is all that either side keeps: 64 octets, the request key, then the reply key. AMSK is forgotten.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bootstrap.contract import Env
from bootstrap.errors import LocalError
from bootstrap.protocols.provisioning.constants import (
    AMSK_LENGTH,
    KEY_ID_LENGTH,
    KEY_LABEL,
    KEY_LENGTH,
    MATERIAL_LENGTH,
    Direction,
)
from bootstrap.wire import cbor, cose


def derive(amsk: bytes) -> bytes:
    """The 64 octets of material from an EAP method's 64-octet AMSK: HKDF-SHA-256, no salt (RFC 5869)."""
    if len(amsk) != AMSK_LENGTH:
        raise LocalError(f"AMSK has {len(amsk)} octets, not {AMSK_LENGTH}")
    return HKDF(algorithm=SHA256(), length=MATERIAL_LENGTH, salt=None, info=KEY_LABEL).derive(amsk)


def key_id(material: bytes) -> bytes:
    """A name for ``material`` that tells nothing of it; what the server keeps to know which key was used."""
    return hashlib.sha256(KEY_LABEL + b" key id" + material).digest()[:KEY_ID_LENGTH]


def seal(
    direction: Direction, material: bytes, locator: str, nonce: bytes, plaintext: bytes, env: Env
) -> bytes:
    """One body. ``nonce`` is empty in a request; in a reply it is the one inside the request."""
    return cose.seal(
        plaintext,
        _key(direction, material),
        env.random(cose.IV_LENGTH),
        external_aad=_external_aad(direction, locator, nonce),
        kid=locator.encode(),
    )


def open(direction: Direction, material: bytes, locator: str, nonce: bytes, message: cose.Encrypt0) -> bytes:
    """The plaintext of one body. Raises NotAuthenticated."""
    aad = _external_aad(direction, locator, nonce)
    return cose.open(message, _key(direction, material), external_aad=aad)


def _key(direction: Direction, material: bytes) -> bytes:
    if len(material) != MATERIAL_LENGTH:
        raise LocalError(f"provisioning material has {len(material)} octets, not {MATERIAL_LENGTH}")
    return material[:KEY_LENGTH] if direction is Direction.REQUEST else material[KEY_LENGTH:]


def _external_aad(direction: Direction, locator: str, nonce: bytes) -> bytes:
    return cbor.encode([KEY_LABEL.decode(), int(direction), locator, nonce])
