"""The Reconnect Exchange, peer side, with the roll-back of a suite change that the server never saw.

RFC 9140 section 3.4.2, rules 1 to 4.
"""

from __future__ import annotations

from dataclasses import replace

from bootstrap.contract import Env, Level

from .. import crypto, messages
from ..constants import (
    NONCE_LENGTH,
    STRENGTH_BITS,
    Direction,
    Exchange,
    KeyingMode,
    MessageType,
    NoobError,
    NoobErrorCode,
    PeerState,
)
from ..messages.transcript import Transcript, hash_input, opened, recorded, without_nai
from .completion import exported
from .initial import best_version, first_suite
from .state import DeviceAssociation, DeviceFacts, DeviceStep, Expectation, noted


def reconnect_negotiate(
    state: DeviceAssociation, message: messages.ReconnectNegotiationRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 7: nothing weaker than what we have is accepted, or than what we had when a change is unsure."""
    held = [s for s in (state.cryptosuitep, state.cryptosuitep_prev) if s]
    floor = min(STRENGTH_BITS.get(s, 0) for s in held)
    strong = [s for s in facts.cryptosuites if STRENGTH_BITS.get(s, 0) >= floor]
    verp = best_version(message.vers, facts.versions, state.verp)
    suite = first_suite(message.cryptosuites, strong)
    response = messages.ReconnectNegotiationResponse(
        verp=verp, peer_id=state.peer_id, cryptosuitep=suite, peer_info=facts.reconnect_peer_info
    )
    after = replace(
        state,
        exchange=Exchange.RECONNECT,
        expected=(MessageType.RECONNECT_KEY_EXCHANGE,),
        offered_verp=verp,
        offered_cryptosuitep=suite,
        new_nai=message.new_nai or "",
        new_server_info=message.server_info or "",
        reconnect=recorded(recorded(opened(state.nai), message), response),
    )
    return DeviceStep(after, response.encode())


def reconnect_exchange_keys(
    state: DeviceAssociation, message: messages.ReconnectKeyRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 8: our nonce and, in modes 2 and 3, a fresh key."""
    mode = KeyingMode(message.keying_mode)
    held = (state.cryptosuitep, state.cryptosuitep_prev)
    if mode is not KeyingMode.RECONNECT_NEW_SUITE and state.offered_cryptosuitep not in held:
        raise NoobError(NoobErrorCode.INVALID_DATA, "KeyingMode of an unchanged suite, but it changed")
    pkp2, z2 = None, b""
    if message.pks2 is not None:
        pair = crypto.key_pair(state.offered_cryptosuitep, env.random)
        pkp2, z2 = (
            pair.jwk,
            crypto.shared_secret(state.offered_cryptosuitep, pair.private, message.pks2),
        )
    np2 = env.random(NONCE_LENGTH)
    response = messages.ReconnectKeyResponse(peer_id=state.peer_id, pkp2=pkp2, np2=np2)
    after = replace(
        state,
        expected=(MessageType.RECONNECT_COMPLETION,),
        keying_mode=int(mode),
        ns2=message.ns2,
        np2=np2,
        z2=z2,
        reconnect=recorded(recorded(state.reconnect, message), response),
    )
    return DeviceStep(after, response.encode())


def reconnect_complete(
    state: DeviceAssociation, message: messages.ReconnectCompletionRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 9: rules 1 to 4 of section 3.4.2."""
    transcript = state.reconnect if facts.convention.mac_nai else without_nai(state.reconnect)
    keys, kz, rolled_back = _shared(state, message.macs2, transcript, facts)
    macp2 = crypto.mac(keys.kmp, hash_input(Direction.PEER_TO_SERVER, transcript, None))
    notes = [noted("reconnected", Level.SUCCESS, keying_mode=state.keying_mode)]
    if rolled_back:
        notes.insert(0, noted("suite.rolled-back", Level.WARNING))
    suite = state.cryptosuitep_prev if rolled_back else state.cryptosuitep
    new_suite = state.keying_mode == KeyingMode.RECONNECT_NEW_SUITE
    after = replace(
        state,
        state=PeerState.REGISTERED,
        cryptosuitep=state.offered_cryptosuitep if new_suite else suite,
        kz=keys.kz if new_suite else kz,
        cryptosuitep_prev=suite if new_suite else 0,
        kz_prev=kz if new_suite else b"",
        verp=state.offered_verp,
        nai=state.new_nai or state.nai,
        server_info=state.new_server_info or state.server_info,
        expected=(),
    )
    response = messages.ReconnectCompletionResponse(peer_id=state.peer_id, macp2=macp2)
    return DeviceStep(after, response.encode(), Expectation.SUCCESS, exported(keys), tuple(notes))


def _shared(
    state: DeviceAssociation, macs2: bytes, transcript: Transcript, facts: DeviceFacts
) -> tuple[crypto.DerivedKeys, bytes, bool]:
    """The keys under which MACs2 is right, their Kz, and whether that was KzPrev (rules 1, 2, 4)."""
    wanted = hash_input(Direction.SERVER_TO_PEER, transcript, None)
    for kz, rolled_back in ((state.kz, False), (state.kz_prev, True)):
        if kz:
            keys = _derive(state, kz, facts)
            if crypto.equal(macs2, crypto.mac(keys.kms, wanted)):
                return keys, kz, rolled_back
    raise NoobError(NoobErrorCode.HMAC_FAILURE, "MACs2 is wrong")


def _derive(state: DeviceAssociation, kz: bytes, facts: DeviceFacts) -> crypto.DerivedKeys:
    mode = KeyingMode(state.keying_mode)
    z, secret = (kz, b"") if mode is KeyingMode.RECONNECT else (state.z2, kz)
    return crypto.derive(mode, z, state.np2, state.ns2, secret, facts.convention)
