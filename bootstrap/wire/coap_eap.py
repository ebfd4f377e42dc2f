"""CoAP-EAP (RFC 9820) on the wire: the payload, the cipher suites, the resource names and the OSCORE keys.

A payload is one EAP packet (RFC 3748 section 4), which knows its own length, followed by an optional CBOR
map. The peer is the *initiator* (I) in the names of the map, the authenticator the *controller* (C).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.wire import cbor

COAP_CONTENT_FORMAT = 269
MEDIA_TYPE = "application/coap-eap"
WELL_KNOWN_PATH = (".well-known", "coap-eap")

EAP_HEADER_LENGTH = 4
MAX_EAP_LENGTH = 1020
"""The size every EAP lower layer carries (RFC 3748 section 3.1); larger packets are the method's to split."""
MAX_PARAMETERS_LENGTH = 64
MAX_PAYLOAD_LENGTH = MAX_EAP_LENGTH + MAX_PARAMETERS_LENGTH

MAX_RECIPIENT_ID_LENGTH = 7
"""The nonce of suite 0 less six octets (RFC 8613 section 3.3); see ``check_recipient_ids``."""
MAX_CIPHER_SUITES = 8
MAX_SESSION_LIFETIME_SECONDS = 2**32 - 1

MSK_LENGTH = 64
MASTER_SECRET_LENGTH = 16
MASTER_SALT_LENGTH = 8
MASTER_SECRET_LABEL = b"COAP-EAP OSCORE MASTER SECRET"
MASTER_SALT_LABEL = b"COAP-EAP OSCORE MASTER SALT"

MAX_PATH_LENGTH = 128
MAX_PATH_SEGMENTS = 8
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")
"""RFC 3986 pchar less percent-encoding: nobody needs it, and it has two readings in a payload."""


class CipherSuite(IntEnum):
    """CoAP-EAP cipher suites that our OSCORE can do; suite 4 (SHAKE256) is not among them."""

    AES_CCM_16_64_128_SHA256 = 0
    A128GCM_SHA256 = 1
    A256GCM_SHA384 = 2
    CHACHA20_POLY1305_SHA256 = 3


DEFAULT_SUITE = CipherSuite.AES_CCM_16_64_128_SHA256

COSE_AEAD = {
    CipherSuite.AES_CCM_16_64_128_SHA256: 10,
    CipherSuite.A128GCM_SHA256: 1,
    CipherSuite.A256GCM_SHA384: 3,
    CipherSuite.CHACHA20_POLY1305_SHA256: 24,
}
"""The suite's AEAD in the COSE registry of algorithms."""

NONCE_LENGTH = {
    CipherSuite.AES_CCM_16_64_128_SHA256: 13,
    CipherSuite.A128GCM_SHA256: 12,
    CipherSuite.A256GCM_SHA384: 12,
    CipherSuite.CHACHA20_POLY1305_SHA256: 12,
}


def hash_of(suite: CipherSuite) -> hashes.HashAlgorithm:
    """The hash that a suite's HKDF runs on."""
    return hashes.SHA384() if suite is CipherSuite.A256GCM_SHA384 else hashes.SHA256()


class ParameterLabel(IntEnum):
    """Keys of the CBOR map."""

    CIPHER_SUITES = 1
    RID_C = 2
    RID_I = 3
    SESSION_LIFETIME = 4


