"""kill -9 of doors and worker under load: every device arrives, nothing confirmed is lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

import pytest
from conftest import LONG
from live_portal import ROOT

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(600)]

DEVICES = 40 if LONG else 5
KILLS = 12 if LONG else 2
VICTIMS = ["runweb", "runcoap", "runradius", "portal worker"]


def killer(alive, stop: threading.Event, seed: int, killed: list[str]) -> None:
    """Random processes at random moments, the web process first and oftenest."""
    dice = random.Random(seed)
    for number in range(KILLS):
        if stop.wait(dice.uniform(0.3, 2.5)):
            return
        victim = "runweb" if number == 0 else dice.choice(VICTIMS)
        if alive.kill(victim):
            killed.append(victim)


def fleet(alive, via: str, prefix: str, *more: str) -> subprocess.Popen[str]:
    words = ["--via", via, "--claim", alive.portal.portal, "--token", alive.token, "--json"]
    words += ["--count", str(DEVICES), "--rate", "4", "--serial", prefix, "--timeout", "150", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "bootstrap.simulator", "eap-noob", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4) if LONG else [1])
def test_a_fleet_at_every_door_arrives_while_processes_die(alive, seed):
    ports = dict(alive.portal.ports)
    prefix = f"KILL{seed}"
    running = {
        "https": fleet(alive, alive.portal.places["devices"], f"{prefix}-H"),
        "coap": fleet(alive, alive.portal.places["coap"], f"{prefix}-C"),
        "radius": fleet(alive, alive.radius, f"{prefix}-R"),
    }
    stop, killed = threading.Event(), []
    thread = threading.Thread(target=killer, args=(alive, stop, seed, killed))
    thread.start()
    try:
        for door, process in running.items():
            out, err = process.communicate(timeout=240)
            summary = json.loads(out.splitlines()[-1])
            assert summary["onboarded"] == DEVICES, (door, killed, summary, err[-2000:])
    finally:
        stop.set()
        thread.join()
        for process in running.values():
            process.kill()
    assert killed
    alive.wait_green()
    deadline = time.monotonic() + 60
    while alive.onboarded(prefix) < 3 * DEVICES and time.monotonic() < deadline:
        time.sleep(0.3)
    assert alive.onboarded(prefix) == 3 * DEVICES
    assert alive.portal.ports == ports
    half = alive.query(
        "SELECT s.phase, d.state, c.state FROM devices_device d JOIN devices_claim c ON c.device_id = d.id "
        "JOIN engine_session s ON s.id = c.session_id WHERE d.serial LIKE ? "
        "AND (s.phase != 'Registered' OR c.state != 'completed' OR s.device_id != d.id)",
        prefix + "%",
    )
    assert half == []


@pytest.mark.parametrize(("victim", "doors"), [("runcoap", ["coap"]), ("portal worker", ["worker"])])
def test_health_turns_red_when_a_process_dies_and_green_when_it_is_back(alive, victim, doors):
    """The worker's children and its schedule die with it, and come back with it."""
    before = set(alive.portal.pids(victim))
    for pid in alive.portal.pids(victim):
        subprocess.run(["kill", "-STOP", str(pid)], check=False)  # a process that hangs counts as dead too
    deadline = time.monotonic() + 20
    while alive.health()[0] != 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    status, shown = alive.health()
    assert status == 503
    assert [name for name, state in shown.items() if state == "down"] == doors
    assert set(alive.kill(victim)) == before
    alive.wait_green()
    assert not before & set(alive.portal.pids(victim))


def test_lost_bells_cost_seconds_and_nothing_else(alive):
    """Every message in the worker's queue disappears while devices come; the sweep finds them all."""
    stop = threading.Event()

    def thief() -> None:
        while not stop.wait(0.01):
            for message in (alive.portal.folder / "queue").glob("*.msg"):
                message.unlink(missing_ok=True)

    thread = threading.Thread(target=thief)
    thread.start()
    try:
        process = fleet(alive, alive.portal.places["devices"], "BELL")
        out, _err = process.communicate(timeout=120)
    finally:
        stop.set()
        thread.join()
    assert json.loads(out.splitlines()[-1])["onboarded"] == DEVICES
    deadline = time.monotonic() + 30
    while alive.onboarded("BELL") < DEVICES and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive.onboarded("BELL") == DEVICES


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="takes half a minute of waiting; ONWARD_LONG=1 runs it")
def test_the_schedule_comes_back_when_its_process_alone_dies(alive):
    """kill -9 of the newest child of the worker's main process, one after another: pool and beat."""
    mains = alive.portal.pids("portal worker")
    parents = {pid: int(_status(pid, "PPid")) for pid in mains}
    children = [pid for pid in mains if parents[pid] in mains]
    assert len(children) == 3, "two for tasks, one for the schedule"
    for pid in children:
        subprocess.run(["kill", "-9", str(pid)], check=True)
    sweep = alive.portal.folder / "run" / "sweep.alive"
    killed_at = time.time()
    deadline = time.monotonic() + 70
    while sweep.stat().st_mtime < killed_at + 1 and time.monotonic() < deadline:
        time.sleep(0.3)
    assert sweep.stat().st_mtime > killed_at + 1


def _status(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))
