"""A person says "mine": looking at a code, confirming it, offering one. Pages and API call nothing else.

Looking reads only and counts no try: link previews and strangers must not burn them (product.md, 2.1).
Confirming commits the protocol's OOB step and the claim's rows together, or neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from bootstrap.bindings import claims_fdo, codes, eap_noob
from bootstrap.bindings.candidates import (
    WAITING_MAX,
    WAITING_PHASES,
    Candidate,
    candidates,
    waiting,
    words_of,
)
from bootstrap.bindings.eap import EapState
from bootstrap.bindings.limits import tries_check, tries_count
from bootstrap.bindings.local import deliver_local, facts_for, outcome_of, state_of
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.contract import Env, Level, Milestone, Note, Outcome
from bootstrap.engine.models import Session
from bootstrap.engine.onboarding import offer_end, offer_release
from bootstrap.engine.store import Record
from bootstrap.engine.store import django as store
from bootstrap.protocols.eap_noob import server as noob
from bootstrap.protocols.eap_noob import sticker
from bootstrap.protocols.eap_noob.constants import OobOutcome, ServerState
from bootstrap.protocols.eap_noob.sticker import Oob
from devices.models import Claim, Device, ExpectedSerial, Membership, Organization
from devices.services.claims import Words, claim_open, claim_record, merge_candidate
from devices.services.env import live_env

__all__ = ["Candidate", "Offer", "cancel", "confirm", "look", "offer", "offered", "waiting"]

GUARD = timedelta(minutes=15)
"""How long looking at a code keeps a waiting device safe from floods, and awake."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A code for the device to read."""

    code: str
    claim_id: int
    device_id: int
    expires_at: datetime


def look(code: str, membership: Membership) -> Candidate:
    """What this code would claim. Reads only, but for keeping the device awake; raises ClaimRefused."""
    with _counted_tries(membership):
        oob = codes.read(code)
        if not isinstance(oob, Oob):
            return claims_fdo.look(oob, membership)
        record, state = _find(oob.peer_id)
        _refuse_owned(record, membership)
        outcome = noob.oob_check(state.association, oob)
        _refuse_outcome(outcome, record, tries_left=None)
    _guard(record)
    return candidates([record], membership.organization)[0]


def confirm(
    code: str, membership: Membership, *, merge: bool | None = None, name: str = "", room: str = ""
) -> Device:
    """Device-to-server: deliver the code to the machine and make the device this organization's. A device with a
    voucher is this organization's already; then it is only told that a person has it."""
    _need_right(membership)
    with _counted_tries(membership):
        oob = codes.read(code)
        with transaction.atomic():
            if not isinstance(oob, Oob):
                return claims_fdo.confirm(oob, membership, name=name, room=room)
            done = _confirm(oob, membership, merge, name, room)
        if isinstance(done, ClaimRefused):
            raise done
    return done


@contextmanager
def _counted_tries(membership: Membership) -> Iterator[None]:
    """Slow down whoever guesses."""
    tries_check(membership.user_id)
    try:
        yield
    except ClaimRefused as refused:
        tries_count(membership.user_id, refused)
        raise


def _confirm(
    oob: Oob, membership: Membership, merge: bool | None, name: str, room: str
) -> Device | ClaimRefused:
    """The device; or, returned and not raised, the refusal of a wrong code: its count is part of the
    protocol's state and must commit."""
    env = live_env()
    record, state = _find(oob.peer_id)
    _refuse_owned(record, membership)
    facts = facts_for(membership.organization_id)
    result = noob.oob_receive(state.association, oob, env, facts)
    assert record.id is not None
    if result.outcome is OobOutcome.ACCEPTED:
        _supersede_offers(record, membership)
    if result.outcome in (OobOutcome.WRONG, OobOutcome.WRONG_AND_RESET):
        _count_wrong(record.id, oob, facts)
        return ClaimRefused(_OUTCOME_PROBLEMS[result.outcome], tries_left=result.tries_left)
    _refuse_outcome(result.outcome, record, tries_left=result.tries_left)
    words = words_of(record)
    _refuse_serial(words, membership.organization)
    onto = _own_device(record, membership) or _merge_target(words, membership.organization, merge)
    device = claim_record(
        membership, words, Claim.Direction.DEVICE_TO_SERVER, onto=onto, name=name, room=room
    )

    def take(current: EapState, now: Record, when: Env) -> Outcome[EapState]:
        taken = noob.oob_receive(current.association, oob, when, facts)
        _refuse_outcome(taken.outcome, now, tries_left=taken.tries_left)
        notes = [Note("claim.confirmed", Level.SUCCESS, {"person": str(membership.user)})]
        if onto is not None and onto.pk != record.device_id:
            notes.append(Note("claim.merged", Level.INFO, {"device": onto.pk}))
        return outcome_of(current, taken.state, tuple(notes), Milestone.CONFIRMED)

    deliver_local(record.id, take, env, device_id=device.pk, organization_id=membership.organization_id)
    _adopt_history(record.id, device)
    return device


