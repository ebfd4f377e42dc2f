"""What the engine asks of a binding. A lower floor defines it, bootstrap/bindings implements it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bootstrap.contract import Env, Inbound, Outcome, Reply
from bootstrap.engine.store.contract import Record
from bootstrap.errors import UnknownDevice
from devices.services.progress import Progress


def token_digest(token: str) -> bytes | None:
    """What a session keeps of its conversation's token; None when there is no conversation."""
    return hashlib.sha256(token.encode()).digest() if token else None


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded message and where its session is; or an answer that needs no session at all."""

    message: Any = None
    reply: Reply | None = None
    token: str = field(default="", repr=False)
    """The conversation; finds the session first."""
    locator: str | None = None
    """The device's name in the protocol, when the message says it."""
    may_open: bool = False
    """A stranger may begin with this message; only then can a session be made."""
    admitted: bool = False
    """Something better than its address speaks for this stranger (a station's own path, a proof that was
    checked already): the limit on strangers does not count it."""
    organization_id: int | None = None
    """Owner of the way it comes in; a session that nobody has claimed is that one's guest."""
    is_guest: bool = True
    """False: the session keeps its organization, whichever way this message came in."""
    unknown: type[UnknownDevice] = UnknownDevice
    """What to raise when there is no such session."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What follows from an outcome besides the state."""

    expires_at: datetime | None = None
    next_at: datetime | None = None
    progress: Progress | None = None
    wake_onboarding: bool = False
    """Tell the worker now instead of at its next round."""


class Binding(Protocol):
    """One protocol as the engine sees it. Nothing here touches a database."""

    slug: str
    """What doors call it."""
    protocol: str
    """What its sessions are called."""

    def receive(self, inbound: Inbound, env: Env) -> Received:
        """Decode. Raises PeerError; that costs no query."""
        ...

    def initial(self, received: Received, inbound: Inbound) -> Any:
        """The state of a stranger's new session."""
        ...

    def thaw(self, blob: bytes) -> Any:
        """State from bytes."""
        ...

    def freeze(self, state: Any) -> bytes:
        """Bytes from state."""
        ...

    def step(self, state: Any, received: Received, record: Record, material: bytes, env: Env) -> Outcome[Any]:
        """One pure step with the facts of this session."""
        ...

    def apply(self, record: Record, outcome: Outcome[Any], env: Env) -> Effects:
        """What follows."""
        ...

    def initial_of(self, protocol: str) -> bytes:
        """Frozen initial state of the session that ``Outcome.next`` names."""
        ...
