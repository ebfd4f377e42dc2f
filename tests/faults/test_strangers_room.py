"""Room for strangers: who is pushed out when there are too many, and who never is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.admission import SOURCES_MAX, Admission
from bootstrap.engine.models import Session
from bootstrap.engine.strangers import _fair_share, strangers_expire, strangers_trim
from bootstrap.errors import TooManyRequests

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def stranger(name: str, source: str, *, messages: int = 3, age: int = 60, **more) -> Session:
    return Session(
        protocol="eap-noob",
        locator=name,
        via="https",
        source=source,
        state=b"",
        version=1,
        messages=messages,
        created_at=NOW - timedelta(seconds=age),
        seen_at=NOW - timedelta(seconds=age),
        **more,
    )


def left() -> set[str]:
    return set(Session.objects.values_list("locator", flat=True))


@pytest.mark.django_db
def test_a_crowded_address_gives_before_a_quiet_one():
    flood = [stranger(f"f{n}", "203.0.113.9", age=n % 50) for n in range(500)]
    quiet = [stranger(f"q{n}", f"198.51.100.{n}", age=3000) for n in range(40)]
    Session.objects.bulk_create(flood + quiet)
    assert strangers_trim(100, NOW) == 440
    assert {f"q{n}" for n in range(40)} <= left()
    assert len(left()) == 100


@pytest.mark.django_db
def test_an_ipv6_network_is_one_crowd_however_many_addresses_it_uses():
    flood = [stranger(f"f{n}", f"2001:db8::{n + 1:x}", age=n % 50) for n in range(500)]
    quiet = [stranger(f"q{n}", f"2001:db8:0:{n + 1:x}::1", age=3000) for n in range(40)]
    Session.objects.bulk_create(flood + quiet)
    strangers_trim(100, NOW)
    assert {f"q{n}" for n in range(40)} <= left()


@pytest.mark.django_db
def test_behind_one_address_those_that_came_back_stay():
    flood = [stranger(f"f{n}", "203.0.113.9", age=1) for n in range(300)]
    back = [stranger(f"b{n}", "203.0.113.9", messages=5, age=500) for n in range(20)]
    Session.objects.bulk_create(flood + back)
    strangers_trim(50, NOW)
    assert {f"b{n}" for n in range(20)} <= left()


@pytest.mark.django_db
def test_from_ten_thousand_addresses_those_that_came_back_and_the_newest_stay():
    flood = [stranger(f"f{n}", f"10.{n >> 8}.{n & 255}.1", age=100) for n in range(10_000)]
    kept = [stranger("came-back", "192.0.2.1", messages=5, age=900), stranger("new", "192.0.2.2", age=0)]
    Session.objects.bulk_create(flood + kept)
    assert strangers_trim(200, NOW) == 9_802
    assert {"came-back", "new"} <= left()


@pytest.mark.django_db
def test_whom_a_person_looks_at_stays_even_when_that_is_all_there_is():
    looked_at = [
        stranger(f"g{n}", "203.0.113.9", guarded_until=NOW + timedelta(minutes=5), expires_at=NOW)
        for n in range(30)
    ]
    over = [stranger(f"o{n}", "198.51.100.1", guarded_until=NOW - timedelta(seconds=1)) for n in range(5)]
    Session.objects.bulk_create(looked_at + over)
    assert strangers_trim(10, NOW) == 5
    assert left() == {f"g{n}" for n in range(30)}
    assert strangers_expire(NOW + timedelta(minutes=1)) == 0
    assert strangers_expire(NOW + timedelta(minutes=6)) == 30


@given(st.lists(st.integers(1, 1000), max_size=50), st.integers(0, 20_000))
def test_the_fair_share_fills_the_room_and_no_more(counts, room):
    share = _fair_share(counts, room)
    assert sum(min(count, share) for count in counts) <= max(room, 0)
    if sum(counts) > room:
        assert sum(min(count, share + 1) for count in counts) > room


def test_the_memory_of_admission_has_an_end():
    admission = Admission(per_second=1, burst=2)
    for number in range(SOURCES_MAX + 5_000):
        admission.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", now=0)
    assert len(admission._buckets) == SOURCES_MAX


def test_a_new_device_gets_in_while_another_address_floods():
    admission = Admission(per_second=1, burst=10)
    for _number in range(10):
        admission.admit("203.0.113.9", now=0)
    for _number in range(9_990):
        with pytest.raises(TooManyRequests) as refused:
            admission.admit("203.0.113.9", now=0)
        assert refused.value.retry_after_seconds >= 1
    admission.admit("198.51.100.7", now=0)
    admission.admit("203.0.113.9", now=1.5)


def test_one_ipv6_network_has_one_bucket():
    admission = Admission(per_second=1, burst=1)
    admission.admit("2001:db8::1", now=0)
    with pytest.raises(TooManyRequests):
        admission.admit("2001:db8::ffff", now=0)
    admission.admit("2001:db8:0:1::1", now=0)
