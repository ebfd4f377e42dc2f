"""The device's side, the mirror of ``server``: fetch, apply, report, check in.

Applying the plan is the caller's: this half only knows what to say next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bootstrap.contract import Env
from bootstrap.errors import MalformedMessage, UnexpectedMessage
from bootstrap.protocols.provisioning import crypto
from bootstrap.protocols.provisioning.constants import MAX_REPLY_LENGTH, NONCE_LENGTH, Direction
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


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device keeps between its requests; flat, so that ``wire.frozen`` can store it."""

    locator: str
    material: bytes = field(repr=False)
    challenge: bytes = b""
    """From the newest reply."""
    nonce: bytes = b""
    """Of the request that has no reply yet; empty when none is under way."""


def fetch(
    state: DeviceState, env: Env, have_version: int = 0, capabilities: tuple[str, ...] = ()
) -> tuple[DeviceState, bytes]:
    """Ask for the plan; ``have_version`` is the version already applied, 0 for none."""
    return _seal(state, Fetch(env.random(NONCE_LENGTH), have_version, capabilities), env)


def report(
    state: DeviceState, plan_version: int, results: tuple[ItemResult, ...], env: Env
) -> tuple[DeviceState, bytes]:
    """Say what became of each item. Needs the challenge of an earlier reply (UnexpectedMessage)."""
    return _seal(state, Report(env.random(NONCE_LENGTH), _challenge(state), plan_version, results), env)


def check_in(
    state: DeviceState, plan_version: int, uptime_seconds: int, env: Env, firmware: str = ""
) -> tuple[DeviceState, bytes]:
    """Speak from normal operation. Needs the challenge of an earlier reply (UnexpectedMessage)."""
    nonce = env.random(NONCE_LENGTH)
    return _seal(state, CheckIn(nonce, _challenge(state), plan_version, uptime_seconds, firmware), env)


def read_answer(state: DeviceState, body: bytes) -> tuple[DeviceState, Answer]:
    """The answer to the request under way.

    Raises MalformedMessage, NotAuthenticated (also for the answer to another request) and UnexpectedMessage;
    the caller then keeps ``state`` and may send the same request again.
    """
    if not state.nonce:
        raise UnexpectedMessage("a reply, but no request is under way")
    if len(body) > MAX_REPLY_LENGTH:
        raise MalformedMessage(f"reply of {len(body)} octets is over the limit")
    sealed = cose.Encrypt0.decode(body)
    message = decode(crypto.open(Direction.REPLY, state.material, state.locator, state.nonce, sealed))
    if not isinstance(message, PlanDocument | Ack | Refusal):
        raise UnexpectedMessage(f"{type(message).__name__} sent as a reply")
    return replace(state, nonce=b"", challenge=message.challenge), message


def _seal(state: DeviceState, request: Request, env: Env) -> tuple[DeviceState, bytes]:
    body = crypto.seal(Direction.REQUEST, state.material, state.locator, b"", request.encode(), env)
    return replace(state, nonce=request.nonce), body


def _challenge(state: DeviceState) -> bytes:
    if not state.challenge:
        raise UnexpectedMessage("fetch before you report or check in")
    return state.challenge
