"""``handle``: one protocol message to its answer. ``deliver``: a person's input to the same machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from bootstrap.contract import Env, Inbound, Note, Outcome, Reply, Via
from bootstrap.engine import envelope
from bootstrap.engine.admission import Admission
from bootstrap.engine.binding import Binding, Effects, Received, token_digest
from bootstrap.engine.envelope import Envelope
from bootstrap.engine.live import publish_on_commit
from bootstrap.engine.store import Change, EventRow, NextRow, Record, Store
from bootstrap.engine.store import django as django_store
from bootstrap.errors import LocalError, UnknownDevice

ATTEMPTS_MAX = 20
"""Lost races in a row before we call it our own fault; with one device talking, two is already rare."""


class Engine:
    """Everything a door needs, wired once per process."""

    def __init__(
        self,
        store: Store,
        bindings: dict[str, Binding],
        admission: Admission,
        env: Callable[[], Env],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._bindings = bindings
        self._admission = admission
        self._env = env
        self._wake = wake

    async def handle(self, slug: str, inbound: Inbound) -> Reply:
        """Take one message to its answer: decode, one read, one step, one write.

        Raises PeerError; then nothing was stored. Raises LocalError when storage fails.
        """
        binding = self._bindings[slug]
        env = self._env()
        received = binding.receive(inbound, env)
        if received.reply is not None:
            return received.reply
        digest = _digest(received.token, inbound)
        token = token_digest(received.token)
        admitted = received.admitted
        for _attempt in range(ATTEMPTS_MAX):
            found = self._store.load(binding.protocol, token=token, locator=received.locator)
            if found is None:
                if not received.may_open:
                    raise received.unknown(f"{binding.protocol}: no such session")
                if not admitted:
                    self._admission.admit(inbound.source)
                    admitted = True
                change, reply = _open(binding, received, inbound, env, digest)
            else:
                opened = envelope.unseal(found.state, found.protocol, found.locator)
                if opened.reply is not None and opened.digest == digest:
                    return _named(opened.reply, received.token)
                change, reply = _go_on(binding, received, inbound, env, digest, found, opened)
            if change is None:
                return reply
            if await self._store.commit(change) is not None:
                if change.due:
                    self._wake()
                return reply
        raise LocalError(f"{binding.protocol}: lost {ATTEMPTS_MAX} races for one session")


def _open(
    binding: Binding, received: Received, inbound: Inbound, env: Env, digest: bytes
) -> tuple[Change | None, Reply]:
    """The first message of a session."""
    stranger = _stranger(binding, received, inbound, env)
    outcome = binding.step(binding.initial(received, inbound), received, stranger, b"", env)
    reply = _named(outcome.reply, received.token)
    if not outcome.keep:
        return None, reply
    effects = binding.apply(stranger, outcome, env)
    turn = Turn(digest, reply, inbound)
    return build_change(binding, stranger, stranger, outcome, effects, env, turn), reply


def _go_on(
    binding: Binding,
    received: Received,
    inbound: Inbound,
    env: Env,
    digest: bytes,
    found: Record,
    opened: Envelope,
) -> tuple[Change | None, Reply]:
    """The next message of a session."""
    guest = _guest(found, received)
    outcome = binding.step(binding.thaw(opened.state), received, guest, _material(found), env)
    reply = _named(outcome.reply, received.token)
    if not outcome.keep:
        return None, reply
    before = found
    if outcome.locator not in (None, found.locator):
        # A new name is a new association; the old row lives on until its own time is over.
        before = guest = _stranger(binding, received, inbound, env)
    effects = binding.apply(guest, outcome, env)
    turn = Turn(digest, reply, inbound)
    return build_change(binding, before, guest, outcome, effects, env, turn), reply


def deliver(
    binding: Binding,
    session_id: int,
    step: Callable[[Any, Record, Env], Outcome[Any]],
    env: Env,
    **columns: Any,
) -> Outcome[Any]:
    """Apply a local input to a session, inside the caller's transaction.

    ``step`` sees the thawed state; ``columns`` are set on the row as well (device, organization). What the
    caller writes beside it commits with it. The retransmission cache stays: a device's repeated message
    still gets its old answer. Raises UnknownDevice when the session is gone.
    """
    if not transaction.get_connection().in_atomic_block:
        raise LocalError("deliver() wants to be inside a transaction")
    for _attempt in range(ATTEMPTS_MAX):
        before = django_store.load_id(session_id)
        if before is None:
            raise UnknownDevice(f"{binding.protocol}: no such session")
        opened = envelope.unseal(before.state, before.protocol, before.locator)
        outcome = step(binding.thaw(opened.state), before, env)
        if not outcome.keep:
            return outcome
        after = replace(before, **columns)
        effects = binding.apply(after, outcome, env)
        kept = Turn(opened.digest, opened.reply)
        change = build_change(binding, before, after, outcome, effects, env, kept)
        done = django_store.commit(change)
        if done is not None:
            publish_on_commit(done)
            return outcome
    raise LocalError(f"{binding.protocol}: lost {ATTEMPTS_MAX} races for one session")


@dataclass(frozen=True, slots=True)
class Turn:
    """The request that a session remembers with its reply, and the way it came if it came just now."""

    digest: bytes
    reply: Reply | None
    inbound: Inbound | None = None
    """None: a person's deed, which leaves the device's last request as it was."""


def build_change(
    binding: Binding,
    before: Record,
    seen: Record,
    outcome: Outcome[Any],
    effects: Effects,
    env: Env,
    turn: Turn,
) -> Change:
    """The one write that an outcome asks for: ``before`` is the row as it is, ``seen`` as the step saw it."""
    locator = outcome.locator or seen.locator
    sealed = envelope.seal(
        Envelope(binding.freeze(outcome.state), turn.digest, turn.reply), binding.protocol, locator
    )
    after = replace(
        seen,
        locator=locator,
        phase=seen.phase if outcome.phase is None else outcome.phase,
        milestone=outcome.milestone.value if outcome.milestone else seen.milestone,
        state=sealed,
        version=seen.version + 1,
        next_at=effects.next_at,
        expires_at=effects.expires_at,
        **_heard(seen, turn, env),
        **_described(seen, outcome.labels),
    )
    via = turn.inbound.via.value if turn.inbound else Via.LOCAL.value
    events = tuple(
        EventRow(note.code, note.level.value, dict(note.detail), env.now, via, _trace(note))
        for note in outcome.notes
    )
    return Change(
        before, after, events, effects.progress, _next_row(binding, outcome), due=effects.wake_onboarding
    )


def _heard(seen: Record, turn: Turn, env: Env) -> dict[str, Any]:
    """What changes because the device spoke."""
    if turn.inbound is None or turn.reply is None:
        return {}
    return {
        "token": token_digest(turn.reply.token) or seen.token,
        "via": turn.inbound.via.value,
        "source": turn.inbound.source,
        "messages": seen.messages + 1,
        "seen_at": env.now,
    }


def _described(seen: Record, labels: Mapping[str, str]) -> dict[str, Any]:
    """What the device says of itself."""
    if not labels:
        return {}
    return {
        "serial": labels.get("serial", seen.serial)[:120],
        "manufacturer": labels.get("manufacturer", seen.manufacturer)[:120],
        "model": labels.get("model", seen.model)[:120],
        "wants_report": seen.wants_report or labels.get("provisioning", "") == "1",
    }


def _named(reply: Reply, token: str) -> Reply:
    """A reply that gives no token of its own leaves the conversation its name."""
    return reply if reply.token or not token else replace(reply, token=token)


def _digest(token: str, inbound: Inbound) -> bytes:
    """What makes a request the same request: conversation, route and octets."""
    return hashlib.sha256(f"{token}\0{inbound.operation}\0".encode() + inbound.body).digest()


def _trace(note: Note) -> bytes | None:
    return envelope.seal_trace(note.trace, note.code) if note.trace else None


def _guest(found: Record, received: Received) -> Record:
    """A session that nobody has claimed yet is a guest of whoever owns the way it comes in now."""
    stays = found.device_id is not None or not received.is_guest
    if stays or found.organization_id == received.organization_id:
        return found
    return replace(found, organization_id=received.organization_id)


def _stranger(binding: Binding, received: Received, inbound: Inbound, env: Env) -> Record:
    return Record(
        protocol=binding.protocol,
        locator="",
        organization_id=received.organization_id,
        via=inbound.via.value,
        source=inbound.source,
        created_at=env.now,
    )


def _material(record: Record) -> bytes:
    if record.material is None:
        return b""
    return envelope.unseal_material(record.material, record.protocol, record.locator)


def _next_row(binding: Binding, outcome: Outcome[Any]) -> NextRow | None:
    following = outcome.next
    if following is None:
        return None
    state = envelope.seal(
        Envelope(binding.initial_of(following.protocol)), following.protocol, following.locator
    )
    material = envelope.seal_material(following.material, following.protocol, following.locator)
    return NextRow(following.protocol, following.locator, state, material)
