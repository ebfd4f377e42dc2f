"""The server's association with one peer, and what goes into and out of a step (RFC 9140 section 3.4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bootstrap.contract import Env, Milestone, Note

from ..constants import (
    NOOB_TIMEOUT_SECONDS,
    OOB_RETRIES,
    PHASES,
    SLEEP_TIME_DEFAULT_SECONDS,
    Direction,
    Exchange,
    OobOutcome,
    ServerState,
)
from ..crypto import RFC_TEXT, Convention, Pins


@dataclass(frozen=True, slots=True)
class ServerAssociation:
    """Everything the server remembers of one peer; flat, so that it freezes into one blob."""

    state: int = ServerState.UNREGISTERED
    peer_id: str = ""

    # The persistent association (Table 2); ephemeral until the Completion Exchange succeeds.
    verp: int = 0
    cryptosuitep: int = 0
    nai: str = ""
    kz: bytes = field(default=b"", repr=False)

    # The peer's reading of the text (crypto.Convention): pinned by success, otherwise the next candidate.
    kdf_datalength: bool | None = None
    null_datalength: bool | None = None
    mac_nai: bool | None = None
    attempt: int = 0

    # States 1 and 2, from the Initial Exchange and the OOB step.
    initial: tuple[str, ...] = ()
    """Transcript of the Initial Exchange: elements 2 to 16 of the hashed array, verbatim."""
    dirp: int = 0
    ns: bytes = field(default=b"", repr=False)
    np: bytes = field(default=b"", repr=False)
    z: bytes = field(default=b"", repr=False)
    noobs: tuple[tuple[bytes, int], ...] = field(default=(), repr=False)
    """OOB messages we gave out: Noob, and the second (Unix time) at which it expires."""
    oob_noob: bytes = field(default=b"", repr=False)
    """The Noob that came from the peer; there is one in state 2."""
    bad_oobs: int = 0
    touched_at: int = 0
    """Unix time of the last message or OOB input, for the end of the ephemeral states."""

    # The conversation that is under way.
    exchange: int = Exchange.NONE
    expected: int = 0
    """Message type of the response we wait for."""
    peer_state: int = 0
    private: bytes = field(default=b"", repr=False)
    vers: tuple[int, ...] = ()
    cryptosuites: tuple[int, ...] = ()
    new_nai: str = ""
    noob: bytes = field(default=b"", repr=False)
    """The Noob under MACs."""
    tried: tuple[bool, ...] = ()
    """The Convention under MACs or MACs2, field by field."""
    keying_mode: int = 0
    reconnect: tuple[str, ...] = ()
    """Transcript of the Reconnect Exchange."""
    offered_verp: int = 0
    offered_cryptosuitep: int = 0
    ns2: bytes = field(default=b"", repr=False)
    np2: bytes = field(default=b"", repr=False)
    z2: bytes = field(default=b"", repr=False)
    peer_info: str = ""
    """PeerInfo as it came in this conversation."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one step of the server may know beyond the association."""

    server_info: str = "{}"
    """ServerInfo as compact JSON text, at most 500 octets; sent as it is."""
    versions: tuple[int, ...] = (1,)
    cryptosuites: tuple[int, ...] = (1, 2)
    dirs: int = Direction.BOTH
    new_nai: str | None = None
    sleep_time_seconds: int = SLEEP_TIME_DEFAULT_SECONDS
    noob_timeout_seconds: int = NOOB_TIMEOUT_SECONDS
    oob_retries: int = OOB_RETRIES
    convention: Convention = RFC_TEXT
    forward_secrecy: bool = True
    """KeyingMode 2 rather than 1 when the suite stays."""
    reconnect_server_info: str | None = None
    """ServerInfo for the Reconnect Exchange, when it has changed (Appendix C: privacy)."""
    reconnect_nai: str | None = None
    """NewNAI for the Reconnect Exchange; not sent when the peer has it already."""
    wanted: bool = True
    """False answers 2001 (section 3.6.2)."""


class Result(StrEnum):
    """What a step means for the EAP conversation."""

    CONTINUE = "continue"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class ExportedKeys:
    """What the method gives to the layers around it (section 3.5)."""

    msk: bytes = field(repr=False)
    emsk: bytes = field(repr=False)
    amsk: bytes = field(repr=False)
    session_id: bytes = field(repr=False)
    peer_id: str = ""


@dataclass(frozen=True, slots=True)
class NoobStep:
    """What one response leads to."""

    state: ServerAssociation
    request: bytes | None = None
    """Type-Data of the next request; None with SUCCESS and FAILURE."""
    result: Result = Result.CONTINUE
    keys: ExportedKeys | None = field(default=None, repr=False)
    notes: tuple[Note, ...] = ()
    milestone: Milestone | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """serial, manufacturer, model, mac, name: what PeerInfo says, unverified."""
    locator: str | None = None
    """The PeerId that finds this association from now on, when this step allocated it."""
    keep: bool = True
    """False: nothing is worth storing (a refused stranger)."""

    @property
    def phase(self) -> str:
        """The association's state in the RFC's words."""
        return PHASES[self.state.state]


@dataclass(frozen=True, slots=True)
class OobResult:
    """What became of an OOB message."""

    state: ServerAssociation
    outcome: OobOutcome
    tries_left: int
    """Wrong messages still borne before the association is reset."""


def now_seconds(env: Env) -> int:
    """``env.now`` as Unix time."""
    return int(env.now.timestamp())


def pins(state: ServerAssociation) -> Pins:
    """What is known of the peer's convention."""
    return Pins(state.kdf_datalength, state.null_datalength, state.mac_nai)


def without_conversation(state: ServerAssociation) -> ServerAssociation:
    """The association with nothing under way."""
    blank = ServerAssociation()
    return replace(
        state,
        **{name: getattr(blank, name) for name in _CONVERSATION},
    )


def unregistered(peer_id: str = "") -> ServerAssociation:
    """State 0. The PeerId alone is kept, so that a peer which still uses it is told what is wrong."""
    return ServerAssociation(peer_id=peer_id)


def persistent(state: ServerAssociation) -> ServerAssociation:
    """The association with only what Table 2 lists, and the learned convention."""
    return ServerAssociation(
        state=state.state,
        peer_id=state.peer_id,
        verp=state.verp,
        cryptosuitep=state.cryptosuitep,
        nai=state.nai,
        kz=state.kz,
        kdf_datalength=state.kdf_datalength,
        null_datalength=state.null_datalength,
        mac_nai=state.mac_nai,
        attempt=state.attempt,
        touched_at=state.touched_at,
    )


_CONVERSATION = (
    "exchange",
    "expected",
    "peer_state",
    "private",
    "vers",
    "cryptosuites",
    "new_nai",
    "noob",
    "tried",
    "keying_mode",
    "reconnect",
    "offered_verp",
    "offered_cryptosuitep",
    "ns2",
    "np2",
    "z2",
    "peer_info",
)
