"""One response of the peer to the server's next move (RFC 9140 sections 3.2.1 and 3.6, Appendix A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bootstrap.contract import Env, Level
from bootstrap.errors import PeerError

from .. import messages
from ..constants import ERROR_CODES, Exchange, MessageType, NoobError, NoobErrorCode, PeerState, ServerState
from .completion import completed, completion_begin, noob_identified
from .initial import initial_begin, keys_exchanged, negotiated, waited, waiting_begin
from .outcome import failed, noted, refused, told_error
from .reconnect import reconnect_begin, reconnect_keys_exchanged, reconnect_negotiated, reconnected
from .state import Facts, NoobStep, ServerAssociation, without_conversation

EXCHANGE: dict[tuple[ServerState, PeerState], Exchange] = {
    (ServerState.UNREGISTERED, PeerState.UNREGISTERED): Exchange.INITIAL,
    (ServerState.UNREGISTERED, PeerState.WAITING_FOR_OOB): Exchange.INITIAL,
    (ServerState.UNREGISTERED, PeerState.OOB_RECEIVED): Exchange.INITIAL,
    (ServerState.WAITING_FOR_OOB, PeerState.UNREGISTERED): Exchange.INITIAL,
    (ServerState.WAITING_FOR_OOB, PeerState.WAITING_FOR_OOB): Exchange.WAITING,
    (ServerState.WAITING_FOR_OOB, PeerState.OOB_RECEIVED): Exchange.COMPLETION,
    (ServerState.OOB_RECEIVED, PeerState.UNREGISTERED): Exchange.INITIAL,
    (ServerState.OOB_RECEIVED, PeerState.WAITING_FOR_OOB): Exchange.COMPLETION,
    (ServerState.OOB_RECEIVED, PeerState.OOB_RECEIVED): Exchange.COMPLETION,
    (ServerState.RECONNECTING, PeerState.RECONNECTING): Exchange.RECONNECT,
    (ServerState.REGISTERED, PeerState.RECONNECTING): Exchange.RECONNECT,
}
"""Table 14. An absent pair is error 2002."""

_Begin = Callable[[ServerAssociation, str, Facts, Env], NoobStep]
_BEGIN: dict[Exchange, _Begin] = {
    Exchange.INITIAL: initial_begin,
    Exchange.WAITING: waiting_begin,
    Exchange.COMPLETION: completion_begin,
    Exchange.RECONNECT: reconnect_begin,
}
_ANSWER: dict[int, Callable[[ServerAssociation, Any, Facts, Env], NoobStep]] = {
    MessageType.NEGOTIATION: negotiated,
    MessageType.KEY_EXCHANGE: keys_exchanged,
    MessageType.WAITING: waited,
    MessageType.NOOB_ID: noob_identified,
    MessageType.COMPLETION: completed,
    MessageType.RECONNECT_NEGOTIATION: reconnect_negotiated,
    MessageType.RECONNECT_KEY_EXCHANGE: reconnect_keys_exchanged,
    MessageType.RECONNECT_COMPLETION: reconnected,
}


def start() -> bytes:
    """Type-Data of the first request: Type 1."""
    return messages.DiscoveryRequest().encode()


def decode(type_data: bytes) -> messages.Message:
    """A response of the peer. Raises NoobError (a MalformedMessage), for ``refuse``."""
    return messages.decode_response(type_data)


def step(state: ServerAssociation, message: messages.Message, nai: str, facts: Facts, env: Env) -> NoobStep:
    """Answer one response; errors that section 3.6 answers in band are notifications, not exceptions.

    ``nai`` is the identity of this conversation. A Type 1 response always opens a conversation, whatever an
    abandoned one before it was waiting for.
    """
    if isinstance(message, messages.DiscoveryResponse):
        state = without_conversation(state)
    elif state.exchange == Exchange.FAILED:
        return failed(state)
    if isinstance(message, messages.ErrorNotification):
        return told_error(state, message)
    try:
        if isinstance(message, messages.DiscoveryResponse):
            return _discovered(state, message, nai, facts, env)
        if state.exchange == Exchange.NONE or state.expected != message.TYPE:
            raise NoobError(NoobErrorCode.UNEXPECTED_TYPE, f"Type {int(message.TYPE)}, not {state.expected}")
        if getattr(message, "peer_id", None) != state.peer_id:
            raise NoobError(NoobErrorCode.UNEXPECTED_PEER_ID, "PeerId is not the one of this conversation")
        return _ANSWER[message.TYPE](state, message, facts, env)
    except NoobError as error:
        return refuse(state, error)


def refuse(state: ServerAssociation, error: PeerError) -> NoobStep:
    """The notification for a response that did not decode, or that the layers around us turned down."""
    if state.exchange == Exchange.FAILED:
        return failed(state)
    code = error.code if isinstance(error, NoobError) else ERROR_CODES[type(error)]
    return refused(state, code, why=str(error))


def _discovered(
    state: ServerAssociation, message: messages.DiscoveryResponse, nai: str, facts: Facts, env: Env
) -> NoobStep:
    """The end of the common handshake: choose the exchange (section 3.2.1)."""
    if not messages.is_nai(nai):
        raise NoobError(NoobErrorCode.INVALID_NAI, "identity is no NAI of RFC 7542")
    if not facts.wanted:
        raise NoobError(NoobErrorCode.UNWANTED_PEER, "this peer is not wanted here")
    if state.state != ServerState.UNREGISTERED and message.peer_id not in (None, state.peer_id):
        raise NoobError(NoobErrorCode.UNEXPECTED_PEER_ID, "PeerId is not the one of this association")
    exchange = EXCHANGE.get((ServerState(state.state), PeerState(message.peer_state)))
    if exchange is None:
        return _mismatched(state, message)
    return _BEGIN[exchange](replace(state, peer_state=message.peer_state), nai, facts, env)


def _mismatched(state: ServerAssociation, message: messages.DiscoveryResponse) -> NoobStep:
    """2002: a person must reset the peer or restore the server (sections 3.4.3, 3.6.3 and 6.9)."""
    lost = message.peer_state == PeerState.RECONNECTING and state.state in (
        ServerState.WAITING_FOR_OOB,
        ServerState.OOB_RECEIVED,
    )
    note = noted(
        "last-response-lost" if lost else "state-mismatch",
        Level.ERROR,
        server_state=int(state.state),
        peer_state=message.peer_state,
    )
    return refused(state, NoobErrorCode.STATE_MISMATCH, note)
