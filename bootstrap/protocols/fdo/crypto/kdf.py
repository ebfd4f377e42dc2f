"""Session keys from the shared secret: NIST SP 800-108 in counter mode with an 8-bit counter (FDO 1.1 section 3.6.4).

K(i) = HMAC(ShSe, i | "FIDO-KDF" | 00 | "AutomaticOnboardTunnel" | ContextRand | L), L in bits, two octets.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

_LABEL = b"FIDO-KDF\x00AutomaticOnboardTunnel"


class CipherSuite(IntEnum):
    """Cipher suites by the numbers that TO2.HelloDevice names them (section 3.6.4)."""

    A128GCM = 1
    A192GCM = 2
    A256GCM = 3
    CCM_16_128_128 = 30
    CCM_16_128_256 = 31
    CCM_64_128_128 = 32
    CCM_64_128_256 = 33
    AES128_CBC = -17760703
    AES128_CTR = -17760704
    AES256_CBC = -17760705
    AES256_CTR = -17760706

    @property
    def is_aead(self) -> bool:
        """One key and one pass; the others encrypt, then MAC."""
        return self > 0

    @property
    def key_length(self) -> int:
        """Octets of the SEK."""
        return _KEY_LENGTHS[self]

    @property
    def prf(self) -> str:
        """Hash of the KDF's HMAC, and of the MAC in the suites that have one."""
        return "sha384" if self in (CipherSuite.AES256_CBC, CipherSuite.AES256_CTR) else "sha256"


_KEY_LENGTHS = {
    CipherSuite.A128GCM: 16,
    CipherSuite.A192GCM: 24,
    CipherSuite.A256GCM: 32,
    CipherSuite.CCM_16_128_128: 16,
    CipherSuite.CCM_16_128_256: 32,
    CipherSuite.CCM_64_128_128: 16,
    CipherSuite.CCM_64_128_256: 32,
    CipherSuite.AES128_CBC: 16,
    CipherSuite.AES128_CTR: 16,
    CipherSuite.AES256_CBC: 32,
    CipherSuite.AES256_CTR: 32,
}


class Dialect(StrEnum):
    """How encrypt-then-MAC is spelt: two forms are in the field. It is the same for the suites that are AEAD."""

    GO = "go"
    """SVK as long as the SEK; algorithm -65534… in the unprotected header; MAC_structure."""
    SPEC = "spec"
    """SVK twice as long; the FDO number in the protected header; the MAC straight over the Encrypt0."""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What a TO2 session is protected with."""

    sek: bytes = field(repr=False)
    svk: bytes = field(default=b"", repr=False)


def derive(
    suite: CipherSuite, shared_secret: bytes, context_rand: bytes = b"", dialect: Dialect = Dialect.GO
) -> SessionKeys:
    """SEK and SVK. The length enters the derivation, so dialects differ in both."""
    svk_length = 0
    if not suite.is_aead:
        svk_length = suite.key_length * (1 if dialect is Dialect.GO else 2)
    length = suite.key_length + svk_length
    fixed = _LABEL + context_rand + (length * 8).to_bytes(2, "big")
    blocks, produced, counter = [], 0, 1
    while produced < length:
        block = hmac.digest(shared_secret, bytes([counter]) + fixed, suite.prf)
        blocks.append(block)
        produced += len(block)
        counter += 1
    material = b"".join(blocks)[:length]
    return SessionKeys(material[: suite.key_length], material[suite.key_length :])
