"""The Initial and the Waiting Exchange, peer side (RFC 9140 sections 3.2.2 and 3.2.5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bootstrap.contract import Env, Level

from .. import crypto, labels, messages
from ..constants import (
    NONCE_LENGTH,
    Direction,
    Exchange,
    MessageType,
    NoobError,
    NoobErrorCode,
    PeerState,
)
from ..messages.transcript import opened, recorded
from ..sticker import is_server_url
from .oob import without_old_noobs
from .state import (
    DeviceAssociation,
    DeviceFacts,
    DeviceStep,
    Expectation,
    noted,
    now_seconds,
    without_conversation,
)


def negotiate(
    state: DeviceAssociation, message: messages.NegotiationRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 2: take the PeerId byte by byte and choose. What an earlier Initial Exchange left is gone."""
    nai = state.nai if state.state != PeerState.UNREGISTERED else facts.nai
    verp = best_version(message.vers, facts.versions)
    suite = first_suite(message.cryptosuites, facts.cryptosuites)
    dirp = facts.dirp & message.dirs or facts.dirs & message.dirs
    if not dirp:
        raise NoobError(NoobErrorCode.NO_COMMON_DIRECTION, "no common OOB direction")
    url = labels.server_url(message.server_info)
    if dirp & Direction.PEER_TO_SERVER and url is not None and not is_server_url(url):
        raise NoobError(NoobErrorCode.INVALID_SERVER_URL, "ServerURL is not https")
    response = messages.NegotiationResponse(
        verp=verp, peer_id=message.peer_id, cryptosuitep=suite, dirp=dirp, peer_info=facts.peer_info
    )
    after = DeviceAssociation(
        peer_id=message.peer_id,
        verp=verp,
        cryptosuitep=suite,
        nai=message.new_nai or nai,
        dirp=dirp,
        server_url=url or "",
        server_info=message.server_info,
        initial=recorded(recorded(opened(nai, keying_mode="0"), message), response),
        exchange=Exchange.INITIAL,
        expected=(MessageType.KEY_EXCHANGE,),
    )
    return DeviceStep(after, response.encode())


def exchange_keys(
    state: DeviceAssociation, message: messages.KeyExchangeRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 3: our key and nonce; then we wait for the OOB message (state 1)."""
    pair = crypto.key_pair(state.cryptosuitep, env.random)
    np = env.random(NONCE_LENGTH)
    response = messages.KeyExchangeResponse(peer_id=state.peer_id, pkp=pair.jwk, np=np)
    after = replace(
        state,
        state=PeerState.WAITING_FOR_OOB,
        z=crypto.shared_secret(state.cryptosuitep, pair.private, message.pks),
        ns=message.ns,
        np=np,
        initial=recorded(recorded(state.initial, message), response),
        expected=(),
    )
    return DeviceStep(
        after,
        response.encode(),
        Expectation.FAILURE,
        notes=(noted("initial.done", Level.SUCCESS, dirp=after.dirp),),
        sleep_time=message.sleep_time,
    )


def wait(
    state: DeviceAssociation, message: messages.WaitingRequest, facts: DeviceFacts, env: Env
) -> DeviceStep:
    """Type 4: nothing there yet. Noobs older than NoobTimeout are forgotten only now (section 3.2.5)."""
    after = replace(without_conversation(state), exchange=Exchange.WAITING)
    return DeviceStep(
        without_old_noobs(after, facts, now_seconds(env)),
        messages.WaitingResponse(peer_id=state.peer_id).encode(),
        Expectation.FAILURE,
        notes=(noted("waiting", sleep_seconds=-1 if message.sleep_time is None else message.sleep_time),),
        sleep_time=message.sleep_time,
    )


def best_version(offered: Collection[int], supported: Collection[int], floor: int = 0) -> int:
    """The highest common version; error 3001 when there is none."""
    common = [v for v in offered if v in supported and v >= floor]
    if not common:
        raise NoobError(NoobErrorCode.NO_COMMON_VERSION, "no common version")
    return max(common)


def first_suite(offered: Collection[int], supported: Collection[int]) -> int:
    """The first common suite in the server's order, which is by falling priority; else error 3002."""
    for suite in offered:
        if suite in supported:
            return suite
    raise NoobError(NoobErrorCode.NO_COMMON_CRYPTOSUITE, "no common cryptosuite")
