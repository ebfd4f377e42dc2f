"""The list of waiting devices costs the same, however many wait."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from engine_world import House, Lamp

from bootstrap.bindings import claims
from devices.models import Membership


def statements(mine: Membership) -> int:
    with CaptureQueriesContext(connection) as queries:
        claims.waiting(mine.organization)
    return len(queries)


def test_more_waiting_devices_cost_no_more_statements(house: House, mine: Membership) -> None:
    way = {"organization_id": mine.organization_id}
    Lamp(house, serial="SN-0", way=way).converse()
    one = statements(mine)
    for number in range(1, 6):
        Lamp(house, serial=f"SN-{number}", way=way).converse()
    assert {found.serial for found in claims.waiting(mine.organization)} == {f"SN-{n}" for n in range(6)}
    assert statements(mine) <= one <= 4
