"""One request of the server to the peer's answer (RFC 9140 sections 3.2.1 and 3.6, Appendix A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bootstrap.contract import Env, Level, Note

from .. import messages
from ..constants import ERROR_INFO, Exchange, MessageType, NoobError, NoobErrorCode, PeerState
from .completion import complete, name_noob
from .initial import exchange_keys, negotiate, wait
from .oob import rekey
from .reconnect import reconnect_complete, reconnect_exchange_keys, reconnect_negotiate
from .state import DeviceAssociation, DeviceFacts, DeviceStep, Expectation, noted, without_conversation

EXPECTED: dict[PeerState, tuple[MessageType, ...]] = {
    PeerState.UNREGISTERED: (MessageType.NEGOTIATION,),
    PeerState.WAITING_FOR_OOB: (MessageType.NEGOTIATION, MessageType.WAITING, MessageType.COMPLETION),
    PeerState.OOB_RECEIVED: (MessageType.NEGOTIATION, MessageType.NOOB_ID),
    PeerState.RECONNECTING: (MessageType.RECONNECT_NEGOTIATION,),
}
"""What may follow the common handshake: Table 14, read from the peer's side."""

_EXCHANGE: dict[int, Exchange] = {
    MessageType.NEGOTIATION: Exchange.INITIAL,
    MessageType.KEY_EXCHANGE: Exchange.INITIAL,
    MessageType.WAITING: Exchange.WAITING,
    MessageType.NOOB_ID: Exchange.COMPLETION,
    MessageType.COMPLETION: Exchange.COMPLETION,
    MessageType.RECONNECT_NEGOTIATION: Exchange.RECONNECT,
    MessageType.RECONNECT_KEY_EXCHANGE: Exchange.RECONNECT,
    MessageType.RECONNECT_COMPLETION: Exchange.RECONNECT,
}
_ANSWER: dict[int, Callable[[DeviceAssociation, Any, DeviceFacts, Env], DeviceStep]] = {
    MessageType.NEGOTIATION: negotiate,
    MessageType.KEY_EXCHANGE: exchange_keys,
    MessageType.WAITING: wait,
    MessageType.NOOB_ID: name_noob,
    MessageType.COMPLETION: complete,
    MessageType.RECONNECT_NEGOTIATION: reconnect_negotiate,
    MessageType.RECONNECT_KEY_EXCHANGE: reconnect_exchange_keys,
    MessageType.RECONNECT_COMPLETION: reconnect_complete,
}


def step(state: DeviceAssociation, type_data: bytes, facts: DeviceFacts, env: Env) -> DeviceStep:
    """Answer one request; errors that section 3.6 answers in band are notifications, not exceptions."""
    try:
        message = messages.decode_request(type_data)
        if isinstance(message, messages.DiscoveryRequest):
            return _discover(state)
        if isinstance(message, messages.ErrorNotification):
            return _told_error(state, message)
        if message.TYPE not in state.expected:
            raise NoobError(NoobErrorCode.UNEXPECTED_TYPE, f"Type {int(message.TYPE)} is not expected")
        state = replace(state, exchange=_EXCHANGE[message.TYPE])
        peer_id = getattr(message, "peer_id", None)
        if message.TYPE != MessageType.NEGOTIATION and peer_id != state.peer_id:
            raise NoobError(NoobErrorCode.UNEXPECTED_PEER_ID, "PeerId is not ours")
        return _ANSWER[message.TYPE](state, message, facts, env)
    except NoobError as error:
        return _refuse(state, error)


def _discover(state: DeviceAssociation) -> DeviceStep:
    """Type 1. A registered peer that is asked again reconnects (section 3.4)."""
    state = rekey(without_conversation(state))
    current = PeerState(state.state)
    response = messages.DiscoveryResponse(
        peer_state=int(current),
        peer_id=state.peer_id if current != PeerState.UNREGISTERED else None,
    )
    return DeviceStep(replace(state, expected=EXPECTED[current]), response.encode())


def _refuse(state: DeviceAssociation, error: NoobError) -> DeviceStep:
    """Answer with a notification; the server ends with EAP-Failure."""
    if error.message_type in state.expected:
        state = replace(state, exchange=_EXCHANGE[error.message_type])
    note = noted("error.sent", Level.WARNING, code=error.code, why=str(error))
    return _ended(state, error.code, ERROR_INFO[error.code], note)


def _told_error(state: DeviceAssociation, error: messages.ErrorNotification) -> DeviceStep:
    """The server sent a notification. EAP needs an answer, so it is echoed; EAP-Failure follows."""
    note = noted("error.received", Level.WARNING, code=error.error_code, text=(error.error_info or "")[:200])
    return _ended(state, error.error_code, None, note, received=True)


def _ended(
    state: DeviceAssociation, code: int, info: str | None, note: Note, received: bool = False
) -> DeviceStep:
    response = messages.ErrorNotification(error_code=code, peer_id=state.peer_id or None, error_info=info)
    return DeviceStep(
        _after_error(state, code, received),
        response.encode(),
        Expectation.FAILURE,
        notes=(note,),
        error_code=code,
    )


def _after_error(state: DeviceAssociation, code: int, received: bool) -> DeviceAssociation:
    """Section 3.6: Initial to Unregistered, Completion as before it, Reconnect to Reconnecting."""
    if state.exchange == Exchange.INITIAL:
        return DeviceAssociation()
    if state.exchange == Exchange.COMPLETION:
        if state.state == PeerState.REGISTERED:
            state = replace(state, state=state.before, kz=b"")
        if received and code == NoobErrorCode.UNKNOWN_NOOB_ID and state.state == PeerState.OOB_RECEIVED:
            state = replace(state, state=PeerState.WAITING_FOR_OOB, oob_noob=b"")
        return without_conversation(state)
    return without_conversation(rekey(state))
