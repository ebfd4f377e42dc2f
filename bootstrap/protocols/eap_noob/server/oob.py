"""The OOB step and the other local events of the server (RFC 9140 section 3.2.3, Table 15)."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.contract import Env
from bootstrap.errors import UnexpectedMessage

from .. import crypto
from ..constants import EPHEMERAL_LIFETIME_SECONDS, NOOB_LENGTH, Direction, OobOutcome, ServerState
from ..messages.transcript import hash_input
from ..sticker import Oob
from .outcome import is_ephemeral
from .state import Facts, OobResult, ServerAssociation, now_seconds, unregistered, without_conversation


def initial_state() -> ServerAssociation:
    """A peer that nobody knows."""
    return ServerAssociation()


def oob_check(state: ServerAssociation, oob: Oob) -> OobOutcome:
    """What ``oob_receive`` would say, without counting: WRONG where that might say WRONG_AND_RESET."""
    if state.state == ServerState.UNREGISTERED:
        return OobOutcome.NOT_WAITING
    if not crypto.equal(oob.peer_id.encode(), state.peer_id.encode()):
        return OobOutcome.WRONG_PEER_ID
    if state.state in (ServerState.RECONNECTING, ServerState.REGISTERED):
        return OobOutcome.ALREADY_REGISTERED
    if not state.dirp & Direction.PEER_TO_SERVER:
        return OobOutcome.NO_SUCH_DIRECTION
    expected = crypto.hoob(hash_input(Direction.PEER_TO_SERVER, state.initial, oob.noob))
    if not crypto.equal(expected, oob.hoob):
        return OobOutcome.WRONG
    return OobOutcome.REDUNDANT if state.state == ServerState.OOB_RECEIVED else OobOutcome.ACCEPTED


def oob_receive(state: ServerAssociation, oob: Oob, env: Env, facts: Facts) -> OobResult:
    """Take an OOB message from the peer's side: the first good one leads to state 2.

    In state 1 a wrong Hoob counts, and the ``oob_retries``-th resets the association (section 3.2.3). Nothing
    is said in band (section 3.6.5).
    """
    outcome = oob_check(state, oob)
    if outcome is OobOutcome.ACCEPTED:
        state = replace(state, state=ServerState.OOB_RECEIVED, oob_noob=oob.noob, touched_at=now_seconds(env))
    elif outcome is OobOutcome.WRONG and state.state == ServerState.WAITING_FOR_OOB:
        state = replace(state, bad_oobs=state.bad_oobs + 1)
        if state.bad_oobs >= facts.oob_retries:
            return OobResult(unregistered(state.peer_id), OobOutcome.WRONG_AND_RESET, 0)
    return OobResult(state, outcome, max(0, facts.oob_retries - state.bad_oobs))


def can_make_oob(state: ServerAssociation) -> bool:
    """Whether a server-to-peer message makes sense now: state 1, and the peer chose that direction."""
    return state.state == ServerState.WAITING_FOR_OOB and bool(state.dirp & Direction.SERVER_TO_PEER)


def oob_make(state: ServerAssociation, env: Env, facts: Facts) -> tuple[ServerAssociation, Oob]:
    """A message for the peer; raises UnexpectedMessage where ``can_make_oob`` is False.

    The newest Noob is given again until it is NoobInterval old (half of NoobTimeout), so that asking often
    does not fill the state and the last two stay good (section 3.2.3).
    """
    if not can_make_oob(state):
        raise UnexpectedMessage("no OOB message goes from server to peer in this state")
    now = now_seconds(env)
    noobs = _alive(state, now)
    if not noobs or noobs[-1][1] - now <= facts.noob_timeout_seconds // 2:
        noobs = (*noobs, (env.random(NOOB_LENGTH), now + facts.noob_timeout_seconds))
    state = replace(state, noobs=noobs, touched_at=now)
    return state, _oob(state, noobs[-1][0])


def oob_again(state: ServerAssociation, env: Env) -> Oob | None:
    """The newest message of ``oob_make`` while it is good, to be shown again; makes none and changes nothing."""
    alive = _alive(state, now_seconds(env))
    return _oob(state, alive[-1][0]) if alive and can_make_oob(state) else None


def _oob(state: ServerAssociation, noob: bytes) -> Oob:
    hoob = crypto.hoob(hash_input(Direction.SERVER_TO_PEER, state.initial, noob))
    return Oob(state.peer_id, noob, hoob)


def oob_expires_at(state: ServerAssociation, oob: Oob) -> int | None:
    """Unix time at which a message of ``oob_make`` stops being good; None when it is none of ours."""
    for noob, expires_at in state.noobs:
        if crypto.equal(noob, oob.noob):
            return expires_at
    return None


def reset(state: ServerAssociation) -> ServerAssociation:
    """The user resets the association: as if it had been deleted (section 3.1)."""
    return unregistered(state.peer_id)


def to_reconnecting(state: ServerAssociation) -> ServerAssociation:
    """Rekeying is wanted, or session keys were lost: 4 becomes 3 (section 3.4)."""
    if is_ephemeral(state):
        return state
    return replace(without_conversation(state), state=ServerState.RECONNECTING)


def recovered(state: ServerAssociation) -> ServerAssociation:
    """Read back from a backup: a persistent association is in state 3 (Table 15)."""
    return to_reconnecting(state)


def expire(state: ServerAssociation, env: Env) -> ServerAssociation:
    """Drop the Noobs that are over, and an ephemeral association that nobody has touched for a day."""
    now = now_seconds(env)
    if is_ephemeral(state) and now - state.touched_at >= EPHEMERAL_LIFETIME_SECONDS:
        return unregistered(state.peer_id)
    return replace(state, noobs=_alive(state, now))


def _alive(state: ServerAssociation, now: int) -> tuple[tuple[bytes, int], ...]:
    return tuple((noob, expires_at) for noob, expires_at in state.noobs if now < expires_at)
