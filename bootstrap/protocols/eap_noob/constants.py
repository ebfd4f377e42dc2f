"""The numbers of EAP-NOOB (RFC 9140) and the one error that carries them."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from bootstrap import errors

NONCE_LENGTH = 32
"""Ns, Np, Ns2, Np2."""
NOOB_LENGTH = 16
HOOB_LENGTH = 16
NOOB_ID_LENGTH = 16
MAC_LENGTH = 32
KZ_LENGTH = 32
PEER_ID_RANDOM_LENGTH = 16
"""Random octets behind a PeerId that we allocate: 22 characters (section 3.3.1)."""
PEER_ID_MAX_LENGTH = 64
"""Octets we accept; the RFC recommends not more than 22 characters."""
NAI_MAX_LENGTH = 253
"""Octets (RFC 7542 section 2.3)."""
INFO_MAX_LENGTH = 500
"""Octets of ServerInfo, PeerInfo and ErrorInfo (section 3.3.2)."""
SERVER_URL_RECOMMENDED_LENGTH = 60
LABEL_MAX_LENGTH = 64
"""Characters of a PeerInfo string that we show; the rest is cut."""

SLEEP_TIME_MAX_SECONDS = 3600
SLEEP_TIME_DEFAULT_SECONDS = 60
NOOB_TIMEOUT_SECONDS = 3600
OOB_RETRIES = 5
EPHEMERAL_LIFETIME_SECONDS = 24 * 3600
"""The server keeps states 1 and 2 at least one day after the last message."""

DEFAULT_NAI = "noob@eap-noob.arpa"
EAP_ARPA_NAI = "@noob.eap.arpa"

NOTE = "eap-noob."
"""First half of the code of every note."""


class MessageType(IntEnum):
    """Table 9."""

    ERROR = 0
    DISCOVERY = 1
    NEGOTIATION = 2
    KEY_EXCHANGE = 3
    WAITING = 4
    NOOB_ID = 5
    COMPLETION = 6
    RECONNECT_NEGOTIATION = 7
    RECONNECT_KEY_EXCHANGE = 8
    RECONNECT_COMPLETION = 9


class ServerState(IntEnum):
    """The server's side of the association (Figure 1)."""

    UNREGISTERED = 0
    WAITING_FOR_OOB = 1
    OOB_RECEIVED = 2
    RECONNECTING = 3
    REGISTERED = 4


class PeerState(IntEnum):
    """The peer's side of the association (Figure 1)."""

    UNREGISTERED = 0
    WAITING_FOR_OOB = 1
    OOB_RECEIVED = 2
    RECONNECTING = 3
    REGISTERED = 4


PHASES: dict[int, str] = {
    0: "Unregistered",
    1: "Waiting for OOB",
    2: "OOB Received",
    3: "Reconnecting",
    4: "Registered",
}
"""The states in the RFC's words, for people."""


class Exchange(IntEnum):
    """What a conversation is about, once the common handshake has chosen (section 3.2)."""

    NONE = 0
    INITIAL = 1
    WAITING = 2
    COMPLETION = 3
    RECONNECT = 4
    FAILED = 5
    """An error notification is out: whatever comes next ends in EAP-Failure (section 3.6)."""


class KeyingMode(IntEnum):
    """Table 3."""

    COMPLETION = 0
    RECONNECT = 1
    RECONNECT_ECDHE = 2
    RECONNECT_NEW_SUITE = 3


class Cryptosuite(IntEnum):
    """Table 8."""

    X25519 = 1
    P256 = 2


STRENGTH_BITS: dict[int, int] = {Cryptosuite.X25519: 128, Cryptosuite.P256: 128}
"""What "weaker" means in section 3.4.2: the two suites are equals. An unknown suite has none."""


class Direction(IntEnum):
    """Dir, Dirs and Dirp (section 3.3.2)."""

    PEER_TO_SERVER = 1
    SERVER_TO_PEER = 2
    BOTH = 3


