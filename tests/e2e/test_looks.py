"""Every main page on phone and desktop, light and dark: no violation that axe can find, nothing too wide.

With ONWARD_SCREENSHOTS=1 the pictures land in docs/screenshots.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import httpx
import pytest

from tests.e2e.chrome import Person
from tests.e2e.looks import SCREENS, THEMES, examine
from tests.e2e.things import Thing, here, with_wrong_hoob
from tests.live_portal import LivePortal

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

SAM = "sam@example.org"
TEAM = "Kitchen team"
ITEMS = [
    {"id": "wifi", "kind": "network",
     "value": {"ssid": "Kitchen", "security": "wpa2-psk", "passphrase": "a long passphrase"}},
    {"id": "broker", "kind": "server", "value": {"name": "mqtt", "url": "mqtts://broker.example.org"}},
    {"id": "interval", "kind": "config", "value": {"key": "report.seconds", "value": "60"}},
]  # fmt: skip
# The simulated device keeps settings.json as a file, so nothing can be put below it.
UNFIT = [
    *ITEMS,
    {"id": "logo", "kind": "file", "value": {"path": "/settings.json/logo.png", "content": "aGk="}},
]
FLEET = (
    ("Acme", "Thermo T2", "T2-0042-9913", "Hall thermostat", "Hall"),
    ("Nordlicht", "Lamp 4", "NL4-77120", "Desk lamp", "Study"),
    ("Valta", "Water meter", "VM-20-118833", "", ""),
)
MIXED = "Valta", "Valve", "VV-3-00071"


@dataclass
class World:
    """A team with a few devices, as it may look after a week."""

    team_token: str
    devices: dict[str, int]
    showing: str
    """Code of a device that waits."""
    offered: str
    """Serial of a device that wants to read one."""
    plan: int
    point: int
    realm: int


class Api:
    """What scripts do."""

    def __init__(self, portal: LivePortal, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=f"{portal.portal}/api/v1/", headers=headers)

    def send(self, path: str, values: dict[str, Any], method: str = "POST") -> Any:
        answer = self._client.request(method, path, json=values)
        assert answer.is_success, answer.text
        return answer.json()


def settled(portal: LivePortal, token: str, serial: str, state: str) -> int:
    """Id of the device once it is in this state."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        found = portal.get(f"/api/v1/devices?q={serial}", token)["results"]
        if found and found[0]["state"] == state:
            return int(found[0]["id"])
        time.sleep(0.3)
    raise AssertionError(f"{serial} never was {state}: {found}")


@pytest.fixture(scope="module")
def world(portal: LivePortal, ways_in: dict[str, str]):
    token = portal.token(SAM, TEAM)
    api = Api(portal, token)
    plan = api.send("plans", {"name": "Kitchen", "items": ITEMS})
    person = ("--claim", portal.portal, "--token", token)
    on: list[Thing] = []

    def switch_on(maker: str, model: str, serial: str, *words: str) -> Thing:
        on.append(
            Thing(ways_in["https"], "--manufacturer", maker, "--model", model, "--serial", serial, *words)
        )
        return on[-1]

    for maker, model, serial, _name, _room in FLEET:
        switch_on(maker, model, serial, *person)
    devices = {serial: settled(portal, token, serial, "onboarded") for _m, _o, serial, _n, _r in FLEET}
    for _maker, _model, serial, name, room in FLEET:
        if name:
            api.send(f"devices/{devices[serial]}", {"name": name, "room": room}, "PATCH")
    api.send(f"plans/{plan['id']}", {"name": "Kitchen", "items": UNFIT}, "PATCH")
    switch_on(*MIXED, *person)
    devices["stuck"] = settled(portal, token, MIXED[2], "stuck")
    api.send(f"plans/{plan['id']}", {"name": "Kitchen", "items": ITEMS}, "PATCH")

    point = api.send("access-points", {"address": "192.0.2.7/32", "secret": token_hex(12), "name": "Hall"})
    realm = api.send("realms", {"name": "kitchen.example.org"})
    api.send("expected-serials", {"serials": ["T2-0042-9914", "T2-0042-9915"]})
    showing = switch_on("Acme", "Thermo T2", "T2-0042-9914")
    code = showing.code()
    showing.off()
    reading = switch_on("Acme", "Keypad K1", "K1-5501", "--direction", "server-to-device")
    reading.wait("wants-code")
    yield World(token, devices, code, "K1-5501", plan["id"], point["id"], realm["id"])
    for thing in on:
        thing.off()


def offer(person: Person, world: World) -> None:
    person.open("/add")
    person.page.get_by_label("Serial number, exactly as printed").fill(world.offered)
    person.tap("Show the code")
    person.page.wait_for_url("**/offers/*")


