"""Keys in a PKCS#11 token (RFC 7512 names them). The library and the PIN are the operator's, in the environment;
a row only says which object, so that no row can make us load a file.

One session for each token and process: PKCS#11 does not survive a fork.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pkcs11
from django.conf import settings
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    ArgumentsBad,
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    MechanismInvalid,
    MechanismParamInvalid,
    PKCS11Error,
)
from pkcs11.mechanisms import MGF
from pkcs11.util.ec import encode_ec_public_key

from bootstrap.errors import LocalError, NotAuthenticated
from bootstrap.wire.keys import KeyKind, PublicKeyHandle

_HASHES = {-7: "sha256", -35: "sha384", -257: "sha256", -258: "sha384", -37: "sha256", -38: "sha384"}
"""COSE algorithm (RFC 9053, RFC 8812, RFC 8230) to hash."""
_PKCS1 = {-257: Mechanism.SHA256_RSA_PKCS, -258: Mechanism.SHA384_RSA_PKCS}
_PSS = {
    -37: (Mechanism.SHA256_RSA_PKCS_PSS, Mechanism.SHA256, MGF.SHA256, 32),
    -38: (Mechanism.SHA384_RSA_PKCS_PSS, Mechanism.SHA384, MGF.SHA384, 48),
}
_NO_SUCH_OAEP = (ArgumentsBad, MechanismInvalid, MechanismParamInvalid)
_DOES_NOT_OPEN = (EncryptedDataInvalid, EncryptedDataLenRange)
_HASH_LENGTH = 32
"""Of SHA-256, in octets."""
_lock = threading.RLock()
_sessions: dict[tuple[int, str], Any] = {}


@dataclass(frozen=True, slots=True)
class TokenUri:
    """``pkcs11:token=T;object=O;id=%01``: which object of which token (RFC 7512 section 2.3)."""

    token: str
    label: str = ""
    id: bytes = b""

    @classmethod
    def decode(cls, text: str) -> TokenUri:
        """Raises ValueError with a sentence. A URI with a PIN in it is refused: rows are no place for one."""
        scheme, _, rest = text.strip().partition(":")
        path, _, query = rest.partition("?")
        if scheme != "pkcs11":
            raise ValueError("a PKCS#11 URI begins with pkcs11:")
        if query:
            raise ValueError("library and PIN come from the environment, not from the URI")
        parts = dict(part.partition("=")[::2] for part in path.split(";") if part)
        if unknown := set(parts) - {"token", "object", "id", "type"}:
            raise ValueError(f"not understood: {', '.join(sorted(unknown))}")
        found = cls(
            unquote(parts.get("token", "")),
            unquote(parts.get("object", "")),
            unquote_to_bytes(parts.get("id", "")),
        )
        if not found.token or not (found.label or found.id):
            raise ValueError("name the token, and the object or its id")
        return found


def token_signer(uri: str) -> TokenSigner:
    """The key that the URI names. Raises LocalError with a sentence for the operator."""
    try:
        wanted = TokenUri.decode(uri)
    except ValueError as error:
        raise LocalError(str(error)) from error
    try:
        with _lock:
            return TokenSigner(_public(_session(wanted.token), wanted), wanted)
    except PKCS11Error as error:
        raise LocalError(f"token {wanted.token}: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A ``Signer`` whose private half stays where it is."""

    public: PublicKeyHandle
    uri: TokenUri = field(repr=False)

    def sign(self, algorithm: int, message: bytes) -> bytes:
        """By COSE algorithm; of an EC key r and s at fixed width, as COSE wants them."""
        if algorithm not in _HASHES:
            raise LocalError(f"no such COSE algorithm: {algorithm}")
        return self._use(lambda key: self._sign(key, algorithm, message))

    def decrypt_oaep(self, ciphertext: bytes) -> bytes:
        """RSAES-OAEP with SHA-256 and MGF1 with SHA-256 (RFC 8017). Raises NotAuthenticated.

        A token that knows OAEP with SHA-1 only does the bare private operation, and we take the padding off.
        """
        parameters = (Mechanism.SHA256, MGF.SHA256, None)

        def whole(key: Any) -> bytes:
            return bytes(
                key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters)
            )

        def bare(key: Any) -> bytes:
            return bytes(key.decrypt(ciphertext, mechanism=Mechanism.RSA_X_509))

        if len(ciphertext) != len(self.public.ne()[0]):
            raise NotAuthenticated("the key exchange has the wrong length")
        try:
            try:
                return self._use(whole)
            except _NO_SUCH_OAEP:
                return oaep_unpad(self._use(bare))
        except _DOES_NOT_OPEN as error:
            raise NotAuthenticated("the key exchange does not open") from error

    def _sign(self, key: Any, algorithm: int, message: bytes) -> bytes:
        if self.public.kind in (KeyKind.P256, KeyKind.P384):
            digest = hashlib.new(_HASHES[algorithm], message).digest()
            return bytes(key.sign(digest, mechanism=Mechanism.ECDSA))
        if algorithm in _PSS:
            mechanism, *parameters = _PSS[algorithm]
            return bytes(key.sign(message, mechanism=mechanism, mechanism_param=tuple(parameters)))
        return bytes(key.sign(message, mechanism=_PKCS1[algorithm]))

    def _use(self, deed: Any) -> bytes:
        """Once, and once more in a new session: tokens are unplugged, and services restarted."""
        with _lock:
            for attempt in (1, 2):
                try:
                    return bytes(deed(_private(_session(self.uri.token), self.uri)))
                except (*_NO_SUCH_OAEP, *_DOES_NOT_OPEN):
                    raise
                except PKCS11Error as error:
                    forget()
                    if attempt == 2:
                        raise LocalError(f"token {self.uri.token}: {type(error).__name__}") from error
        raise LocalError("unreachable")


