"""What README promises a newcomer: one command, the owner's link, the printed device line, the phone page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.chrome import Person, person_in
from tests.e2e.looks import examine
from tests.e2e.test_claim_by_code import watch_until_onboarded
from tests.live_portal import ROOT

pytestmark = pytest.mark.browser

MINUTE = 60
STARTUP_SECONDS = 120
PROMISED = ("Onward is up:", "First owner:", "Try a device:")


class Terminal:
    """A command a person typed, and what it has printed so far."""

    def __init__(self, command: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ONWARD_")}
        self.process = subprocess.Popen(
            command,
            shell=True,
            cwd=ROOT,
            env=inherited | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def wait_for(self, start: str, seconds: float) -> str:
        """The rest of the line that begins so (or has it after the serial number)."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.lines:
                _before, found, rest = line.partition(start)
                if found:
                    return rest.strip()
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        raise AssertionError(f"never printed {start!r}:\n{''.join(self.lines)}")

    def interrupt(self, seconds: float = 40) -> int:
        """Ctrl-C: the whole foreground group hears it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=seconds)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


def start_command(folder: Path) -> str:
    """README's, on ports that are free; where nothing is set up by make, what make would run."""
    arguments = f"--data-dir {folder} --port 0 --tls-port 0 --coap-port 0 --radius-port 0"
    if (ROOT / ".venv" / "run.stamp").exists():
        return f'make run ARGS="{arguments}"'
    return f".venv/bin/python manage.py up {arguments}"


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal(start_command(tmp_path_factory.mktemp("var")))
    terminal.wait_for("Stop with Ctrl-C", STARTUP_SECONDS)
    yield terminal
    if terminal.process.poll() is None:
        terminal.interrupt()


def printed(newcomer: Terminal, start: str) -> str:
    return newcomer.wait_for(start, 5)


def test_it_prints_what_readme_shows(newcomer):
    """Ports, the token of the link and the interpreter's place may differ, nothing else."""
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("it prints three lines:\n\n```\n")[2].partition("```")[0].splitlines()
    assert [line.split("  ")[0] for line in shown] == list(PROMISED)
    said = [line.rstrip() for line in newcomer.lines if line.startswith(PROMISED)]

    def shape(line: str) -> str:
        line = re.sub(r"/welcome/\S+", "/welcome/…", line)
        line = re.sub(r"\S*bin/python\S*", ".venv/bin/python", line)
        return re.sub(r":\d{2,5}\b", ":PORT", line)

    assert [shape(line) for line in said] == [shape(line) for line in shown]


def test_the_first_owner_is_there_and_a_device_is_onboarded_within_a_minute(newcomer, launch):
    """From the printed lines alone, by somebody who has never been here."""
    base = printed(newcomer, "Onward is up:")
    welcome = printed(newcomer, "First owner:").split()[0]
    browser = launch()
    person: Person = person_in(browser, base)
    person.add_authenticator()
    httpx.get(welcome)  # a mail program looks at links too
    person.open(welcome)
    person.page.get_by_role("textbox", name=re.compile("mail", re.IGNORECASE)).fill("first@example.org")
    person.page.get_by_role("textbox", name=re.compile("organization", re.IGNORECASE)).fill("Workshop")
    wrong = examine(person, "welcome", "phone", "light")
    person.tap("Start")
    person.page.wait_for_url("**/welcome/passkey")
    assert wrong + examine(person, "welcome-passkey", "phone", "light") == []
    person.tap("Make a passkey")
    person.page.wait_for_url(lambda url: "/welcome" not in url and "/webauthn" not in url)

    began = time.monotonic()
    device = Terminal(printed(newcomer, "Try a device:"))
    link = device.wait_for("in this browser:", 20)
    assert "█" in "".join(device.lines), "the QR is in the terminal"
    serial = next(line.split()[0] for line in device.lines if "in this browser:" in line)
    person.open(link)
    expect(person.page.get_by_role("definition").first).to_have_text(serial)
    person.tap("Add to Workshop")
    watch_until_onboarded(person)
    device.wait_for("ONBOARDED after", 10)
    seconds = time.monotonic() - began
    assert seconds < MINUTE
    assert device.process.wait(timeout=20) == 0
    print(f"\nfrom the device line to onboarded: {seconds:.1f} s")

    again = person_in(browser, base)
    again.open(welcome)
    assert again.page.get_by_role("button", name="Start").count() == 0, "the link works once"
    assert person.watcher.faults == []
    assert again.watcher.faults == []
    sign_in_again(person)
    browser.close()


def sign_in_again(person: Person) -> None:
    """Signed out, the passkey alone is enough, and nothing else was ever typed."""
    person.page.context.clear_cookies()
    person.open("/account/login")
    button = person.page.get_by_role("button", name="Use a passkey")
    try:
        person.page.wait_for_url(lambda url: "/account/" not in url, timeout=3000)
    except Exception:
        button.click()
        person.page.wait_for_url(lambda url: "/account/" not in url)
    expect(person.page.get_by_role("heading", name="Devices")).to_be_visible()


def test_ctrl_c_ends_everything(newcomer):
    """Last on purpose. The pipe closes once the last process that holds it is gone."""
    base = printed(newcomer, "Onward is up:")
    newcomer.interrupt()
    newcomer.reader.join(timeout=20)
    assert not newcomer.reader.is_alive(), "a process of the portal still runs"
    assert "Traceback" not in "".join(newcomer.lines)
    with pytest.raises(httpx.ConnectError):
        httpx.get(base)
