"""A person says "mine": every way it can go, with real devices behind it."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from engine_world import House, Lamp, colleague, owner_of, reader, two_way

from bootstrap.bindings import claims
from bootstrap.bindings.limits import WRONG_PER_MINUTE
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.contract import Verdict
from bootstrap.engine import onboarding
from bootstrap.engine.models import Event, Session
from bootstrap.protocols.eap_noob import Oob, device, sticker
from devices.models import AuditEntry, Claim, Device, ExpectedSerial, Membership, Onboarding, Organization
from devices.services.access import expected_serials_add, organization_update
from devices.services.audit import audit_verify

GUARD_SECONDS = 15 * 60


def refused(deed: Any, *args: Any, **kwargs: Any) -> ClaimRefused:
    with pytest.raises(ClaimRefused) as caught:
        deed(*args, **kwargs)
    return caught.value


def everything() -> list[Any]:
    """Rows that a claim may touch, but for the guard that looking sets."""
    sessions = list(Session.objects.order_by("pk").values())
    for row in sessions:
        row.pop("guarded_until")
    tables = (Event, Device, Claim, Onboarding, AuditEntry)
    return [sessions, *(list(table.objects.order_by("pk").values()) for table in tables)]


def unchanged(deed: Any, *args: Any, **kwargs: Any) -> ClaimRefused:
    """Refused, and nothing was written."""
    before = everything()
    problem = refused(deed, *args, **kwargs)
    assert everything() == before
    return problem


def chain_holds() -> bool:
    return all(audit_verify(organization) is None for organization in Organization.objects.all())


def policy(membership: Membership, **fields: object) -> None:
    organization_update(membership.organization, None, **fields)
    membership.refresh_from_db()


# Looking.


def test_looking_tells_the_devices_own_words_and_changes_nothing(house: House, mine: Membership) -> None:
    lamp = two_way("SN-7", house).arrive()
    before = everything()
    code = lamp.code()
    seen = claims.look(code, mine)
    assert (seen.serial, seen.manufacturer, seen.model, seen.via) == ("SN-7", "Acme", "Lamp", "https")
    assert (seen.own_way, seen.expected, seen.merge_with) == (False, None, None)
    assert (seen.shows_code, seen.reads_code, seen.phase) == (True, True, "Waiting for OOB")
    assert seen.next_at is not None
    assert seen.next_at - seen.seen_at == timedelta(seconds=5)
    assert claims.look(code, mine) == seen
    assert everything() == before


def test_looking_keeps_the_device_awake_and_safe(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    house.clock.forward(5 * 3600)
    assert lamp.until_the_end()[0].sleep_time == 600
    claims.look(lamp.code(), mine)
    house.clock.now -= timedelta(hours=5)
    row = lamp.session()
    assert row.guarded_until is not None
    Session.objects.update(guarded_until=row.guarded_until + timedelta(hours=5))
    house.clock.forward(5 * 3600)
    assert lamp.until_the_end()[0].sleep_time == 5


def test_looking_at_a_wrong_code_counts_no_try(house: House, mine: Membership) -> None:
    policy(mine, oob_retries=2)
    lamp = Lamp(house).arrive()
    for _look in range(5):
        assert unchanged(claims.look, lamp.wrong_code(), mine).problem is ClaimProblem.WRONG_CODE
    assert claims.confirm(lamp.code(), mine).state == "onboarding"


def test_a_viewer_may_look_and_not_claim(house: House, mine: Membership) -> None:
    viewer = colleague(mine.organization, "viewer")
    lamp = reader("SN-1", house).arrive()
    shown = two_way("SN-2", house).arrive()
    assert claims.look(shown.code(), viewer).serial == "SN-2"
    for deed in (
        lambda: claims.confirm(shown.code(), viewer),
        lambda: claims.offer(viewer, serial="SN-1"),
    ):
        assert unchanged(deed).problem is ClaimProblem.NO_RIGHT
    offer = claims.offer(mine, serial=lamp.serial)
    claim = Claim.objects.get(pk=offer.claim_id)
    assert unchanged(claims.cancel, claim, viewer).problem is ClaimProblem.NO_RIGHT


@pytest.mark.parametrize("role", ["owner", "admin", "operator"])
def test_whoever_may_claim_can(house: House, mine: Membership, role: str) -> None:
    lamp = Lamp(house).arrive()
    assert claims.confirm(lamp.code(), colleague(mine.organization, role)).state == "onboarding"


# Confirming.


def test_confirming_makes_one_of_everything(house: House, mine: Membership) -> None:
    lamp = Lamp(house, "SN-7").arrive()
    made = claims.confirm(lamp.code(), mine, name=" Desk lamp ", room="Kitchen")
    assert (made.name, made.room, made.serial, made.method) == ("Desk lamp", "Kitchen", "SN-7", "eap-noob")
    assert (made.state, made.step, made.via) == ("onboarding", "claim.confirmed", "https")
    claim = Claim.objects.get()
    assert (claim.state, claim.assurance, claim.person) == ("accepted", "fresh-code", mine.user)
    assert (claim.direction, claim.session_id) == ("device-to-server", lamp.session().pk)
    assert {(i.kind, i.value) for i in made.identifiers.all()} == {
        ("peer-id", lamp.state.peer_id),
        ("serial", "SN-7"),
    }
    assert made.onboarding.step == "bootstrap"
    row = lamp.session()
    assert (row.phase, row.milestone, row.organization_id) == (
        "OOB Received",
        "confirmed",
        mine.organization_id,
    )
    assert row.expires_at is None
    assert list(Event.objects.order_by("id").values_list("code", "device", "organization")) == [
        ("eap-noob.initial.done", made.pk, mine.organization_id),
        ("claim.confirmed", made.pk, mine.organization_id),
    ]
    assert AuditEntry.objects.filter(action="device.claimed", actor=mine.user).count() == 1
    assert chain_holds()


def test_the_code_works_bare_and_as_a_link(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    bare = lamp.code().partition("?")[2]
    assert claims.look(bare, mine) == claims.look(f"  {lamp.code()}\n", mine)


@pytest.mark.parametrize("code", ["", "   ", "hello", "https://example.org/", "x" * 5000, "P=a&N=b&H=c"])
def test_what_is_no_code_is_unreadable(house: House, mine: Membership, code: str) -> None:
    for deed in (claims.look, claims.confirm):
        assert unchanged(deed, code, mine).problem is ClaimProblem.UNREADABLE


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DPP:C:81/1;K:MDkw;;", "Wi-Fi Easy Connect (DPP)"),
        ("MT:Y.K9042C00KA0648G00", "Matter"),
        ("WIFI:T:WPA;S:x;P:y;;", "Wi-Fi network"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122", "LoRaWAN"),
    ],
)
def test_other_kinds_of_sticker_are_named(house: House, mine: Membership, code: str, kind: str) -> None:
    problem = unchanged(claims.confirm, code, mine)
    assert (problem.problem, problem.detail) == (ClaimProblem.NOT_YET, {"kind": kind})


def test_a_device_that_never_came_is_unknown(house: House, mine: Membership) -> None:
    code = sticker.encode(Oob("p" * 22, bytes(16), bytes(16)), "https://portal.example.org/n")
    for deed in (claims.look, claims.confirm):
        assert unchanged(deed, code, mine).problem is ClaimProblem.UNKNOWN_DEVICE


def test_a_wrong_code_counts_and_the_count_is_kept(house: House, mine: Membership) -> None:
    policy(mine, oob_retries=3)
    lamp = Lamp(house).arrive()
    problems = [refused(claims.confirm, lamp.wrong_code(), mine) for _try in range(2)]
    assert [(p.problem, p.detail) for p in problems] == [
        (ClaimProblem.WRONG_CODE, {"tries_left": 2}),
        (ClaimProblem.WRONG_CODE, {"tries_left": 1}),
    ]
    assert Device.objects.count() == Claim.objects.count() == 0
    assert Event.objects.filter(code="claim.wrong-code").count() == 2
    assert claims.confirm(lamp.code(), mine).state == "onboarding"


def test_the_last_wrong_code_makes_the_device_start_over(house: House, mine: Membership) -> None:
    policy(mine, oob_retries=2)
    lamp = Lamp(house, way={"organization_id": mine.organization_id}).arrive()
    wrong, right, old = lamp.wrong_code(), lamp.code(), lamp.state.peer_id
    refused(claims.confirm, wrong, mine)
    last = refused(claims.confirm, wrong, mine)
    assert (last.problem, last.detail) == (ClaimProblem.WRONG_CODE_RESET, {"tries_left": 0})
    assert lamp.session().phase == "Unregistered"
    assert claims.waiting(mine.organization) == []
    assert unchanged(claims.confirm, right, mine).problem is ClaimProblem.EXPIRED
    lamp.arrive()
    assert lamp.state.peer_id != old
    assert claims.confirm(lamp.code(), mine).state == "onboarding"


def test_the_same_code_again_is_harmless(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    code = lamp.code()
    made = claims.confirm(code, mine)
    again = unchanged(claims.confirm, code, mine)
    assert (again.problem, again.detail["device"]) == (ClaimProblem.ALREADY_RECEIVED, made.pk)
    assert unchanged(claims.look, code, mine).problem is ClaimProblem.ALREADY_RECEIVED
    lamp.converse()
    assert unchanged(claims.confirm, code, mine).problem is ClaimProblem.ALREADY_MINE


def test_a_colleagues_device_is_known_and_anothers_is_only_taken(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    lamp = Lamp(house).arrive()
    code = lamp.code()
    made = claims.confirm(code, mine)
    known = unchanged(claims.confirm, code, colleague(mine.organization))
    assert (known.problem, known.detail["device"]) == (ClaimProblem.ADDED_BY_COLLEAGUE, made.pk)
    taken = unchanged(claims.confirm, code, theirs)
    assert (taken.problem, taken.detail) == (ClaimProblem.OTHER_OWNER, {})
    lamp.converse()
    assert unchanged(claims.look, code, theirs).problem is ClaimProblem.OTHER_OWNER


def test_a_device_that_only_reads_codes_shows_none(house: House, mine: Membership) -> None:
    lamp = reader("SN-1", house).arrive()
    code = sticker.encode(Oob(lamp.state.peer_id, bytes(16), bytes(16)), "https://portal.example.org/n")
    assert unchanged(claims.confirm, code, mine).problem is ClaimProblem.WRONG_DIRECTION


# The list of expected serial numbers.


def test_without_a_list_any_serial_is_taken(house: House, mine: Membership) -> None:
    expected_serials_add(mine.organization, None, ["SN-1"])
    lamp = Lamp(house, "SN-9").arrive()
    assert claims.look(lamp.code(), mine).expected is None
    assert claims.confirm(lamp.code(), mine).serial == "SN-9"


def test_with_a_list_a_mismatch_stops(house: House, mine: Membership) -> None:
    policy(mine, expected_serials_only=True)
    expected_serials_add(mine.organization, None, [" SN-1 "])
    theirs = owner_of("Theirs")
    expected_serials_add(theirs.organization, None, ["SN-9"])
    good, bad = two_way("SN-1", house).arrive(), two_way("SN-9", house).arrive()
    assert claims.look(good.code(), mine).expected is True
    assert claims.look(bad.code(), mine).expected is False
    bad.code()
    for deed in (lambda: claims.confirm(bad.code(), mine), lambda: claims.offer(mine, serial="SN-9")):
        problem = unchanged(deed)
        assert (problem.problem, problem.detail) == (
            ClaimProblem.SERIAL_NOT_EXPECTED,
            {"serial": "SN-9"},
        )
    assert claims.confirm(good.code(), mine).state == "onboarding"
    assert ExpectedSerial.objects.count() == 2


# The same device after a reset.


def test_a_known_serial_asks_whether_it_is_the_same(house: House, mine: Membership) -> None:
    old = Lamp(house, "SN-1").onboard(mine, name="Desk")
    lamp = two_way("SN-1", house).arrive()
    assert claims.look(lamp.code(), mine).merge_with == old.pk
    for deed in (lambda: claims.confirm(lamp.code(), mine), lambda: claims.offer(mine, serial="SN-1")):
        problem = unchanged(deed)
        assert problem.problem is ClaimProblem.WAS_HERE_BEFORE
        assert problem.detail == {"merge_with": old.pk, "serial": "SN-1"}


def test_merged_the_old_association_lives_until_the_new_one_is_complete(
    house: House, mine: Membership
) -> None:
    before = Lamp(house, "SN-1")
    old = before.onboard(mine, name="Desk")
    lamp = Lamp(house, "SN-1").arrive()
    merged = claims.confirm(lamp.code(), mine, merge=True)
    assert (merged.pk, merged.name, merged.state) == (old.pk, "Desk", "onboarding")
    house.work()
    assert Session.objects.filter(device=old).count() == 3
    before.state = device.rekey(before.state)
    assert before.converse() is Verdict.ACCEPT  # it may still be the old one after all
    house.work()
    merged.refresh_from_db()
    assert merged.onboarding.step == "bootstrap"
    assert lamp.session().device_id == old.pk
    assert lamp.converse() is Verdict.ACCEPT
    house.work()
    locators = set(Session.objects.filter(device=old).values_list("locator", flat=True))
    assert locators == {lamp.state.peer_id}
    lamp.take_plan()
    house.work()
    merged.refresh_from_db()
    assert merged.state == "onboarded"
    assert Event.objects.filter(code="claim.merged", device=old).count() == 1
    assert list(Claim.objects.values_list("state", flat=True)) == ["completed", "completed"]
    assert chain_holds()


def test_not_merged_it_is_another_device(house: House, mine: Membership) -> None:
    old = Lamp(house, "SN-1").onboard(mine)
    new = Lamp(house, "SN-1").onboard(mine, merge=False)
    old.refresh_from_db()
    assert new.pk != old.pk
    assert (old.state, new.state) == ("onboarded", "onboarded")


@pytest.mark.parametrize("state", ["retired", "revoked"])
def test_a_device_out_of_service_is_not_merged_with(house: House, mine: Membership, state: str) -> None:
    old = Lamp(house, "SN-1").onboard(mine)
    Device.objects.filter(pk=old.pk).update(state=state)
    assert Lamp(house, "SN-1").onboard(mine).pk != old.pk


def test_a_device_without_serial_is_never_merged(house: House, mine: Membership) -> None:
    first = Lamp(house, "").onboard(mine)
    assert Lamp(house, "").onboard(mine).pk != first.pk


def test_anothers_device_with_the_same_serial_is_none_of_our_business(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    Lamp(house, "SN-1").onboard(theirs)
    lamp = Lamp(house, "SN-1").arrive()
    assert claims.look(lamp.code(), mine).merge_with is None
    assert claims.confirm(lamp.code(), mine).organization_id == mine.organization_id


# Server to device.


def test_a_code_of_ours_is_read_and_the_device_becomes_operational(house: House, mine: Membership) -> None:
    lamp = reader("SN-5", house).arrive()
    offer = claims.offer(mine, serial=" SN-5 ")
    made = Device.objects.get(pk=offer.device_id)
    assert (made.state, made.serial_confirmed) == ("waiting", False)
    assert offer.code.startswith("https://")
    assert claims.offer(mine, serial="SN-5") == offer  # asking again shows the same code
    lamp.read(offer.code)
    assert lamp.converse() is Verdict.ACCEPT
    house.work()
    assert Claim.objects.get().state == "completed"
    lamp.take_plan()
    house.work()
    made.refresh_from_db()
    assert made.state == "onboarded"
    assert chain_holds()


def test_nobody_with_that_serial(house: House, mine: Membership) -> None:
    Lamp(house, "SN-1").arrive()
    for serial in ("SN-2", "sn-1", "", "SN"):
        problem = unchanged(claims.offer, mine, serial=serial)
        assert (problem.problem, problem.detail) == (ClaimProblem.NOBODY_WITH_SERIAL, {"serial": serial})


def test_a_device_that_only_shows_codes_reads_none(house: House, mine: Membership) -> None:
    Lamp(house, "SN-1").arrive()
    assert unchanged(claims.offer, mine, serial="SN-1").problem is ClaimProblem.WRONG_DIRECTION


def test_several_with_one_serial_are_named_and_ones_own_guest_comes_first(
    house: House, mine: Membership
) -> None:
    first, second = reader("SN-5", house).arrive(), reader("SN-5", house).arrive()
    problem = unchanged(claims.offer, mine, serial="SN-5")
    assert problem.problem is ClaimProblem.SEVERAL_WITH_SERIAL
    assert set(problem.detail["candidates"]) == {first.session().pk, second.session().pk}
    guest = reader("SN-5", house, way={"organization_id": mine.organization_id}).arrive()
    offer = claims.offer(mine, serial="SN-5")
    guest.read(offer.code)
    assert guest.converse() is Verdict.ACCEPT


def test_a_guest_is_offered_a_code_by_its_session(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    guest = reader("SN-5", house, way={"organization_id": mine.organization_id}).arrive()
    stranger = reader("SN-6", house).arrive()
    assert [c.session_id for c in claims.waiting(mine.organization)] == [guest.session().pk]
    assert claims.waiting(theirs.organization) == []
    pk = guest.session().pk
    for membership, wanted in ((theirs, pk), (mine, stranger.session().pk), (mine, 10**9)):
        problem = unchanged(claims.offer, membership, session_id=wanted).problem
        assert problem is ClaimProblem.NOBODY_WITH_SERIAL
    assert claims.offer(mine, session_id=pk).code
    assert claims.waiting(mine.organization) == []


def test_anothers_guest_is_not_found_by_its_serial(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    reader("SN-5", house, way={"organization_id": theirs.organization_id}).arrive()
    assert unchanged(claims.offer, mine, serial="SN-5").problem is ClaimProblem.NOBODY_WITH_SERIAL


def test_a_withdrawn_code_is_dead_and_the_device_waits_again(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    lamp = two_way("SN-5", house, way={"organization_id": mine.organization_id}).arrive()
    offer = claims.offer(mine, serial="SN-5")
    claims.cancel(Claim.objects.get(), mine)
    assert Device.objects.count() == 0
    lamp.read(offer.code)
    assert lamp.converse() is Verdict.REJECT
    assert lamp.error_code == 2003
    assert lamp.converse() is Verdict.REJECT
    assert lamp.session().phase == "Waiting for OOB"
    assert [c.session_id for c in claims.waiting(mine.organization)] == [lamp.session().pk]
    lamp.way = {}
    lamp.converse()
    made = claims.confirm(lamp.code(), theirs)
    codes = set(made.events.values_list("code", flat=True))
    assert "claim.offered" not in codes  # what our people did is nobody else's business
    assert "eap-noob.initial.done" in codes
    assert chain_holds()


def test_a_code_withdrawn_in_the_middle_of_a_completion_makes_no_orphan(
    house: House, mine: Membership
) -> None:
    """The device has named the code already and is about to prove itself."""
    lamp = two_way("SN-5", house).arrive()
    offer = claims.offer(mine, serial="SN-5")
    lamp.read(offer.code)
    once, count = house.eap, [0]

    def withdrawn(body: bytes, token: str = "", **inbound: Any) -> Any:
        count[0] += 1
        if count[0] == 4:  # identity, Type 1, Type 5, then Type 6
            claims.cancel(Claim.objects.get(), mine)
        return once(body, token, **inbound)

    house.eap = withdrawn  # type: ignore[method-assign]
    assert lamp.converse() is Verdict.REJECT
    house.eap = once  # type: ignore[method-assign]
    assert count[0] == 5
    row = lamp.session()
    assert (row.phase, row.device_id) == ("Waiting for OOB", None)
    assert not Session.objects.filter(protocol="provisioning").exists()
    assert lamp.converse() is Verdict.REJECT
    assert lamp.error_code is None
    assert claims.confirm(lamp.code(), mine).state == "onboarding"
    assert lamp.converse() is Verdict.ACCEPT


def test_only_its_own_organization_withdraws_a_code(house: House, mine: Membership) -> None:
    reader("SN-5", house).arrive()
    claims.offer(mine, serial="SN-5")
    claim = Claim.objects.get()
    assert unchanged(claims.cancel, claim, owner_of("Theirs")).problem is ClaimProblem.NO_RIGHT


def test_withdrawing_after_the_device_proved_itself_withdraws_nothing(house: House, mine: Membership) -> None:
    lamp = reader("SN-5", house).arrive()
    lamp.read(claims.offer(mine, serial="SN-5").code)
    stale = Claim.objects.get()
    assert lamp.converse() is Verdict.ACCEPT
    claims.cancel(stale, mine)
    house.work()
    claims.cancel(stale, mine)
    assert Claim.objects.get().state == "completed"
    assert Device.objects.get().state == "onboarding"
    assert lamp.session().device_id == Device.objects.get().pk


def test_a_code_that_nobody_read_expires_and_lets_go(house: House, mine: Membership) -> None:
    policy(mine, noob_timeout_seconds=60)
    lamp = two_way("SN-5", house).arrive()
    offer = claims.offer(mine, serial="SN-5")
    for seconds in (30, 20, 9):
        onboarding.sweep(house.clock.forward(seconds))
    assert Claim.objects.get().state == "open"
    onboarding.sweep(offer.expires_at + timedelta(seconds=1))
    assert Device.objects.count() == 0
    assert lamp.session().device_id is None
    house.clock.forward(10)
    lamp.read(offer.code)
    assert lamp.converse() is Verdict.REJECT
    assert lamp.error_code == 2003


def test_an_offer_for_a_device_that_is_switched_off_reminds_nobody_and_expires(
    house: House, mine: Membership
) -> None:
    reader("SN-5", house).arrive()
    offer = claims.offer(mine, serial="SN-5")
    for _quarter in range(12):
        onboarding.sweep(house.clock.forward(240))
    assert Device.objects.get().state == "waiting"
    assert not Event.objects.filter(code__startswith="onboarding.").exists()
    onboarding.sweep(offer.expires_at + timedelta(seconds=1))
    assert Device.objects.count() == 0


def test_an_offer_onto_an_old_device_that_expires_leaves_it_as_it_was(house: House, mine: Membership) -> None:
    before = Lamp(house, "SN-5")
    old = before.onboard(mine)
    lamp = reader("SN-5", house).arrive()
    offer = claims.offer(mine, serial="SN-5", merge=True)
    assert offer.device_id == old.pk
    onboarding.sweep(offer.expires_at + timedelta(seconds=1))
    onboarding.sweep(offer.expires_at + timedelta(seconds=3))
    old.refresh_from_db()
    assert old.state == "onboarded"
    assert lamp.session().device_id is None
    before.state = device.rekey(before.state)
    assert before.converse() is Verdict.ACCEPT


def test_the_devices_own_fresh_code_beats_what_another_organization_offered(
    house: House, mine: Membership
) -> None:
    theirs = owner_of("Theirs")
    lamp = two_way("SN-5", house).arrive()
    claims.offer(theirs, serial="SN-5")
    assert claims.look(lamp.code(), mine).serial == "SN-5"
    made = claims.confirm(lamp.code(), mine)
    assert made.organization_id == mine.organization_id
    assert not Device.objects.filter(organization=theirs.organization).exists()
    assert "claim.offered" not in set(made.events.values_list("code", flat=True))
    assert lamp.converse() is Verdict.ACCEPT
    assert lamp.session().organization_id == mine.organization_id
    assert chain_holds()


def test_the_devices_own_fresh_code_continues_ones_own_offer(house: House, mine: Membership) -> None:
    lamp = two_way("SN-5", house).arrive()
    offer = claims.offer(mine, serial="SN-5")
    assert claims.look(lamp.code(), mine).merge_with is None
    made = claims.confirm(lamp.code(), mine)
    assert made.pk == offer.device_id
    assert (made.state, Device.objects.count()) == ("onboarding", 1)
    assert lamp.converse() is Verdict.ACCEPT
    house.work()
    assert set(Claim.objects.values_list("state", flat=True)) == {"completed"}


def test_a_wrong_code_takes_no_offer_away(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    lamp = two_way("SN-5", house).arrive()
    offer = claims.offer(theirs, serial="SN-5")
    assert refused(claims.confirm, lamp.wrong_code(), mine).problem is ClaimProblem.WRONG_CODE
    lamp.read(offer.code)
    assert lamp.converse() is Verdict.ACCEPT


def test_an_offered_device_that_is_confirmed_is_not_offered_again(house: House, mine: Membership) -> None:
    lamp = two_way("SN-5", house).arrive()
    made = claims.confirm(lamp.code(), mine)
    assert unchanged(claims.offer, mine, serial="SN-5").problem is ClaimProblem.NOBODY_WITH_SERIAL
    problem = unchanged(claims.offer, mine, session_id=lamp.session().pk)
    assert (problem.problem, problem.detail) == (ClaimProblem.NOT_WAITING, {"device": made.pk})


# Faults and races.


@pytest.mark.parametrize(
    "table", ["devices_auditentry", "engine_event", "devices_claim", "devices_onboarding"]
)
def test_a_claim_that_fails_in_the_middle_leaves_nothing(house: House, mine: Membership, table: str) -> None:
    """The database itself refuses one of the rows."""
    lamp = two_way("SN-5", house).arrive()
    code = lamp.code()
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    before = everything()
    try:
        for deed in (lambda: claims.confirm(code, mine), lambda: claims.offer(mine, serial="SN-5")):
            with pytest.raises(Exception, match="no room"):
                deed()
            assert everything() == before
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER broken")
    assert claims.confirm(code, mine).state == "onboarding"


def at_once(*deeds: Any) -> list[Any]:
    """Each in a thread with a connection of its own."""
    results: list[Any] = [None] * len(deeds)
    start = threading.Barrier(len(deeds))

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = deeds[number]()
        except ClaimRefused as problem:
            results[number] = problem.problem
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_many_people_with_one_code_exactly_one_wins(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    friend = colleague(mine.organization)
    lamp = Lamp(house).arrive()
    code = lamp.code()
    people = [mine, theirs, friend, mine, theirs, friend]
    results = at_once(*(lambda person=person: claims.confirm(code, person) for person in people))
    made = [result for result in results if isinstance(result, Device)]
    assert len(made) == 1
    assert Device.objects.count() == Claim.objects.count() == 1
    assert {result for result in results if not isinstance(result, Device)} <= {
        ClaimProblem.OTHER_OWNER,
        ClaimProblem.ADDED_BY_COLLEAGUE,
        ClaimProblem.ALREADY_RECEIVED,
    }
    assert lamp.session().device_id == made[0].pk
    assert lamp.converse() is Verdict.ACCEPT
    assert chain_holds()


def test_a_device_that_talks_while_it_is_claimed_loses_nothing(house: House, mine: Membership) -> None:
    lamps = [Lamp(house, f"SN-{number}").arrive() for number in range(6)]
    codes = [lamp.code() for lamp in lamps]
    confirm = threading.Thread(
        target=lambda: (at_once(*(lambda code=code: claims.confirm(code, mine) for code in codes)),)
    )
    confirm.start()
    for _round in range(5):
        for lamp in lamps:
            if lamp.plan_keys is None:
                lamp.converse()
    confirm.join()
    for lamp in lamps:
        if lamp.plan_keys is None:
            assert lamp.converse() is Verdict.ACCEPT
        row = lamp.session()
        assert (row.phase, row.device is not None) == ("Registered", True)
        codes_seen = list(row.events.values_list("code", flat=True))
        assert codes_seen.count("claim.confirmed") == codes_seen.count("eap-noob.completed") == 1
    house.work()
    assert Device.objects.filter(state="onboarding").count() == 6
    assert chain_holds()


# Guessing.


def test_whoever_guesses_is_slowed_down_and_nobody_else(house: House, mine: Membership) -> None:
    friend = colleague(mine.organization)
    lamp = Lamp(house).arrive()
    for _guess in range(WRONG_PER_MINUTE):
        assert refused(claims.look, "P=a&N=b", mine).problem is ClaimProblem.UNREADABLE
    slowed = unchanged(claims.confirm, lamp.code(), mine)
    assert (slowed.problem, slowed.detail) == (ClaimProblem.TOO_MANY_TRIES, {"retry_after_seconds": 60})
    assert unchanged(claims.offer, mine, serial="x").problem is ClaimProblem.TOO_MANY_TRIES
    assert claims.confirm(lamp.code(), friend).state == "onboarding"


def test_a_fleet_of_right_codes_is_never_slowed_down(house: House, mine: Membership) -> None:
    for number in range(WRONG_PER_MINUTE + 5):
        claims.confirm(Lamp(house, f"SN-{number}").arrive().code(), mine)
    assert Device.objects.count() == WRONG_PER_MINUTE + 5


def test_every_problem_of_the_catalogue_is_reached_by_a_claim() -> None:
    """A new problem wants a test: each is named in these files, and only those that a test provokes."""
    source = "".join(file.read_text() for file in Path(__file__).parent.glob("test_claims*.py"))
    assert [problem for problem in ClaimProblem if f"ClaimProblem.{problem.name}" not in source] == []


def test_an_open_offer_is_shown_again_without_writing_anything(house: House, mine: Membership) -> None:
    lamp = reader("SN-5", house).arrive()
    offer = claims.offer(mine, serial="SN-5")
    claim = Claim.objects.get()
    before = everything()
    assert claims.offered(claim, mine) == offer
    assert claims.offered(claim, owner_of("Theirs")) is None
    assert everything()[0] == before[0]
    assert (
        refused(claims.offered, claim, colleague(mine.organization, "viewer")).problem
        is ClaimProblem.NO_RIGHT
    )
    lamp.read(offer.code)
    assert lamp.converse() is Verdict.ACCEPT
    claim.refresh_from_db()
    assert claims.offered(claim, mine) is None
