"""What a device message costs the database, counted by SQLite itself: one SELECT and one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from engine_world import House, Lamp

from bootstrap.bindings import claims
from bootstrap.contract import Reply
from bootstrap.engine.service import Engine
from bootstrap.engine.store.sqlite import SqliteStore
from bootstrap.errors import PeerError
from bootstrap.protocols.eap_noob import device
from bootstrap.protocols.eap_noob.constants import DEFAULT_NAI
from bootstrap.wire.eap import EapPacket, EapType, nak, response
from devices.models import Membership
from devices.services.plans import plan_save


class Spied(SqliteStore):
    """The real store; every connection it opens tells what SQLite is asked to do."""

    statements: list[str]

    def _connect(self) -> sqlite3.Connection:
        opened = super()._connect()
        opened.set_trace_callback(self.statements.append)
        return opened


@pytest.fixture
def spy(house: House) -> Iterator[Spied]:
    """The house, but with a store that is listened to."""
    Spied.statements = []
    built = Spied(connection.settings_dict["NAME"])
    house.engine._store = built
    yield built
    built.close()


def shape(statements: list[str]) -> list[str]:
    """First words, without what belongs to a transaction."""
    words = [statement.split()[0] for statement in statements]
    return [word for word in words if word not in ("SAVEPOINT", "RELEASE", "PRAGMA")]


@contextmanager
def no_django() -> Iterator[None]:
    """Any query through Django's connection fails the test."""

    def refuse(_execute: Callable[..., Any], sql: str, *_rest: Any) -> Any:
        raise AssertionError(f"the ORM was asked: {sql}")

    with connection.execute_wrapper(refuse):
        yield


class Tapped:
    """Counts every message of a whole onboarding."""

    def __init__(self, house: House, spy: Spied) -> None:
        self.costs: list[tuple[str, list[str]]] = []
        handle = house.engine.handle

        async def counted(slug: str, inbound: Any) -> Reply:
            spy.statements.clear()
            with no_django():
                reply = await handle(slug, inbound)
            self.costs.append((kind(slug, inbound), shape(spy.statements)))
            return reply

        house.engine.handle = counted  # type: ignore[method-assign]


def kind(slug: str, inbound: Any) -> str:
    if slug != "eap":
        return slug
    packet = EapPacket.decode(inbound.body)
    return "identity" if packet.type == EapType.IDENTITY else "eap"


def test_one_read_and_one_transaction_for_every_message_of_a_devices_life(
    house: House, mine: Membership, spy: Spied
) -> None:
    plan_save(
        mine.organization,
        None,
        name="P",
        items=[{"kind": "config", "value": {"key": "a", "value": "b"}}],
    )
    house.directory.refresh()
    tapped = Tapped(house, spy)
    lamp = Lamp(house).arrive()  # Initial
    lamp.converse()  # Waiting
    claims.confirm(lamp.code(), mine)
    lamp.converse()  # Completion
    lamp.take_plan()
    lamp.check_in()
    lamp.state = device.rekey(lamp.state)
    lamp.converse()  # Reconnect
    lamp.fetch()
    assert [cost for what, cost in tapped.costs if what == "identity"] == [[]] * 4
    messages = [cost for what, cost in tapped.costs if what != "identity"]
    assert len(messages) == 3 + 2 + 2 + 4 + 5
    for cost in messages:
        assert cost[:2] == ["SELECT", "BEGIN"]
        assert cost[-1] == "COMMIT"
        assert cost.count("SELECT") == cost.count("BEGIN") == cost.count("COMMIT") == 1
        assert cost[2:-1].count("UPDATE") + cost[2:-1].count("INSERT") == len(cost) - 3
    assert max(len(cost) for cost in messages) <= 9


def test_a_repeated_message_costs_one_read_and_no_write(house: House, spy: Spied) -> None:
    first = house.eap(response(0, EapType.IDENTITY, DEFAULT_NAI.encode()).encode())
    body = response(1, EapType.NOOB, b'{"Type":1,"PeerState":0}').encode()
    house.eap(body, first.token)
    spy.statements.clear()
    house.eap(body, first.token)
    assert shape(spy.statements) == ["SELECT"]


def test_what_needs_no_session_costs_nothing(house: House, spy: Spied) -> None:
    token = house.eap(response(0, EapType.IDENTITY, DEFAULT_NAI.encode()).encode()).token
    spy.statements.clear()
    tries: list[tuple[bytes, str]] = [
        (response(0, EapType.IDENTITY, DEFAULT_NAI.encode()).encode(), ""),
        (response(0, EapType.IDENTITY, b"alice@example.com").encode(), ""),
        (b"garbage", ""),
        (b"", ""),
        (response(1, EapType.NOOB, b"{}").encode(), "not-ours"),
        (response(1, EapType.NOOB, b"{}").encode(), token[:-4] + "AAAA"),
        (nak(1, EapType.TLS).encode(), token),
        (response(1, EapType.TLS, b"x").encode(), token),
    ]
    with no_django():
        for body, given in tries:
            try:
                house.eap(body, given)
            except PeerError:
                continue
    with pytest.raises(PeerError):
        house.handle("provisioning", b"x", operation="")
    assert shape(spy.statements) == []


def test_a_refused_message_costs_one_read_and_no_write(house: House, mine: Membership, spy: Spied) -> None:
    lamp = Lamp(house)
    lamp.onboard(mine)
    spy.statements.clear()
    for operation, body in ((lamp.state.peer_id, b"garbage"), ("nobody", b"garbage")):
        with pytest.raises(PeerError):
            house.handle("provisioning", body, operation=operation)
    assert shape(spy.statements) == ["SELECT", "SELECT"]


def test_the_spy_hears_a_second_read(house: House, spy: Spied) -> None:
    """The counting itself can fail: a store that reads twice is noticed."""
    load = spy.load

    def twice(*args: Any, **kwargs: Any) -> Any:
        load(*args, **kwargs)
        return load(*args, **kwargs)

    spy.load = twice  # type: ignore[method-assign]
    tapped = Tapped(house, spy)
    Lamp(house).arrive()
    assert [cost.count("SELECT") for _what, cost in tapped.costs] == [0, 2, 2, 2]
    assert isinstance(house.engine, Engine)
