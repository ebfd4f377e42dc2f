"""A portal started as users start it, once per worker; tests of one file go to one worker (--dist loadfile)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.chrome import ARGS, Person, person_in
from tests.e2e.things import Thing
from tests.live_portal import LivePortal

OWNER = "owner@example.org"
Launch = Callable[..., Browser]


@pytest.fixture(scope="session")
def portal() -> Iterator[LivePortal]:
    """``manage.py up`` on free ports. What it logged as its own fault fails the run at the end."""
    live = LivePortal().start()
    yield live
    live.stop()
    assert ours(live) == []


@pytest.fixture(scope="session")
def base(portal: LivePortal) -> str:
    """Address of the portal as people open it: passkeys need a name, not a number."""
    return portal.portal.replace("127.0.0.1", "localhost")


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


@pytest.fixture(scope="module")
def launch(find_peer: Callable[[str], str]) -> Iterator[Launch]:
    """Starts real Chromium. Per module: while Playwright runs, no test of the process may run a loop."""
    program = find_peer("chromium")
    with sync_playwright() as playwright:

        def start(*more: str) -> Browser:
            return playwright.chromium.launch(executable_path=program, args=[*ARGS, *more])

        yield start


@pytest.fixture(scope="module")
def browser(launch: Launch) -> Iterator[Browser]:
    """One Chromium; people in it have profiles of their own."""
    one = launch()
    yield one
    one.close()


@pytest.fixture(scope="session")
def kept() -> dict[str, Any]:
    """What browsers stored after signing in, by mail address: nobody signs in twice."""
    return {}


@pytest.fixture
def people(
    portal: LivePortal, base: str, token: str, browser: Browser, kept: dict[str, Any]
) -> Iterator[Callable[..., Person]]:
    """``people()`` is somebody new; ``people(OWNER)`` is signed in. None of them may see a fault."""
    met: list[Person] = []

    def meet(email: str = "", where: Browser | None = None, **options: Any) -> Person:
        if email and email not in kept:
            first = person_in(browser, base)
            sign_in(first, portal, email)
            kept[email] = first.page.context.storage_state()
            first.page.context.close()
        met.append(person_in(where or browser, base, kept.get(email), **options))
        return met[-1]

    yield meet
    faults = [fault for person in met for fault in person.watcher.faults]
    for person in met:
        person.page.context.close()
    assert faults == []


@pytest.fixture
def things() -> Iterator[Callable[..., Thing]]:
    """``things(via, "--serial", "X")`` switches a device on; all are off after the test."""
    on: list[Thing] = []

    def switch_on(via: str, *words: str) -> Thing:
        on.append(Thing(via, *words))
        return on[-1]

    yield switch_on
    for thing in on:
        thing.off()


def sign_in(person: Person, portal: LivePortal, email: str) -> None:
    """By mail code, as somebody without a passkey does."""
    person.open("/account/login")
    person.page.get_by_label("Mail address").fill(email)
    asked = time.time()
    person.tap("Mail me a code")
    person.page.get_by_label("Code").fill(mailed_code(portal, email, asked))
    person.tap("Continue")
    person.page.wait_for_url(lambda url: "/account/" not in url)


def mailed_code(portal: LivePortal, email: str, since: float, seconds: float = 15) -> str:
    """Six digits from the newest file of the mail folder to this address."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        files = [file for file in (portal.folder / "mail").glob("*") if file.stat().st_mtime >= since - 1]
        for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
            head, _blank, body = file.read_text().partition("\n\n")
            found = re.search(r"\b\d{6}\b", body)
            if f"To: {email}" in head and found:
                return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no code was mailed to {email}")


def ours(live: LivePortal) -> list[str]:
    """Lines of the log that say something is wrong with us, not with a peer."""
    return [
        line
        for line in live.log.read_text().splitlines()
        if "[error" in line or "[critical" in line or line.startswith("Traceback")
    ]