def offer(
    membership: Membership, *, serial: str = "", session_id: int | None = None, merge: bool | None = None
) -> Offer:
    """Server-to-device: a code for the waiting device with this printed serial (or this session) to read."""
    _need_right(membership)
    env = live_env()
    with _counted_tries(membership), transaction.atomic():
        record, state = _waiting_one(membership, serial.strip(), session_id)
        assert record.id is not None
        mine = _own_device(record, membership)
        if not noob.can_make_oob(state.association):
            problem = ClaimProblem.WRONG_DIRECTION
            if state.association.state != ServerState.WAITING_FOR_OOB:
                problem = ClaimProblem.NOT_WAITING
            raise ClaimRefused(problem, device=mine.pk if mine else None)
        words = words_of(record)
        _refuse_serial(words, membership.organization)
        onto = mine or _merge_target(words, membership.organization, merge)
        facts = facts_for(membership.organization_id)
        device = claim_record(membership, words, Claim.Direction.SERVER_TO_DEVICE, onto=onto)
        made: list[tuple[Oob, int]] = []

        def make(current: EapState, now: Record, when: Env) -> Outcome[EapState]:
            after, oob = noob.oob_make(current.association, when, facts)
            made[:] = [(oob, noob.oob_expires_at(after, oob) or 0)]
            note = Note("claim.offered", Level.INFO, {"person": str(membership.user)})
            return outcome_of(current, after, (note,), None)

        deliver_local(record.id, make, env, device_id=device.pk, organization_id=membership.organization_id)
        _adopt_history(record.id, device)
        oob, expires = made[0]
        expires_at = datetime.fromtimestamp(expires, UTC)
        claim = claim_open(membership, device, record.id, expires_at)
    return Offer(sticker.encode(oob, settings.SERVER_URL), claim.pk, device.pk, expires_at)


def offered(claim: Claim, membership: Membership) -> Offer | None:
    """The code of an open offer once more, while it is good. Reads only; raises ClaimRefused."""
    _need_right(membership)
    record = store.load_id(claim.session_id)
    if (
        record is None
        or claim.state != Claim.State.OPEN
        or claim.organization_id != membership.organization_id
    ):
        return None
    association = state_of(record).association
    oob = noob.oob_again(association, live_env())
    if oob is None:
        return None
    expires_at = datetime.fromtimestamp(noob.oob_expires_at(association, oob) or 0, UTC)
    return Offer(sticker.encode(oob, settings.SERVER_URL), claim.pk, claim.device_id, expires_at)


def cancel(claim: Claim, membership: Membership) -> None:
    """Withdraw an open offer: the code dies at once, and the device waits for somebody again."""
    _need_right(membership)
    if claim.organization_id != membership.organization_id:
        raise ClaimRefused(ClaimProblem.NO_RIGHT)
    with transaction.atomic():
        if not Claim.objects.select_for_update().filter(pk=claim.pk, state=Claim.State.OPEN).exists():
            return

        def withdraw(current: EapState, now: Record, when: Env) -> Outcome[EapState]:
            note = Note("claim.cancelled", Level.INFO, {"person": str(membership.user)})
            return outcome_of(current, replace(current.association, noobs=()), (note,), None)

        with suppress(ClaimRefused):  # the session may be gone already, and the code with it
            deliver_local(claim.session_id, withdraw, live_env())
        offer_end(claim.pk)


def _waiting_one(membership: Membership, serial: str, session_id: int | None) -> tuple[Record, EapState]:
    """The one waiting session that is meant; raises ClaimRefused when there is none, or more than one."""
    organization = membership.organization
    rows = Session.objects.filter(protocol=eap_noob.PROTOCOL)
    if session_id is not None:
        rows = rows.filter(pk=session_id, organization=organization)
    elif serial:
        rows = rows.filter(serial=serial, phase__in=WAITING_PHASES)
    else:
        raise ClaimRefused(ClaimProblem.NOBODY_WITH_SERIAL, serial="")
    mine = list(rows.filter(organization=organization).order_by("-seen_at")[:WAITING_MAX])
    # A guest of another organization is not for us to find, whatever its serial number.
    free = mine or list(rows.filter(device=None, organization=None).order_by("-seen_at")[:WAITING_MAX])
    if not free:
        raise ClaimRefused(ClaimProblem.NOBODY_WITH_SERIAL, serial=serial)
    if len(free) > 1:
        raise ClaimRefused(
            ClaimProblem.SEVERAL_WITH_SERIAL, serial=serial, candidates=[row.pk for row in free][:20]
        )
    record = store.load_id(free[0].pk)
    if record is None:
        raise ClaimRefused(ClaimProblem.NOBODY_WITH_SERIAL, serial=serial)
    return record, state_of(record)


