"""The owner's place in the exchange of service info: flat, so that it travels frozen inside the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bootstrap.protocols.fdo.service_info.actions import Action, ActionResult
from bootstrap.protocols.fdo.service_info.constants import PATIENCE_ROUNDS
from bootstrap.protocols.fdo.service_info.devmod import Devmod
from bootstrap.protocols.fdo.service_info.kv import KV
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.wire.frozen import thaw


@dataclass(frozen=True, slots=True)
class OwnerModules:
    """Actions are named by index, files by offset; only what a device uploads is kept here itself."""

    devmod: bytes = b""
    """Frozen Devmod; empty before the first message."""
    devmod_done: bool = False
    plan: bytes = b""
    rounds: int = 0
    idle: int = 0
    """Messages of the device in a row that had nothing in them."""
    partial_key: str = ""
    partial: bytes = field(default=b"", repr=False)
    active: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Modules that the device answered with ``active`` false."""
    failed: str = ""
    """Id of the first action that had to succeed and did not."""

    index: int = 0
    """The action under way. Everything below is about this one and starts anew with the next."""
    head: int = 0
    """Fixed key-values sent so far."""
    offset: int = 0
    """Octets sent of the present fixed value, or of the file once all fixed ones are out."""
    head_sent: bool = False
    sent: bool = False
    length: int = -1
    received: int = 0
    sha384: bytes = b""
    content: bytes = field(default=b"", repr=False)
    errors: bytes = field(default=b"", repr=False)

    csr_seen: bool = False
    csr_open: bool = False
    """The device has activated fdo.csr and not yet deactivated it."""
    csr_requests: int = 0
    csr_issued: bytes = field(default=b"", repr=False)
    csr_problem: str = ""
    answers: tuple[KV, ...] = field(default=(), repr=False)
    """Answers to certificate requests that wait for room."""
    answer_offset: int = 0

    def device(self) -> Devmod:
        """What the device said of itself so far."""
        return thaw(Devmod, self.devmod) if self.devmod else Devmod()


_OF_ONE_ACTION = {
    name: getattr(OwnerModules(), name)
    for name in (
        "head",
        "offset",
        "head_sent",
        "sent",
        "length",
        "received",
        "sha384",
        "content",
        "errors",
        "idle",
    )
}

Heard = tuple[OwnerModules, ActionResult | None]
"""The state after a key-value, and the end of the action if that was it."""


class OwnerSide(Protocol):
    """The owner's half of one service-info module, bound to one action."""

    @property
    def module(self) -> str:
        """Name of the module, the part of a key before the colon."""

    @property
    def content(self) -> bytes:
        """What follows the fixed key-values as ``data``."""

    @property
    def streams(self) -> bool:
        """Whether ``data`` follows at all; an empty file is one empty ``data``."""

    @property
    def patience(self) -> int | None:
        """Empty rounds after which the device counts as silent; None for work that may take any time."""

    def head(self, quirks: Quirks) -> list[KV]:
        """The fixed key-values after ``active``, in order."""

    def heard(self, state: OwnerModules, message: str, item: Any) -> Heard:
        """One message of the device in this module."""

    def silent(self, state: OwnerModules) -> ActionResult:
        """The result when the device said nothing for too long."""


def next_action(state: OwnerModules, action: Action, result: ActionResult) -> OwnerModules:
    """The state at the start of the action after this one."""
    failed = state.failed or (action.id if not result.ok and not action.may_fail else "")
    return replace(state, index=state.index + 1, failed=failed, **_OF_ONE_ACTION)


ActionsOf = Callable[[Devmod], Sequence[Action]]
"""The plan for a device that shows this devmod; must be the same each time it is asked."""

DEFAULT_PATIENCE = PATIENCE_ROUNDS
