"""``Engine.handle``: repetition, races, refusals, ways in; with the real store and the real peers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from engine_world import House, Lamp, elsewhere, owner_of, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.bindings import claims
from bootstrap.bindings import eap_noob as facts_of
from bootstrap.bindings.directory import DEFAULT_POLICY, OrganizationPolicy, PlanEntry, Snapshot
from bootstrap.bindings.eap import NAI_MAX_LENGTH, OPENING_SECONDS, Opening
from bootstrap.contract import Env, Inbound, Verdict, Via
from bootstrap.engine.models import Event, Session
from bootstrap.engine.store import Record
from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    TooManyRequests,
    UnexpectedMessage,
    UnknownDevice,
)
from bootstrap.protocols.eap_noob import Convention, device, messages
from bootstrap.protocols.eap_noob.constants import DEFAULT_NAI, NoobErrorCode
from bootstrap.simulator.transport import IDENTITY_REQUEST
from bootstrap.wire.eap import EapCode, EapPacket, EapType, nak, response, success
from devices.models import Membership, Realm
from devices.services.access import organization_update, realm_save

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = {"engine_session": 0, "engine_event": 0}


def identity(nai: str = DEFAULT_NAI, identifier: int = 0) -> bytes:
    return response(identifier, EapType.IDENTITY, nai.encode()).encode()


def discovery(identifier: int, peer_state: int = 0, peer_id: str | None = None) -> bytes:
    message = messages.DiscoveryResponse(peer_state=peer_state, peer_id=peer_id)
    return response(identifier, EapType.NOOB, message.encode()).encode()


def error_code(reply_body: bytes) -> int | None:
    """Of the EAP-NOOB notification in a request."""
    found = messages.decode_request(EapPacket.decode(reply_body).data)
    return found.error_code if isinstance(found, messages.ErrorNotification) else None


# Repetition and races.


def test_the_same_message_again_gets_the_same_answer_and_no_step(house: House) -> None:
    first = house.eap(identity())
    asked = house.eap(discovery(1), first.token)
    before, version = rows(), Session.objects.get().version
    for _again in range(3):
        assert house.eap(discovery(1), first.token) == asked
    assert rows() == before
    assert Session.objects.get().version == version


def test_every_message_of_an_onboarding_may_come_twice(house: House, mine: Membership) -> None:
    lamp = Lamp(house)
    once = house.eap

    def twice(body: bytes, token: str = "", **inbound: Any) -> Any:
        reply = once(body, token, **inbound)
        if token:
            assert once(body, token, **inbound) == reply
        return reply

    house.eap = twice  # type: ignore[method-assign]
    assert lamp.onboard(mine).state == "onboarded"


def test_a_repeated_success_brings_the_same_msk(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    claims.confirm(lamp.code(), mine)
    last: list[tuple[bytes, str]] = []
    once = house.eap

    def remember(body: bytes, token: str = "", **inbound: Any) -> Any:
        last.append((body, token))
        return once(body, token, **inbound)

    house.eap = remember  # type: ignore[method-assign]
    assert lamp.converse() is Verdict.ACCEPT
    again = once(*last[-1])
    assert (again.verdict, again.msk) == (Verdict.ACCEPT, lamp.replies[-1].msk)
    assert len(again.msk) == 64


def test_copies_that_arrive_together_make_one_session(house: House) -> None:
    first = house.eap(identity())

    async def at_once() -> list[Any]:
        inbound = Inbound(discovery(1), Via.HTTPS, "192.0.2.9", token=first.token)
        return await asyncio.gather(*(house.engine.handle("eap", inbound) for _copy in range(10)))

    answers = house.run(at_once())
    assert len({answer.body for answer in answers}) == 1
    assert Session.objects.count() == 1


def test_a_late_copy_of_the_opening_opens_nothing_new(house: House) -> None:
    """The same conversation, another Type 1: it may neither fork nor run in circles against its own token."""
    first = house.eap(identity())
    house.eap(discovery(1), first.token)
    before = rows()
    with pytest.raises(UnexpectedMessage):
        house.eap(discovery(1, peer_state=1, peer_id="x" * 22), first.token)
    assert rows() == before


def test_a_lost_race_is_stepped_again(house: House) -> None:
    """Somebody else moves the row between read and write, twice."""
    first = house.eap(identity())
    asked = house.eap(discovery(1), first.token)
    load, races = house.store.load, [0]

    def overtaken(*args: Any, **kwargs: Any) -> Record | None:
        found = load(*args, **kwargs)
        if races[0] < 2:
            races[0] += 1
            elsewhere("UPDATE engine_session SET version = version + 1")
        return found

    house.store.load = overtaken  # type: ignore[method-assign]
    peer = Lamp(house).peer()
    peer.respond(IDENTITY_REQUEST)
    request = EapPacket.decode(asked.body)
    peer.respond(replace(request, type=EapType.NOOB, data=b'{"Type":1}').encode())
    answer = peer.respond(asked.body)
    assert answer is not None
    reply = house.eap(answer, first.token)
    assert races[0] == 2
    assert messages.decode_request(EapPacket.decode(reply.body).data).TYPE == 3
    assert Session.objects.get().messages == 2


def test_a_race_that_never_ends_is_our_fault(house: House) -> None:
    first = house.eap(identity())
    asked = house.eap(discovery(1), first.token)
    load = house.store.load

    def overtaken(*args: Any, **kwargs: Any) -> Record | None:
        found = load(*args, **kwargs)
        elsewhere("UPDATE engine_session SET version = version + 1")
        return found

    house.store.load = overtaken  # type: ignore[method-assign]
    body = response(EapPacket.decode(asked.body).identifier, EapType.NOOB, b"{}").encode()
    with pytest.raises(LocalError):
        house.eap(body, first.token)


# Refusals that leave no row.


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MalformedMessage),
        (b"\x02", MalformedMessage),
        (b"\x02\x00\xff\xff\x01", MalformedMessage),
        (success(1).encode(), UnexpectedMessage),
        (b"\x01\x00\x00\x05\x01", UnexpectedMessage),
        (response(0, EapType.NOOB, b"{}").encode(), UnexpectedMessage),
        (nak(0, 13).encode(), UnexpectedMessage),
    ],
)
def test_what_cannot_open_a_conversation_leaves_no_row(
    house: House, body: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        house.eap(body)
    assert rows() == NOTHING


@pytest.mark.parametrize(
    "nai",
    ["", "alice", "alice@example.com", "noob@" + "x" * 130, "no\x07ob", "Noob@x.y", "noob", "noob.eap.arpa"],
)
def test_an_identity_that_nobody_serves_ends_at_once(house: House, nai: str) -> None:
    reply = house.eap(identity(nai, 7))
    assert (reply.verdict, reply.token) == (Verdict.REJECT, "")
    assert EapPacket.decode(reply.body) == EapPacket(EapCode.FAILURE, 7)
    assert rows() == NOTHING


def test_an_identity_that_is_no_text_ends_at_once(house: House) -> None:
    assert house.eap(response(0, EapType.IDENTITY, b"\xff\xfe").encode()).verdict is Verdict.REJECT


@pytest.mark.parametrize(
    "nai", ["noob@eap-noob.arpa", "@noob.eap.arpa", "noob@devices.example.com", "noob@NOOB.eap.arpa"]
)
def test_everybodys_realms_and_own_ones_are_served(house: House, nai: str) -> None:
    reply = house.eap(identity(nai, 255))
    packet = EapPacket.decode(reply.body)
    assert (packet.code, packet.identifier, packet.type) == (EapCode.REQUEST, 0, EapType.NOOB)
    assert reply.verdict is Verdict.CONTINUE
    assert rows() == NOTHING


def test_the_opening_fits_radius_state(house: House) -> None:
    house.directory.current = replace(house.directory.current, realms={})
    nai = "noob@" + "r" * (NAI_MAX_LENGTH - 5)
    reply = house.eap(identity(nai), organization_id=2**62)
    assert 0 < len(reply.token) <= 253


@pytest.mark.parametrize("token", ["x", "A" * 300, "ä", "AAAA" * 20, "=", " "])
def test_a_token_that_is_not_ours_is_nobodys(house: House, token: str) -> None:
    with pytest.raises(UnknownDevice):
        house.eap(discovery(1), token)
    assert rows() == NOTHING


def test_a_changed_token_is_nobodys(house: House) -> None:
    token = house.eap(identity()).token
    for position in range(0, len(token), 7):
        other = "A" if token[position] != "A" else "B"
        with pytest.raises(UnknownDevice):
            house.eap(discovery(1), token[:position] + other + token[position + 1 :])
    assert rows() == NOTHING


def test_a_conversation_that_takes_too_long_is_over(house: House) -> None:
    token = house.eap(identity()).token
    house.clock.forward(OPENING_SECONDS + 1)
    with pytest.raises(UnknownDevice):
        house.eap(discovery(1), token)
    assert rows() == NOTHING


def test_a_conversation_may_last_as_long_as_is_promised(house: House) -> None:
    token = house.eap(identity()).token
    house.clock.forward(OPENING_SECONDS - 1)
    assert house.eap(discovery(1), token).verdict is Verdict.CONTINUE


def test_an_opening_from_the_future_is_refused(house: House) -> None:
    later = int(house.clock.now.timestamp()) + 3600
    with pytest.raises(UnknownDevice):
        house.eap(discovery(1), Opening(later, 1, DEFAULT_NAI, None).seal())


def test_a_nak_ends_the_conversation_without_a_row(house: House) -> None:
    first = house.eap(identity())
    reply = house.eap(nak(1, EapType.TLS).encode(), first.token)
    assert EapPacket.decode(reply.body) == EapPacket(EapCode.FAILURE, 1)
    assert reply.verdict is Verdict.REJECT
    assert rows() == NOTHING


def test_a_nak_in_the_middle_of_the_method_is_refused(house: House) -> None:
    first = house.eap(identity())
    house.eap(discovery(1), first.token)
    with pytest.raises(UnexpectedMessage):
        house.eap(nak(2, EapType.TLS).encode(), first.token)


@pytest.mark.parametrize("identifier", [0, 2, 255])
def test_a_response_with_another_identifier_opens_nothing(house: House, identifier: int) -> None:
    first = house.eap(identity())
    with pytest.raises(UnknownDevice):
        house.eap(discovery(identifier), first.token)
    assert rows() == NOTHING


def test_a_response_with_another_identifier_is_refused_in_the_middle(house: House) -> None:
    first = house.eap(identity())
    house.eap(discovery(1), first.token)
    version = Session.objects.get().version
    with pytest.raises(UnexpectedMessage):
        house.eap(response(9, EapType.NOOB, b'{"Type":2}').encode(), first.token)
    assert Session.objects.get().version == version


def test_another_method_in_the_middle_is_refused(house: House) -> None:
    first = house.eap(identity())
    with pytest.raises(UnexpectedMessage):
        house.eap(response(1, EapType.TLS, b"").encode(), first.token)


@pytest.mark.parametrize("data", [b"", b"{}", b"nonsense", b'{"Type":2}', b'{"Type":1,"PeerState":9}'])
def test_a_stranger_that_talks_nonsense_gets_a_notification_a_failure_and_no_row(
    house: House, data: bytes
) -> None:
    first = house.eap(identity())
    told = house.eap(response(1, EapType.NOOB, data).encode(), first.token)
    assert error_code(told.body) is not None
    assert told.token != first.token
    ended = house.eap(response(2, EapType.NOOB, b'{"Type":0,"ErrorCode":1002}').encode(), told.token)
    assert EapPacket.decode(ended.body) == EapPacket(EapCode.FAILURE, 2)
    assert ended.verdict is Verdict.REJECT
    assert rows() == NOTHING


def test_a_registered_device_that_we_forgot_is_told_so_and_leaves_no_row(house: House) -> None:
    """A peer in state 3 or 4 whose association is not here: 2002, a person must reset it."""
    lamp = Lamp(house)
    lamp.state = replace(device.initial_state(), state=3, peer_id="p" * 22, nai=DEFAULT_NAI)
    assert lamp.converse() is Verdict.REJECT
    assert lamp.error_code == NoobErrorCode.STATE_MISMATCH
    assert rows() == NOTHING


def test_too_many_strangers_from_one_place_are_told_when_to_come_back(mine: Membership) -> None:
    house = House(burst=2)
    try:
        tokens = [house.eap(identity()).token for _stranger in range(4)]
        house.eap(discovery(1), tokens[0])
        house.eap(discovery(1), tokens[1])
        with pytest.raises(TooManyRequests) as refused:
            house.eap(discovery(1), tokens[2])
        assert refused.value.retry_after_seconds > 1
        assert Session.objects.count() == 2
        house.eap(discovery(1), tokens[0])  # whoever is in goes on
        assert house.eap(discovery(1), tokens[3], source="198.51.100.1").verdict is Verdict.CONTINUE
    finally:
        house.close()


def test_nobody_opens_a_plan_unannounced(house: House) -> None:
    for operation in ("p" * 22, "x" * 160):
        with pytest.raises(UnknownDevice):
            house.handle("provisioning", b"\xd0", operation=operation)
    for operation in ("", "x" * 161, "a\nb"):
        with pytest.raises(MalformedMessage):
            house.handle("provisioning", b"\xd0", operation=operation)
    assert rows() == NOTHING


# Identifiers (RFC 3748 section 4.2).


def test_requests_count_up_and_the_end_carries_the_number_it_answers(house: House) -> None:
    lamp = Lamp(house).arrive()
    packets = [EapPacket.decode(reply.body) for reply in lamp.replies]
    assert [packet.identifier for packet in packets] == [1, 2, 3, 3]
    assert packets[-1].code is EapCode.FAILURE


def test_success_carries_the_identifier_of_the_last_response(house: House, mine: Membership) -> None:
    lamp = Lamp(house).arrive()
    claims.confirm(lamp.code(), mine)
    lamp.replies.clear()
    lamp.converse()
    packets = [EapPacket.decode(reply.body) for reply in lamp.replies]
    assert [(packet.code, packet.identifier) for packet in packets] == [
        (EapCode.REQUEST, 1),
        (EapCode.REQUEST, 2),
        (EapCode.SUCCESS, 2),
    ]


# New names.


def test_a_peer_that_starts_over_gets_a_new_name_and_its_old_row_stays(house: House) -> None:
    lamp = Lamp(house).arrive()
    old = lamp.state.peer_id
    first = house.eap(identity())
    house.eap(discovery(1, peer_state=0, peer_id=old), first.token)
    assert Session.objects.count() == 2
    kept = Session.objects.get(locator=old)
    assert (kept.phase, kept.messages) == ("Waiting for OOB", 3)
    assert lamp.converse() is Verdict.REJECT  # and the first association still waits
    assert lamp.error_code is None
    assert Session.objects.get(locator=old).messages == 5


def test_an_unfinished_stranger_is_kept_for_minutes_and_a_waiting_one_for_a_day(house: House) -> None:
    first = house.eap(identity())
    house.eap(discovery(1), first.token)
    row = Session.objects.get()
    assert row.expires_at - row.seen_at == timedelta(minutes=15)
    lamp = Lamp(house, "SN-2").arrive()
    row = lamp.session()
    assert row.expires_at - row.seen_at == timedelta(days=1)


# Whose guest a stranger is.


def test_an_access_point_and_a_realm_say_whose_guest_a_stranger_is(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    realm_save(theirs.organization, None, name="devices.theirs.example.com")
    house.directory.refresh()
    plain = Lamp(house, "1").arrive()
    relayed = Lamp(house, "2", way={"organization_id": mine.organization_id}).arrive()
    named = Lamp(house, "3")
    named.facts = replace(named.facts, nai="noob@Devices.Theirs.example.com")
    named.arrive()
    both = Lamp(house, "4", way={"organization_id": mine.organization_id})
    both.facts = named.facts
    both.arrive()
    owners = [lamp.session().organization_id for lamp in (plain, relayed, named, both)]
    assert owners == [None, mine.organization_id, theirs.organization_id, mine.organization_id]


def test_a_stranger_that_moves_is_the_guest_of_where_it_is_now(house: House, mine: Membership) -> None:
    lamp = Lamp(house, way={"organization_id": mine.organization_id}).arrive()
    lamp.way = {}
    lamp.converse()
    assert lamp.session().organization_id is None


def test_a_claimed_device_stays_its_owners_wherever_it_comes_in(house: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    lamp = Lamp(house).arrive()
    claims.confirm(lamp.code(), mine)
    lamp.way = {"organization_id": theirs.organization_id, "via": Via.RADIUS}
    assert lamp.converse() is Verdict.ACCEPT
    assert (lamp.session().organization_id, lamp.session().via) == (mine.organization_id, "radius")


def test_new_devices_get_the_realm_that_is_assigned_and_keep_it(house: House, mine: Membership) -> None:
    realm_save(mine.organization, None, name="devices.mine.example.com", assign_to_new_devices=True)
    house.directory.refresh()
    lamp = Lamp(house, way={"organization_id": mine.organization_id}).arrive()
    assert lamp.state.nai == "noob@devices.mine.example.com"
    lamp.way = {}  # from now on the realm alone says whose it is
    lamp.converse()
    assert lamp.session().organization_id == mine.organization_id
    stranger = Lamp(house, "SN-2").arrive()
    assert stranger.state.nai == DEFAULT_NAI


@pytest.mark.parametrize("reading", Realm.Reading.values)
def test_a_realm_says_which_reading_its_devices_follow(house: House, mine: Membership, reading: str) -> None:
    """And a device of the other reading is learned: one failed attempt, then it works."""
    realm_save(
        mine.organization,
        None,
        name="devices.mine.example.com",
        kdf_datalength=reading,
        reconnect_nai=reading,
    )
    house.directory.refresh()
    lamp = Lamp(house)
    rfc = reading == "rfc"
    lamp.facts = replace(
        lamp.facts,
        nai="noob@devices.mine.example.com",
        convention=Convention(kdf_datalength=rfc, mac_nai=rfc),
    )
    lamp.arrive()
    claims.confirm(lamp.code(), mine)
    assert lamp.converse() is Verdict.ACCEPT
    lamp.state = device.rekey(lamp.state)
    assert lamp.converse() is Verdict.ACCEPT
    assert not Event.objects.filter(code="eap-noob.convention.other").exists()


@pytest.mark.parametrize("state", ["revoked", "retired", "suspended"])
def test_a_device_taken_out_of_service_is_not_wanted(house: House, mine: Membership, state: str) -> None:
    lamp = Lamp(house)
    found = lamp.onboard(mine)
    type(found).objects.filter(pk=found.pk).update(state=state)
    lamp.state = device.rekey(lamp.state)
    assert lamp.converse() is Verdict.REJECT
    assert lamp.error_code == NoobErrorCode.UNWANTED_PEER
    found.refresh_from_db()
    assert found.state == state


# SleepTime and ServerInfo.

POLICY = OrganizationPolicy(1, "O", 7, 77, 777)


@pytest.mark.parametrize(
    ("age", "fields", "seconds"),
    [
        (0, {}, 7),
        (15 * 60 - 1, {}, 7),
        (15 * 60, {}, 77),
        (4 * 3600 - 1, {}, 77),
        (4 * 3600, {}, 777),
        (30 * 86400, {"device_id": 1}, 7),
        (30 * 86400, {"guarded_until": THEN + timedelta(seconds=1)}, 7),
        (30 * 86400, {"guarded_until": THEN}, 777),
    ],
)
def test_sleep_time_grows_with_the_age_unless_somebody_is_at_it(
    age: int, fields: dict[str, Any], seconds: int
) -> None:
    record = Record("eap-noob", "p", created_at=THEN - timedelta(seconds=age), **fields)
    assert facts_of.sleep_seconds(record, POLICY, Env(THEN, bytes)) == seconds


def test_sleep_time_reaches_the_device_and_the_row_per_organization(house: House, mine: Membership) -> None:
    organization_update(mine.organization, None, sleep_attended_seconds=2, sleep_hour_seconds=20)
    house.directory.refresh()
    lamp = Lamp(house, way={"organization_id": mine.organization_id})
    plain = Lamp(house, "SN-2")
    told = []
    for one in (lamp, plain):
        peer, reply = one.until_the_end()
        one.hear_the_end(peer, reply)
        told.append((peer.sleep_time, (one.session().next_at - one.session().seen_at).total_seconds()))
    assert told == [(2, 2), (5, 5)]
    house.clock.forward(3600)
    peer, _reply = lamp.until_the_end()
    assert peer.sleep_time == 20
    assert (lamp.session().next_at - lamp.session().seen_at).total_seconds() == 20


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=words, ssids=st.lists(words, max_size=30))
def test_server_info_fits_whatever_things_are_called(name: str, ssids: list[str]) -> None:
    items = tuple({"id": str(n), "kind": "network", "value": {"ssid": s}} for n, s in enumerate(ssids))
    snapshot = Snapshot(
        organizations={1: OrganizationPolicy(1, name)},
        default_plans={1: PlanEntry(hash(ssids.__str__()), items)},
    )
    text = facts_of.server_info(snapshot, 1)
    assert len(text.encode()) <= 500
    info = json.loads(text)
    assert info["ServerURL"].startswith("https://")
    assert set(info["Onward"]) == {"https", "coap"}
    assert info.get("SSIDList", []) == ssids[: len(info.get("SSIDList", []))]
    assert (name or "Onward").startswith(info["ServerName"])


def test_a_stranger_learns_nothing_of_any_organization(house: House) -> None:
    info = json.loads(facts_of.server_info(house.directory.current, None))
    assert (info["ServerName"], "SSIDList" in info) == ("Onward", False)
    assert house.directory.current.policy(None) == DEFAULT_POLICY
