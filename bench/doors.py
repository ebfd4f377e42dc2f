"""The doors of a whole portal: devices that are onboarded already reconnect, and nothing else happens."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile

from bench.measure import Row, cpu_seconds
from tests.live_portal import LivePortal

DOORS = (
    ("HTTPS door", "runweb", "devices"),
    ("CoAP door", "runcoap", "coap"),
    ("RADIUS door", "runradius", "radius"),
)


def measure(devices: int, rounds: int) -> list[Row]:
    """One row per door. A message is one that the store took: Type 1 to 9 and provisioning."""
    portal = LivePortal().start()
    try:
        token = portal.token()
        relay = portal.access_point()
        ways = {"devices": portal.places["devices"], "coap": portal.places["coap"], "radius": relay}
        return [
            _door(portal, token, what, command, ways[way], devices, rounds) for what, command, way in DOORS
        ]
    finally:
        portal.stop()


def _door(
    portal: LivePortal, token: str, what: str, command: str, via: str, devices: int, rounds: int
) -> Row:
    state = tempfile.mkdtemp(prefix="onward-bench-")
    common = ["--via", via, "--count", str(devices), "--rate", "100", "--json", "--state", state]
    common += ["--serial", command, "--timeout", "90"]
    try:
        _run(portal, [*common, "--claim", portal.portal, "--token", token], devices)
        pids = portal.pids(command)
        before, cpu = _messages(portal), cpu_seconds(pids)
        _run(portal, [*common, "--reconnect", str(rounds)], devices)
        return Row(f"{what}: one device message", _messages(portal) - before, cpu_seconds(pids) - cpu)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _run(portal: LivePortal, words: list[str], devices: int) -> None:
    done = portal.simulate(*words, timeout=180)
    summary = json.loads(done.stdout.splitlines()[-1])
    if summary["onboarded"] != devices:
        raise SystemExit(f"only {summary['onboarded']} of {devices}: {summary['failed']}")


def _messages(portal: LivePortal) -> int:
    with sqlite3.connect(portal.folder / "onward.sqlite3") as database:
        return int(database.execute("SELECT COALESCE(SUM(messages), 0) FROM engine_session").fetchone()[0])
