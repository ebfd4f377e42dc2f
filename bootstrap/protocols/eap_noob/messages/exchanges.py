"""Requests and responses of the types 0 to 9, exchange by exchange (RFC 9140 sections 3.2, 3.4.2, 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bootstrap.wire.json_slices import JsonObject

from ..constants import (
    MAC_LENGTH,
    NONCE_LENGTH,
    NOOB_ID_LENGTH,
    Direction,
    KeyingMode,
    MessageType,
    NoobError,
    NoobErrorCode,
    PeerState,
)
from . import members
from .base import Message
from .members import Member

_VERS = members.numbers("Vers", "vers")
_VERP = members.number("Verp", "verp", 0)
_CRYPTOSUITES = members.numbers("Cryptosuites", "cryptosuites")
_CRYPTOSUITEP = members.number("Cryptosuitep", "cryptosuitep", 0)
_NOOB_ID = members.octets("NoobId", "noob_id", NOOB_ID_LENGTH)


@dataclass(frozen=True, slots=True)
class ErrorNotification(Message):
    """Type 0, either direction: instead of the next message (section 3.6)."""

    TYPE: ClassVar[MessageType] = MessageType.ERROR
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.OPTIONAL_PEER_ID,
        members.number("ErrorCode", "error_code", 0, 0xFFFF),
        members.ERROR_INFO,
    )
    error_code: int
    peer_id: str | None = None
    error_info: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoveryRequest(Message):
    """Type 1: who are you, and in which state (section 3.2.1)."""

    TYPE: ClassVar[MessageType] = MessageType.DISCOVERY
    MEMBERS: ClassVar[tuple[Member, ...]] = ()


@dataclass(frozen=True, slots=True)
class DiscoveryResponse(Message):
    """Type 1: PeerId is left out in state 0, and a MUST in the others."""

    TYPE: ClassVar[MessageType] = MessageType.DISCOVERY
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.OPTIONAL_PEER_ID,
        members.number("PeerState", "peer_state", PeerState.UNREGISTERED, PeerState.RECONNECTING),
    )
    peer_state: int
    peer_id: str | None = None

    @classmethod
    def from_json(cls, parsed: JsonObject) -> DiscoveryResponse:
        """As for every message; also 1002 when a peer that has a PeerId does not name it (section 3.3.1)."""
        # zero-argument super() does not work in a class that slots=True rebuilds
        message = super(DiscoveryResponse, cls).from_json(parsed)
        if message.peer_state != PeerState.UNREGISTERED and message.peer_id is None:
            raise NoobError(NoobErrorCode.INVALID_STRUCTURE, "PeerId is missing beside PeerState 1..3")
        return message


@dataclass(frozen=True, slots=True)
class NegotiationRequest(Message):
    """Type 2: a new PeerId and what the server can do (section 3.2.2)."""

    TYPE: ClassVar[MessageType] = MessageType.NEGOTIATION
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        _VERS,
        members.PEER_ID,
        members.NEW_NAI,
        _CRYPTOSUITES,
        members.number("Dirs", "dirs", Direction.PEER_TO_SERVER, Direction.BOTH),
        members.info("ServerInfo", "server_info", NoobErrorCode.INVALID_SERVER_INFO),
    )
    vers: tuple[int, ...]
    peer_id: str
    cryptosuites: tuple[int, ...]
    dirs: int
    server_info: str
    new_nai: str | None = None


@dataclass(frozen=True, slots=True)
class NegotiationResponse(Message):
    """Type 2: the peer's choice, and what it says of itself."""

    TYPE: ClassVar[MessageType] = MessageType.NEGOTIATION
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        _VERP,
        members.PEER_ID,
        _CRYPTOSUITEP,
        members.number("Dirp", "dirp", Direction.PEER_TO_SERVER, Direction.BOTH),
        members.info("PeerInfo", "peer_info", NoobErrorCode.INVALID_PEER_INFO),
    )
    verp: int
    peer_id: str
    cryptosuitep: int
    dirp: int
    peer_info: str


@dataclass(frozen=True, slots=True)
class KeyExchangeRequest(Message):
    """Type 3: the server's ECDHE key and nonce."""

    TYPE: ClassVar[MessageType] = MessageType.KEY_EXCHANGE
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.PEER_ID,
        members.public_key("PKs", "pks"),
        members.octets("Ns", "ns", NONCE_LENGTH),
        members.SLEEP_TIME,
    )
    peer_id: str
    pks: str
    ns: bytes
    sleep_time: int | None = None


@dataclass(frozen=True, slots=True)
class KeyExchangeResponse(Message):
    """Type 3: the peer's ECDHE key and nonce; the server ends with EAP-Failure."""

    TYPE: ClassVar[MessageType] = MessageType.KEY_EXCHANGE
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.PEER_ID,
        members.public_key("PKp", "pkp"),
        members.octets("Np", "np", NONCE_LENGTH),
    )
    peer_id: str
    pkp: str
    np: bytes


@dataclass(frozen=True, slots=True)
class WaitingRequest(Message):
    """Type 4: no OOB message yet; come back after ``sleep_time`` seconds (section 3.2.5)."""

    TYPE: ClassVar[MessageType] = MessageType.WAITING
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID, members.SLEEP_TIME)
    peer_id: str
    sleep_time: int | None = None


