"""TO0 and TO1: our rendezvous server's facts and consequences.

One server for the whole portal; a registration belongs to the first organization whose rules admit its voucher.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import cbor2

from bootstrap.bindings.directory import Directory
from bootstrap.bindings.fdo.limits import BeginningLimits
from bootstrap.bindings.fdo.policy import FdoPolicy
from bootstrap.bindings.fdo.tokens import TokenKind, milliseconds, token_open, token_seal
from bootstrap.contract import Env, Inbound, Outcome, Reply
from bootstrap.engine.binding import Effects, Received
from bootstrap.engine.store.contract import Record
from bootstrap.errors import LocalError, NotAuthorized, Replayed, UnexpectedMessage
from bootstrap.protocols.fdo.constants import InvalidToken, MessageType, ResourceNotFound
from bootstrap.protocols.fdo.messages import HelloRv, OwnerSign, ProveToRv, To0d, To0Hello
from bootstrap.protocols.fdo.server import rendezvous
from bootstrap.protocols.fdo.server.rendezvous import RvFacts, RvState, To0Pending, To1Pending
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.frozen import thaw

PROTOCOL = "fdo-rv"


@dataclass(frozen=True, slots=True)
class Registered:
    """The registration, and when the TO0 began that made it: an older one is a replay."""

    rv: RvState | None
    begun_at: int = 0
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One message that needs the registration, with what its token holds."""

    message: OwnerSign | HelloRv | ProveToRv
    pending: To0Pending | To1Pending | None = None
    begun_at: int = 0


class FdoRendezvousBinding:
    """TO0 and TO1 as the engine sees them."""

    slug = "fdo-rv"
    protocol = PROTOCOL

    def __init__(self, directory: Directory, limits: BeginningLimits) -> None:
        self._directory = directory
        self._limits = limits
        self._receivers: dict[int, Callable[[Inbound, Env], Received]] = {
            MessageType.TO0_HELLO: self._to0_hello,
            MessageType.TO0_OWNER_SIGN: self._owner_sign,
            MessageType.TO1_HELLO_RV: self._hello_rv,
            MessageType.TO1_PROVE_TO_RV: self._prove_to_rv,
        }

    def receive(self, inbound: Inbound, env: Env) -> Received:
        """20 is answered at once; 22, 30 and 32 find their registration by GUID."""
        return self._receivers[int(inbound.operation)](inbound, env)

    def _to0_hello(self, inbound: Inbound, env: Env) -> Received:
        self._limits.source(inbound.source, env.now)
        serves = any(policy.rendezvous_on for policy in self._directory.current.fdo.values())
        facts = RvFacts(_nobody, serves=serves)
        body, pending = rendezvous.to0_hello(To0Hello.decode(inbound.body), facts, env)
        token = token_seal(TokenKind.RENDEZVOUS, milliseconds(env), "to0", pending.nonce, pending.at)
        return Received(reply=Reply(body, token=token))

    def _owner_sign(self, inbound: Inbound, env: Env) -> Received:
        begun_at, nonce, at = _open("to0", inbound, env)
        message = OwnerSign.decode(inbound.body)
        voucher = Voucher.decode(To0d.decode(message.to0d).voucher)
        return Received(
            _Said(message, To0Pending(nonce, at), begun_at),
            locator=voucher.guid.hex(),
            may_open=True,
            admitted=True,
            organization_id=self._host(voucher),
        )

    def _host(self, voucher: Voucher) -> int:
        """Whose rules admit it; the strictest rule first. Raises NotAuthorized, before any signature is checked."""
        hosts = [policy for policy in self._directory.current.fdo.values() if policy.admits(voucher)]
        if not hosts:
            raise NotAuthorized("no organization here takes vouchers of that manufacturer or owner")
        return min(hosts, key=lambda policy: _strictness(policy, voucher)).organization_id

    def _hello_rv(self, inbound: Inbound, env: Env) -> Received:
        self._limits.source(inbound.source, env.now)
        message = HelloRv.decode(inbound.body)
        self._limits.guid("to1", message.guid, env.now)
        return Received(_Said(message), locator=message.guid.hex(), is_guest=False, unknown=ResourceNotFound)

    def _prove_to_rv(self, inbound: Inbound, env: Env) -> Received:
        begun_at, nonce, guid, at = _open("to1", inbound, env)
        said = _Said(ProveToRv.decode(inbound.body), To1Pending(nonce, guid, at), begun_at)
        return Received(said, locator=guid.hex(), is_guest=False, unknown=ResourceNotFound)

    def initial(self, received: Received, inbound: Inbound) -> Registered:
        """Nobody has registered."""
        return Registered(None)

    def thaw(self, blob: bytes) -> Registered:
        """From the store."""
        return Registered(thaw(RvState, blob), cbor2.loads(blob).get("begun_at", 0))

    def freeze(self, state: Registered) -> bytes:
        """For the store."""
        if state.rv is None:
            raise LocalError("no registration to keep")
        values: dict[str, Any] = {f.name: getattr(state.rv, f.name) for f in fields(state.rv)}
        return cbor2.dumps(values | {"begun_at": state.begun_at}, canonical=True)

    def step(
        self, state: Registered, received: Received, record: Record, material: bytes, env: Env
    ) -> Outcome[Registered]:
        """One message to its answer."""
        said: _Said = received.message
        policy = self._directory.current.fdo_policy(record.organization_id)
        facts = RvFacts(policy.admits, policy.rv_max_wait_seconds, policy.rendezvous_on)
        if isinstance(said.message, HelloRv):
            body, asked = rendezvous.to1_hello(state.rv, said.message, facts, env)
            token = token_seal(
                TokenKind.RENDEZVOUS, milliseconds(env), "to1", asked.nonce, asked.guid, asked.at
            )
            return Outcome(state, Reply(body, token=token), keep=False)
        if isinstance(said.message, ProveToRv) and isinstance(said.pending, To1Pending):
            done = rendezvous.to1_prove(state.rv, said.pending, said.message, facts, env)
            return _wrapped(done, state.begun_at)
        if isinstance(said.message, OwnerSign) and isinstance(said.pending, To0Pending):
            if said.begun_at <= state.begun_at:
                raise Replayed("a TO0 that has ended, or was overtaken by a later one")
            done = rendezvous.to0_owner_sign(state.rv, said.pending, said.message, facts, env)
            return _wrapped(done, said.begun_at)
        raise UnexpectedMessage("message and conversation do not fit")

    def apply(self, record: Record, outcome: Outcome[Registered], env: Env) -> Effects:
        """The row ends with the lease."""
        assert outcome.state.rv is not None
        return Effects(expires_at=datetime.fromtimestamp(outcome.state.rv.expires_at, UTC))

    def initial_of(self, protocol: str) -> bytes:
        """Nothing follows."""
        raise LocalError(f"a rendezvous server opens no {protocol} session")


def _open(what: str, inbound: Inbound, env: Env) -> list[Any]:
    begun_at, kind, *values = token_open(TokenKind.RENDEZVOUS, inbound.token, env)
    if kind != what:
        raise InvalidToken("token of another conversation")
    return [begun_at, *values]


def _wrapped(done: Outcome[RvState], begun_at: int) -> Outcome[Registered]:
    return replace(done, state=Registered(done.state, begun_at))  # type: ignore[arg-type, return-value]


def _strictness(policy: FdoPolicy, voucher: Voucher) -> tuple[int, int]:
    ours = voucher.owner_key.handle().der in policy.signers
    return (0 if ours else 1, policy.organization_id)


def _nobody(_voucher: Voucher) -> bool:
    return False
