"""The Reconnect Exchange, server side (RFC 9140 section 3.4.2)."""

from __future__ import annotations

from dataclasses import astuple, replace

from bootstrap.contract import Env, Level, Milestone

from .. import crypto, labels, messages
from ..constants import (
    NONCE_LENGTH,
    STRENGTH_BITS,
    Direction,
    Exchange,
    KeyingMode,
    NoobError,
    NoobErrorCode,
)
from ..messages.transcript import hash_input, opened, recorded, without_nai
from .completion import exported
from .outcome import asked, noted, registered
from .state import Facts, NoobStep, Result, ServerAssociation, now_seconds, pins


def reconnect_begin(state: ServerAssociation, nai: str, facts: Facts, env: Env) -> NoobStep:
    """Type 7: nothing weaker than what the association has is offered (section 3.4.2)."""
    new_nai = facts.reconnect_nai if facts.reconnect_nai != state.nai else None
    vers = tuple(v for v in facts.versions if v >= state.verp) or (state.verp,)
    cryptosuites = _no_weaker(facts.cryptosuites, state.cryptosuitep)
    request = messages.ReconnectNegotiationRequest(
        vers=vers,
        peer_id=state.peer_id,
        cryptosuites=cryptosuites,
        new_nai=new_nai,
        server_info=facts.reconnect_server_info,
    )
    state = replace(
        state,
        exchange=Exchange.RECONNECT,
        vers=vers,
        cryptosuites=cryptosuites,
        new_nai=new_nai or "",
        reconnect=recorded(opened(state.nai), request),
    )
    return asked(state, request)


def reconnect_negotiated(
    state: ServerAssociation, message: messages.ReconnectNegotiationResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 7 response: KeyingMode follows from the suite; Type 8 carries our nonce and maybe a fresh key."""
    if message.verp not in state.vers or message.cryptosuitep not in state.cryptosuites:
        raise NoobError(NoobErrorCode.INVALID_DATA, "the peer chose what was not offered")
    mode = KeyingMode.RECONNECT_ECDHE if facts.forward_secrecy else KeyingMode.RECONNECT
    if message.cryptosuitep != state.cryptosuitep:
        mode = KeyingMode.RECONNECT_NEW_SUITE
    pair = None if mode is KeyingMode.RECONNECT else crypto.key_pair(message.cryptosuitep, env.random)
    ns2 = env.random(NONCE_LENGTH)
    request = messages.ReconnectKeyRequest(
        peer_id=state.peer_id, keying_mode=int(mode), pks2=pair.jwk if pair else None, ns2=ns2
    )
    after = replace(
        state,
        offered_verp=message.verp,
        offered_cryptosuitep=message.cryptosuitep,
        keying_mode=int(mode),
        private=pair.private if pair else b"",
        ns2=ns2,
        peer_info=message.peer_info or "",
        reconnect=recorded(recorded(state.reconnect, message), request),
    )
    return asked(after, request)


def reconnect_keys_exchanged(
    state: ServerAssociation, message: messages.ReconnectKeyResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 8 response: Type 9 proves that we hold Kz."""
    mode = KeyingMode(state.keying_mode)
    if (message.pkp2 is None) != (mode is KeyingMode.RECONNECT):
        raise NoobError(NoobErrorCode.INVALID_STRUCTURE, "PKp2 does not fit KeyingMode")
    z2 = state.kz
    if message.pkp2 is not None:
        z2 = crypto.shared_secret(state.offered_cryptosuitep, state.private, message.pkp2)
    choices = crypto.candidates(facts.convention, pins(state), mode)
    convention = choices[state.attempt % len(choices)]
    after = replace(
        state,
        private=b"",
        z2=z2,
        np2=message.np2,
        tried=astuple(convention),
        reconnect=recorded(state.reconnect, message),
    )
    keys = _derive(after, convention)
    macs2 = crypto.mac(keys.kms, _mac_input(Direction.SERVER_TO_PEER, after, convention))
    return asked(after, messages.ReconnectCompletionRequest(peer_id=after.peer_id, macs2=macs2))


def reconnected(
    state: ServerAssociation, message: messages.ReconnectCompletionResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 9 response: MACp2 decides; only now the new suite, Kz and NAI count."""
    convention = crypto.Convention(*state.tried)
    keys = _derive(state, convention)
    if not crypto.equal(
        message.macp2, crypto.mac(keys.kmp, _mac_input(Direction.PEER_TO_SERVER, state, convention))
    ):
        raise NoobError(NoobErrorCode.HMAC_FAILURE, "MACp2 is wrong")
    mode = KeyingMode(state.keying_mode)
    counted = mode is KeyingMode.RECONNECT and convention.kdf_datalength
    after = replace(
        registered(state),
        verp=state.offered_verp,
        cryptosuitep=state.offered_cryptosuitep,
        nai=state.new_nai or state.nai,
        kz=keys.kz or state.kz,
        kdf_datalength=convention.kdf_datalength,
        mac_nai=convention.mac_nai,
        null_datalength=convention.null_datalength if counted else state.null_datalength,
        touched_at=now_seconds(env),
    )
    notes = [noted("reconnected", Level.SUCCESS, keying_mode=int(mode), cryptosuite=after.cryptosuitep)]
    other = _differences(convention, facts.convention, counted)
    if other and (state.mac_nai is None or (counted and state.null_datalength is None)):
        notes.append(noted("convention.other", detail=",".join(other)))
    return NoobStep(
        after,
        result=Result.SUCCESS,
        keys=exported(keys, after.peer_id),
        notes=tuple(notes),
        milestone=Milestone.RECONNECTED,
        labels=labels.of_peer_info(state.peer_info) if state.peer_info else {},
    )


def _differences(found: crypto.Convention, default: crypto.Convention, counted: bool) -> list[str]:
    names = ["mac_nai"] if found.mac_nai != default.mac_nai else []
    return names + (
        ["null_datalength"] if counted and found.null_datalength != default.null_datalength else []
    )


def _no_weaker(offered: tuple[int, ...], suite: int) -> tuple[int, ...]:
    floor = STRENGTH_BITS.get(suite, 0)
    return tuple(s for s in offered if STRENGTH_BITS.get(s, 0) >= floor) or (suite,)


def _derive(state: ServerAssociation, convention: crypto.Convention) -> crypto.DerivedKeys:
    secret = b"" if state.keying_mode == KeyingMode.RECONNECT else state.kz
    return crypto.derive(KeyingMode(state.keying_mode), state.z2, state.np2, state.ns2, secret, convention)


def _mac_input(direction: Direction, state: ServerAssociation, convention: crypto.Convention) -> bytes:
    transcript = state.reconnect if convention.mac_nai else without_nai(state.reconnect)
    return hash_input(direction, transcript, None)
