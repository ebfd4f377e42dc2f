"""The rendezvous server: TO0 takes an owner's address, TO1 gives it to the owner's device.

Only TO0.OwnerSign stores anything. The nonces of both protocols travel in what the caller seals into the
bearer token, so that neither a stranger nor a device that only asks costs a write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from bootstrap.contract import Env, Level, Outcome, Reply
from bootstrap.errors import NotAuthenticated, NotAuthorized, UnexpectedMessage
from bootstrap.wire.keys import PublicKeyHandle

from ..constants import NONCE_LENGTH, InvalidOwnerSign, InvalidVoucher, MessageType, ResourceNotFound, SigType
from ..crypto.hashes import HashType, digest
from ..messages import (
    AcceptOwner,
    HelloRv,
    HelloRvAck,
    OwnerSign,
    ProveToRv,
    RvRedirect,
    To0d,
    To0Hello,
    To0HelloAck,
    To1d,
)
from ..voucher import Voucher
from ..voucher.checks import verify
from .outcome import noted, seconds

MAX_WAIT_SECONDS = 30 * 24 * 3600
PENDING_SECONDS = 300
"""How old a nonce may be when its proof comes."""
_SIG_TYPES = frozenset(SigType) - {SigType.EPID10, SigType.EPID11}


@dataclass(frozen=True, slots=True)
class RvState:
    """One registration: what TO1 needs, and what a later TO0 is measured against."""

    guid: bytes = b""
    to1d: bytes = field(default=b"", repr=False)
    """As the owner sent it, with its tag: the device gets these octets."""
    device_key: bytes = b""
    """SubjectPublicKeyInfo."""
    expires_at: int = 0
    """Unix time."""
    header_hash: bytes = b""
    """SHA-256 of the voucher's header."""
    entries: int = 0
    owner_key: bytes = b""
    """SubjectPublicKeyInfo of the owner that registered."""
    registrations: int = 0


@dataclass(frozen=True, slots=True)
class To0Pending:
    """Between 21 and 22; sealed into the token."""

    nonce: bytes = field(repr=False)
    at: int
    """Unix time."""


@dataclass(frozen=True, slots=True)
class To1Pending:
    """Between 31 and 32; sealed into the token."""

    nonce: bytes = field(repr=False)
    guid: bytes
    at: int


@dataclass(frozen=True, slots=True)
class RvFacts:
    """The rules of this rendezvous server."""

    admission: Callable[[Voucher], bool]
    """Whether a voucher that verifies may be registered here."""
    max_wait_seconds: int = MAX_WAIT_SECONDS
    serves: bool = True


def to0_hello(message: To0Hello, facts: RvFacts, env: Env) -> tuple[bytes, To0Pending]:
    """20 to 21: a nonce for whoever asks."""
    _must_serve(facts)
    pending = To0Pending(env.random(NONCE_LENGTH), seconds(env))
    return To0HelloAck(pending.nonce).encode(), pending


def to0_owner_sign(
    state: RvState | None, pending: To0Pending, message: OwnerSign, facts: RvFacts, env: Env
) -> Outcome[RvState]:
    """22 to 23: verify the voucher and the owner's signature, store to1d.

    ``state`` is the registration that this GUID has already, if any. Raises MalformedMessage; NotAuthenticated
    for a nonce or a hash that is not ours; InvalidVoucher; InvalidOwnerSign; NotAuthorized by the rules of
    ``facts`` or when an older voucher would push out the present owner.
    """
    _must_serve(facts)
    _must_be_fresh(pending.at, env)
    to0d, to1d = To0d.decode(message.to0d), To1d.decode(message.to1d)
    if not compare_digest(to0d.nonce, pending.nonce):
        raise NotAuthenticated("to0d has another nonce")
    if digest(to1d.to0d_hash.type, message.to0d) != to1d.to0d_hash.value:
        raise InvalidOwnerSign("to1d has the hash of another to0d")
    voucher = Voucher.decode(to0d.voucher)
    taken = _registration(state, voucher, to0d, to1d.encode(), facts, env)
    try:
        to1d.verify(PublicKeyHandle(taken.owner_key))
    except NotAuthenticated as error:
        raise InvalidOwnerSign("to1d is not signed by the key of the voucher's last entry") from error
    verify(voucher)
    if not facts.admission(voucher):
        raise NotAuthorized("this server does not take vouchers of that manufacturer or owner")
    wait_seconds = taken.expires_at - seconds(env)
    note = noted(
        MessageType.TO0_OWNER_SIGN,
        message.encode(),
        AcceptOwner(wait_seconds).encode(),
        Level.SUCCESS,
        wait_seconds=wait_seconds,
        asked_seconds=to0d.wait_seconds,
        entries=taken.entries,
        owners=", ".join(url for address in to1d.addresses for url in address.urls())[:300],
    )
    return Outcome(
        state=taken,
        reply=Reply(AcceptOwner(wait_seconds).encode()),
        notes=(note,),
        locator=voucher.guid.hex(),
        phase="registered",
    )


