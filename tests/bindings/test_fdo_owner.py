"""TO2 through the engine: what is written when, what a stranger cannot do, what the plan becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.utils import timezone
from engine_world import House, mine, rows
from fdo_house import Thing, factory

from bootstrap.engine import envelope, onboarding
from bootstrap.engine.models import Event, Session
from bootstrap.protocols.fdo.messages import ErrorMessage, HelloDevice
from bootstrap.protocols.fdo.reported import Reported
from bootstrap.protocols.fdo.server import OwnerMaterial
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.frozen import thaw
from bootstrap.wire.keys import SoftSigner
from devices.models import Device, DeviceFile, Membership, Onboarding, OwnerKey
from devices.services.fdo import fdo_settings_save
from devices.services.owner_keys import owner_key_active, owner_key_rotate
from devices.services.plans import plan_save

__all__ = ["factory", "mine"]


def code_of(body: bytes) -> int:
    return ErrorMessage.decode(body).code


def versions() -> list[tuple[str, str, int]]:
    return sorted(Session.objects.values_list("protocol", "locator", "version"))


def test_a_device_finds_its_owner_and_gets_a_new_credential(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    device = thing.admit(mine)
    voucher = thing.initialized()
    thing.to0(voucher)
    first = thing.guid
    done = thing.to2(thing.to1())
    assert not done.reused
    assert thing.guid != first
    sessions = {s.locator: s for s in Session.objects.filter(protocol="fdo")}
    assert set(sessions) == {first, thing.guid}
    assert (sessions[first].milestone, sessions[first].device_id) == ("provisioned", device.pk)
    assert (sessions[thing.guid].milestone, sessions[thing.guid].device_id) == ("", device.pk)
    device.refresh_from_db()
    assert device.state == "onboarding"
    codes = list(Event.objects.filter(device=device).order_by("id").values_list("code", flat=True))
    assert codes[0] == "fdo.hello-device"
    assert codes[-1] == "fdo.done"
    thing.to2()  # with the new credential
    assert Session.objects.filter(protocol="fdo").count() == 3


def test_nothing_is_written_before_the_device_has_proved_itself(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    before, written = rows(), versions()
    number, body, token = thing.converse(thing.party(), until=64)
    assert (rows(), versions()) == (before, written)
    thing.send(number, body, token)
    assert rows()["engine_event"] > before["engine_event"]


def test_every_message_may_come_twice(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    once = thing.send

    def twice(number: int, body: bytes, token: str = "", station: str = "") -> object:
        answer = once(number, body, token, station)
        if number > 62:
            assert once(number, body, token, station) == answer
        return answer

    thing.send = twice  # type: ignore[method-assign, assignment]
    thing.to2()
    assert Session.objects.filter(protocol="fdo").count() == 2
    assert Event.objects.filter(code="fdo.done").count() == 1


def test_whoever_knows_the_guid_does_not_push_out_the_devices_own_run(
    factory: House, mine: Membership
) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    number, body, token = thing.converse(party := thing.party(), until=68)
    before = versions()
    stranger = Thing(factory, source="203.0.113.1")
    stranger.credential = thing.credential
    other = stranger.converse(stranger.party(), until=64)
    assert stranger.send(*other).number == 255  # signed by another key
    assert versions() == before
    answer = thing.send(number, body, token)
    while True:
        following = party.receive(answer.number, answer.body)
        if not isinstance(following, tuple):
            break
        answer = thing.send(*following, answer.token or token)
    assert not following.reused


def test_a_strangers_complaint_is_told_and_changes_nothing(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    device = thing.admit(mine)
    run = thing.converse(party := thing.party(), until=68)
    stranger = Thing(factory, source="203.0.113.1")
    stranger.credential = thing.credential
    token = stranger.send(*stranger.party().begin()).token
    complaint = ErrorMessage(101, 61, "no").encode()
    assert stranger.send(255, complaint, token) == (255, b"", "", 0)
    assert Event.objects.filter(device=device, code="fdo.error-received").count() == 1
    answer = thing.send(*run)
    assert answer.number == 69
    party.receive(answer.number, answer.body)


def test_a_run_that_was_overtaken_is_a_replay(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    old = thing.converse(thing.party(), until=64)
    factory.clock.forward(1)
    thing.to2()
    before = versions()
    answer = thing.send(*old)
    assert (answer.number, code_of(answer.body)) == (255, 101)
    assert versions() == before


def test_a_recorded_proof_does_not_bring_back_its_run(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    thing.to2()
    proof = next(one for one in thing.log if one.number == 64)
    before = versions()
    answer = thing.send(64, proof.body, proof.token)
    assert (answer.number, code_of(answer.body)) == (255, 101)
    assert versions() == before


def test_a_token_lives_for_minutes(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    old = thing.converse(thing.party(), until=64)
    factory.clock.forward(301)
    answer = thing.send(*old)
    assert (answer.number, code_of(answer.body)) == (255, 1)


@pytest.mark.parametrize("token", ["", "x", "h", "hAAAA", "c", "cAAAAAAAAAAAAAAAAAAAAAAAA", "r" + "A" * 80])
@pytest.mark.parametrize("number", [62, 64, 66, 68, 70])
def test_a_token_that_is_not_ours_is_refused_as_such(factory: House, number: int, token: str) -> None:
    answer = Thing(factory).send(number, b"\x80", token)
    assert (answer.number, code_of(answer.body)) == (255, 1)


def test_an_unknown_guid_costs_no_signature(
    factory: House, mine: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    number, body = thing.party().begin()
    signed: list[int] = []
    monkeypatch.setattr(SoftSigner, "sign", lambda *_words: signed.append(1))
    answer = thing.send(number, replace(HelloDevice.decode(body), guid=bytes(16), raw=b"").encode())
    assert (answer.number, code_of(answer.body)) == (255, 6)
    assert not signed


def test_messages_out_of_turn_change_nothing(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    hello = thing.send(*thing.party().begin())
    before = versions()
    for number in (64, 66, 68, 70):
        assert thing.send(number, b"\x80", hello.token).number == 255
    run = thing.converse(thing.party(), until=66)
    before = versions()
    for number in (62, 64, 68, 70):
        assert thing.send(number, run[1], run[2]).number == 255
    assert versions() == before


def test_one_octet_changed_in_a_protected_message_changes_nothing(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    number, body, token = thing.converse(thing.party(), until=66)
    before = versions()
    for at in range(0, len(body), 7):
        spoiled = bytearray(body)
        spoiled[at] ^= 1
        assert thing.send(number, bytes(spoiled), token).number == 255
    assert versions() == before
    assert thing.send(number, body, token).number == 67


@pytest.mark.parametrize("state", ["revoked", "retired", "suspended"])
def test_a_device_out_of_service_is_not_served(factory: House, mine: Membership, state: str) -> None:
    thing = Thing(factory)
    thing.admit(mine, state=state)
    answer = thing.send(*thing.party().begin())
    assert (answer.number, code_of(answer.body)) == (255, 6)


def test_the_owner_role_can_be_off(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    fdo_settings_save(mine.organization, None, owner_on=False)
    factory.directory.refresh()
    answer = thing.send(*thing.party().begin())
    assert (answer.number, code_of(answer.body)) == (255, 6)


def test_reuse_keeps_the_credential_and_the_session(factory: House, mine: Membership) -> None:
    fdo_settings_save(mine.organization, None, reuse_credentials=True)
    factory.directory.refresh()
    thing = Thing(factory)
    thing.admit(mine)
    before = thing.guid
    for _again in range(2):
        assert thing.to2().reused
    assert thing.guid == before
    assert Session.objects.filter(protocol="fdo").count() == 1


def test_a_device_that_never_heard_the_end_may_begin_again(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    old = thing.credential
    thing.send(*thing.converse(thing.party(), until=70))  # 71 is lost
    thing.credential = old
    assert not thing.to2().reused


def test_a_device_may_die_at_any_message_and_start_again(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    for number in (62, 64, 66, 68, 70):
        thing.converse(thing.party(), until=number)
    assert not thing.to2().reused


def test_a_rotated_key_reaches_the_device_with_its_next_credential(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    old = owner_key_active(mine.organization, OwnerKey.Purpose.OWNER)
    assert old is not None
    fresh = owner_key_rotate(old, None)
    factory.directory.refresh()
    thing.to2()  # the voucher's own, retired key still serves it
    row = Session.objects.get(protocol="fdo", locator=thing.guid)
    material = envelope.unseal_material(bytes(row.material or b""), "fdo", thing.guid)
    voucher = Voucher.decode(thaw(OwnerMaterial, material).voucher)
    assert voucher.owner_key.handle().der == bytes(fresh.public)
    thing.to2()


def test_too_many_beginnings_of_one_guid_are_refused(factory: House, mine: Membership) -> None:
    thing = Thing(factory)
    thing.admit(mine)
    answers = [thing.send(*thing.party().begin()) for _ in range(40)]
    assert answers[0].number == 61
    assert (answers[-1].number, code_of(answers[-1].body)) == (255, 500)
    assert answers[-1].retry_after_seconds > 0
    other = Thing(factory, "SN-2")
    other.admit(mine)
    assert other.send(*other.party().begin()).number == 61
    factory.clock.forward(60)
    assert thing.send(*thing.party().begin()).number == 61


# The plan.


def plan(mine: Membership, house: House, *items: dict[str, object]) -> None:
    plan_save(mine.organization, None, name="P", items=list(items))
    house.directory.refresh()


def test_the_plan_reaches_the_device(factory: House, mine: Membership) -> None:
    plan(
        mine,
        factory,
        {"id": "site", "kind": "config", "value": {"key": "site", "value": "${tag.site}/${devmod.os}"}},
        {"id": "hi", "kind": "file", "value": {"path": "/srv/${serial}.txt", "content": "aGk="}},
        {
            "id": "run",
            "kind": "command",
            "value": {"command": "echo", "args": "'a b' ${guid}", "output": "yes"},
        },
    )
    thing = Thing(factory)
    device = thing.admit(mine, tags={"site": "Åbo"})
    guid = thing.guid
    thing.to2()
    assert thing.effects.files["/srv/SN-1.txt"] == b"hi"
    assert "Åbo/linux".encode() in thing.effects.files["/etc/onward/config.d/site.json"]
    assert thing.effects.commands == [("echo", ("a b", guid))]
    assert Session.objects.get(protocol="fdo", locator=guid).milestone == "provisioned"
    assert not DeviceFile.objects.filter(device=device).exists()  # settling is a worker's


def test_a_plan_that_asks_for_what_is_not_there_stops_the_device_and_says_why(
    factory: House, mine: Membership
) -> None:
    plan(mine, factory, {"id": "x", "kind": "config", "value": {"key": "a", "value": "${tag.site}"}})
    thing = Thing(factory)
    device = thing.admit(mine)
    with pytest.raises(Reported) as refused:
        thing.to2()
    assert refused.value.code == 500
    event = Event.objects.get(device=device, code="fdo.plan-unfit")
    assert event.detail == {"item": "x", "name": "tag.site"}
    assert Session.objects.get(protocol="fdo").milestone == "stuck"
    now = timezone.now()
    Onboarding.objects.create(device=device, started_at=now, step_since=now)
    onboarding.advance(device.pk)
    device.refresh_from_db()
    assert (device.state, device.reason) == ("stuck", "fdo.plan-unfit")
    Device.objects.filter(pk=device.pk).update(tags={"site": "x"})
    thing.to2()
    onboarding.advance(device.pk)
    device.refresh_from_db()
    assert (device.state, device.reason) == ("onboarded", "")


def test_the_groups_plan_counts_before_the_organizations(factory: House, mine: Membership) -> None:
    plan(mine, factory, {"id": "all", "kind": "config", "value": {"key": "a", "value": "all"}})
    grouped = plan_save(
        mine.organization,
        None,
        name="G",
        items=[{"id": "some", "kind": "config", "value": {"key": "a", "value": "some"}}],
    )
    factory.directory.refresh()
    group = mine.organization.groups.create(name="G", plan=grouped)
    thing = Thing(factory)
    thing.admit(mine, group=group)
    thing.to2()
    assert list(thing.effects.files) == ["/etc/onward/config.d/some.json"]
