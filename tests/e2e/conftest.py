"""One portal for the whole folder, started as users start it; every file is in the xdist group "portal"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live_portal import LivePortal

OWNER = "owner@example.org"


@pytest.fixture(scope="session")
def portal() -> Iterator[LivePortal]:
    """``manage.py up`` on free ports. What it logged as its own fault fails the run at the end."""
    live = LivePortal().start()
    yield live
    live.stop()
    assert ours(live) == []


@pytest.fixture(scope="session")
def token(portal: LivePortal) -> str:
    """API token of the organization "Home"."""
    return portal.token(OWNER, "Home")


@pytest.fixture(scope="session")
def ways_in(portal: LivePortal, token: str) -> dict[str, str]:
    """The simulator's --via for each door; 127.0.0.1 is an access point of "Home"."""
    return {
        "https": portal.places["devices"],
        "coap": portal.places["coap"],
        "radius": portal.access_point(),
    }


def ours(live: LivePortal) -> list[str]:
    """Lines of the log that say something is wrong with us, not with a peer."""
    return [
        line
        for line in live.log.read_text().splitlines()
        if "[error" in line or "[critical" in line or line.startswith("Traceback")
    ]
