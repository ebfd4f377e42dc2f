"""One whole portal for everything that is thrown at it, and what it must look like afterwards."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from live_portal import LivePortal


class Target:
    """A running portal, its log and its rows."""

    def __init__(self, portal: LivePortal, token: str, radius: str) -> None:
        self.portal = portal
        self.token = token
        self.radius = radius

    def rows(self) -> dict[str, int]:
        """How many there are of everything that a message could make."""
        database = sqlite3.connect(self.portal.folder / "onward.sqlite3")
        try:
            names = [
                name
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if name.startswith(("engine_", "devices_"))
            ]
            return {name: database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in names}
        finally:
            database.close()

    def log_from(self, offset: int) -> list[str]:
        """Lines logged since."""
        with self.portal.log.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace").splitlines()

    def log_end(self) -> int:
        return self.portal.log.stat().st_size


@pytest.fixture(scope="session")
def target():
    portal = LivePortal(environment={"ONWARD_LOG_LEVEL": "DEBUG"}).start()
    try:
        token = portal.token()
        yield Target(portal, token, portal.access_point("s3cret-of-the-radius-client"))
    finally:
        portal.stop()


@pytest.fixture(scope="session")
def crowded():
    """A portal with room for a hundred strangers, five new ones a second."""
    limits = {"MAX": "100", "PER_SECOND": "5", "BURST": "300"}
    portal = LivePortal(
        environment={f"ONWARD_STRANGERS_{name}": value for name, value in limits.items()}
    ).start()
    try:
        token = portal.token()
        yield Target(portal, token, portal.access_point("another-secret"))
    finally:
        portal.stop()