def unfold(person: Person, path: str) -> None:
    """With everything open that can be opened."""
    person.open(path)
    person.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


Way = Callable[[Person, World], None]
SIGNED_IN: dict[str, Way] = {
    "devices": lambda person, world: person.open("/devices"),
    "devices-search": lambda person, world: person.open("/devices?q=state:stuck"),
    "devices-none-found": lambda person, world: person.open("/devices?q=zzz"),
    "device": lambda person, world: person.open(f"/devices/{world.devices['T2-0042-9913']}"),
    "device-all": lambda person, world: unfold(person, f"/devices/{world.devices['T2-0042-9913']}"),
    "device-stuck": lambda person, world: person.open(f"/devices/{world.devices['stuck']}"),
    "add": lambda person, world: person.open("/add"),
    "claim": lambda person, world: person.open(here(world.showing, person.base)),
    "claim-wrong": lambda person, world: person.open(here(with_wrong_hoob(world.showing), person.base)),
    "claim-different": lambda person, world: (
        person.open(here(world.showing, person.base)),
        person.tap("The serial is different", role="link"),
    )[0],
    "offer": offer,
    "plans": lambda person, world: person.open("/plans"),
    "plan": lambda person, world: unfold(person, f"/plans/{world.plan}"),
    "plan-edit": lambda person, world: person.open(f"/plans/{world.plan}/edit"),
    "plan-delete": lambda person, world: person.open(f"/plans/{world.plan}/delete"),
    "settings": lambda person, world: person.open("/settings"),
    "settings-people": lambda person, world: person.open("/settings/people"),
    "settings-access-points": lambda person, world: person.open("/settings/access-points"),
    "settings-access-point": lambda person, world: person.open(f"/settings/access-points/{world.point}"),
    "settings-realms": lambda person, world: person.open("/settings/realms"),
    "settings-realm": lambda person, world: person.open(f"/settings/realms/{world.realm}"),
    "settings-serials": lambda person, world: person.open("/settings/serials"),
    "settings-tokens": lambda person, world: person.open("/settings/tokens"),
    "settings-audit": lambda person, world: person.open("/settings/audit"),
    "me": lambda person, world: person.open("/me"),
    "not-found": lambda person, world: person.open("/devices/999999999"),
}
SIGNED_OUT: dict[str, Way] = {
    "home": lambda person, world: person.open("/"),
    "sign-in": lambda person, world: person.open("/account/login/"),
    "sign-in-to-claim": lambda person, world: person.open(here(world.showing, person.base)),
    "sign-up": lambda person, world: person.open("/account/signup/"),
    "link-used": lambda person, world: person.open("/welcome/used"),
    "password-forgotten": lambda person, world: person.open("/account/password/reset/"),
}


def test_the_yardstick_finds_what_is_wrong(people):
    person = people()
    person.open("/")
    person.page.evaluate(
        """() => {
          const wide = document.createElement("canvas");
          wide.width = 999;
          document.querySelector("h1").append(document.createElement("img"));
          document.querySelector("main").after(wide);
        }"""
    )
    wrong = "\n".join(examine(person, "broken", "phone", "light"))
    assert "image-alt" in wrong
    assert "pixels wide" in wrong


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_main_page_is_without_fault(people, world, screen, theme):
    options = {"viewport": SCREENS[screen], "color_scheme": theme}
    inside, outside = people(SAM, **options), people(**options)
    wrong: list[str] = []
    for person, pages in ((inside, SIGNED_IN), (outside, SIGNED_OUT)):
        for name, way in pages.items():
            way(person, world)
            wrong += examine(person, name, screen, theme)
    assert wrong == [], "\n".join(wrong)


def test_the_empty_house_says_what_to_do(people, portal, world):
    portal.token("empty@example.org", "Empty house")
    person = people("empty@example.org")
    wrong = []
    for name in ("devices", "plans", "settings/access-points", "settings/serials", "settings/realms"):
        person.open(f"/{name}")
        wrong += examine(person, f"empty-{name.rpartition('/')[2]}", "phone", "light")
        assert person.page.locator("main").inner_text().strip()
    assert wrong == [], "\n".join(wrong)


def test_forced_colours_leave_every_state_readable(people, world):
    """No state by colour alone: with a high-contrast theme each chip still has its word."""
    person = people(SAM, forced_colors="active")
    person.open("/devices")
    chips = person.page.locator("tbody .chip")
    assert chips.count() >= 4
    assert all(text.strip() for text in chips.all_inner_texts())
    assert examine(person, "devices-forced", "desktop", "light") == []
