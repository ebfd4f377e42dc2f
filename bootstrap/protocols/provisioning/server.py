"""The server's side: deliver the plan, take the report, hear from the device.

Nothing here trusts the transport: whoever seals with the request key is the device, and only the device can
open the answer. A request played again changes nothing, because a report and a check-in use up a challenge.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bootstrap.contract import Env, Level, Milestone, Note, Outcome, Reply
from bootstrap.errors import MalformedMessage, NotAuthenticated, UnexpectedMessage
from bootstrap.protocols.provisioning import crypto
from bootstrap.protocols.provisioning.constants import (
    CHALLENGE_LENGTH,
    MAX_REPLY_LENGTH,
    MAX_REQUEST_LENGTH,
    Direction,
    RefusalCode,
)
from bootstrap.protocols.provisioning.messages import (
    Ack,
    Answer,
    CheckIn,
    Fetch,
    ItemResult,
    PlanDocument,
    Refusal,
    Report,
    Request,
    decode,
)
from bootstrap.wire import cose

NOT_REPORTED = "not reported"
"""Detail of an item that the device's report left out."""


@dataclass(frozen=True, slots=True)
class Material:
    """Derived keys of one device (``crypto.derive``), as the store keeps them."""

    current: bytes = field(repr=False)
    previous: bytes = field(default=b"", repr=False)
    """Still valid until ``current`` is first used: the device may have missed the end of the re-keying."""

    def rekeyed(self, current: bytes, used: bytes = b"") -> Material:
        """With new keys in front. ``used`` is ``ProvisioningState.key_id``: a key that the device never
        used is not worth keeping while the one it last used is still here."""
        if current == self.current:
            return self
        keep_previous = self.previous and crypto.key_id(self.previous) == used
        return Material(current, self.previous if keep_previous else self.current)


