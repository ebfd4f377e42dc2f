"""FDO in the pages: set up by one press, a device that onboards while one watches, keys and trust, dry runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from bootstrap.wire.keys import KeyKind, SoftSigner
from devices.services.owner_keys import public_pem
from tests.e2e.chrome import DESKTOP, PHONE, Person
from tests.e2e.looks import SCREENS, THEMES, examine
from tests.e2e.test_looks import Api, settled
from tests.live_portal import ROOT, LivePortal

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

MAX = "max@example.org"
WORKS = "Turku works"
ITEMS: list[dict[str, Any]] = [
    {"id": "broker", "kind": "server", "value": {"name": "mqtt", "url": "mqtts://broker.example.org"}},
    {"id": "motd", "kind": "file", "value": {"path": "/etc/motd", "content": "SGVsbG8hCg==", "mode": "644"}},
    {"id": "hello", "kind": "command", "value": {"command": "echo", "args": "'hello from' ${serial}", "output": "yes"}},
]  # fmt: skip
UNFIT = [*ITEMS, {"id": "site", "kind": "config", "value": {"key": "site", "value": "${tag.site}"}}]
SERIALS = {
    "ready": "TW-2026-0001",
    "shelf": "TW-2026-0002",
    "live": "TW-2026-0003",
    "stuck": "TW-2026-0004",
    "lost": "TW-2026-0005",
}
DEAD = "http://127.0.0.1:9"
"""A rendezvous server where nobody answers."""
_MORE = """
from devices.models import Organization
from devices.services.fdo import fdo_settings_save
from devices.services.groups import group_save
organization = Organization.objects.get(name={name!r})
group_save(organization, None, name="Turku plant", plan=organization.plans.first())
group_save(organization, None, name="Spare parts")
fdo_settings_save(organization, None, rendezvous_urls=[{dead!r}], di_networks=["127.0.0.0/8", "192.0.2.0/24"])
"""


def simulator(*words: str) -> subprocess.Popen[str]:
    """A device in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "bootstrap.simulator", "fdo", "--json", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: subprocess.Popen[str], seconds: float = 90) -> str:
    """What it said, once it has ended well."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, (out[-1500:], err[-1500:])
    return out


@dataclass
class Works:
    """An organization with a line of its own."""

    token: str
    di: str
    plan: int
    unfit: int
    """A plan that asks for a tag which no device has."""
    shelf: Path
    """Credentials of devices that were not switched on yet."""
    devices: dict[str, int]


@pytest.fixture(scope="module")
def works(portal: LivePortal, tmp_path_factory: pytest.TempPathFactory) -> Works:
    token = portal.token(MAX, WORKS)
    said = json.loads(portal.manage("fdo", "setup", "--organization", WORKS, "--json"))
    api = Api(portal, token)
    plan = api.send("plans", {"name": "Line 4", "items": ITEMS})["id"]
    shelf, devices = tmp_path_factory.mktemp("shelf"), {}
    # The command knows the path; the port is this portal's.
    di = portal.portal + urlsplit(said["di_line"]).path
    line = ("--di", di)
    done(simulator(*line, "--onboard", "--really-run", "--serial", SERIALS["ready"]))
    devices["ready"] = settled(portal, token, SERIALS["ready"], "onboarded")
    api.send(f"plans/{plan}", {"name": "Line 4", "items": UNFIT}, "PATCH")
    stuck = simulator(*line, "--onboard", "--timeout", "8", "--serial", SERIALS["stuck"])
    stuck.communicate(timeout=60)
    devices["stuck"] = settled(portal, token, SERIALS["stuck"], "stuck")
    api.send(f"plans/{plan}", {"name": "Line 4", "items": ITEMS}, "PATCH")
    for name in ("shelf", "live"):
        done(simulator(*line, "--serial", SERIALS[name], "--state", str(shelf / name)))
        devices[name] = settled(portal, token, SERIALS[name], "known")
    unfit = api.send("plans", {"name": "Sites", "items": UNFIT})["id"]
    portal.manage("shell", "-v0", "-c", _MORE.format(name=WORKS, dead=DEAD))
    done(simulator(*line, "--serial", SERIALS["lost"]))
    devices["lost"] = settled(portal, token, SERIALS["lost"], "known")
    return Works(token, di, plan, unfit, shelf, devices)


def test_a_device_turns_ready_while_one_watches(people: Any, works: Works) -> None:
    person = people(MAX, viewport=DESKTOP)
    person.open(f"/devices/{works.devices['live']}")
    progress = person.page.locator("live-region")
    expect(progress).to_contain_text("Waiting for the device")
    expect(progress).to_contain_text("It finds us there until")
    device = simulator(
        "--onboard", "--really-run", "--serial", SERIALS["live"], "--state", str(works.shelf / "live")
    )
    expect(progress.get_by_role("heading", name="Ready")).to_be_visible(timeout=30_000)
    done(device)
    got = person.page.locator("#got")
    expect(got).to_contain_text("hello")
    expect(progress).not_to_contain_text("It finds us there until")
    got.get_by_text("What it printed").click()
    expect(got.locator("pre")).to_have_text(f"hello from {SERIALS['live']}\n", use_inner_text=False)
    person.page.reload()
    person.page.locator("#history summary").filter(has_text="proved itself").click()
    person.page.locator("#history details[open]").get_by_role("link", name="Decoded message").click()
    expect(person.page.get_by_role("heading", name="64 · ")).to_be_visible()
    expect(person.page.get_by_role("heading", name="65 · ")).to_be_visible()
    assert "/ TO2.ProveDevice (64) /" in person.page.locator("pre").first.inner_text()


def test_one_press_sets_everything_up_and_a_device_comes_in(people: Any, portal: LivePortal) -> None:
    portal.token("nina@example.org", "Newcomers")
    person = people("nina@example.org", viewport=DESKTOP)
    person.open("/settings/fdo")
    expect(person.page.get_by_role("heading", name="Your DI address").locator("..")).to_contain_text(
        "None yet"
    )
    person.tap("Set everything up")
    address = person.page.locator("copy-text code").first.inner_text()
    assert "/di/" in address
    expect(person.page.locator(".chip.ok")).to_have_count(3)
    done(simulator("--di", portal.portal + urlsplit(address).path, "--onboard", "--serial", "NEW-1"))
    person.open("/devices")
    expect(person.page.locator("tbody tr")).to_contain_text("Onboarded", timeout=30_000)
    person.open("/settings/keys")
    expect(person.page.locator("tbody tr")).to_have_count(3)
    expect(person.page.locator("main")).to_contain_text("1 voucher ends in it")


def test_who_looks_at_the_fingerprint_trusts_and_takes_it_back(people: Any, works: Works) -> None:
    key = SoftSigner.generate(KeyKind.P256).public
    person = people(MAX)
    person.open("/settings/manufacturers")
    person.page.get_by_label("Public key or certificate, PEM").fill(public_pem(key.der))
    person.tap("Look at it")
    shown = person.page.locator(".fingerprint").inner_text()
    assert "".join(shown.split()) == hashlib.sha256(key.der).hexdigest()
    person.page.get_by_label("What you call this manufacturer").fill("Lamps & Co")
    person.tap("It is the same: trust it")
    row = person.page.locator("tbody tr").filter(has_text="Lamps & Co")
    expect(row).to_have_count(1)
    row.get_by_role("link", name="Distrust").click()
    person.tap("Distrust")
    expect(person.page.locator("tbody tr").filter(has_text="Lamps & Co")).to_have_count(0)


def test_a_tag_mends_what_a_dry_run_finds(people: Any, portal: LivePortal, works: Works) -> None:
    api = Api(portal, works.token)
    plan = api.send("plans", {"name": "With site", "items": UNFIT})["id"]
    person = people(MAX, viewport=DESKTOP)
    person.open(f"/plans/{plan}")
    person.page.get_by_label("Device").fill(SERIALS["shelf"])
    person.tap("Try it")
    page = person.page.locator("main")
    expect(page).to_contain_text("${tag.site}")
    expect(page).to_contain_text(f"echo 'hello from' {SERIALS['shelf']}")
    person.open(f"/devices/{works.devices['shelf']}")
    tags = person.page.get_by_label("Tags")
    tags.fill("site Turku")
    tags.blur()
    expect(person.page.locator("[data-save-status]")).to_contain_text("name = value")
    tags.fill("site = Turku")
    tags.blur()
    expect(person.page.locator("[data-save-status]")).to_have_text("Saved")
    person.open(f"/plans/{plan}/try?device={SERIALS['shelf']}")
    expect(page).not_to_contain_text("has nothing called")
    # The tag that was no tag was refused, as it should be.
    person.watcher.faults = [fault for fault in person.watcher.faults if not fault.startswith("422 for POST")]
    expect(page.locator("pre").filter(has_text="Turku")).to_have_count(1)


def unfold(person: Person, path: str) -> None:
    person.open(path)
    person.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def key_of(person: Person) -> str:
    person.open("/settings/keys")
    return str(person.page.locator("tbody a").first.get_attribute("href"))


def trust_page(person: Person) -> None:
    person.open("/settings/manufacturers")
    person.page.get_by_label("Public key or certificate, PEM").fill(public_pem(KEY.der))
    person.tap("Look at it")


def decoded(person: Person, works: Works) -> None:
    unfold(person, f"/devices/{works.devices['ready']}")
    line = person.page.locator("#history li").filter(has_text="proved itself").first
    line.get_by_role("link", name="Decoded message").click()


KEY = SoftSigner.generate(KeyKind.P256).public
PAGES: dict[str, Callable[[Person, Works], None]] = {
    "settings-fdo": lambda person, works: person.open("/settings/fdo"),
    "settings-fdo-renew": lambda person, works: person.open("/settings/fdo/renew"),
    "settings-keys": lambda person, works: person.open("/settings/keys"),
    "settings-key": lambda person, works: person.open(key_of(person)),
    "settings-key-rotate": lambda person, works: person.open(key_of(person) + "/rotate"),
    "settings-key-import": lambda person, works: person.open("/settings/keys/import"),
    "settings-manufacturers": lambda person, works: person.open("/settings/manufacturers"),
    "settings-manufacturer-trust": lambda person, works: trust_page(person),
    "settings-groups": lambda person, works: person.open("/settings/groups"),
    "settings-tokens": lambda person, works: person.open("/settings/tokens"),
    "plan-fdo": lambda person, works: unfold(person, f"/plans/{works.plan}"),
    "plan-fdo-edit": lambda person, works: unfold(person, f"/plans/{works.plan}/edit"),
    "plan-try": lambda person, works: unfold(person, f"/plans/{works.plan}/try?device={SERIALS['ready']}"),
    "plan-try-unfit": lambda person, works: person.open(
        f"/plans/{works.unfit}/try?device={SERIALS['ready']}"
    ),
    "device-fdo": lambda person, works: unfold(person, f"/devices/{works.devices['ready']}"),
    "device-fdo-known": lambda person, works: person.open(f"/devices/{works.devices['shelf']}"),
    "device-fdo-lost": lambda person, works: person.open(f"/devices/{works.devices['lost']}"),
    "device-fdo-stuck": lambda person, works: person.open(f"/devices/{works.devices['stuck']}"),
    "device-message": decoded,
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_of_it_is_without_fault(people: Any, works: Works, screen: str, theme: str) -> None:
    person = people(MAX, viewport=SCREENS[screen], color_scheme=theme)
    wrong: list[str] = []
    for name, way in PAGES.items():
        way(person, works)
        wrong += examine(person, name, screen, theme)
    assert wrong == [], "\n".join(wrong)


def test_before_anything_is_set_up_every_page_says_what_to_do(people: Any, portal: LivePortal) -> None:
    portal.token("empty-fdo@example.org", "Empty works")
    person = people("empty-fdo@example.org", viewport=PHONE)
    wrong = []
    for name in ("fdo", "keys", "manufacturers", "groups"):
        person.open(f"/settings/{name}")
        wrong += examine(person, f"empty-{name}", "phone", "light")
    assert wrong == [], "\n".join(wrong)
