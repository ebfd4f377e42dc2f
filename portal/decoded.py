"""The messages behind a line of history, decoded for people, secrets masked."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.engine.envelope import unseal_trace
from bootstrap.engine.models import Event
from bootstrap.errors import OnwardError
from bootstrap.protocols.fdo.constants import MESSAGE_NAMES
from bootstrap.protocols.fdo.decoded import decoded
from bootstrap.wire import cbor


@dataclass(frozen=True, slots=True)
class Shown:
    """One message."""

    number: int
    name: str
    octets: int
    text: str


def messages_of(event: Event) -> tuple[Shown, ...]:
    """Request and reply of this line; nothing when they were not kept or do not open any more."""
    number = event.detail.get("message")
    if event.trace is None or not isinstance(number, int):
        return ()
    try:
        request, reply = cbor.decode(unseal_trace(bytes(event.trace), event.code))
    except (OnwardError, ValueError, TypeError):
        return ()
    pairs = [(number, request)]
    if reply:
        pairs.append((number + 1, reply))
    return tuple(
        Shown(one, MESSAGE_NAMES.get(one, ""), len(octets), decoded(one, octets)) for one, octets in pairs
    )
