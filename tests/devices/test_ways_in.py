"""Access points, realms, expected serials, policies, and what the doors learn of them."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from bootstrap.bindings.directory import Directory, load_snapshot
from bootstrap.errors import LocalError
from devices.models import AccessPoint, AuditEntry, ExpectedSerial, Membership, Realm, Revision
from devices.services.access import (
    access_point_delete,
    access_point_save,
    access_point_secret,
    expected_serials_add,
    expected_serials_remove,
    organization_update,
    realm_delete,
    realm_save,
)
from devices.services.audit import audit_verify
from devices.services.people import organization_create, user_ensure
from devices.services.plans import plan_delete, plan_save

SECRET = "a shared secret"
pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Membership:
    user = user_ensure("owner@example.com")
    return Membership.objects.get(organization=organization_create("Mine", user), user=user)


@pytest.fixture
def theirs() -> Membership:
    user = user_ensure("owner@example.org")
    return Membership.objects.get(organization=organization_create("Theirs", user), user=user)


def point(membership: Membership, address: str, secret: str = SECRET, **fields: Any) -> AccessPoint:
    return access_point_save(
        membership.organization, membership.user, address=address, secret=secret, **fields
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.7/24 ", "192.0.2.0/24"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ],
)
def test_an_address_has_one_spelling(mine: Membership, written: str, kept: str) -> None:
    first = point(mine, written)
    assert first.address == kept
    assert point(mine, kept, "another secret", name="AP").pk == first.pk
    assert AccessPoint.objects.count() == 1


@pytest.mark.parametrize("address", ["", "x", "192.0.2", "192.0.2.0/33", "example.com", "1.2.3.4;5"])
def test_what_is_no_address_is_refused(mine: Membership, address: str) -> None:
    with pytest.raises(ValidationError):
        point(mine, address)
    assert AccessPoint.objects.count() == 0


@pytest.mark.parametrize("secret", ["", "short", "x" * 129, "ä" * 65])
def test_a_secret_is_neither_short_nor_endless(mine: Membership, secret: str) -> None:
    with pytest.raises(ValidationError):
        point(mine, "192.0.2.7", secret)


def test_a_secret_is_sealed_and_opens_only_in_its_place(mine: Membership) -> None:
    first, second = point(mine, "192.0.2.7"), point(mine, "192.0.2.8", "another secret")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM devices_accesspoint")
        assert SECRET not in str(cursor.fetchall())
    assert SECRET not in str(list(AuditEntry.objects.values()))
    assert access_point_secret(AccessPoint.objects.get(pk=first.pk)) == SECRET.encode()
    second.secret = first.secret
    with pytest.raises(LocalError):
        access_point_secret(second)


def test_an_address_belongs_to_one_organization(mine: Membership, theirs: Membership) -> None:
    point(mine, "192.0.2.7")
    with pytest.raises(ValidationError):
        point(theirs, "192.0.2.7/32")
    assert access_point_secret(AccessPoint.objects.get()) == SECRET.encode()


def test_the_narrowest_network_wins(mine: Membership, theirs: Membership) -> None:
    point(mine, "192.0.2.0/24")
    point(theirs, "192.0.2.128/25", "theirs secret")
    point(mine, "2001:db8::/32")
    snapshot = load_snapshot(1)
    found = [
        snapshot.access_point(ipaddress.ip_address(a))
        for a in ("192.0.2.1", "192.0.2.200", "::ffff:192.0.2.200", "2001:db8::5", "198.51.100.1")
    ]
    assert [f.organization_id if f else None for f in found] == [
        mine.organization_id,
        theirs.organization_id,
        theirs.organization_id,
        mine.organization_id,
        None,
    ]
    assert found[1] is not None
    assert "secret" not in repr(found[1])


@pytest.mark.parametrize("name", ["devices.example.com", "a.b", "x-1.example", "a" * 63 + ".example"])
def test_a_domain_name_is_a_realm(mine: Membership, name: str) -> None:
    assert realm_save(mine.organization, None, name=f" {name.upper()} ").name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "localhost", "-a.example", "a-.example", "a..b", ".a.b", "a.b.", "a_b.c", "ä.example", "a b.c"),
        *("eap-noob.arpa", "noob.eap.arpa", "NOOB.EAP.ARPA", "a." + "b" * 120, "a@b.c", "a.b\nc"),
    ],
)
def test_what_is_no_domain_name_of_ones_own_is_no_realm(mine: Membership, name: str) -> None:
    with pytest.raises(ValidationError):
        realm_save(mine.organization, None, name=name)
    assert Realm.objects.count() == 0


def test_a_realm_belongs_to_one_organization(mine: Membership, theirs: Membership) -> None:
    realm_save(mine.organization, None, name="devices.example.com")
    with pytest.raises(ValidationError):
        realm_save(theirs.organization, None, name="Devices.example.com", reconnect_nai="legacy")
    assert Realm.objects.get().reconnect_nai == "rfc"


def test_a_reading_is_one_of_the_two(mine: Membership) -> None:
    with pytest.raises(ValidationError):
        realm_save(mine.organization, None, name="a.example", kdf_datalength="other")
    realm_save(mine.organization, None, name="a.example", kdf_datalength="legacy")
    policy = load_snapshot(1).realm("noob@A.EXAMPLE")
    assert policy is not None
    assert (policy.kdf_datalength, policy.mac_nai) == (False, True)


def test_one_realm_at_a_time_is_given_to_new_devices(mine: Membership, theirs: Membership) -> None:
    realm_save(mine.organization, None, name="a.example", assign_to_new_devices=True)
    realm_save(theirs.organization, None, name="c.example", assign_to_new_devices=True)
    realm_save(mine.organization, None, name="b.example", assign_to_new_devices=True)
    assert set(Realm.objects.filter(assign_to_new_devices=True).values_list("name", flat=True)) == {
        "b.example",
        "c.example",
    }
    policies = load_snapshot(1)
    assert policies.policy(mine.organization_id).assigned_realm == "b.example"
    assert policies.policy(theirs.organization_id).assigned_realm == "c.example"


def test_expected_serials_are_kept_once_and_apart(mine: Membership, theirs: Membership) -> None:
    assert expected_serials_add(mine.organization, None, [" A ", "A", "B", "", "  ", "x" * 200]) == 3
    assert expected_serials_add(mine.organization, None, ["B", "C"]) == 1
    assert expected_serials_add(theirs.organization, None, ["A"]) == 1
    assert expected_serials_remove(mine.organization, None, ["A", "nobody"]) == 1
    assert set(ExpectedSerial.objects.values_list("organization__name", "serial")) == {
        ("Mine", "B"),
        ("Mine", "C"),
        ("Mine", "x" * 120),
        ("Theirs", "A"),
    }


def test_thousands_of_serials_at_once(mine: Membership) -> None:
    many = [f"SN-{number}" for number in range(5000)]
    assert expected_serials_add(mine.organization, None, many) == 5000
    assert expected_serials_add(mine.organization, None, many) == 0
    assert expected_serials_remove(mine.organization, None, many) == 5000


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"sleep_attended_seconds": 3601},
        {"sleep_idle_seconds": -1},
        {"noob_timeout_seconds": 59},
        {"noob_timeout_seconds": 86401},
        {"oob_retries": 0},
        {"oob_retries": 21},
        {"silence_reminder_seconds": 9},
        {"forward_secrecy": "perhaps"},
    ],
)
def test_a_policy_stays_within_what_the_protocol_bears(mine: Membership, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        organization_update(mine.organization, None, **fields)


def test_what_doors_keep_in_memory_follows_every_change(mine: Membership) -> None:
    directory = Directory()
    directory.refresh()
    deeds = [
        lambda: point(mine, "192.0.2.7"),
        lambda: access_point_delete(AccessPoint.objects.get(), None),
        lambda: realm_save(mine.organization, None, name="a.example"),
        lambda: realm_delete(Realm.objects.get(), None),
        lambda: organization_update(mine.organization, None, sleep_idle_seconds=7),
        lambda: plan_save(mine.organization, None, name="P", items=[]),
        lambda: plan_delete(mine.organization.plans.get(), None),
        lambda: organization_create("Third", mine.user),
    ]
    for deed in deeds:
        before = directory.current
        directory.refresh()
        assert directory.current is before
        deed()
        directory.refresh()
        assert directory.current.revision > before.revision
    assert directory.current.policy(mine.organization_id).sleep_idle_seconds == 7
    assert Revision.objects.count() == 1
    assert audit_verify(mine.organization) is None


def test_an_access_point_whose_secret_is_lost_closes_no_door(mine: Membership) -> None:
    """The vault's key is gone for one row: the others, and every device that comes otherwise, go on."""
    point(mine, "192.0.2.7")
    lost = point(mine, "192.0.2.8")
    AccessPoint.objects.filter(pk=lost.pk).update(secret=b"\0" * 60)
    snapshot = load_snapshot(1)
    assert [entry.network.network_address.exploded for entry in snapshot.access_points] == ["192.0.2.7"]