@dataclass(frozen=True, slots=True)
class Parameters:
    """The CBOR map behind an EAP packet. Nothing in it is authenticated until OSCORE keys come from it."""

    cipher_suites: tuple[int, ...] = ()
    """CS-C from the controller (offered), CS-I from the peer (chosen). Empty: not sent."""
    rid_c: bytes | None = None
    """OSCORE Recipient ID of the controller: what the peer uses as Sender ID."""
    rid_i: bytes | None = None
    session_lifetime_seconds: int | None = None

    @classmethod
    def decode(cls, octets: bytes) -> Parameters:
        """Parse what follows the EAP packet; raises MalformedMessage. Unknown keys are skipped.

        Shortest form is required, so that the cipher suites "as sent" are what we would encode ourselves.
        """
        if not octets:
            return cls()
        if len(octets) > MAX_PARAMETERS_LENGTH:
            raise MalformedMessage(f"CoAP-EAP map of {len(octets)} octets")
        item = cbor.decode(octets)
        if not isinstance(item, dict) or any(type(key) is not int for key in item):
            raise MalformedMessage("what follows the EAP packet is not a map with integer keys")
        if cbor2.dumps(item) != octets:
            raise MalformedMessage("CoAP-EAP map is not in shortest form")
        return cls(
            cipher_suites=_suites(item.get(ParameterLabel.CIPHER_SUITES)),
            rid_c=_recipient_id(item.get(ParameterLabel.RID_C)),
            rid_i=_recipient_id(item.get(ParameterLabel.RID_I)),
            session_lifetime_seconds=_lifetime(item.get(ParameterLabel.SESSION_LIFETIME)),
        )

    def encode(self) -> bytes:
        """The map, or nothing at all when there is nothing to say."""
        values: dict[int, Any] = {
            ParameterLabel.CIPHER_SUITES: list(self.cipher_suites) or None,
            ParameterLabel.RID_C: self.rid_c,
            ParameterLabel.RID_I: self.rid_i,
            ParameterLabel.SESSION_LIFETIME: self.session_lifetime_seconds,
        }
        said = {int(key): value for key, value in values.items() if value is not None}
        return cbor.encode(said) if said else b""


def _suites(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CIPHER_SUITES:
        raise MalformedMessage("cipher suites are not a short array")
    if any(type(suite) is not int for suite in value):
        raise MalformedMessage("cipher suite is not an integer")
    return tuple(value)


def _recipient_id(value: object) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, bytes) or len(value) > MAX_RECIPIENT_ID_LENGTH:
        raise MalformedMessage("OSCORE Recipient ID is not a short byte string")
    return value


