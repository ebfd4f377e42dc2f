"""What an FDO message costs the database: never more than one SELECT and one transaction, and nothing to write before a
proof."""

from __future__ import annotations

import sqlite3
from typing import Any

from django.db import connection
from engine_world import House, mine
from fdo_house import Thing, factory

from bootstrap.contract import Reply
from bootstrap.engine.store.sqlite import SqliteStore
from devices.models import Membership

__all__ = ["factory", "mine"]

COSTS = {
    10: [],
    12: ["SELECT", "BEGIN", "COMMIT"],
    20: [],
    22: ["SELECT", "BEGIN", "COMMIT"],
    30: ["SELECT"],
    32: ["SELECT", "BEGIN", "COMMIT"],
    60: ["SELECT"],
    62: ["SELECT"],
    64: ["SELECT", "BEGIN", "COMMIT"],
    66: ["SELECT", "BEGIN", "COMMIT"],
    68: ["SELECT", "BEGIN", "COMMIT"],
    70: ["SELECT", "BEGIN", "COMMIT"],
}


class Spied(SqliteStore):
    """The real store; every connection it opens tells what SQLite is asked to do."""

    statements: list[str]

    def _connect(self) -> sqlite3.Connection:
        opened = super()._connect()
        opened.set_trace_callback(self.statements.append)
        return opened


def test_one_read_and_at_most_one_transaction_for_every_message(factory: House, mine: Membership) -> None:
    Spied.statements = []
    spy = Spied(connection.settings_dict["NAME"])
    factory.engine._store = spy
    handle, seen = factory.engine.handle, []

    async def counted(slug: str, inbound: Any) -> Reply:
        spy.statements.clear()
        reply = await handle(slug, inbound)
        words = [statement.split()[0] for statement in spy.statements]
        seen.append(
            (int(inbound.operation), [w for w in words if w in ("SELECT", "BEGIN", "COMMIT")], len(words))
        )
        return reply

    factory.engine.handle = counted  # type: ignore[method-assign]
    thing = Thing(factory)
    thing.admit(mine)
    thing.to0(thing.initialized())
    thing.to2(thing.to1())
    spy.close()
    assert [(number, shape) for number, shape, _all in seen] == [(n, COSTS[n]) for n, _s, _a in seen]
    assert {number for number, _shape, _all in seen} == set(COSTS)
    assert max(count for _number, _shape, count in seen) <= 12