@dataclass(frozen=True, slots=True)
class ProvisioningState:
    """How far one device is with its plan."""

    delivered_version: int = 0
    reported_version: int = 0
    results: tuple[tuple[str, bool, str], ...] = ()
    """Of ``reported_version``: item id, ok, detail."""
    online: bool = False
    """It checked in after a report without failures."""
    challenge: bytes = b""
    """What the next report or check-in must bring; empty before the first answer."""
    key_id: bytes = b""
    """Of the material that the device last proved to hold."""

    @property
    def phase(self) -> str:
        """The state in a word, for people."""
        if self.online:
            return "online"
        if self.reported_version:
            return "applied" if all(ok for _, ok, _ in self.results) else "failed"
        return "delivered" if self.delivered_version else "waiting"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the binding knows of the device."""

    locator: str
    material: Material
    plan: PlanDocument | None
    check_in_seconds: int


@dataclass(frozen=True, slots=True)
class _Step:
    """What the handler of one request decided, before the answer is sealed."""

    state: ProvisioningState
    answer: Answer
    notes: tuple[Note, ...] = ()
    milestone: Milestone | None = None


def step(state: ProvisioningState, body: bytes, facts: Facts, env: Env) -> Outcome[ProvisioningState]:
    """Answer one request.

    Raises MalformedMessage, NotAuthenticated (neither key opens it) and UnexpectedMessage (a reply sent as a
    request, a report on an item that the plan does not have). What can be cured by asking again is a Refusal.
    """
    request, material = _open(state, body, facts)
    state = replace(
        state,
        key_id=crypto.key_id(material),
        challenge=state.challenge or env.random(CHALLENGE_LENGTH),
    )
    taken = _take(state, request, facts, env)
    sealed = crypto.seal(Direction.REPLY, material, facts.locator, request.nonce, taken.answer.encode(), env)
    if len(sealed) > MAX_REPLY_LENGTH:
        raise UnexpectedMessage(f"plan of {len(sealed)} octets is over the limit of one reply")
    labels = {"firmware": request.firmware} if isinstance(request, CheckIn) and request.firmware else {}
    return Outcome(
        state=taken.state,
        reply=Reply(sealed, media_type=cose.MEDIA_TYPE),
        notes=taken.notes,
        milestone=taken.milestone,
        phase=taken.state.phase,
        labels=labels,
    )


def _open(state: ProvisioningState, body: bytes, facts: Facts) -> tuple[Request, bytes]:
    """The request and the material that opened it; the previous one only while the current is unused."""
    if len(body) > MAX_REQUEST_LENGTH:
        raise MalformedMessage(f"request of {len(body)} octets is over the limit")
    sealed = cose.Encrypt0.decode(body)
    if sealed.algorithm is not cose.Algorithm.A256GCM:
        raise MalformedMessage("version 1 is sealed with A256GCM")
    material = facts.material.current
    try:
        plaintext = crypto.open(Direction.REQUEST, material, facts.locator, b"", sealed)
    except NotAuthenticated:
        if not facts.material.previous or state.key_id == crypto.key_id(material):
            raise
        material = facts.material.previous
        plaintext = crypto.open(Direction.REQUEST, material, facts.locator, b"", sealed)
    message = decode(plaintext)
    if not isinstance(message, Fetch | Report | CheckIn):
        raise UnexpectedMessage(f"{type(message).__name__} sent as a request")
    return message, material


def _take(state: ProvisioningState, request: Request, facts: Facts, env: Env) -> _Step:
    if isinstance(request, Fetch):
        return _fetch(state, request, facts)
    if request.challenge != state.challenge:
        return _refuse(state, RefusalCode.STALE_CHALLENGE)
    if isinstance(request, Report):
        return _report(state, request, facts, env)
    return _check_in(state, request, facts, env)


def _fetch(state: ProvisioningState, request: Fetch, facts: Facts) -> _Step:
    plan = facts.plan
    if plan is None:
        return _refuse(state, RefusalCode.NO_PLAN, facts.check_in_seconds)
    version = plan.plan_version
    answer: Answer = replace(plan, challenge=state.challenge)
    if request.have_version == version:
        answer = Ack(facts.check_in_seconds, state.challenge)
    if state.delivered_version == version:
        return _Step(state, answer)
    note = Note("provisioning.fetched", detail={"version": version, "items": len(plan.items)})
    return _Step(replace(state, delivered_version=version, online=False), answer, (note,))


def _report(state: ProvisioningState, request: Report, facts: Facts, env: Env) -> _Step:
    plan = facts.plan
    if plan is None:
        return _refuse(state, RefusalCode.NO_PLAN, facts.check_in_seconds)
    if not request.plan_version == plan.plan_version == state.delivered_version:
        return _refuse(state, RefusalCode.STALE_VERSION)
    results = _results(plan, request.results)
    failed = [result for result in results if not result.ok]
    reported = Note(
        "provisioning.reported",
        Level.WARNING if failed else Level.SUCCESS,
        {"version": plan.plan_version, "ok": len(results) - len(failed), "failed": len(failed)},
    )
    kinds = {item.id: str(item.kind or "unknown") for item in plan.items}
    notes = tuple(
        Note("provisioning.item-failed", Level.ERROR, {"item": r.id, "kind": kinds[r.id], "detail": r.detail})
        for r in failed
    )
    state = replace(
        state,
        reported_version=plan.plan_version,
        results=tuple((r.id, r.ok, r.detail) for r in results),
        online=False,
        challenge=env.random(CHALLENGE_LENGTH),
    )
    milestone = Milestone.STUCK if failed else Milestone.PROVISIONED
    return _Step(state, Ack(facts.check_in_seconds, state.challenge), (reported, *notes), milestone)


def _results(plan: PlanDocument, given: tuple[ItemResult, ...]) -> tuple[ItemResult, ...]:
    """One result per item in the plan's order; an item left out has failed."""
    by_id = {result.id: result for result in given}
    if len(by_id) != len(given) or by_id.keys() - {item.id for item in plan.items}:
        raise UnexpectedMessage("the report repeats an item or names one that the plan does not have")
    return tuple(by_id.get(item.id, ItemResult(item.id, False, NOT_REPORTED)) for item in plan.items)


def _check_in(state: ProvisioningState, request: CheckIn, facts: Facts, env: Env) -> _Step:
    wanted = facts.plan.plan_version if facts.plan else state.reported_version
    if not wanted:
        return _refuse(state, RefusalCode.NO_PLAN, facts.check_in_seconds)
    if not request.plan_version == wanted == state.reported_version:
        return _refuse(state, RefusalCode.STALE_VERSION)
    state = replace(state, challenge=env.random(CHALLENGE_LENGTH))
    answer = Ack(facts.check_in_seconds, state.challenge)
    if not all(ok for _, ok, _ in state.results):
        return _Step(state, answer)
    if state.online:
        return _Step(state, answer, milestone=Milestone.ONLINE)
    note = Note("provisioning.online", Level.SUCCESS, {"version": wanted, "uptime": request.uptime_seconds})
    return _Step(replace(state, online=True), answer, (note,), Milestone.ONLINE)


def _refuse(state: ProvisioningState, code: RefusalCode, retry_after_seconds: int = 0) -> _Step:
    return _Step(state, Refusal(code, state.challenge, retry_after_seconds))