def _lifetime(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_SESSION_LIFETIME_SECONDS:
        raise MalformedMessage("Session-Lifetime is not a 32-bit number of seconds")
    return value


def join(packet: bytes, parameters: Parameters | None = None) -> bytes:
    """One CoAP payload. Raises LocalError for an EAP packet that one message cannot carry."""
    if not EAP_HEADER_LENGTH <= len(packet) <= MAX_EAP_LENGTH:
        raise LocalError(f"EAP packet of {len(packet)} octets does not fit one CoAP message")
    return packet + (parameters.encode() if parameters else b"")


def split(payload: bytes) -> tuple[bytes, Parameters]:
    """The EAP packet, cut by its own Length field, and what follows it. Raises MalformedMessage."""
    if not EAP_HEADER_LENGTH <= len(payload) <= MAX_PAYLOAD_LENGTH:
        raise MalformedMessage(f"CoAP-EAP payload of {len(payload)} octets")
    length = int.from_bytes(payload[2:4], "big")
    if not EAP_HEADER_LENGTH <= length <= min(len(payload), MAX_EAP_LENGTH):
        raise MalformedMessage(f"EAP length {length} in a payload of {len(payload)} octets")
    return payload[:length], Parameters.decode(payload[length:])


def agree(offered: tuple[int, ...], chosen: tuple[int, ...]) -> CipherSuite:
    """What both sides now use: CS-I must name one suite out of CS-C, and a list not sent means suite 0.

    Raises NotAuthenticated: a choice outside the offer is how a downgrade looks.
    """
    answer = chosen or (DEFAULT_SUITE,)
    if len(answer) != 1 or answer[0] not in (offered or (DEFAULT_SUITE,)):
        raise NotAuthenticated("cipher suite chosen was not offered")
    return _ours(answer[0])


def choose(offered: tuple[int, ...], supported: tuple[CipherSuite, ...] = tuple(CipherSuite)) -> CipherSuite:
    """The first of the offered suites that is ours too. Raises NotAuthenticated when there is none."""
    for suite in offered or (DEFAULT_SUITE,):
        if suite in supported:
            return _ours(suite)
    raise NotAuthenticated("no cipher suite in common")


def _ours(suite: int) -> CipherSuite:
    try:
        return CipherSuite(suite)
    except ValueError:
        raise NotAuthenticated(f"cipher suite {suite} is not supported") from None


def check_recipient_ids(suite: CipherSuite, rid_c: bytes, rid_i: bytes) -> None:
    """Raises NotAuthenticated unless the two differ and fit the nonce (RFC 8613 section 3.3)."""
    longest = NONCE_LENGTH[suite] - 6
    if rid_c == rid_i or max(len(rid_c), len(rid_i)) > longest:
        raise NotAuthenticated("OSCORE Recipient IDs are equal or too long for the cipher suite")


class Reading(StrEnum):
    """How the cipher suites enter the key derivation: implementations of RFC 9820 differ."""

    CBOR_ARRAYS = "cbor-arrays"
    """CS-C and CS-I as the CBOR arrays that were sent; ``81 00`` stands for one that was not."""
    BARE_NUMBERS = "bare-numbers"
    """One octet for each list that names one suite: ``00 00`` by default."""


@dataclass(frozen=True, slots=True)
class OscoreMaster:
    """What the OSCORE security context starts from (RFC 8613 section 3.2)."""

    secret: bytes = field(repr=False)
    salt: bytes = field(repr=False)


def derive_oscore_master(
    msk: bytes,
    offered: tuple[int, ...],
    suite: CipherSuite,
    reading: Reading = Reading.CBOR_ARRAYS,
) -> OscoreMaster:
    """Master Secret (16 octets) and Master Salt (8) from the MSK; the only place that knows how.

    ``HKDF-Expand(PRK = MSK, info = CS | label, length)`` with the suite's hash: the MSK is uniformly
    random, so there is no Extract (RFC 5869 section 3.3). ``CS`` is CS-C followed by CS-I, each as the
    CBOR array that was sent (by default ``81 00 81 00``); the labels are the upper-case ASCII above,
    without length octets or a closing NUL. ``reading`` changes ``CS`` for peers that do otherwise.
    """
    if len(msk) < MSK_LENGTH:
        raise LocalError(f"MSK of {len(msk)} octets, RFC 3748 section 7.10 wants {MSK_LENGTH}")
    suites = _suites_as_sent(offered or (DEFAULT_SUITE,), reading) + _suites_as_sent((suite,), reading)
    hash_algorithm = hash_of(suite)
    return OscoreMaster(
        secret=HKDFExpand(hash_algorithm, MASTER_SECRET_LENGTH, suites + MASTER_SECRET_LABEL).derive(msk),
        salt=HKDFExpand(hash_algorithm, MASTER_SALT_LENGTH, suites + MASTER_SALT_LABEL).derive(msk),
    )


def _suites_as_sent(suites: tuple[int, ...], reading: Reading) -> bytes:
    if reading is Reading.BARE_NUMBERS and all(0 <= suite < 256 for suite in suites):
        return bytes(suites)
    return cbor.encode(list(suites))


def decode_path(text: bytes) -> tuple[str, ...]:
    """The resource a trigger names in its payload, as Uri-Path segments. Raises MalformedMessage."""
    if not text.startswith(b"/") or len(text) > MAX_PATH_LENGTH:
        raise MalformedMessage("trigger does not name a resource")
    try:
        return checked_path(tuple(text[1:].decode("ascii").split("/")))
    except UnicodeDecodeError:
        raise MalformedMessage("resource name is not ASCII") from None


def checked_path(segments: tuple[str, ...]) -> tuple[str, ...]:
    """``segments`` if they are a resource we POST to. Raises MalformedMessage.

    A forged sender address makes us POST to whatever the trigger names, so the names every CoAP server
    has (RFC 8615) are not for the asking.
    """
    if not 1 <= len(segments) <= MAX_PATH_SEGMENTS or sum(map(len, segments)) > MAX_PATH_LENGTH:
        raise MalformedMessage(f"resource name of {len(segments)} segments")
    if any(not _SEGMENT.fullmatch(segment) or segment in (".", "..") for segment in segments):
        raise MalformedMessage("resource name has characters that no path has")
    if segments[0] == WELL_KNOWN_PATH[0]:
        raise MalformedMessage("resource name is a well-known one")
    return segments
