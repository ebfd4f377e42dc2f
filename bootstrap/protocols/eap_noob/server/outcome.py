"""How a conversation of the server goes on or ends (RFC 9140 section 3.6)."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.contract import Level, Milestone, Note

from .. import messages
from ..constants import (
    ERROR_INFO,
    NEEDS_A_PERSON,
    NOTE,
    Exchange,
    MessageType,
    NoobErrorCode,
    PeerState,
    ServerState,
)
from .state import NoobStep, Result, ServerAssociation, persistent, unregistered, without_conversation

_EPHEMERAL = frozenset({ServerState.UNREGISTERED, ServerState.WAITING_FOR_OOB, ServerState.OOB_RECEIVED})


def asked(state: ServerAssociation, request: messages.Message) -> NoobStep:
    """The exchange goes on with ``request``; the response must have the same type."""
    return NoobStep(replace(state, expected=int(request.TYPE)), request.encode())


def noted(what: str, level: Level = Level.INFO, /, **detail: str | int) -> Note:
    """A timeline line of this protocol."""
    return Note(NOTE + what, level, detail)


def after_error(state: ServerAssociation) -> ServerAssociation:
    """The association once an exchange has failed by notification, sent or received (section 3.6).

    Initial Exchange: Unregistered. Waiting and Completion: as if nothing had happened. Reconnect:
    Reconnecting. Before an exchange was chosen nothing changes.
    """
    if state.exchange == Exchange.INITIAL:
        return unregistered(state.peer_id)
    if state.exchange == Exchange.RECONNECT:
        return replace(without_conversation(state), state=ServerState.RECONNECTING)
    return without_conversation(state)


def refused(state: ServerAssociation, code: int, *notes: Note, why: str = "") -> NoobStep:
    """Answer with an error notification; the conversation ends with the peer's next message."""
    keep = bool(state.peer_id)
    notification = messages.ErrorNotification(
        error_code=int(code), peer_id=state.peer_id or None, error_info=ERROR_INFO[code]
    )
    return NoobStep(
        replace(after_error(state), exchange=Exchange.FAILED, expected=int(MessageType.ERROR)),
        notification.encode(),
        notes=(noted("error.sent", Level.WARNING, code=int(code), text=ERROR_INFO[code], why=why), *notes),
        milestone=Milestone.STUCK if keep and code in NEEDS_A_PERSON else None,
        keep=keep,
    )


def failed(state: ServerAssociation, *notes: Note, milestone: Milestone | None = None) -> NoobStep:
    """EAP-Failure, as every Initial and Waiting Exchange ends."""
    return NoobStep(
        without_conversation(state),
        result=Result.FAILURE,
        notes=notes,
        milestone=milestone,
        keep=bool(state.peer_id),
    )


def told_error(state: ServerAssociation, error: messages.ErrorNotification) -> NoobStep:
    """The peer sent an error notification: EAP-Failure, with the consequences of sections 3.2.4 and 3.6."""
    code = error.error_code
    note = noted("error.received", Level.WARNING, code=code, text=(error.error_info or "")[:200])
    after = after_error(state)
    notes = [note]
    if code == NoobErrorCode.UNKNOWN_NOOB_ID and _sent_noob_id(state):
        after = replace(after, state=ServerState.WAITING_FOR_OOB, oob_noob=b"")
        notes.append(noted("oob.rejected", Level.WARNING))
    if code == NoobErrorCode.HMAC_FAILURE and state.tried and state.expected in _WITH_MAC:
        after = replace(after, attempt=after.attempt + 1)
    stuck = bool(state.peer_id) and code in NEEDS_A_PERSON
    return failed(after, *notes, milestone=Milestone.STUCK if stuck else None)


_WITH_MAC = frozenset({MessageType.COMPLETION, MessageType.RECONNECT_COMPLETION})


def _sent_noob_id(state: ServerAssociation) -> bool:
    """Whether 2003 rejects our OOB input: we named the Noob we had received (case B of Table 14)."""
    return (
        state.exchange == Exchange.COMPLETION
        and state.expected == MessageType.COMPLETION
        and state.state == ServerState.OOB_RECEIVED
        and state.peer_state == PeerState.WAITING_FOR_OOB
    )


def registered(state: ServerAssociation) -> ServerAssociation:
    """State 4, with only what persists."""
    return persistent(replace(state, state=ServerState.REGISTERED, attempt=0))


def is_ephemeral(state: ServerAssociation) -> bool:
    """States 0 to 2."""
    return state.state in _EPHEMERAL