def oaep_unpad(encoded: bytes) -> bytes:
    """EME-OAEP decoding with an empty label (RFC 8017 section 7.1.2 step 3). Raises NotAuthenticated, and looks at
    everything before it says so: which check failed is what an attacker wants to learn."""
    masked_seed, masked_block = encoded[1 : 1 + _HASH_LENGTH], encoded[1 + _HASH_LENGTH :]
    seed = _xor(masked_seed, _mgf1(masked_block, _HASH_LENGTH))
    block = _xor(masked_block, _mgf1(seed, len(masked_block)))
    message = block[_HASH_LENGTH:].lstrip(b"\0")
    label = hmac.compare_digest(block[:_HASH_LENGTH], hashlib.sha256(b"").digest())
    first = hmac.compare_digest(encoded[:1], b"\0")
    separator = hmac.compare_digest(message[:1], b"\1")
    if not label & first & separator:
        raise NotAuthenticated("the key exchange does not open")
    return message[1:]


def _mgf1(seed: bytes, length: int) -> bytes:
    """RFC 8017 appendix B.2.1 with SHA-256."""
    blocks = range(-(-length // _HASH_LENGTH))
    return b"".join(hashlib.sha256(seed + counter.to_bytes(4)).digest() for counter in blocks)[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _session(token: str) -> Any:
    if not settings.PKCS11_MODULE:
        raise LocalError("no PKCS#11 library is configured (ONWARD_PKCS11_MODULE)")
    place = (os.getpid(), token)
    if place not in _sessions:
        library = pkcs11.lib(settings.PKCS11_MODULE)
        _sessions[place] = library.get_token(token_label=token).open(user_pin=settings.PKCS11_PIN or None)
    return _sessions[place]


def _private(session: Any, uri: TokenUri) -> Any:
    return session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=uri.label or None, id=uri.id or None)


def _public(session: Any, uri: TokenUri) -> PublicKeyHandle:
    key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=uri.label or None, id=uri.id or None)
    if key.key_type == KeyType.EC:
        return PublicKeyHandle.from_spki(encode_ec_public_key(key))
    if key.key_type == KeyType.RSA:
        return PublicKeyHandle.from_rsa(key[Attribute.MODULUS], key[Attribute.PUBLIC_EXPONENT])
    raise LocalError("the token's key is neither EC nor RSA")


def forget() -> None:
    """Close this process's sessions; the next use opens new ones."""
    with _lock:
        for place in [place for place in _sessions if place[0] == os.getpid()]:
            with contextlib.suppress(PKCS11Error):
                _sessions.pop(place).close()
