"""TO2, messages 66 to 71: service info inside the session, then the end (sections 5.5.8 to 5.5.13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hmac import compare_digest

from bootstrap.contract import Env, Level, Milestone, NextSession, Note, Outcome, Reply, Verdict
from bootstrap.errors import MalformedMessage, NotAuthenticated, UnexpectedMessage
from bootstrap.wire.frozen import freeze, thaw

from ..constants import SERVICE_INFO_DEFAULT_LENGTH, ErrorCode, MessageType
from ..messages import (
    DeviceServiceInfo,
    DeviceServiceInfoReady,
    Done,
    Done2,
    ErrorMessage,
    KeyValues,
    OwnerServiceInfo,
    OwnerServiceInfoReady,
)
from ..service_info import ActionResult, OwnerModules, Quirks, Round, aborted, advance, quirks_of
from .outcome import noted, seconds
from .replacement import must_fit, new_material
from .session import opened, sealed
from .state import RESULTS_MAX_LENGTH, OwnerFacts, OwnerState, ResultRow, result_row, without_run

SEALING_MAX_LENGTH = 128
"""Octets that encryption adds to a message at most: COSE_Mac0 around COSE_Encrypt0, padding, IV and tags."""
_TOLERANCE = 64
"""A device may count the frame around its service info or not."""
_KEYS_SHOWN = 24


def service_info_ready(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """66 to 67: the device's HMac over the new header, and how much each side takes at once.

    Raises UnexpectedMessage for an HMac where nothing was replaced: its credential and ours would part.
    """
    plaintext, heard = opened(state, body)
    ready = DeviceServiceInfoReady.decode(plaintext)
    if ready.hmac is not None:
        if state.reuse:
            raise UnexpectedMessage("HMac for a credential that stays as it is")
        must_fit(ready.hmac, state.header2)
    reply = OwnerServiceInfoReady(facts.max_service_info).encode()
    after = replace(
        state,
        **heard,
        stage=int(MessageType.TO2_DEVICE_SERVICE_INFO_READY),
        hmac2=b"" if ready.hmac is None else ready.hmac.encode(),
        max_service_info=ready.max_owner_service_info_size or SERVICE_INFO_DEFAULT_LENGTH,
        modules=freeze(OwnerModules()),
    )
    lost = ready.hmac is None and not state.reuse
    note = noted(
        MessageType.TO2_DEVICE_SERVICE_INFO_READY,
        plaintext,
        reply,
        Level.WARNING if lost else Level.INFO,
        max_service_info=after.max_service_info,
        credential="lost" if lost else "reused" if state.reuse else "replaced",
    )
    return _encrypted(after, reply, (note,), env)


def device_service_info(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """68 to 69: one round of service info. Raises UnexpectedMessage once we have said isDone."""
    if state.is_done:
        raise UnexpectedMessage("service info after isDone")
    plaintext, heard = opened(state, body)
    if len(plaintext) > facts.max_service_info + _TOLERANCE:
        raise MalformedMessage(f"service info of {len(plaintext)} octets, over maxDeviceServiceInfoSz")
    said = DeviceServiceInfo.decode(plaintext)
    before = thaw(OwnerModules, state.modules)
    limit = min(state.max_service_info, state.max_message - SEALING_MAX_LENGTH)
    turn = advance(before, said.service_info, said.is_more, facts.actions, limit, _quirks(state), facts.csr)
    reply = OwnerServiceInfo(turn.is_more, turn.is_done, turn.kvs).encode()
    after = replace(
        state,
        **heard,
        stage=int(MessageType.TO2_DEVICE_SERVICE_INFO),
        modules=freeze(turn.state),
        results=_with_results(state.results, turn.results),
        is_done=turn.is_done,
    )
    notes = tuple(_told(result) for result in turn.results)
    if not _is_bulk(said.service_info, turn):
        notes = (_round_note(plaintext, reply, said.service_info, turn), *notes)
    return replace(_encrypted(after, reply, notes, env), labels=_labels(before, turn.state))


def done(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """70 to 71: the device has everything. The session of the next credential is opened beside this one,
    which keeps its voucher: the device has the new credential only once it has read message 71."""
    if not state.is_done:
        raise UnexpectedMessage("TO2.Done before isDone")
    plaintext, _heard = opened(state, body)
    if not compare_digest(Done.decode(plaintext).nonce, state.nonce_prove_dv):
        raise NotAuthenticated("TO2.Done with another nonce")
    reply = Done2(state.nonce_setup_dv).encode()
    following = _next_session(state, facts)
    failed = thaw(OwnerModules, state.modules).failed
    sealed_reply = sealed(state, reply, env)
    after = replace(
        _finished(without_run(state), state.results, env),
        stage=int(MessageType.TO2_DONE),
        replaced_by=following.locator if following else "",
    )
    note = noted(
        MessageType.TO2_DONE,
        plaintext,
        reply,
        Level.ERROR if failed else Level.SUCCESS,
        results=len(after.finished),
        failed=failed,
        credential="reused" if state.reuse else "replaced" if following else "lost",
        guid=following.locator if following else facts.guid.hex(),
    )
    return Outcome(
        state=after,
        reply=Reply(sealed_reply, Verdict.ACCEPT),
        notes=(note,),
        milestone=Milestone.STUCK if failed else Milestone.PROVISIONED,
        phase=after.phase,
        next=following,
    )


def error_received(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """255 from the device: this run is over, and what it came to is kept. Nobody signs such a message, so it
    changes nothing that a later run would not set right."""
    error = ErrorMessage.decode(body)
    if state.stage in (0, MessageType.TO2_DONE, MessageType.ERROR):
        raise UnexpectedMessage("an error outside of a run")
    over = replace(
        without_run(state),
        stage=int(MessageType.ERROR),
        said=error.text[:300],
        unopened=state.unopened + (state.stage == MessageType.TO2_PROVE_DEVICE),
    )
    results: tuple[ResultRow, ...] = ()
    milestone = None
    if state.stage == MessageType.TO2_DEVICE_SERVICE_INFO:
        modules = thaw(OwnerModules, state.modules)
        rest = aborted(modules, facts.actions, error.text) if modules.devmod_done else ()
        results = _with_results(state.results, rest)
        over = _finished(over, results, env)
        milestone = Milestone.STUCK
    forbids_reuse = state.reuse and error.code == ErrorCode.CRED_REUSE_ERROR
    note = noted(
        MessageType.ERROR,
        body,
        b"",
        Level.ERROR,
        code=error.code,
        previous=error.previous,
        text="".join(c if c.isprintable() else " " for c in error.text[:300]),
        stage=state.stage,
        forbids_reuse=int(forbids_reuse),
    )
    return Outcome(
        state=over,
        reply=Reply(b"", Verdict.REJECT),
        notes=(note, *(_told(ActionResult(*row)) for row in results[len(state.results) :])),
        milestone=Milestone.STUCK if forbids_reuse else milestone,
        phase=over.phase,
    )


def _encrypted(state: OwnerState, reply: bytes, notes: tuple[Note, ...], env: Env) -> Outcome[OwnerState]:
    return Outcome(state=state, reply=Reply(sealed(state, reply, env)), notes=notes, phase=state.phase)


def _quirks(state: OwnerState) -> Quirks | None:
    """Of a device that complained last time; None leaves it to devmod."""
    told = quirks_of(said=state.said)
    return None if told == Quirks() else told


def _next_session(state: OwnerState, facts: OwnerFacts) -> NextSession | None:
    if not state.hmac2:
        return None
    material = new_material(state, facts.voucher(), facts)
    return NextSession("fdo", state.guid2.hex(), freeze(material))


def _finished(state: OwnerState, rows: tuple[ResultRow, ...], env: Env) -> OwnerState:
    return replace(state, runs=state.runs + 1, finished_at=seconds(env), finished=rows, replaced_by="")


def _with_results(rows: tuple[ResultRow, ...], results: Iterable[ActionResult]) -> tuple[ResultRow, ...]:
    """Results so far and the new ones; outputs beyond the limit of one run are dropped, and that is said."""
    held = sum(len(row[3]) + len(row[4]) for row in rows)
    for result in results:
        held += len(result.output) + len(result.errors)
        if held > RESULTS_MAX_LENGTH:
            held -= len(result.output) + len(result.errors)
            detail = f"{result.detail} (not kept: too much for one run)"
            result = replace(result, ok=False, detail=detail, output=b"", errors=b"")
        rows = (*rows, result_row(result))
    return rows


def _told(result: ActionResult) -> Note:
    """The line for one action that ended."""
    code = "fdo.action-done" if result.ok else "fdo.action-failed"
    detail: dict[str, str | int] = {
        "action": result.id,
        "detail": result.detail,
        "octets": len(result.output),
    }
    if result.exit_code is not None:
        detail["exit_code"] = result.exit_code
    return Note(code, Level.SUCCESS if result.ok else Level.ERROR, detail)


def _is_bulk(said: KeyValues, turn: Round) -> bool:
    """A round of nothing but file content, or of nothing at all; thousands of those say no more than one."""
    keys = [key for key, _ in (*said, *turn.kvs)]
    return not turn.is_done and not turn.results and all(key.endswith(":data") for key in keys)


def _round_note(plaintext: bytes, reply: bytes, said: KeyValues, turn: Round) -> Note:
    return noted(
        MessageType.TO2_DEVICE_SERVICE_INFO,
        plaintext,
        reply,
        round=turn.state.rounds,
        device=", ".join(key for key, _ in said[:_KEYS_SHOWN])[:300],
        owner=", ".join(key for key, _ in turn.kvs[:_KEYS_SHOWN])[:300],
        is_done=int(turn.is_done),
    )


def _labels(before: OwnerModules, after: OwnerModules) -> dict[str, str]:
    """What the device says of itself, once it has said it all."""
    if before.devmod_done or not after.devmod_done:
        return {}
    devmod = after.device()
    told = {"serial": devmod.sn, "model": devmod.device}
    return {label: value for label, value in told.items() if value}