class NoobErrorCode(IntEnum):
    """Table 10; 6001-6999 are for private use and appear as plain integers."""

    INVALID_NAI = 1001
    INVALID_STRUCTURE = 1002
    INVALID_DATA = 1003
    UNEXPECTED_TYPE = 1004
    INVALID_KEY = 1005
    UNWANTED_PEER = 2001
    STATE_MISMATCH = 2002
    UNKNOWN_NOOB_ID = 2003
    UNEXPECTED_PEER_ID = 2004
    NO_COMMON_VERSION = 3001
    NO_COMMON_CRYPTOSUITE = 3002
    NO_COMMON_DIRECTION = 3003
    HMAC_FAILURE = 4001
    APPLICATION_ERROR = 5001
    INVALID_SERVER_INFO = 5002
    INVALID_SERVER_URL = 5003
    INVALID_PEER_INFO = 5004


ERROR_INFO: dict[int, str] = {
    NoobErrorCode.INVALID_NAI: "Invalid NAI",
    NoobErrorCode.INVALID_STRUCTURE: "Invalid message structure",
    NoobErrorCode.INVALID_DATA: "Invalid data",
    NoobErrorCode.UNEXPECTED_TYPE: "Unexpected message type",
    NoobErrorCode.INVALID_KEY: "Invalid ECDHE key",
    NoobErrorCode.UNWANTED_PEER: "Unwanted peer",
    NoobErrorCode.STATE_MISMATCH: "State mismatch, user action required",
    NoobErrorCode.UNKNOWN_NOOB_ID: "Unrecognized OOB message identifier",
    NoobErrorCode.UNEXPECTED_PEER_ID: "Unexpected peer identifier",
    NoobErrorCode.NO_COMMON_VERSION: "No mutually supported protocol version",
    NoobErrorCode.NO_COMMON_CRYPTOSUITE: "No mutually supported cryptosuite",
    NoobErrorCode.NO_COMMON_DIRECTION: "No mutually supported OOB direction",
    NoobErrorCode.HMAC_FAILURE: "HMAC verification failure",
    NoobErrorCode.APPLICATION_ERROR: "Application-specific error",
    NoobErrorCode.INVALID_SERVER_INFO: "Invalid server info",
    NoobErrorCode.INVALID_SERVER_URL: "Invalid server URL",
    NoobErrorCode.INVALID_PEER_INFO: "Invalid peer info",
}
"""The registry's own words: they tell the peer what, never which of our checks it was."""

NEEDS_A_PERSON = frozenset(
    {
        NoobErrorCode.UNWANTED_PEER,
        NoobErrorCode.STATE_MISMATCH,
        NoobErrorCode.NO_COMMON_VERSION,
        NoobErrorCode.NO_COMMON_CRYPTOSUITE,
        NoobErrorCode.NO_COMMON_DIRECTION,
    }
)
"""Errors that no retry heals (sections 3.6.2 to 3.6.4)."""

ERROR_CODES: dict[type[errors.PeerError], int] = {
    errors.MalformedMessage: NoobErrorCode.INVALID_STRUCTURE,
    errors.UnexpectedMessage: NoobErrorCode.UNEXPECTED_TYPE,
    errors.NotAuthenticated: NoobErrorCode.HMAC_FAILURE,
    errors.NotAuthorized: NoobErrorCode.UNWANTED_PEER,
    errors.UnknownDevice: NoobErrorCode.STATE_MISMATCH,
    errors.Replayed: NoobErrorCode.UNEXPECTED_TYPE,
    errors.TooManyRequests: NoobErrorCode.UNWANTED_PEER,
}
"""For errors raised outside this folder while a conversation runs."""


class OobOutcome(StrEnum):
    """What became of an OOB message that somebody delivered (sections 3.2.3 and 3.6.5)."""

    ACCEPTED = "accepted"
    REDUNDANT = "redundant"
    """Correct, but one was accepted before; dropped."""
    WRONG = "wrong"
    WRONG_AND_RESET = "wrong-and-reset"
    """OobRetries reached: back to Unregistered."""
    WRONG_PEER_ID = "wrong-peer-id"
    NO_SUCH_DIRECTION = "no-such-direction"
    NOT_WAITING = "not-waiting"
    """Unregistered: there is nothing to confirm."""
    ALREADY_REGISTERED = "already-registered"


class NoobError(errors.MalformedMessage):
    """A message that earns an error notification with ``code`` (section 3.6).

    Leaves this folder only from the decoders; ``step`` turns it into the notification itself.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{int(code)}: {text}")
        self.code = int(code)
        self.message_type: int | None = None
        """Type of the message, when as much could be read."""
