"""The OOB step and the other local events of the peer (RFC 9140 section 3.2.3, Table 15)."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.contract import Env
from bootstrap.errors import UnexpectedMessage

from .. import crypto, sticker
from ..constants import NOOB_LENGTH, Direction, OobOutcome, PeerState
from ..messages.transcript import hash_input
from ..sticker import Oob
from .state import (
    DEFAULT_FACTS,
    DeviceAssociation,
    DeviceFacts,
    DeviceOobResult,
    is_persistent,
    now_seconds,
    persistent,
    without_conversation,
)

_MAX_NOOBS = 8
"""Put out but not yet heard of; the oldest goes when there are more."""


def initial_state() -> DeviceAssociation:
    """A device out of the box."""
    return DeviceAssociation()


def identity(state: DeviceAssociation, facts: DeviceFacts = DEFAULT_FACTS) -> str:
    """The NAI for EAP-Response/Identity (section 3.3.1)."""
    return state.nai if state.state != PeerState.UNREGISTERED and state.nai else facts.nai


def oob_output(
    state: DeviceAssociation, facts: DeviceFacts, env: Env
) -> tuple[DeviceAssociation, Oob, str | None]:
    """A message for the server, and its URL when ServerInfo named a ServerURL (Appendix D).

    The newest Noob is shown again until it is NoobInterval old. Raises UnexpectedMessage outside state 1, or
    when the direction was not chosen.
    """
    if state.state != PeerState.WAITING_FOR_OOB or not state.dirp & Direction.PEER_TO_SERVER:
        raise UnexpectedMessage("no OOB message goes from peer to server in this state")
    now = now_seconds(env)
    noobs = state.noobs
    if not noobs or now - noobs[-1][1] >= facts.noob_timeout_seconds // 2:
        noobs = (*noobs, (env.random(NOOB_LENGTH), now))[-_MAX_NOOBS:]
    noob = noobs[-1][0]
    hoob = crypto.hoob(hash_input(Direction.PEER_TO_SERVER, state.initial, noob))
    oob = Oob(state.peer_id, noob, hoob)
    url = sticker.encode(oob, state.server_url) if state.server_url else None
    return replace(state, noobs=noobs), oob, url


def oob_input(state: DeviceAssociation, oob: Oob, facts: DeviceFacts = DEFAULT_FACTS) -> DeviceOobResult:
    """Take a message from the server's side: the first good one leads to state 2, and EAP may start at once.

    A wrong one counts; the ``oob_retries``-th leads back to state 0 (section 3.2.3).
    """
    outcome = _checked(state, oob)
    if outcome is OobOutcome.ACCEPTED:
        state = replace(state, state=PeerState.OOB_RECEIVED, oob_noob=oob.noob)
    elif outcome is OobOutcome.WRONG and state.state == PeerState.WAITING_FOR_OOB:
        state = replace(state, bad_oobs=state.bad_oobs + 1)
        if state.bad_oobs >= facts.oob_retries:
            return DeviceOobResult(DeviceAssociation(), OobOutcome.WRONG_AND_RESET, 0)
    return DeviceOobResult(state, outcome, max(0, facts.oob_retries - state.bad_oobs))


def _checked(state: DeviceAssociation, oob: Oob) -> OobOutcome:
    if state.state == PeerState.UNREGISTERED:
        return OobOutcome.NOT_WAITING
    if not crypto.equal(oob.peer_id.encode(), state.peer_id.encode()):
        return OobOutcome.WRONG_PEER_ID
    if is_persistent(state):
        return OobOutcome.ALREADY_REGISTERED
    if not state.dirp & Direction.SERVER_TO_PEER:
        return OobOutcome.NO_SUCH_DIRECTION
    expected = crypto.hoob(hash_input(Direction.SERVER_TO_PEER, state.initial, oob.noob))
    if not crypto.equal(expected, oob.hoob):
        return OobOutcome.WRONG
    return OobOutcome.REDUNDANT if state.state == PeerState.OOB_RECEIVED else OobOutcome.ACCEPTED


def without_old_noobs(state: DeviceAssociation, facts: DeviceFacts, now: int) -> DeviceAssociation:
    """Forget the Noobs older than NoobTimeout (section 3.2.5)."""
    alive = tuple((n, made) for n, made in state.noobs if now - made <= facts.noob_timeout_seconds)
    return replace(state, noobs=alive)


def on_success(state: DeviceAssociation) -> DeviceAssociation:
    """EAP-Success came: what led to the association is no longer needed."""
    return persistent(state) if state.state == PeerState.REGISTERED else without_conversation(state)


def on_failure(state: DeviceAssociation) -> DeviceAssociation:
    """EAP-Failure came, or nothing any more.

    An Initial Exchange that got no further than Type 2 is void. A registered peer goes to Reconnecting: its
    last response may or may not have arrived (section 6.9).
    """
    if is_persistent(state):
        return replace(persistent(state), state=PeerState.RECONNECTING)
    return without_conversation(state) if state.state != PeerState.UNREGISTERED else DeviceAssociation()


def timeout(state: DeviceAssociation) -> DeviceAssociation:
    """Mobility, timeout or network failure: 0..2 become 0, 3 and 4 become 3 (Table 15)."""
    return on_failure(state) if is_persistent(state) else DeviceAssociation()


def rekey(state: DeviceAssociation) -> DeviceAssociation:
    """Ask for new session keys: 4 becomes 3."""
    return on_failure(state) if is_persistent(state) else state


def reset(state: DeviceAssociation) -> DeviceAssociation:
    """The user resets the device."""
    return DeviceAssociation()
