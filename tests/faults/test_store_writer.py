"""The writer thread answers for everybody: no single change, reader or listener may stop it."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import connection

from bootstrap.engine.store import Change, EventRow, Record
from bootstrap.engine.store.sqlite import SqliteStore
from bootstrap.errors import LocalError

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def change(name: str, **fields) -> Change:
    before = Record(protocol="eap-noob", locator=name, via="https", source="192.0.2.1", created_at=NOW)
    return Change(before, replace(before, state=b"x", version=1, seen_at=NOW, **fields))


@pytest.fixture
def store(transactional_db):
    opened = SqliteStore(connection.settings_dict["NAME"] or settings.DATABASES["default"]["NAME"])
    yield opened
    opened.close()


async def test_a_value_that_cannot_be_stored_fails_alone(store):
    fine = asyncio.wrap_future(store.submit(change("fine")))
    for poison in (
        change("poison-1", serial="\ud800"),
        change("poison-2", messages=2**70),
        replace(change("poison-3"), events=(EventRow("c", "info", {"x": object()}, NOW, "https"),)),
    ):
        with pytest.raises(LocalError):
            await asyncio.wait_for(store.commit(poison), 5)
    assert await asyncio.wait_for(fine, 5) is not None
    assert await asyncio.wait_for(store.commit(change("after")), 5) is not None
    for name in ("poison-1", "poison-2", "poison-3"):
        assert store.load("eap-noob", token=None, locator=name) is None


async def test_a_message_given_up_while_it_waits_stops_nobody_else(store):
    """A conversation's deadline may cancel the task that waits for its commit."""
    path = connection.settings_dict["NAME"]
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(store.commit(change("first")))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(store.commit(change("second")))
    await asyncio.sleep(0.1)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0.1)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await asyncio.wait_for(store.commit(change("third")), 10) is not None
    store.close()  # the first one is being written, or waits for its turn
    assert store.load("eap-noob", token=None, locator="first") is not None
    assert store.load("eap-noob", token=None, locator="second") is None


async def test_a_listener_that_fails_stops_nobody(transactional_db):
    def broken(_changes):
        raise RuntimeError("no channel layer")

    store = SqliteStore(connection.settings_dict["NAME"], published=broken)
    try:
        assert await asyncio.wait_for(store.commit(change("one")), 5) is not None
        assert await asyncio.wait_for(store.commit(change("two")), 5) is not None
    finally:
        store.close()
