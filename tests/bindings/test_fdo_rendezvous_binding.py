"""TO0 and TO1 through the engine: who may register, how long, and what asking costs."""

from __future__ import annotations

import pytest
from engine_world import House, mine, rows
from fdo_house import Thing, factory

from bootstrap.engine.models import Session
from bootstrap.engine.strangers import strangers_expire, strangers_trim
from bootstrap.protocols.fdo.messages import ErrorMessage
from bootstrap.protocols.fdo.owner_client import To0Client
from bootstrap.protocols.fdo.reported import Reported
from devices.models import Membership
from devices.services.fdo import fdo_settings_save, manufacturer_distrust

__all__ = ["factory", "mine"]


@pytest.fixture
def thing(factory: House, mine: Membership) -> Thing:
    made = Thing(factory)
    made.admit(mine)
    return made


def registration() -> Session:
    return Session.objects.get(protocol="fdo-rv")


def test_asking_writes_nothing_and_proving_is_told(thing: Thing) -> None:
    thing.to0(thing.initialized())
    before, version = rows(), registration().version
    thing.send(*thing.converse_begin("to1"))
    assert (rows(), registration().version) == (before, version)
    assert thing.to1().addresses[0].urls() == ("http://owner.example.org:8080",)
    assert rows()["engine_event"] == before["engine_event"] + 1


def test_a_guid_that_nobody_registered_is_not_found(thing: Thing) -> None:
    with pytest.raises(Reported) as refused:
        thing.to1()
    assert refused.value.code == 6


def test_the_lease_ends(thing: Thing) -> None:
    assert thing.to0(thing.initialized(), wait_seconds=60).wait_seconds == 60
    thing.to1()
    now = thing.house.clock.forward(61)
    with pytest.raises(Reported):
        thing.to1()
    assert strangers_expire(now) >= 1
    assert not Session.objects.filter(protocol="fdo-rv").exists()


def test_a_lease_is_no_longer_than_the_organization_allows(thing: Thing, mine: Membership) -> None:
    fdo_settings_save(mine.organization, None, rv_max_wait_seconds=120)
    thing.house.directory.refresh()
    assert thing.to0(thing.initialized(), wait_seconds=10**6).wait_seconds == 120


def test_making_room_for_strangers_takes_no_registration(thing: Thing) -> None:
    thing.to0(thing.initialized())
    strangers_trim(0, thing.house.clock.now)
    thing.to1()


def test_a_registration_is_renewed_in_place(thing: Thing) -> None:
    voucher = thing.initialized()
    thing.to0(voucher, wait_seconds=100)
    thing.house.clock.forward(50)
    thing.to0(voucher, wait_seconds=100)
    thing.house.clock.forward(60)
    thing.to1()
    assert Session.objects.filter(protocol="fdo-rv").count() == 1


def test_a_registration_that_was_recorded_does_not_come_back(thing: Thing) -> None:
    voucher = thing.initialized()
    thing.to0(voucher, wait_seconds=100)
    recorded = thing.log[-1]
    thing.house.clock.forward(1)
    thing.to0(voucher, wait_seconds=50)
    before = registration().version
    answer = thing.send(22, recorded.body, recorded.token)
    assert (answer.number, ErrorMessage.decode(answer.body).code) == (255, 101)
    assert registration().version == before


def test_a_repeated_registration_gets_its_answer_again(thing: Thing) -> None:
    thing.to0(thing.initialized())
    last = thing.log[-1]
    before = registration().version
    assert thing.send(last.number, last.body, last.token) == last.answer
    assert registration().version == before


@pytest.mark.parametrize(("admission", "admitted"), [("any", True), ("any-own", True), ("trusted", True)])
def test_own_vouchers_are_admitted_by_every_rule(
    thing: Thing, mine: Membership, admission: str, admitted: bool
) -> None:
    fdo_settings_save(mine.organization, None, rv_admission=admission)
    thing.house.directory.refresh()
    assert (thing.to0(thing.initialized()).wait_seconds > 0) is admitted
    assert registration().organization_id == mine.organization_id


def test_a_manufacturer_that_nobody_trusts_is_refused(thing: Thing, mine: Membership) -> None:
    fdo_settings_save(mine.organization, None, rv_admission="trusted")
    manufacturer_distrust(mine.organization.trusted_manufacturers.get(), None)
    thing.house.directory.refresh()
    with pytest.raises(Reported) as refused:
        thing.to0(thing.initialized())
    assert refused.value.code == 101
    assert not Session.objects.filter(protocol="fdo-rv").exists()


def test_the_rendezvous_role_can_be_off(thing: Thing, mine: Membership) -> None:
    voucher = thing.initialized()
    thing.to0(voucher)
    fdo_settings_save(mine.organization, None, rendezvous_on=False)
    thing.house.directory.refresh()
    with pytest.raises(Reported) as refused:
        thing.to1()
    assert refused.value.code == 6
    with pytest.raises(Reported):
        thing.to0(voucher)


def test_a_token_of_one_protocol_opens_no_other(thing: Thing) -> None:
    thing.to0(thing.initialized())
    to0_token = thing.log[-1].token
    hello = thing.send(*thing.converse_begin("to1"))
    for number, token in ((32, to0_token), (22, hello.token), (64, hello.token), (12, to0_token)):
        answer = thing.send(number, b"\x81\x00", token)
        assert (answer.number, ErrorMessage.decode(answer.body).code) == (255, 1)


def test_another_owner_does_not_register_somebody_elses_device(thing: Thing, mine: Membership) -> None:
    from bootstrap.protocols.fdo.messages import RvTo2Addr
    from bootstrap.wire.keys import KeyKind, SoftSigner

    client = To0Client(
        thing.initialized(),
        SoftSigner.generate(KeyKind.P256),
        (RvTo2Addr(None, "evil.example.org", 1, 3),),
        60,
    )
    with pytest.raises(Reported) as refused:
        thing.converse(client)
    assert refused.value.code == 3
    assert not Session.objects.filter(protocol="fdo-rv").exists()
