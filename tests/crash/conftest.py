"""One portal that loses its processes, and helpers to take them and to look at what is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from live_portal import LivePortal

LONG = os.environ.get("ONWARD_LONG") == "1"


class Mortal:
    """A portal in its own data folder, with devices that ask again every second."""

    def __init__(self, portal: LivePortal) -> None:
        self.portal = portal
        self.token = portal.token()
        portal.manage(
            "shell",
            "-c",
            "from devices.models import Organization; from devices.services.revision import *; "
            "Organization.objects.update(sleep_attended_seconds=1); "
            "from devices.models import Revision; from django.db.models import F; "
            "Revision.objects.update(number=F('number') + 1)",
        )
        self.radius = portal.access_point()

    def health(self) -> tuple[int, dict[str, str]]:
        """Status and doors of /healthz; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(self.portal.portal + "/healthz", timeout=3) as answer:
                return 200, json.load(answer)["doors"]
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["doors"]
        except OSError:
            return 0, {}

    def kill(self, command: str) -> list[int]:
        """kill -9 of every living process of that command."""
        pids = self.portal.pids(command)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return pids

    def wait_green(self, seconds: float = 60) -> None:
        """Until every door is up."""
        until(lambda: self.health()[0] == 200, seconds, "healthz is green again")

    def query(self, sql: str, *values: object) -> list[tuple]:
        """Straight from the database file."""
        database = sqlite3.connect(self.portal.folder / "onward.sqlite3", timeout=10)
        try:
            return database.execute(sql, values).fetchall()
        finally:
            database.close()

    def copy(self) -> LivePortal:
        """Its backup: database and secrets in a new folder, taken while it runs."""
        made = LivePortal(folder=Path(tempfile.mkdtemp(prefix="onward-restored-")))
        self.query("VACUUM INTO ?", str(made.folder / "onward.sqlite3"))
        shutil.copytree(self.portal.folder / "secrets", made.folder / "secrets")
        return made

    def onboarded(self, prefix: str) -> int:
        """Devices of a fleet that the portal shows as operational."""
        return self.query(
            "SELECT COUNT(*) FROM devices_device WHERE serial LIKE ? AND state = 'onboarded'", prefix + "%"
        )[0][0]


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{seconds} s over, and still not: {what}"
        time.sleep(0.1)


def living(pid: int) -> bool:
    """A zombie that nobody has collected yet is dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@pytest.fixture(scope="session")
def mortal():
    portal = LivePortal().start()
    try:
        yield Mortal(portal)
    finally:
        if portal.process is not None and portal.process.poll() is None:
            portal.stop()


@pytest.fixture
def alive(mortal):
    """The portal, all green before and after."""
    mortal.wait_green()
    yield mortal
    mortal.wait_green()
