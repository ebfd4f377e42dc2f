"""The Initial and the Waiting Exchange, server side (RFC 9140 sections 3.2.2 and 3.2.5)."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.contract import Env, Level, Milestone

from .. import crypto, labels, messages
from ..constants import (
    NONCE_LENGTH,
    PEER_ID_RANDOM_LENGTH,
    SLEEP_TIME_MAX_SECONDS,
    Exchange,
    NoobError,
    NoobErrorCode,
    ServerState,
)
from ..messages.members import base64url
from ..messages.transcript import opened, recorded
from .outcome import asked, failed, noted
from .state import Facts, NoobStep, ServerAssociation, now_seconds


def initial_begin(state: ServerAssociation, nai: str, facts: Facts, env: Env) -> NoobStep:
    """Type 2: always a new PeerId, whatever the peer called itself (section 3.2.2)."""
    peer_id = base64url(env.random(PEER_ID_RANDOM_LENGTH))
    request = messages.NegotiationRequest(
        vers=facts.versions,
        peer_id=peer_id,
        new_nai=facts.new_nai,
        cryptosuites=facts.cryptosuites,
        dirs=facts.dirs,
        server_info=facts.server_info,
    )
    fresh = ServerAssociation(
        peer_id=peer_id,
        nai=facts.new_nai or nai,
        exchange=Exchange.INITIAL,
        peer_state=state.peer_state,
        vers=facts.versions,
        cryptosuites=facts.cryptosuites,
        dirp=facts.dirs,
        initial=recorded(opened(nai, keying_mode="0"), request),
        touched_at=now_seconds(env),
    )
    return replace(asked(fresh, request), locator=peer_id)


def negotiated(
    state: ServerAssociation, message: messages.NegotiationResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 2 response: the peer has chosen; Type 3 carries our key."""
    if (
        message.verp not in state.vers
        or message.cryptosuitep not in state.cryptosuites
        or message.dirp & ~state.dirp
    ):
        raise NoobError(NoobErrorCode.INVALID_DATA, "the peer chose what was not offered")
    pair = crypto.key_pair(message.cryptosuitep, env.random)
    ns = env.random(NONCE_LENGTH)
    request = messages.KeyExchangeRequest(
        peer_id=state.peer_id, pks=pair.jwk, ns=ns, sleep_time=_sleep_time(facts)
    )
    after = replace(
        state,
        verp=message.verp,
        cryptosuitep=message.cryptosuitep,
        dirp=message.dirp,
        private=pair.private,
        ns=ns,
        initial=recorded(recorded(state.initial, message), request),
    )
    return replace(asked(after, request), labels=labels.of_peer_info(message.peer_info))


def keys_exchanged(
    state: ServerAssociation, message: messages.KeyExchangeResponse, facts: Facts, env: Env
) -> NoobStep:
    """Type 3 response: both sides wait for the OOB message now, so the conversation ends in EAP-Failure."""
    after = replace(
        state,
        state=ServerState.WAITING_FOR_OOB,
        z=crypto.shared_secret(state.cryptosuitep, state.private, message.pkp),
        np=message.np,
        initial=recorded(state.initial, message),
        touched_at=now_seconds(env),
    )
    note = noted(
        "initial.done", Level.SUCCESS, dirp=after.dirp, cryptosuite=after.cryptosuitep, nai=after.nai[:64]
    )
    return failed(after, note, milestone=Milestone.WAITING)


def waiting_begin(state: ServerAssociation, nai: str, facts: Facts, env: Env) -> NoobStep:
    """Type 4: no OOB message yet."""
    request = messages.WaitingRequest(peer_id=state.peer_id, sleep_time=_sleep_time(facts))
    return asked(replace(state, exchange=Exchange.WAITING, touched_at=now_seconds(env)), request)


def waited(state: ServerAssociation, message: messages.WaitingResponse, facts: Facts, env: Env) -> NoobStep:
    """Type 4 response: EAP-Failure until somebody delivers the OOB message."""
    return failed(state, noted("waiting", sleep_seconds=_sleep_time(facts)))


def _sleep_time(facts: Facts) -> int:
    return max(0, min(facts.sleep_time_seconds, SLEEP_TIME_MAX_SECONDS))
