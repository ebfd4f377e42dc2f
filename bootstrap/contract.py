"""The shared vocabulary between doors, engine, bindings and protocols. Imports nothing of ours.

A protocol is a pure function, ``step(state, message, facts, env) -> Outcome``. Everything it may know
comes in as an argument, time and randomness too (``Env``); everything it wants goes out in the ``Outcome``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S")


class Via(StrEnum):
    """The door a message came through."""

    HTTPS = "https"
    COAP = "coap"
    RADIUS = "radius"
    LOCAL = "local"
    """Not from a device: a person's or a worker's input to the same state machine."""


class Milestone(StrEnum):
    """How far a device has come; what the onboarding and the device's shown state follow."""

    WAITING = "waiting"
    """It has spoken to us and needs a person."""
    CONFIRMED = "confirmed"
    """A person's confirmation reached the protocol."""
    BOOTSTRAPPED = "bootstrapped"
    """First mutual authentication done; keys exist."""
    RECONNECTED = "reconnected"
    """Authenticated again with what bootstrapping left."""
    PROVISIONED = "provisioned"
    """It took its plan and said so."""
    ONLINE = "online"
    """It reported from normal operation."""
    STUCK = "stuck"
    """It cannot go on without somebody."""


class Level(StrEnum):
    """Weight of one timeline line."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class Verdict(StrEnum):
    """What a reply means for the transport that carries it."""

    CONTINUE = "continue"
    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class PeerTLS:
    """What the transport's TLS or DTLS layer knows of the peer."""

    version: str
    chain: tuple[bytes, ...] = ()
    tls_unique: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message as a door hands it to the engine: transport decoding done, nothing else."""

    body: bytes = field(repr=False)
    via: Via
    source: str
    """Address of the sender, for limits and for the timeline. Never trusted for more."""
    operation: str = ""
    """Route within the protocol, for those that have several (an HTTP path's last part, a CoAP path)."""
    token: str = field(default="", repr=False)
    """What our previous reply asked the peer to bring back; empty opens a conversation."""
    organization_id: int | None = None
    """Owner of the access point that relayed the message; None when nobody vouches for the way in."""
    tls: PeerTLS | None = None


@dataclass(frozen=True, slots=True)
class Env:
    """Time and randomness of one step, as arguments."""

    now: datetime
    random: Callable[[int], bytes]
    """``random(n)`` gives n octets fit for keys."""


@dataclass(frozen=True, slots=True)
class Note:
    """One line for the timeline. Shown to people: no secret may be in it."""

    code: str
    """Key into the catalogue of sentences, ``<protocol>.<what>``."""
    level: Level = Level.INFO
    detail: Mapping[str, str | int] = field(default_factory=dict)
    """Values for the sentence. Whatever came from the peer is untrusted text."""
    trace: bytes = field(default=b"", repr=False)
    """The message in clear, for the decoded view; stored sealed. Unlike the rest it may hold secrets."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one message."""

    body: bytes
    verdict: Verdict = Verdict.CONTINUE
    token: str = field(default="", repr=False)
    """What the peer must bring with its next message (RADIUS State, HTTP Location, FDO's bearer token)."""
    msk: bytes = field(default=b"", repr=False)
    """With ACCEPT from an EAP method: the 64-octet Master Session Key for the lower layer."""
    media_type: str = ""
    """Of ``body``, where the protocol has more than one."""


@dataclass(frozen=True, slots=True)
class NextSession:
    """A session that this outcome opens for the same device, or re-keys: of another protocol, or of the same
    one under a new name."""

    protocol: str
    locator: str
    material: bytes = field(repr=False)
    """What that protocol's binding needs, in that binding's own encoding; sealed by the store."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[S]):
    """Everything one step wants: the next state, the answer, and what others should learn of it."""

    state: S
    reply: Reply
    notes: tuple[Note, ...] = ()
    milestone: Milestone | None = None
    locator: str | None = None
    """The name that finds this session from now on, when the step gave or changed it."""
    phase: str | None = None
    """The state in the specification's words, for people."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the peer says of itself: serial, manufacturer, model. Unverified."""
    next: NextSession | None = None
    keep: bool = True
    """False: answer and store nothing (a refused stranger leaves no row; a question changes nothing)."""


Handle = Callable[[str, Inbound], Awaitable[Reply]]
"""``await handle(protocol_slug, inbound)``: what a door is given. Raises PeerError; then nothing was stored."""
