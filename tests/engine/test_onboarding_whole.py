"""A whole onboarding in memory: the real engine and store, the protocols' own peers, no socket."""

from __future__ import annotations

from engine_world import House, Lamp

from bootstrap.engine.models import Event
from devices.models import Membership


def test_a_device_nobody_knew_becomes_operational(house: House, mine: Membership) -> None:
    lamp = Lamp(house)
    found = lamp.onboard(mine)
    assert found.state == "onboarded"
    codes = list(Event.objects.filter(device=found).order_by("id").values_list("code", flat=True))
    assert codes == [
        "eap-noob.initial.done",
        "claim.confirmed",
        "eap-noob.completed",
        "provisioning.fetched",
        "provisioning.reported",
        "provisioning.online",
        "onboarding.done",
    ]
