"""Key-values into messages: fixed ones in order, then a file in pieces, never beyond the room there is."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.protocols.fdo.service_info.constants import DATA_LENGTH
from bootstrap.protocols.fdo.service_info.kv import KV, TRUE, Packer
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.protocols.fdo.service_info.state import OwnerModules, OwnerSide
from bootstrap.wire import cbor

_PIECE_MIN = 64
"""A smaller piece of a file waits for the next message, unless it is the last."""
_BSTR_HEAD = 3


def emit(
    state: OwnerModules, side: OwnerSide, quirks: Quirks, packer: Packer, *, ask: bool = False
) -> tuple[OwnerModules, bool]:
    """As much of an action as fits. True when the device must wait for the rest before it may speak.

    With ``ask`` nothing but ``active`` goes out until the device has answered it.
    """
    active: KV = (f"{side.module}:active", TRUE)
    if ask:
        if not state.head:
            packer.add(*active)
        return replace(state, head=1), False
    if not state.head_sent:
        head = [active, *side.head(quirks)]
        place, cut = pack(head[state.head :], state.offset, packer)
        state = replace(state, head=state.head + place[0], offset=place[1])
        if cut:
            return state, True
        state = replace(state, head_sent=True, offset=0)
    if side.streams:
        return _data(state, side, packer), False
    return replace(state, sent=True), False


def emit_answers(state: OwnerModules, packer: Packer) -> tuple[OwnerModules, bool]:
    """Waiting answers to certificate requests; True when one was cut."""
    (count, offset), cut = pack(state.answers, state.answer_offset, packer)
    return replace(state, answers=state.answers[count:], answer_offset=offset), cut


def pack(kvs: list[KV] | tuple[KV, ...], offset: int, packer: Packer) -> tuple[tuple[int, int], bool]:
    """Add ``kvs`` from ``offset`` octets into the first; gives ((whole ones added, next offset), cut short).

    A value is cut only when it fits no message: not every device joins the pieces.
    """
    for count, (key, value) in enumerate(kvs):
        rest = value[offset:]
        room = packer.room(key)
        if len(rest) > room:
            if packer.kvs and (len(value) <= packer.room_when_empty(key) or room < _PIECE_MIN):
                return (count, offset), True
            packer.add(key, rest[:room])
            return (count, offset + room), True
        packer.add(key, rest)
        offset = 0
    return (len(kvs), 0), False


def _data(state: OwnerModules, side: OwnerSide, packer: Packer) -> OwnerModules:
    key = f"{side.module}:data"
    at, content = state.offset, side.content
    while True:
        left = len(content) - at
        take = min(left, DATA_LENGTH, packer.room(key) - _BSTR_HEAD)
        if take < min(left, _PIECE_MIN) or packer.room(key) < 1:
            return replace(state, offset=at)
        packer.add(key, cbor.encode(content[at : at + take]))
        at += take
        if at >= len(content):
            return replace(state, offset=at, sent=True)
