"""TO2: the owner's facts and consequences.

Until the device has proved itself (message 64) the run travels in a sealed token and nothing is written: whoever knows
a GUID can say hello, and must neither fill the history of a device nor push out the run that the device itself has
under way. From 64 on the row has the state, and its token is a random name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any

import cbor2

from bootstrap.bindings.directory import Directory, PlanEntry
from bootstrap.bindings.fdo.limits import BeginningLimits
from bootstrap.bindings.fdo.plan import PlanProblem, actions_of, values_of
from bootstrap.bindings.fdo.policy import FdoPolicy
from bootstrap.bindings.fdo.tokens import TokenKind, milliseconds, token_make, token_open, token_seal
from bootstrap.bindings.fdo.trail import Trail
from bootstrap.contract import Env, Inbound, Level, Milestone, Note, Outcome, Reply, Verdict
from bootstrap.engine.binding import Effects, Received
from bootstrap.engine.store.contract import Record
from bootstrap.errors import LocalError, Replayed
from bootstrap.protocols.fdo.constants import InvalidToken, MessageType, ResourceNotFound
from bootstrap.protocols.fdo.messages import ErrorMessage, HelloDevice
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.server import owner
from bootstrap.protocols.fdo.server.owner_proof import restarted
from bootstrap.protocols.fdo.server.state import (
    OwnerFacts,
    OwnerMaterial,
    OwnerMessage,
    OwnerState,
    without_run,
)
from bootstrap.protocols.fdo.service_info import Action
from bootstrap.protocols.fdo.service_info.devmod import Devmod
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import Signer
from devices.models import DeviceState
from devices.services.progress import Progress

PROTOCOL = "fdo"
SEEN_AGAIN = timedelta(seconds=2)
"""Messages of a run that come closer than this do not each write that the device was seen."""
_REFUSED = (DeviceState.REVOKED.value, DeviceState.RETIRED.value, DeviceState.SUSPENDED.value)
_RUN = (
    "stage",
    "entries",
    "next_entry",
    "max_message",
    "kex_suite",
    "cipher_suite",
    "kex_private",
    "nonce_prove_dv",
)
"""What messages 60 and 62 leave for the next one."""


@dataclass(frozen=True, slots=True)
class To2State:
    """The owner's state, and when the run began whose proof was taken last: an older one is a replay."""

    owner: OwnerState
    begun_at: int = 0
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the blob has beside the owner's state."""

    begun_at: int = 0


_BLANK: dict[str, Any] = {f.name: f.default for f in fields(OwnerState)}
"""Only what differs from it is stored: most fields are of a run, and most of the time there is none."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A run whose device has not proved itself: what its token holds."""

    begun_at: int
    guid: bytes
    run: tuple[Any, ...]
    """Values of ``_RUN``."""

    @classmethod
    def of(cls, state: OwnerState, guid: bytes, begun_at: int) -> Hello:
        """The run in ``state``."""
        return cls(begun_at, guid, tuple(getattr(state, name) for name in _RUN))

    def seal(self) -> str:
        """As a token."""
        return token_seal(TokenKind.HELLO, self.begun_at, self.guid, list(self.run))

    @classmethod
    def unseal(cls, token: str, env: Env) -> Hello:
        """Raises InvalidToken."""
        begun_at, guid, run = token_open(TokenKind.HELLO, token, env)
        return cls(begun_at, guid, tuple(run))

    def onto(self, state: OwnerState) -> OwnerState:
        """The device's state with this run under way in place of any other."""
        words: dict[str, Any] = dict(zip(_RUN, self.run, strict=True))
        return replace(state, **words)

    @property
    def name(self) -> bytes:
        """Of the conversation, in the trail."""
        return bytes(self.run[_RUN.index("nonce_prove_dv")])


@dataclass(frozen=True, slots=True)
class _Said:
    """One message, and the run in its token while that is not in the row."""

    message: OwnerMessage
    hello: Hello | None = None