@dataclass(frozen=True, slots=True)
class WaitingResponse(Message):
    """Type 4: understood; the server ends with EAP-Failure."""

    TYPE: ClassVar[MessageType] = MessageType.WAITING
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID,)
    peer_id: str


@dataclass(frozen=True, slots=True)
class NoobIdRequest(Message):
    """Type 5: which of my OOB messages did you get (section 3.2.4)?"""

    TYPE: ClassVar[MessageType] = MessageType.NOOB_ID
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID,)
    peer_id: str


@dataclass(frozen=True, slots=True)
class NoobIdResponse(Message):
    """Type 5: this one."""

    TYPE: ClassVar[MessageType] = MessageType.NOOB_ID
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID, _NOOB_ID)
    peer_id: str
    noob_id: bytes


@dataclass(frozen=True, slots=True)
class CompletionRequest(Message):
    """Type 6: the server proves itself over the Initial Exchange and the named Noob."""

    TYPE: ClassVar[MessageType] = MessageType.COMPLETION
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.PEER_ID,
        _NOOB_ID,
        members.octets("MACs", "macs", MAC_LENGTH),
    )
    peer_id: str
    noob_id: bytes
    macs: bytes


@dataclass(frozen=True, slots=True)
class CompletionResponse(Message):
    """Type 6: the peer proves itself; then EAP-Success."""

    TYPE: ClassVar[MessageType] = MessageType.COMPLETION
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID, members.octets("MACp", "macp", MAC_LENGTH))
    peer_id: str
    macp: bytes


@dataclass(frozen=True, slots=True)
class ReconnectNegotiationRequest(Message):
    """Type 7: versions and suites again; what has changed may be sent anew (section 3.4.2)."""

    TYPE: ClassVar[MessageType] = MessageType.RECONNECT_NEGOTIATION
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        _VERS,
        members.PEER_ID,
        _CRYPTOSUITES,
        members.NEW_NAI,
        members.info("ServerInfo", "server_info", NoobErrorCode.INVALID_SERVER_INFO, optional=True),
    )
    vers: tuple[int, ...]
    peer_id: str
    cryptosuites: tuple[int, ...]
    new_nai: str | None = None
    server_info: str | None = None


@dataclass(frozen=True, slots=True)
class ReconnectNegotiationResponse(Message):
    """Type 7: the peer's choice."""

    TYPE: ClassVar[MessageType] = MessageType.RECONNECT_NEGOTIATION
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        _VERP,
        members.PEER_ID,
        _CRYPTOSUITEP,
        members.info("PeerInfo", "peer_info", NoobErrorCode.INVALID_PEER_INFO, optional=True),
    )
    verp: int
    peer_id: str
    cryptosuitep: int
    peer_info: str | None = None


@dataclass(frozen=True, slots=True)
class ReconnectKeyRequest(Message):
    """Type 8: KeyingMode, the server's nonce and, in modes 2 and 3, its fresh ECDHE key."""

    TYPE: ClassVar[MessageType] = MessageType.RECONNECT_KEY_EXCHANGE
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.PEER_ID,
        members.number("KeyingMode", "keying_mode", KeyingMode.RECONNECT, KeyingMode.RECONNECT_NEW_SUITE),
        members.public_key("PKs2", "pks2", optional=True),
        members.octets("Ns2", "ns2", NONCE_LENGTH),
    )
    peer_id: str
    keying_mode: int
    ns2: bytes
    pks2: str | None = None

    @classmethod
    def from_json(cls, parsed: JsonObject) -> ReconnectKeyRequest:
        """As for every message; also 1002 when PKs2 and KeyingMode do not fit."""
        message = super(ReconnectKeyRequest, cls).from_json(parsed)
        if (message.pks2 is None) != (message.keying_mode == KeyingMode.RECONNECT):
            raise NoobError(NoobErrorCode.INVALID_STRUCTURE, "PKs2 does not fit KeyingMode")
        return message


@dataclass(frozen=True, slots=True)
class ReconnectKeyResponse(Message):
    """Type 8: the peer's nonce and, in modes 2 and 3, its ECDHE key."""

    TYPE: ClassVar[MessageType] = MessageType.RECONNECT_KEY_EXCHANGE
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        members.PEER_ID,
        members.public_key("PKp2", "pkp2", optional=True),
        members.octets("Np2", "np2", NONCE_LENGTH),
    )
    peer_id: str
    np2: bytes
    pkp2: str | None = None


@dataclass(frozen=True, slots=True)
class ReconnectCompletionRequest(Message):
    """Type 9: the server proves itself with Kz."""

    TYPE: ClassVar[MessageType] = MessageType.RECONNECT_COMPLETION
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID, members.octets("MACs2", "macs2", MAC_LENGTH))
    peer_id: str
    macs2: bytes


@dataclass(frozen=True, slots=True)
class ReconnectCompletionResponse(Message):
    """Type 9: the peer proves itself with Kz; then EAP-Success."""

    TYPE: ClassVar[MessageType] = MessageType.RECONNECT_COMPLETION
    MEMBERS: ClassVar[tuple[Member, ...]] = (members.PEER_ID, members.octets("MACp2", "macp2", MAC_LENGTH))
    peer_id: str
    macp2: bytes
