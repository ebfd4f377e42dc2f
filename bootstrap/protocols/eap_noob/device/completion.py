"""The Completion Exchange, peer side (RFC 9140 section 3.2.4)."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.contract import Env, Level

from .. import crypto, messages
from ..constants import Direction, Exchange, KeyingMode, MessageType, NoobError, NoobErrorCode, PeerState
from ..messages.transcript import hash_input
from .state import DeviceAssociation, DeviceFacts, DeviceKeys, DeviceStep, Expectation, noted


def name_noob(
    state: DeviceAssociation, message: messages.NoobIdRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 5: say which OOB message reached us."""
    after = replace(state, exchange=Exchange.COMPLETION, expected=(MessageType.COMPLETION,))
    response = messages.NoobIdResponse(peer_id=state.peer_id, noob_id=crypto.noob_id(state.oob_noob))
    return DeviceStep(after, response.encode())


def complete(
    state: DeviceAssociation, message: messages.CompletionRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 6: MACs must be right; then we are registered, already when we send MACp (section 6.9)."""
    known = [noob for noob, _ in state.noobs] + ([state.oob_noob] if state.oob_noob else [])
    noob = next((n for n in known if crypto.equal(crypto.noob_id(n), message.noob_id)), None)
    if noob is None:
        raise NoobError(NoobErrorCode.UNKNOWN_NOOB_ID, "NoobId is none of ours")
    keys = crypto.derive(KeyingMode.COMPLETION, state.z, state.np, state.ns, noob, facts.convention)
    expected = crypto.mac(keys.kms, hash_input(Direction.SERVER_TO_PEER, state.initial, noob))
    if not crypto.equal(message.macs, expected):
        raise NoobError(NoobErrorCode.HMAC_FAILURE, "MACs is wrong")
    macp = crypto.mac(keys.kmp, hash_input(Direction.PEER_TO_SERVER, state.initial, noob))
    after = replace(
        state,
        state=PeerState.REGISTERED,
        kz=keys.kz,
        before=state.state,
        exchange=Exchange.COMPLETION,
        expected=(),
    )
    return DeviceStep(
        after,
        messages.CompletionResponse(peer_id=state.peer_id, macp=macp).encode(),
        Expectation.SUCCESS,
        exported(keys),
        notes=(noted("completed", Level.SUCCESS),),
    )


def exported(keys: crypto.DerivedKeys) -> DeviceKeys:
    """What leaves the method (section 3.5)."""
    return DeviceKeys(keys.msk, keys.emsk, keys.amsk, crypto.session_id(keys.method_id))
