"""The Completion Exchange, server side (RFC 9140 section 3.2.4)."""

from __future__ import annotations

from dataclasses import astuple, replace

from bootstrap.contract import Env, Level, Milestone

from .. import crypto, messages
from ..constants import (
    Direction,
    Exchange,
    KeyingMode,
    NoobError,
    NoobErrorCode,
    PeerState,
)
from ..messages.transcript import hash_input
from .outcome import asked, noted, registered
from .state import ExportedKeys, Facts, NoobStep, Result, ServerAssociation, now_seconds, pins


def completion_begin(state: ServerAssociation, nai: str, facts: Facts, env: Env) -> NoobStep:
    """Type 5 when the peer got an OOB message (it wins when both did, section 3.2.4), else Type 6 at once."""
    state = replace(state, exchange=Exchange.COMPLETION, touched_at=now_seconds(env))
    if state.peer_state == PeerState.OOB_RECEIVED:
        return asked(state, messages.NoobIdRequest(peer_id=state.peer_id))
    return _prove(state, state.oob_noob, facts)


def noob_identified(
    state: ServerAssociation, message: messages.NoobIdResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 5 response: find the Noob among those we gave out; an expired one is not there (section 3.2.3)."""
    now = now_seconds(env)
    found = b""
    for noob, expires_at in state.noobs:
        if now < expires_at and crypto.equal(crypto.noob_id(noob), message.noob_id):
            found = noob
    if not found:
        raise NoobError(NoobErrorCode.UNKNOWN_NOOB_ID, "NoobId is none of ours that is still good")
    return _prove(state, found, facts)


def completed(
    state: ServerAssociation, message: messages.CompletionResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 6 response: MACp decides; then the association is persistent."""
    convention = crypto.Convention(*state.tried)
    keys = _derive(state, convention)
    expected = crypto.mac(keys.kmp, hash_input(Direction.PEER_TO_SERVER, state.initial, state.noob))
    if not crypto.equal(message.macp, expected):
        raise NoobError(NoobErrorCode.HMAC_FAILURE, "MACp is wrong")
    notes = [noted("completed", Level.SUCCESS, cryptosuite=state.cryptosuitep)]
    if convention.kdf_datalength != facts.convention.kdf_datalength:
        notes.append(noted("convention.other", detail="kdf_datalength"))
    after = replace(
        registered(state), kz=keys.kz, kdf_datalength=convention.kdf_datalength, touched_at=now_seconds(env)
    )
    return NoobStep(
        after,
        result=Result.SUCCESS,
        keys=exported(keys, after.peer_id),
        notes=tuple(notes),
        milestone=Milestone.BOOTSTRAPPED,
    )


def exported(keys: crypto.DerivedKeys, peer_id: str) -> ExportedKeys:
    """What leaves the method (section 3.5)."""
    return ExportedKeys(keys.msk, keys.emsk, keys.amsk, crypto.session_id(keys.method_id), peer_id)


def _prove(state: ServerAssociation, noob: bytes, facts: Facts) -> NoobStep:
    """Type 6: MACs under the convention whose turn it is."""
    choices = crypto.candidates(facts.convention, pins(state), KeyingMode.COMPLETION)
    convention = choices[state.attempt % len(choices)]
    state = replace(state, noob=noob, tried=astuple(convention))
    keys = _derive(state, convention)
    request = messages.CompletionRequest(
        peer_id=state.peer_id,
        noob_id=crypto.noob_id(noob),
        macs=crypto.mac(keys.kms, hash_input(Direction.SERVER_TO_PEER, state.initial, noob)),
    )
    return asked(state, request)


def _derive(state: ServerAssociation, convention: crypto.Convention) -> crypto.DerivedKeys:
    return crypto.derive(KeyingMode.COMPLETION, state.z, state.np, state.ns, state.noob, convention)
