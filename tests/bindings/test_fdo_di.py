"""DI through the engine: stations, keys and encodings, and what a repeated message does."""

from __future__ import annotations

import pytest
from engine_world import House, mine, owner_of, rows
from fdo_house import Thing, factory

from bootstrap.engine.models import Session
from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.protocols.fdo.messages import ErrorMessage
from bootstrap.protocols.fdo.reported import Reported
from bootstrap.protocols.fdo.voucher import verify
from bootstrap.wire.keys import KeyKind
from devices.models import Membership, OwnerKey
from devices.services.fdo import fdo_settings, fdo_settings_save, fdo_setup
from devices.services.owner_keys import owner_key_make

__all__ = ["factory", "mine"]


def test_message_10_costs_no_row(factory: House) -> None:
    before = rows()
    assert Thing(factory).send(*Thing(factory).di().begin()).number == 11
    assert rows() == before


def test_a_device_leaves_the_factory_with_a_sound_voucher_of_its_owner(
    factory: House, mine: Membership
) -> None:
    thing = Thing(factory)
    voucher = thing.initialize()
    verify(voucher)
    policy = factory.directory.current.fdo_policy(mine.organization_id)
    assert voucher.owner_key.handle() == policy.owner_keys[KeyKind.P256].handle
    row = Session.objects.get(protocol="fdo-di")
    assert (row.serial, row.organization_id, row.device_id) == ("SN-1", mine.organization_id, None)
    assert factory.rung == 1


def test_a_station_is_an_organizations_own(factory: House, mine: Membership) -> None:
    theirs = owner_of("Theirs")
    fdo_setup(theirs.organization, None)
    factory.directory.refresh()
    station = fdo_settings(theirs.organization).di_token
    Thing(factory, "SN-9", station=station).initialize()
    assert Session.objects.get(serial="SN-9").organization_id == theirs.organization_id
    Thing(factory, "SN-8").initialize()
    assert Session.objects.get(serial="SN-8").organization_id == mine.organization_id
    answer = Thing(factory).send(*Thing(factory).di().begin(), station="nobody")
    assert (answer.number, ErrorMessage.decode(answer.body).code) == (255, 6)


def test_only_the_factorys_network_may_initialize(factory: House, mine: Membership) -> None:
    fdo_settings_save(mine.organization, None, di_networks=["192.0.2.0/25", "2001:db8::/32"])
    factory.directory.refresh()
    Thing(factory, source="192.0.2.7").initialize()
    Thing(factory, source="::ffff:192.0.2.8").initialize()
    for source in ("192.0.2.200", "2001:db9::1", "unknown"):
        with pytest.raises(Reported) as refused:
            Thing(factory, source=source).initialize()
        assert refused.value.code == 101


def test_the_manufacturer_role_can_be_off(factory: House, mine: Membership) -> None:
    fdo_settings_save(mine.organization, None, manufacturer_on=False)
    factory.directory.refresh()
    with pytest.raises(Reported) as refused:
        Thing(factory).initialize()
    assert refused.value.code == 6


def test_the_last_message_again_gets_its_answer_and_no_second_voucher(factory: House) -> None:
    thing = Thing(factory)
    thing.initialize()
    last = thing.log[-1]
    before = rows()
    assert thing.send(last.number, last.body, last.token) == last.answer
    assert rows() == before


def test_another_hmac_does_not_make_another_voucher(factory: House) -> None:
    thing = Thing(factory)
    thing.initialize()
    last = thing.log[-1]
    before = rows()
    answer = thing.send(12, last.body[:-1] + bytes([last.body[-1] ^ 1]), last.token)
    assert (answer.number, ErrorMessage.decode(answer.body).code) == (255, 101)
    assert rows() == before


@pytest.mark.parametrize("encoding", [KeyEncoding.X509, KeyEncoding.COSEKEY])
@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384])
def test_a_device_gets_the_kind_of_key_and_the_encoding_it_asks_for(
    factory: House, mine: Membership, kind: KeyKind, encoding: KeyEncoding
) -> None:
    for purpose in (OwnerKey.Purpose.OWNER, OwnerKey.Purpose.MANUFACTURER):
        owner_key_make(mine.organization, None, "P-384", purpose=purpose)
    factory.directory.refresh()
    voucher = Thing(factory, kind=kind, encoding=encoding).initialize()
    verify(voucher)
    for key in (voucher.header.manufacturer_key, voucher.owner_key):
        assert (key.handle().kind, key.encoding) == (kind, encoding)


def test_a_kind_of_key_that_is_not_here_leaves_the_stations_own(factory: House) -> None:
    voucher = Thing(factory, kind=KeyKind.P384).initialize()
    verify(voucher)
    assert voucher.header.manufacturer_key.handle().kind is KeyKind.P256
    assert voucher.device_key.kind is KeyKind.P384


def test_x5chain_needs_certificates(factory: House, mine: Membership) -> None:
    voucher = Thing(factory, encoding=KeyEncoding.X5CHAIN).initialize()
    assert voucher.header.manufacturer_key.encoding is KeyEncoding.X509
    for purpose in (OwnerKey.Purpose.OWNER, OwnerKey.Purpose.MANUFACTURER):
        owner_key_make(mine.organization, None, "P-256", purpose=purpose, encoding=OwnerKey.Encoding.X5CHAIN)
    factory.directory.refresh()
    voucher = Thing(factory, encoding=KeyEncoding.X5CHAIN).initialize()
    verify(voucher)
    assert voucher.owner_key.encoding is KeyEncoding.X5CHAIN
