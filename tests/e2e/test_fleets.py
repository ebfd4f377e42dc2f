"""Two hundred devices at once through each door, claimed through the API, none lost."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter

import pytest

from tests.live_portal import LivePortal

pytestmark = pytest.mark.timeout(240)

DEVICES = 200
RATE = 40
WORKERS_SECONDS = 30
"""Patience for the workers once the last device has checked in."""


def states(portal: LivePortal, prefix: str) -> Counter[tuple[str, str]]:
    """State and onboarding step of every device whose serial starts so, from the portal's own file."""
    query = (
        "SELECT d.state, o.step FROM devices_device d JOIN devices_onboarding o ON o.device_id = d.id "
        "WHERE d.serial LIKE ? || '-%'"
    )
    with sqlite3.connect(f"file:{portal.folder / 'onward.sqlite3'}?mode=ro", uri=True) as database:
        return Counter(database.execute(query, [prefix]).fetchall())


def listed(portal: LivePortal, token: str, prefix: str) -> Counter[str]:
    """The same, page by page through the API."""
    found: Counter[str] = Counter()
    path = f"/api/v1/devices?limit=100&q={prefix}"
    while path:
        page = portal.get(path, token)
        found.update(device["state"] for device in page["results"] if device["serial"].startswith(prefix))
        path = f"/api/v1/devices?limit=100&q={prefix}&cursor={page['next']}" if page["next"] else ""
    return found


@pytest.mark.parametrize("door", ["https", "coap", "radius"])
def test_two_hundred_devices_are_onboarded_and_none_is_lost(portal, token, ways_in, door, record_property):
    prefix = f"FLEET-{door.upper()}"
    began = time.monotonic()
    run = portal.simulate(
        "--via", ways_in[door], "--count", str(DEVICES), "--rate", str(RATE), "--serial", prefix,
        "--claim", portal.portal, "--token", token, "--timeout", "150", "--json",
        timeout=200,
    )  # fmt: skip
    seconds = time.monotonic() - began
    assert run.returncode == 0, run.stderr[-2000:]
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary["failed"] == {}
    assert summary["onboarded"] == DEVICES

    everything = Counter({("onboarded", "done"): DEVICES})
    while (now := states(portal, prefix)) != everything:
        assert time.monotonic() - began < seconds + WORKERS_SECONDS, now
        time.sleep(0.2)
    assert listed(portal, token, prefix) == Counter(onboarded=DEVICES)
    figures = {
        "p50_seconds": summary["p50_seconds"],
        "p95_seconds": summary["p95_seconds"],
        "devices_per_second": round(DEVICES / seconds, 1),
        "workers_after_seconds": round(time.monotonic() - began - seconds, 1),
    }
    record_property(door, figures)
    print(f"\n{DEVICES} devices through {door}: {figures}")
