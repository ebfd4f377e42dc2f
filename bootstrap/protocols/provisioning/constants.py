"""Numbers and limits of the provisioning protocol, version 1 (docs/reference/provisioning.md)."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from bootstrap.errors import (
    MalformedMessage,
    NotAuthenticated,
    NotAuthorized,
    PeerError,
    Replayed,
    TooManyRequests,
    UnexpectedMessage,
    UnknownDevice,
)

KEY_LABEL: Final = b"Onward provisioning v1"
"""HKDF info; also the first element of every external_aad."""
AMSK_LENGTH: Final = 64
KEY_LENGTH: Final = 32
MATERIAL_LENGTH: Final = 2 * KEY_LENGTH
KEY_ID_LENGTH: Final = 8
NONCE_LENGTH: Final = 16
CHALLENGE_LENGTH: Final = 16

MAX_REQUEST_LENGTH: Final = 98_304
"""Octets of a sealed request: a report on MAX_ITEMS items fits, in any script."""
MAX_REPLY_LENGTH: Final = 1_048_576
"""Octets of a sealed reply; a device may hold less and then says so with its transport."""
MAX_ITEMS: Final = 100
MAX_ID_LENGTH: Final = 64
MAX_DETAIL_LENGTH: Final = 120
"""Characters of what a device says about one item, a longer one is cut."""
MAX_TEXT_LENGTH: Final = 4_096
"""Characters of a name, URL, SSID, path, capability or configuration value."""
MAX_FILE_LENGTH: Final = 524_288
"""Octets."""
MAX_SECONDS: Final = 30 * 86_400
MAX_VERSION: Final = 2**53 - 1
"""Plan versions survive a trip through JSON."""


class MessageType(IntEnum):
    """Value of label 0 in every message."""

    FETCH = 1
    PLAN = 2
    REPORT = 3
    CHECK_IN = 4
    ACK = 5
    REFUSAL = 6


class Label(IntEnum):
    """Keys of the message maps."""

    TYPE = 0
    NONCE = 1
    CHALLENGE = 2
    PLAN_VERSION = 3
    ITEMS = 4
    RESULTS = 5
    CAPABILITIES = 6
    UPTIME_SECONDS = 7
    FIRMWARE = 8
    NEXT_CHECK_IN_SECONDS = 9
    CODE = 10


class Direction(IntEnum):
    """Second element of external_aad."""

    REQUEST = 0
    REPLY = 1


class RefusalCode(IntEnum):
    """Why an authenticated request got no plan and no acknowledgement."""

    NO_PLAN = 1
    """Nobody has decided yet what this device should get; fetch again in the seconds given."""
    STALE_VERSION = 2
    """The plan has moved on, or was never delivered: fetch."""
    STALE_CHALLENGE = 3
    """The request was built on a challenge already used: repeat it with the one given."""


class ItemKind(StrEnum):
    """What one plan item is; its number on the wire is in KIND_NUMBERS."""

    NETWORK = "network"
    SERVER = "server"
    CONFIG = "config"
    FILE = "file"
    CERTIFICATE = "certificate"


KIND_NUMBERS: Final = {
    ItemKind.NETWORK: 1,
    ItemKind.SERVER: 2,
    ItemKind.CONFIG: 3,
    ItemKind.FILE: 4,
    ItemKind.CERTIFICATE: 5,
}

ERROR_CODES: Final[dict[type[PeerError], int]] = {
    MalformedMessage: 400,
    NotAuthenticated: 401,
    NotAuthorized: 403,
    UnknownDevice: 404,
    UnexpectedMessage: 409,
    Replayed: 409,
    TooManyRequests: 429,
}
"""The protocol has no clear-text error message of its own: an error is the HTTP status, or the CoAP code
of the same meaning, with an empty body. What follows an opened request is a sealed Refusal instead."""