def to1_hello(state: RvState | None, message: HelloRv, facts: RvFacts, env: Env) -> tuple[bytes, To1Pending]:
    """30 to 31. Raises ResourceNotFound unless an owner has registered for this GUID and the lease lasts."""
    _must_serve(facts)
    _registered(state, message.guid, env)
    if message.sig_info.type not in _SIG_TYPES:
        raise UnexpectedMessage(f"signatures of type {message.sig_info.type} are not served")
    pending = To1Pending(env.random(NONCE_LENGTH), message.guid, seconds(env))
    return HelloRvAck(pending.nonce, message.sig_info).encode(), pending


def to1_prove(
    state: RvState | None, pending: To1Pending, message: ProveToRv, facts: RvFacts, env: Env
) -> Outcome[RvState]:
    """32 to 33: the owner's to1d for a device that proves its key.

    Raises ResourceNotFound when the registration ended meanwhile, NotAuthenticated.
    """
    _must_serve(facts)
    _must_be_fresh(pending.at, env)
    known = _registered(state, pending.guid, env)
    if message.guid != pending.guid or not compare_digest(message.nonce, pending.nonce):
        raise NotAuthenticated("EAT of another device or another conversation")
    message.verify(PublicKeyHandle(known.device_key))
    reply = RvRedirect(known.to1d).encode()
    note = noted(
        MessageType.TO1_PROVE_TO_RV,
        message.encode(),
        reply,
        Level.SUCCESS,
        lease_seconds=known.expires_at - seconds(env),
    )
    return Outcome(state=known, reply=Reply(reply), notes=(note,), phase="redirected")


def _registration(
    state: RvState | None, voucher: Voucher, to0d: To0d, to1d: bytes, facts: RvFacts, env: Env
) -> RvState:
    """The new registration, if the present one lets it be."""
    if not voucher.raw_entries:
        raise InvalidVoucher("a voucher of zero entries names no owner (section 5.3.3)")
    wait_seconds = min(to0d.wait_seconds, facts.max_wait_seconds)
    if wait_seconds <= 0:
        raise NotAuthorized("a registration for zero seconds")
    taken = RvState(
        guid=voucher.guid,
        to1d=to1d,
        device_key=voucher.device_key.der,
        expires_at=seconds(env) + wait_seconds,
        header_hash=digest(HashType.SHA256, voucher.header.encode()),
        entries=len(voucher.raw_entries),
        owner_key=voucher.owner_key.handle().der,
        registrations=1 if state is None else state.registrations + 1,
    )
    if state is not None and state.expires_at > seconds(env):
        _must_not_push_out(state, taken)
    return taken


def _must_not_push_out(present: RvState, taken: RvState) -> None:
    """The rendezvous cannot check the header's HMAC, so while a lease lasts, whoever came with another header
    under the same GUID is not the one; and a former owner that refreshes out of habit is not the owner."""
    if present.header_hash != taken.header_hash:
        raise NotAuthorized("this GUID is registered with another voucher header")
    if taken.entries < present.entries:
        raise NotAuthorized("this device has a later owner")


def _must_serve(facts: RvFacts) -> None:
    if not facts.serves:
        raise ResourceNotFound("the rendezvous role is off")


def _must_be_fresh(at: int, env: Env) -> None:
    if not 0 <= seconds(env) - at <= PENDING_SECONDS:
        raise UnexpectedMessage("this conversation was left too long")


def _registered(state: RvState | None, guid: bytes, env: Env) -> RvState:
    if state is None or state.guid != guid or state.expires_at <= seconds(env):
        raise ResourceNotFound("no owner has registered for this GUID, or its lease is over")
    return state