class FdoOwnerBinding:
    """TO2 as the engine sees it."""

    slug = "fdo"
    protocol = PROTOCOL

    def __init__(self, directory: Directory, limits: BeginningLimits) -> None:
        self._directory = directory
        self._limits = limits
        self._trail = Trail()

    def receive(self, inbound: Inbound, env: Env) -> Received:
        """60 finds its device by GUID; 62 and 64 bring the run in their token, later ones its name."""
        message = OwnerMessage(int(inbound.operation), inbound.body)
        if message.number == MessageType.TO2_HELLO_DEVICE:
            self._limits.source(inbound.source, env.now)
            guid = HelloDevice.decode(inbound.body).guid
            self._limits.guid("to2", guid, env.now)
            return Received(_Said(message), locator=guid.hex(), unknown=ResourceNotFound)
        if inbound.token[:1] == TokenKind.CONVERSATION.value:
            return Received(_Said(message), token=inbound.token, unknown=InvalidToken)
        hello = Hello.unseal(inbound.token, env)
        if message.number == MessageType.ERROR:
            self._limits.guid("error", hello.guid, env.now)
        return Received(_Said(message, hello), locator=hello.guid.hex(), unknown=InvalidToken)

    def initial(self, received: Received, inbound: Inbound) -> To2State:
        """Never asked for: a session comes with its voucher."""
        raise LocalError("TO2 has no strangers")

    def thaw(self, blob: bytes) -> To2State:
        """From the store; whoever thaws an OwnerState from the same blob gets just that."""
        return To2State(thaw(OwnerState, blob), thaw(_Begun, blob).begun_at)

    def freeze(self, state: To2State) -> bytes:
        """For the store."""
        values = {name: getattr(state.owner, name) for name in _BLANK}
        told = {name: value for name, value in values.items() if value != _BLANK[name]}
        return cbor2.dumps(told | {"begun_at": state.begun_at})

    def step(
        self, state: To2State, received: Received, record: Record, material: bytes, env: Env
    ) -> Outcome[To2State]:
        """One message to its answer."""
        said: _Said = received.message
        facts = self._facts(said.message, record, material)
        try:
            if said.hello is not None:
                return self._before_proof(state, said.message, said.hello, facts, env)
            if said.message.number == MessageType.TO2_HELLO_DEVICE:
                return self._hello(state, said.message, facts, env)
            return _wrapped(owner.step(state.owner, said.message, facts, env), state.begun_at)
        except PlanProblem as problem:
            return _unfit(state, said.message, problem)

    def _hello(
        self, state: To2State, message: OwnerMessage, facts: OwnerFacts, env: Env
    ) -> Outcome[To2State]:
        done = owner.step(state.owner, message, facts, env)
        # Later than the last one, whatever the clocks of two processes say.
        hello = Hello.of(done.state, facts.guid, max(milliseconds(env), state.begun_at + 1))
        self._trail.add(hello.name, done.notes)
        return _asked(state, done.reply, hello)

    def _before_proof(
        self, state: To2State, message: OwnerMessage, hello: Hello, facts: OwnerFacts, env: Env
    ) -> Outcome[To2State]:
        if hello.begun_at <= state.begun_at:
            raise Replayed("a run that has ended, or was overtaken by a later one")
        before = state.owner
        if message.number != MessageType.TO2_GET_OV_NEXT_ENTRY:  # which leaves no state behind
            before = restarted(before)
        done = owner.step(hello.onto(before), message, facts, env)
        if message.number == MessageType.TO2_GET_OV_NEXT_ENTRY:
            self._trail.add(hello.name, done.notes)
            return _asked(state, done.reply, Hello.of(done.state, hello.guid, hello.begun_at))
        notes = (*self._trail.peek(hello.name), *done.notes)
        if message.number == MessageType.ERROR:
            # Anybody could have sent it: it is told, and changes nothing.
            return Outcome(state, done.reply, notes)
        reply = replace(done.reply, token=token_make(env))
        return replace(_wrapped(done, hello.begun_at), reply=reply, notes=notes)

    def _facts(self, message: OwnerMessage, record: Record, blob: bytes) -> OwnerFacts:
        snapshot = self._directory.current
        policy = snapshot.fdo_policy(record.organization_id)
        voucher = partial(_voucher, thaw(OwnerMaterial, blob).voucher)
        offers = message.number == MessageType.TO2_PROVE_DEVICE
        return OwnerFacts(
            guid=bytes.fromhex(record.locator),
            voucher=voucher,
            signer=policy.signers.get,
            owner2=_owner2(policy, voucher()) if offers else None,
            rvinfo=policy.rvinfo if offers else None,
            reuse=policy.reuse_credentials,
            actions=_actions(snapshot.plan(record.organization_id, record.plan_id), record, voucher),
            max_service_info=policy.service_info_max,
            serves=policy.owner_on and record.device_state not in _REFUSED,
        )

    def apply(self, record: Record, outcome: Outcome[To2State], env: Env) -> Effects:
        """What the device's row shows, and whether the worker should look."""
        shown = None
        silent = record.seen_at is None or env.now - record.seen_at > SEEN_AGAIN
        if record.device_id is not None and (silent or outcome.milestone is not None):
            shown = Progress(
                record.device_id,
                env.now,
                seen=outcome.reply.verdict is not Verdict.REJECT,
                state=DeviceState.ONBOARDING.value if outcome.milestone is Milestone.BOOTSTRAPPED else None,
                step=outcome.notes[-1].code if outcome.notes else None,
            )
        return Effects(progress=shown, wake_onboarding=outcome.milestone is not None)

    def initial_of(self, protocol: str) -> bytes:
        """The session of the next credential."""
        if protocol != PROTOCOL:
            raise LocalError(f"TO2 opens no {protocol} session")
        return freeze(OwnerState())


