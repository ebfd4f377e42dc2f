"""The supervisor itself: killed, started twice, stopped, and its data carried elsewhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import living, until
from live_portal import ROOT, LivePortal

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(400)]
EVERYBODY = ["runweb", "runcoap", "runradius", "portal worker"]


def everybody(portal: LivePortal) -> list[int]:
    return [pid for command in EVERYBODY for pid in portal.pids(command)]


def device(mortal, state: Path, *more: str) -> dict:
    """One device that keeps its memory; the simulator's summary."""
    words = ["--via", mortal.portal.places["devices"], "--serial", "KEPT-1", "--state", str(state), "--json"]
    done = mortal.portal.simulate(*words, "--timeout", "60", *more)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_second_up_on_the_same_folder_says_who_is_there(alive):
    second = subprocess.run(
        [sys.executable, "manage.py", "up", "--json", "--data-dir", str(alive.portal.folder), "--port", "0"],
        cwd=ROOT,
        env=alive.portal._environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert second.stdout == ""
    said = second.stderr.strip().splitlines()[-1]
    assert "in use by process" in said
    assert str(alive.portal.process.pid) in said
    assert "Traceback" not in second.stderr


def test_nothing_stays_behind_when_only_the_workers_main_process_dies(alive):
    pids = alive.portal.pids("portal worker")
    main = next(pid for pid in pids if _parent(pid) not in pids)
    subprocess.run(["kill", f"-{int(signal.SIGKILL)}", str(main)], check=True)
    until(lambda: not [pid for pid in pids if living(pid)], 10, "its pool is gone too")


def test_an_association_outlives_kill_restart_backup_and_restore(mortal, tmp_path):
    """The last one here: it leaves the portal stopped."""
    portal, state = mortal.portal, tmp_path / "device"
    mortal.wait_green()
    assert device(mortal, state, "--claim", portal.portal, "--token", mortal.token)["onboarded"] == 1
    until(lambda: mortal.onboarded("KEPT-1"), 30, "the portal shows it onboarded")

    before, ports = everybody(portal), dict(portal.ports)
    assert len(before) >= 4
    portal.kill()
    portal.start()  # at once: the killed one's doors are still closing
    assert portal.ports == ports
    until(lambda: not set(before) & set(everybody(portal)), 25, "the children of the killed one are gone")
    mortal.wait_green()
    assert device(mortal, state, "--reconnect", "1")["onboarded"] == 1

    copy = mortal.copy()
    running = everybody(portal)
    started = time.monotonic()
    try:
        assert portal.stop() == 0
        assert time.monotonic() - started < 20
        assert not [pid for pid in running if living(pid)], "no orphan"
        copy.ports = portal.ports
        copy.start()
        mortal.portal = copy
        assert device(mortal, state, "--reconnect", "1")["onboarded"] == 1
    finally:
        mortal.portal = portal
        if copy.process is not None:
            copy.stop()


def _parent(pid: int) -> int:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[1])