def _own_device(record: Record, membership: Membership) -> Device | None:
    """The device of this organization that the session belongs to already: by an offer, most of the time."""
    return Device.objects.filter(pk=record.device_id or 0, organization=membership.organization).first()


def _find(peer_id: str) -> tuple[Record, EapState]:
    record = store.load(eap_noob.PROTOCOL, locator=peer_id)
    if record is None:
        raise ClaimRefused(ClaimProblem.UNKNOWN_DEVICE)
    return record, state_of(record)


def _supersede_offers(record: Record, membership: Membership) -> None:
    """A fresh code from the device itself beats a code that somebody else offered and it never read: or a
    stranger who knows a serial number could block its owner."""
    offers = Claim.objects.filter(session_id=record.id or 0, state=Claim.State.OPEN)
    for claim in offers.exclude(organization_id=membership.organization_id).select_related("device"):
        claim.state = Claim.State.EXPIRED
        claim.save(update_fields=["state"])
        offer_release(claim)


def _refuse_owned(record: Record, membership: Membership) -> None:
    """Say whose it is already, as far as this person may know."""
    if record.device_id is None:
        return
    device = Device.objects.filter(pk=record.device_id).first()
    claim = device.claims.filter(session_id=record.id or 0).order_by("-pk").first() if device else None
    if claim is not None and claim.state == Claim.State.OPEN:
        return  # only offered so far: whoever brings the device's own fresh code is nearer to it
    if device is None or device.organization_id != membership.organization_id:
        raise ClaimRefused(ClaimProblem.OTHER_OWNER)
    if claim is None:
        return
    if claim.person_id == membership.user_id:
        problem = ClaimProblem.ALREADY_MINE
        if device.state == "onboarding" and record.phase == "OOB Received":
            problem = ClaimProblem.ALREADY_RECEIVED
        raise ClaimRefused(problem, device=device.pk, claim=claim.pk)
    raise ClaimRefused(
        ClaimProblem.ADDED_BY_COLLEAGUE, device=device.pk, claim=claim.pk, at=claim.created_at.isoformat()
    )


_OUTCOME_PROBLEMS = {
    OobOutcome.WRONG: ClaimProblem.WRONG_CODE,
    OobOutcome.WRONG_AND_RESET: ClaimProblem.WRONG_CODE_RESET,
    OobOutcome.WRONG_PEER_ID: ClaimProblem.UNKNOWN_DEVICE,
    OobOutcome.NO_SUCH_DIRECTION: ClaimProblem.WRONG_DIRECTION,
    OobOutcome.NOT_WAITING: ClaimProblem.EXPIRED,
    OobOutcome.ALREADY_REGISTERED: ClaimProblem.NOT_WAITING,
    OobOutcome.REDUNDANT: ClaimProblem.ALREADY_RECEIVED,
}


def _refuse_outcome(outcome: OobOutcome, record: Record, *, tries_left: int | None) -> None:
    if outcome is OobOutcome.ACCEPTED:
        return
    detail = {} if tries_left is None else {"tries_left": tries_left}
    if outcome is OobOutcome.REDUNDANT:
        detail["device"] = record.device_id or 0
    raise ClaimRefused(_OUTCOME_PROBLEMS[outcome], **detail)


def _count_wrong(session_id: int, oob: Oob, facts: noob.Facts) -> None:
    def count(current: EapState, now: Record, when: Env) -> Outcome[EapState]:
        result = noob.oob_receive(current.association, oob, when, facts)
        note = Note("claim.wrong-code", Level.WARNING, {"tries_left": result.tries_left})
        return outcome_of(current, result.state, (note,), None)

    deliver_local(session_id, count, live_env())


def _refuse_serial(words: Words, organization: Organization) -> None:
    if not organization.expected_serials_only:
        return
    if not ExpectedSerial.objects.filter(organization=organization, serial=words.serial).exists():
        raise ClaimRefused(ClaimProblem.SERIAL_NOT_EXPECTED, serial=words.serial)


def _merge_target(words: Words, organization: Organization, merge: bool | None) -> Device | None:
    old = merge_candidate(organization, words)
    if old is None or merge is False:
        return None
    if merge is None:
        raise ClaimRefused(ClaimProblem.WAS_HERE_BEFORE, merge_with=old.pk, serial=words.serial)
    return old


def _need_right(membership: Membership) -> None:
    if not membership.may_claim:
        raise ClaimRefused(ClaimProblem.NO_RIGHT)


def _guard(record: Record) -> None:
    """A person is looking at it: keep it from being pushed out, and let it ask again soon."""
    Session.objects.filter(pk=record.id or 0).update(guarded_until=live_env().now + GUARD)


def _adopt_history(session_id: int, device: Device) -> None:
    """What happened before the claim belongs to the device's timeline too."""
    Session.objects.get(pk=session_id).events.filter(device=None).update(
        device=device, organization=device.organization_id
    )