def _wrapped(done: Outcome[OwnerState], begun_at: int) -> Outcome[To2State]:
    return Outcome(
        To2State(done.state, begun_at),
        done.reply,
        done.notes,
        done.milestone,
        phase=done.phase,
        labels=done.labels,
        next=done.next,
    )


def _asked(state: To2State, reply: Reply, hello: Hello) -> Outcome[To2State]:
    """An answer that leaves no row."""
    return Outcome(state, replace(reply, token=hello.seal()), keep=False)


def _unfit(state: To2State, message: OwnerMessage, problem: PlanProblem) -> Outcome[To2State]:
    """The plan cannot be made to fit this device: it hears that it is our fault, people hear what to mend."""
    body = ErrorMessage.of(LocalError("plan"), message.number).encode()
    over = replace(without_run(state.owner), stage=int(MessageType.ERROR))
    note = Note("fdo.plan-unfit", Level.ERROR, {"item": problem.item, "name": problem.name})
    return Outcome(
        To2State(over, state.begun_at),
        Reply(body, Verdict.REJECT),
        (note,),
        Milestone.STUCK,
        phase=over.phase,
    )


@lru_cache(maxsize=512)
def _voucher(octets: bytes) -> Voucher:
    """Parsed once for all messages of a run."""
    return Voucher.decode(octets)


def _owner2(policy: FdoPolicy, voucher: Voucher) -> tuple[Signer, PublicKey] | None:
    """Our newest key of the voucher's kind, unless the voucher has it already."""
    present = voucher.owner_key.handle()
    newest = policy.owner_keys.get(present.kind)
    return None if newest is None or newest.handle == present else (newest.signer, newest.public())


def _actions(
    plan: PlanEntry | None, record: Record, voucher: Callable[[], Voucher]
) -> Callable[[Devmod], tuple[Action, ...]]:
    def actions(devmod: Devmod) -> tuple[Action, ...]:
        if plan is None:
            return ()
        values = values_of(voucher(), devmod, serial=record.serial, tags=json.loads(record.tags))
        return actions_of(plan.items, values)

    return actions
