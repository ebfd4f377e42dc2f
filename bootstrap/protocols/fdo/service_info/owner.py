"""The owner's side of the service-info exchange, messages 68 and 69: one round in, one round out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bootstrap.errors import UnexpectedMessage
from bootstrap.protocols.fdo.service_info.actions import (
    Action,
    ActionResult,
    Command,
    Csr,
    Download,
    Upload,
    Wget,
    fingerprint,
    quoted,
)
from bootstrap.protocols.fdo.service_info.command import OwnerCommand
from bootstrap.protocols.fdo.service_info.constants import ASK_ROUNDS, DEVMOD_ROUNDS, ROUNDS_MAX, Module
from bootstrap.protocols.fdo.service_info.csr import NOT_AVAILABLE, CsrAuthority, OwnerCsr, request_heard
from bootstrap.protocols.fdo.service_info.devmod import Devmod, collect
from bootstrap.protocols.fdo.service_info.download import OwnerDownload
from bootstrap.protocols.fdo.service_info.emit import emit, emit_answers
from bootstrap.protocols.fdo.service_info.kv import (
    KV,
    Packer,
    assemble,
    message_of,
    module_of,
    service_info_limit,
)
from bootstrap.protocols.fdo.service_info.quirks import Quirks, quirks_of
from bootstrap.protocols.fdo.service_info.state import ActionsOf, OwnerModules, OwnerSide, next_action
from bootstrap.protocols.fdo.service_info.upload import OwnerUpload
from bootstrap.protocols.fdo.service_info.wget import OwnerWget
from bootstrap.wire.frozen import freeze

_KNOWN = frozenset(Module)
_UNASKED = Csr("fdo.csr", may_fail=True)
"""Stands for requests of a device whose plan has no Csr."""
_CHANGED = b"changed"
"""In ``OwnerModules.plan`` instead of a fingerprint."""


@dataclass(frozen=True, slots=True)
class Round:
    """The next state, message 69, and the actions that ended."""

    state: OwnerModules
    kvs: tuple[KV, ...] = field(default=(), repr=False)
    is_more: bool = False
    is_done: bool = False
    results: tuple[ActionResult, ...] = ()


@dataclass(slots=True)
class _Turn:
    """One call of ``advance``: what it works with, and what it has so far."""

    state: OwnerModules
    devmod: Devmod
    quirks: Quirks
    csr: CsrAuthority | None
    actions: tuple[Action, ...] = ()
    results: list[ActionResult] = field(default_factory=list)

    @property
    def action(self) -> Action | None:
        return self.actions[self.state.index] if self.state.index < len(self.actions) else None

    def end(self, action: Action, result: ActionResult) -> None:
        self.results.append(result)
        self.state = next_action(self.state, action, result)


def advance(
    state: OwnerModules,
    kvs: Sequence[KV],
    is_more: bool,
    actions: ActionsOf | Sequence[Action],
    limit: int | None,
    quirks: Quirks | None = None,
    csr: CsrAuthority | None = None,
) -> Round:
    """Take message 68 to message 69.

    ``limit`` is the device's maxOwnerServiceInfoSz; None and 0 mean the default. While the device has more to
    say (``is_more``) the answer is empty; the last answer, with ``is_done``, is empty too.
    Raises MalformedMessage and, beyond the limit of rounds or without any devmod, UnexpectedMessage.
    """
    if state.rounds >= ROUNDS_MAX:
        raise UnexpectedMessage(f"service info beyond {ROUNDS_MAX} rounds")
    assembled = assemble(kvs, _KNOWN, state.partial_key, state.partial)
    quiet = not kvs and not is_more
    state = replace(
        state,
        rounds=state.rounds + 1,
        idle=state.idle + 1 if quiet else 0,
        partial_key=assembled.partial_key,
        partial=assembled.partial,
    )
    turn = _Turn(state, state.device(), Quirks(), csr)
    items = _devmod_heard(turn, assembled.items) if not state.devmod_done else assembled.items
    if not turn.state.devmod_done and not _devmod_over(turn, is_more):
        for key, item in items:
            _heard(turn, module_of(key), message_of(key), item)
        return Round(turn.state)
    turn.quirks = quirks if quirks is not None else quirks_of(turn.devmod)
    _plan(turn, actions)
    for key, item in items:
        _heard(turn, module_of(key), message_of(key), item)
    if is_more:
        return Round(turn.state, results=tuple(turn.results))
    return _produce(turn, limit)


def aborted(
    state: OwnerModules, actions: ActionsOf | Sequence[Action], text: str
) -> tuple[ActionResult, ...]:
    """Results for what was under way and what never came, after the device ended TO2 with message 255."""
    turn = _Turn(state, state.device(), Quirks(), None)
    turn.actions = _of(actions, turn.devmod)
    rest = turn.actions[state.index :]
    said = f"the device ended the transfer of ownership: {quoted(text)}" if text else "the device gave up"
    under_way = [ActionResult(a.id, False, said, state.content, state.errors) for a in rest[:1]]
    return (
        *under_way,
        *(ActionResult(a.id, False, "not reached: the device gave up before") for a in rest[1:]),
    )


def side_of(action: Action) -> OwnerSide:
    """The module that carries an action out."""
    match action:
        case Download():
            return OwnerDownload(action)
        case Command():
            return OwnerCommand(action)
        case Upload():
            return OwnerUpload(action)
        case Wget():
            return OwnerWget(action)
        case Csr():
            return OwnerCsr(action)


def _devmod_heard(turn: _Turn, items: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Collect devmod; hands back the rest of the message."""
    rest = []
    for key, item in items:
        if module_of(key) == Module.DEVMOD:
            turn.devmod = collect(turn.devmod, message_of(key), item)
        else:
            rest.append((key, item))
    if len(rest) < len(items):
        turn.state = replace(turn.state, devmod=freeze(turn.devmod))
    return rest


