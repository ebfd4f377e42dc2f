"""What every store backend takes and gives (tests/engine/test_store.py runs the same suite on each)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from devices.services.progress import Progress


@dataclass(frozen=True, slots=True)
class Record:
    """One session row, opened. ``id`` None: not stored yet."""

    protocol: str
    locator: str
    id: int | None = None
    token: bytes | None = field(default=None, repr=False)
    organization_id: int | None = None
    device_id: int | None = None
    via: str = ""
    source: str = ""
    phase: str = ""
    milestone: str = ""
    serial: str = ""
    manufacturer: str = ""
    model: str = ""
    wants_report: bool = False
    state: bytes = field(default=b"", repr=False)
    """The sealed envelope, see engine/envelope.py."""
    material: bytes | None = field(default=None, repr=False)
    version: int = 0
    messages: int = 0
    created_at: datetime | None = None
    seen_at: datetime | None = None
    next_at: datetime | None = None
    expires_at: datetime | None = None
    guarded_until: datetime | None = None
    # Of the device, joined in the same read:
    plan_id: int | None = None
    """Its own plan, else its group's."""
    device_state: str = ""
    tags: str = "{}"
    """JSON, parsed by whoever needs them."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of history to append."""

    code: str
    level: str
    detail: dict[str, Any]
    at: datetime
    via: str
    trace: bytes | None = field(default=None, repr=False)
    """The message in clear, sealed."""


@dataclass(frozen=True, slots=True)
class NextRow:
    """Another session to open for the same device, or to re-key (then it keeps its state)."""

    protocol: str
    locator: str
    state: bytes = field(repr=False)
    material: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one message changes; all of it or nothing."""

    before: Record
    after: Record
    events: tuple[EventRow, ...] = ()
    progress: Progress | None = None
    next: NextRow | None = None
    due: bool = False
    """The device's onboarding may go on: said in the same write, because the bell to the worker may be lost."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What was written, for whoever must be told."""

    session_id: int
    device_id: int | None
    organization_id: int | None
    event_ids: tuple[int, ...]


class Store(Protocol):
    """Load one session; commit one change by compare-and-swap on its version."""

    def load(self, protocol: str, *, token: bytes | None, locator: str | None) -> Record | None:
        """ONE read: the session whose conversation this is, else the one with that name, else None."""
        ...

    async def commit(self, change: Change) -> Committed | None:
        """ONE write. None: somebody was faster, load and step again. Raises LocalError when storage fails."""
        ...
