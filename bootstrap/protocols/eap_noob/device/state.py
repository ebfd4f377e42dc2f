"""The peer's association, what a step may know, and what it wants (RFC 9140 sections 3.1 and 3.4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from bootstrap.contract import Env, Level, Note

from ..constants import (
    DEFAULT_NAI,
    NOOB_TIMEOUT_SECONDS,
    NOTE,
    OOB_RETRIES,
    Direction,
    Exchange,
    OobOutcome,
    PeerState,
)
from ..crypto import RFC_TEXT, Convention


@dataclass(frozen=True, slots=True)
class DeviceAssociation:
    """Everything the peer remembers of one server; flat, so that it freezes into one blob."""

    state: int = PeerState.UNREGISTERED
    peer_id: str = ""

    # The persistent association (Table 2).
    verp: int = 0
    cryptosuitep: int = 0
    cryptosuitep_prev: int = 0
    nai: str = ""
    kz: bytes = field(default=b"", repr=False)
    kz_prev: bytes = field(default=b"", repr=False)

    # States 1 and 2; kept until EAP-Success, because a refused Completion leads back to them.
    initial: tuple[str, ...] = ()
    """Transcript of the Initial Exchange: elements 2 to 16 of the hashed array, verbatim."""
    dirp: int = 0
    server_url: str = ""
    server_info: str = ""
    ns: bytes = field(default=b"", repr=False)
    np: bytes = field(default=b"", repr=False)
    z: bytes = field(default=b"", repr=False)
    noobs: tuple[tuple[bytes, int], ...] = field(default=(), repr=False)
    """OOB messages we put out: Noob, and the second (Unix time) at which it was made."""
    oob_noob: bytes = field(default=b"", repr=False)
    """The Noob that came from the server; there is one in state 2."""
    bad_oobs: int = 0

    # The conversation that is under way.
    exchange: int = Exchange.NONE
    expected: tuple[int, ...] = ()
    """Message types the server may send next."""
    before: int = 0
    """The state in which a Completion Exchange began, to go back to."""
    keying_mode: int = 0
    reconnect: tuple[str, ...] = ()
    offered_verp: int = 0
    offered_cryptosuitep: int = 0
    new_nai: str = ""
    new_server_info: str = ""
    ns2: bytes = field(default=b"", repr=False)
    np2: bytes = field(default=b"", repr=False)
    z2: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What one step of the peer may know beyond the association."""

    peer_info: str = "{}"
    """PeerInfo as compact JSON text, at most 500 octets; sent as it is."""
    reconnect_peer_info: str | None = None
    """PeerInfo for the Reconnect Exchange, when it has changed."""
    versions: tuple[int, ...] = (1,)
    cryptosuites: tuple[int, ...] = (1, 2)
    dirs: int = Direction.BOTH
    dirp: int = Direction.PEER_TO_SERVER
    """Taken when the server offers it; else whatever both can do."""
    nai: str = DEFAULT_NAI
    """The configured NAI (section 3.3.1)."""
    noob_timeout_seconds: int = NOOB_TIMEOUT_SECONDS
    oob_retries: int = OOB_RETRIES
    convention: Convention = RFC_TEXT


DEFAULT_FACTS = DeviceFacts()


class Expectation(StrEnum):
    """How the peer thinks this conversation will end."""

    GOES_ON = "goes-on"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """What the method gives to the layers around it (section 3.5)."""

    msk: bytes = field(repr=False)
    emsk: bytes = field(repr=False)
    amsk: bytes = field(repr=False)
    session_id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """What one request leads to. The peer commits when it sends (section 6.9): store ``state`` first."""

    state: DeviceAssociation
    response: bytes
    expects: Expectation = Expectation.GOES_ON
    keys: DeviceKeys | None = field(default=None, repr=False)
    notes: tuple[Note, ...] = ()
    sleep_time: int | None = None
    """SleepTime of this message in seconds; the newest one counts (section 3.2.5)."""
    error_code: int | None = None
    """Of the notification that was sent or received."""


@dataclass(frozen=True, slots=True)
class DeviceOobResult:
    """What became of an OOB message from the server."""

    state: DeviceAssociation
    outcome: OobOutcome
    tries_left: int


def now_seconds(env: Env) -> int:
    """``env.now`` as Unix time."""
    return int(env.now.timestamp())


def noted(what: str, level: Level = Level.INFO, /, **detail: str | int) -> Note:
    """A line of the device's own log."""
    return Note(NOTE + what, level, detail)


def is_persistent(state: DeviceAssociation) -> bool:
    """States 3 and 4."""
    return state.state in (PeerState.RECONNECTING, PeerState.REGISTERED)


def without_conversation(state: DeviceAssociation) -> DeviceAssociation:
    """The association with nothing under way."""
    blank = DeviceAssociation()
    return replace(state, **{name: getattr(blank, name) for name in _CONVERSATION})


def persistent(state: DeviceAssociation) -> DeviceAssociation:
    """The association with only what Table 2 lists."""
    return DeviceAssociation(
        state=state.state,
        peer_id=state.peer_id,
        verp=state.verp,
        cryptosuitep=state.cryptosuitep,
        cryptosuitep_prev=state.cryptosuitep_prev,
        nai=state.nai,
        kz=state.kz,
        kz_prev=state.kz_prev,
        server_info=state.server_info,
    )


_CONVERSATION = (
    "exchange",
    "expected",
    "before",
    "keying_mode",
    "reconnect",
    "offered_verp",
    "offered_cryptosuitep",
    "new_nai",
    "new_server_info",
    "ns2",
    "np2",
    "z2",
)