def _devmod_over(turn: _Turn, is_more: bool) -> bool:
    """The device's first turn ends when all of devmod is here, or when it has nothing to add to it."""
    if is_more:
        return False
    if not turn.devmod.complete and turn.state.idle < DEVMOD_ROUNDS:
        return False
    if not turn.devmod.complete and turn.devmod == Devmod():
        raise UnexpectedMessage("service info without devmod")
    turn.state = replace(turn.state, devmod_done=True, idle=0)
    return True


def _of(actions: ActionsOf | Sequence[Action], devmod: Devmod) -> tuple[Action, ...]:
    return tuple(actions(devmod) if callable(actions) else actions)


def _plan(turn: _Turn, actions: ActionsOf | Sequence[Action]) -> None:
    """Fix the list of actions. One that changed since the last round ends what is under way."""
    turn.actions = _of(actions, turn.devmod)
    plan = fingerprint(turn.actions)
    if turn.state.plan in (b"", plan):
        turn.state = replace(turn.state, plan=plan)
        return
    if turn.state.plan != _CHANGED and turn.action is not None:
        why = "the plan was changed while the device was being provisioned"
        turn.end(turn.action, ActionResult(turn.action.id, False, why))
    turn.actions = turn.actions[: turn.state.index]
    turn.state = replace(turn.state, failed=turn.state.failed or "plan", plan=_CHANGED)


def _heard(turn: _Turn, module: str, message: str, item: Any) -> None:
    if module == Module.CSR:
        turn.state = request_heard(turn.state, message, item, turn.csr)
    elif message == "active":
        turn.state = _with_active(turn.state, module, item is True)
    action = turn.action
    if action is None or not (turn.state.head or turn.state.head_sent):
        return
    side = side_of(action)
    if side.module == module:
        turn.state, result = side.heard(turn.state, message, item)
        if result is not None:
            turn.end(action, result)


def _with_active(state: OwnerModules, module: str, active: bool) -> OwnerModules:
    yes = tuple(name for name in state.active if name != module)
    no = tuple(name for name in state.refused if name != module)
    return replace(state, active=(*yes, module) if active else yes, refused=no if active else (*no, module))


def _produce(turn: _Turn, limit: int | None) -> Round:
    """Fill message 69: waiting answers first, then the action under way, or the first that can be."""
    packer = Packer(service_info_limit(limit))
    if turn.state.answers:
        turn.state, cut = emit_answers(turn.state, packer)
        if cut or turn.state.answers:
            return _round(turn, packer, True)
    if turn.state.csr_seen and not any(isinstance(a, Csr) for a in turn.actions):
        turn.actions = (*turn.actions, _UNASKED)
    while (action := turn.action) is not None:
        result = _cannot(turn, action, bool(packer.kvs))
        if result is not None:
            turn.end(action, result)
            continue
        if turn.state.sent:
            return _round(turn, packer, False)
        turn.state, is_more = emit(
            turn.state, side_of(action), turn.quirks, packer, ask=_must_ask(turn, side_of(action).module)
        )
        return _round(turn, packer, is_more)
    return Round(turn.state, tuple(packer.kvs), False, not packer.kvs, tuple(turn.results))


def _round(turn: _Turn, packer: Packer, is_more: bool) -> Round:
    return Round(turn.state, tuple(packer.kvs), is_more, False, tuple(turn.results))


def _must_ask(turn: _Turn, module: str) -> bool:
    """A device that lists no modules must confirm one before anything is sent to it."""
    return module != Module.CSR and not turn.devmod.modules and module not in turn.state.active


def _cannot(turn: _Turn, action: Action, answering: bool) -> ActionResult | None:
    """Why an action ends without, or for want of, the device's answer; None to go on."""
    state, side = turn.state, side_of(action)
    if state.failed and not (isinstance(action, Csr) and state.csr_issued):
        return ActionResult(action.id, False, f"not done, because {state.failed} failed before it")
    if isinstance(action, Csr):
        return _csr_over(turn, action, answering)
    listed = turn.devmod.modules
    if side.module in state.refused or (
        listed and side.module not in listed and side.module not in state.active
    ):
        return ActionResult(action.id, False, f"the device does not support {side.module}")
    if _must_ask(turn, side.module) and state.head and state.idle >= ASK_ROUNDS:
        return ActionResult(action.id, False, f"the device does not answer whether it supports {side.module}")
    if state.sent and side.patience is not None and state.idle >= side.patience:
        return side.silent(state)
    return None


def _csr_over(turn: _Turn, action: Csr, answering: bool) -> ActionResult | None:
    """fdo.csr is led by the device: it ends when the device closes it, or has a certificate and says no more."""
    state, side = turn.state, OwnerCsr(action)
    if answering:
        return None
    if state.csr_seen and not state.csr_open:
        return side.result(state)
    if turn.csr is None and (not state.csr_seen or state.idle):
        return ActionResult(action.id, False, NOT_AVAILABLE)
    if not state.csr_seen and turn.devmod.modules and Module.CSR not in turn.devmod.modules:
        return ActionResult(action.id, False, f"the device does not support {Module.CSR}")
    return side.silent(state) if state.sent and state.idle >= _csr_patience(turn, side) else None


def _csr_patience(turn: _Turn, side: OwnerCsr) -> int:
    """Empty rounds: none to spare once a request is settled, few before the device has shown any interest."""
    if turn.state.csr_issued or turn.state.csr_problem:
        return 1
    return ASK_ROUNDS if not turn.state.csr_seen and not turn.devmod.modules else side.patience or 1
