"""Names and limits of service info (FDO 1.1 section 3.8; the FSIM texts of the FIDO Alliance)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Module(StrEnum):
    """The service-info modules this portal speaks."""

    DEVMOD = "devmod"
    COMMAND = "fdo.command"
    DOWNLOAD = "fdo.download"
    UPLOAD = "fdo.upload"
    WGET = "fdo.wget"
    CSR = "fdo.csr"


class CsrError(IntEnum):
    """Values of ``fdo.csr:error``."""

    BAD_REQUEST = 1
    UNAUTHORIZED = 2
    NOT_SUPPORTED = 3
    """Also our answer when the portal has no certificate authority: the nearest thing to "not available"."""
    RATE_EXCEEDED = 4
    UNSUPPORTED_FORMAT = 5


class CsrFormat(IntEnum):
    """Content formats that ``fdo.csr:cacerts-req`` may name (RFC 9148 section 5.3, RFC 7252 section 12.3)."""

    PKCS7_CERTS_ONLY = 281
    PKIX_CERT = 287


DEFAULT_LIMIT = 1300
"""Octets of service info per message when the peer names none, or null."""
LIMIT_MIN = 256
LIMIT_MAX = 64_000
"""An encrypted message must stay below the 65535 octets that other implementations take."""

DATA_LENGTH = 1014
"""Most octets of a file in one ``data`` message, by the text of the modules."""
SHA384_LENGTH = 48
VALUE_LENGTH_MAX = 128 * 1024
"""Longest CBOR item that is put together from pieces."""
KEY_LENGTH_MAX = 256
UPLOAD_LENGTH_MAX = 512 * 1024
"""Longest file taken from a device; a longer one is counted, dropped and reported."""
OUTPUT_LENGTH_MAX = 16 * 1024
"""Octets kept of each of stdout and stderr: the first ones."""
DETAIL_LENGTH_MAX = 300
"""Characters of a device's own words that reach a result."""

ROUNDS_MAX = 1_000_000
"""Service-info messages of one device in one TO2; go-fdo stops at the same number."""
PATIENCE_ROUNDS = 1000
"""Empty messages that we answer while a file or a certificate request is outstanding."""
ASK_ROUNDS = 3
"""Empty messages after which ``active`` counts as unanswered by a device that lists no modules."""
DEVMOD_ROUNDS = 3
"""Empty messages after which an incomplete devmod has to do."""

MODULES_MAX = 256
TEXT_LENGTH_MAX = 1024
"""Characters kept of one devmod value."""
CSR_LENGTH_MAX = 16 * 1024
CSR_ANSWERS_MAX = 4
"""Answers to certificate requests that may wait for their turn at the same time."""
CSR_REQUESTS_MAX = 64
"""Certificate requests of one device in one TO2."""
