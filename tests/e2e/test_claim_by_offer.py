"""The device reads a code: the page shows it as QR and text, and turns by itself when the device took it."""

from __future__ import annotations

import base64
import re
from secrets import token_hex

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OWNER
from tests.e2e.test_claim_by_code import watch_until_onboarded

pytestmark = pytest.mark.browser

READ = """async (picture) => {
  const octets = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
  const reader = await document.querySelector("qr-scan").detector();
  const [found] = await reader.detect(await createImageBitmap(new Blob([octets], { type: "image/png" })));
  return found ? found.rawValue : null;
}"""


def waiting_device(things, via: str):
    """One that wants to read a code, and its printed serial."""
    serial = f"READ-{token_hex(3).upper()}"
    device = things(via, "--direction", "server-to-device", "--serial", serial)
    device.wait("wants-code")
    return device, serial


def read_by_camera(person, picture: bytes) -> str | None:
    """What a scanner makes of this picture (the one that the portal's own scan page brings)."""
    person.open("/add")
    return person.page.evaluate(READ, base64.b64encode(picture).decode())


@pytest.mark.parametrize("door", ["https", "coap"])
def test_the_device_reads_the_qr_from_the_screen_and_the_page_turns(ways_in, people, things, door):
    device, serial = waiting_device(things, ways_in[door])
    person, camera = people(OWNER), people(OWNER)
    person.open("/add")
    person.page.get_by_label("Serial number, exactly as printed").fill(serial)
    person.tap("Show the code")
    person.page.wait_for_url("**/offers/*")
    expect(person.page.get_by_role("timer")).to_have_text(re.compile(r"\d+:\d\d min"))
    shown = person.page.locator("#offered-code").inner_text()
    read = read_by_camera(camera, person.page.locator("svg.qr").screenshot())
    assert read == shown

    device.type(read)
    device.wait("code-entered")
    watch_until_onboarded(person)
    assert person.taps == 1
    assert device.wait("onboarded")["serial"] == serial
    assert person.watcher.frames


def test_a_device_behind_our_own_access_point_is_offered_in_one_tap(ways_in, people, things):
    device, serial = waiting_device(things, ways_in["radius"])
    person = people(OWNER)
    person.open("/add")
    person.tap(f"Show a code for {serial}")
    device.type(person.page.locator("#offered-code").inner_text())
    watch_until_onboarded(person)
    assert person.taps == 1
    device.wait("onboarded")


def test_a_withdrawn_code_is_worth_nothing(ways_in, people, things):
    device, serial = waiting_device(things, ways_in["https"])
    person = people(OWNER)
    person.open("/add")
    person.page.get_by_label("Serial number, exactly as printed").fill(serial)
    person.tap("Show the code")
    code = person.page.locator("#offered-code").inner_text()
    person.tap("Cancel")
    person.page.wait_for_url("**/add")
    device.type(code)
    device.wait("code-entered")
    device.wait("waiting")
    person.page.wait_for_timeout(6000)
    assert not [event for event in device.events if event["event"] == "bootstrapped"]
    person.open(f"/devices?q={serial}")
    assert serial not in person.page.locator("tbody").inner_text()


def test_a_serial_that_nobody_has_gets_its_sentence(people):
    person = people(OWNER)
    person.open("/add")
    person.page.get_by_label("Serial number, exactly as printed").fill("NOBODY-1")
    person.tap("Show the code")
    assert "NOBODY-1" in person.heading()
    expect(person.page.get_by_text("CLM-114")).to_be_visible()
