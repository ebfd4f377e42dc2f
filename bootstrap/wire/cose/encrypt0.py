"""COSE_Encrypt0 (RFC 9052 section 5.2) with AES-GCM (RFC 9053 section 4.1), and nothing else of COSE.

The octets of the protected header that arrived are the octets that are authenticated; nothing is re-encoded.
Only what a device of ours needs: a 96-bit nonce in the message, the algorithm always in the protected header.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bootstrap.errors import MalformedMessage, NotAuthenticated
from bootstrap.wire import cbor

MEDIA_TYPE = 'application/cose; cose-type="cose-encrypt0"'
"""RFC 9052 section 10.4."""
COAP_CONTENT_FORMAT = 16
"""RFC 9052 section 10.5."""
IV_LENGTH = 12
TAG_LENGTH = 16
MAX_KID_LENGTH = 128
_TAG_ENCRYPT0 = 0xD0
"""CBOR tag 16 as its single octet."""


class HeaderLabel(IntEnum):
    """COSE header parameters (RFC 9052 section 3.1) that we read and write."""

    ALG = 1
    KID = 4
    IV = 5


class Algorithm(IntEnum):
    """COSE algorithms (RFC 9053 section 4.1)."""

    A128GCM = 1
    A256GCM = 3


KEY_LENGTH = {Algorithm.A128GCM: 16, Algorithm.A256GCM: 32}


@dataclass(frozen=True, slots=True)
class Encrypt0:
    """A COSE_Encrypt0 as it came, not yet opened: nothing in it can be trusted but its shape."""

    algorithm: Algorithm
    protected: bytes
    """The serialized protected header, the octets that were received."""
    iv: bytes
    ciphertext: bytes
    """With the 16-octet tag at its end."""
    kid: bytes = b""

    @classmethod
    def decode(cls, octets: bytes) -> Encrypt0:
        """Parse a tagged COSE_Encrypt0; raises MalformedMessage for anything but the profile above."""
        if not octets or octets[0] != _TAG_ENCRYPT0:
            raise MalformedMessage("not a tagged COSE_Encrypt0")
        match cbor.decode(octets[1:], max_depth=3):
            case [bytes(protected), dict(unprotected), bytes(ciphertext)]:
                pass
            case _:
                raise MalformedMessage("COSE_Encrypt0 is not [bstr, map, bstr]")
        if len(ciphertext) < TAG_LENGTH:
            raise MalformedMessage(f"ciphertext of {len(ciphertext)} octets is shorter than its tag")
        algorithm = _algorithm(protected)
        if any(type(label) is not int for label in unprotected):
            raise MalformedMessage("COSE header label is not an integer")
        if unprotected.keys() - {HeaderLabel.KID, HeaderLabel.IV}:
            raise MalformedMessage("unprotected header holds more than kid and IV")
        iv, kid = unprotected.get(HeaderLabel.IV), unprotected.get(HeaderLabel.KID, b"")
        if type(iv) is not bytes or len(iv) != IV_LENGTH:
            raise MalformedMessage(f"IV is not {IV_LENGTH} octets")
        if type(kid) is not bytes or len(kid) > MAX_KID_LENGTH:
            raise MalformedMessage("kid is not a short byte string")
        return cls(algorithm, protected, iv, ciphertext, kid)


def seal(
    plaintext: bytes,
    key: bytes,
    iv: bytes,
    *,
    external_aad: bytes = b"",
    kid: bytes = b"",
    algorithm: Algorithm = Algorithm.A256GCM,
) -> bytes:
    """The tagged COSE_Encrypt0 over ``plaintext``. ``iv`` must never repeat under ``key``."""
    protected = cbor.encode({int(HeaderLabel.ALG): int(algorithm)})
    unprotected: dict[int, bytes] = {int(HeaderLabel.IV): iv}
    if kid:
        unprotected[int(HeaderLabel.KID)] = kid
    ciphertext = AESGCM(key).encrypt(iv, plaintext, enc_structure(protected, external_aad))
    return bytes([_TAG_ENCRYPT0]) + cbor.encode([protected, unprotected, ciphertext])


def open(message: Encrypt0, key: bytes, *, external_aad: bytes = b"") -> bytes:
    """The plaintext of ``message``. Raises NotAuthenticated: a wrong key and changed octets look alike."""
    if len(key) != KEY_LENGTH[message.algorithm]:
        raise NotAuthenticated(f"{message.algorithm.name} is not the algorithm of this key")
    try:
        return AESGCM(key).decrypt(
            message.iv, message.ciphertext, enc_structure(message.protected, external_aad)
        )
    except InvalidTag:
        raise NotAuthenticated("COSE_Encrypt0 does not open") from None


def enc_structure(protected: bytes, external_aad: bytes) -> bytes:
    """Enc_structure, the additional authenticated data (RFC 9052 section 5.3)."""
    return cbor.encode(["Encrypt0", protected, external_aad])


def _algorithm(protected: bytes) -> Algorithm:
    header = cbor.decode(protected, max_depth=1)
    if type(header) is not dict or len(header) != 1:
        raise MalformedMessage("protected header is not a map of alg alone")
    [(label, alg)] = header.items()
    if type(label) is not int or label != HeaderLabel.ALG:
        raise MalformedMessage("protected header is not a map of alg alone")
    if type(alg) is not int or alg not in Algorithm.__members__.values():
        raise MalformedMessage("algorithm is neither A128GCM nor A256GCM")
    return Algorithm(alg)
