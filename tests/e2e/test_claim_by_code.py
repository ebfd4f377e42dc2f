"""The device shows a code: two taps later it is onboarded, through each door."""

from __future__ import annotations

import time
from secrets import token_hex

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OWNER
from tests.e2e.things import here, picture

pytestmark = pytest.mark.browser

CLAIM_SECONDS = 60
"""Generous: a loaded machine is not what this tests; `make bench` has the figures."""
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


LOOK = """() => {
  const region = document.querySelector("live-region");
  const step = region.querySelector("[aria-current=step]");
  return {
    state: region.querySelector("[data-state]").dataset.state,
    step: step ? step.innerText.split("\\n")[1] ?? "" : "",
    text: region.innerText,
    same: window.neverLoadedAgain === true,
  };
}"""


def watch_until_onboarded(person) -> list[str]:
    """Steps as the page shows them turning, without ever loading again."""
    person.page.wait_for_url("**/devices/*")
    person.page.evaluate("window.neverLoadedAgain = true")
    seen: list[str] = []
    until = time.monotonic() + CLAIM_SECONDS
    while (look := person.page.evaluate(LOOK))["state"] != "onboarded":
        assert time.monotonic() < until, look["text"]
        if look["step"] and look["step"] not in seen:
            seen.append(look["step"])
        person.page.wait_for_timeout(50)
    assert look["same"]
    return seen


@pytest.mark.parametrize("door", ["https", "coap", "radius"])
def test_the_camera_reads_the_code_and_two_taps_onboard_the_device(
    portal, ways_in, people, things, launch, find_peer, tmp_path, door
):
    serial = f"CAM-{token_hex(3).upper()}"
    device = things(ways_in[door], "--serial", serial)
    video = picture(find_peer("ffmpeg"), device.code(), tmp_path / "camera.mjpeg")
    camera = launch(*CAMERA, f"--use-file-for-fake-video-capture={video}")
    person = people(OWNER, where=camera, permissions=["camera"])

    person.open("/devices")
    began = time.monotonic()
    person.tap("Add device", role="link")
    person.page.wait_for_url("**/claim/*")
    expect(person.page.get_by_role("definition").first).to_have_text(serial)
    person.tap("Add to Home")
    steps = watch_until_onboarded(person)
    seconds = time.monotonic() - began

    assert person.taps == 2
    assert seconds < CLAIM_SECONDS
    assert device.wait("onboarded")["serial"] == serial
    assert len(person.watcher.frames) >= 3, "the timeline moved by itself, over the WebSocket"
    assert steps, "at least one step was seen under way"
    done = person.page.locator("ol.steps li.done")
    assert done.count() == person.page.locator("ol.steps li").count()
    camera.close()
    print(f"\n{door}: 2 taps, {seconds:.1f} s, steps seen: {steps}")


def test_the_phone_camera_app_opens_the_link_and_one_more_tap_does_it(base, ways_in, people, things):
    device = things(ways_in["https"])
    person = people(OWNER)
    link = here(device.code(), base)
    began = time.monotonic()
    person.open(link)
    person.taps += 1  # the banner of the camera app
    person.tap("Add to Home")
    watch_until_onboarded(person)
    assert person.taps == 2
    assert time.monotonic() - began < CLAIM_SECONDS
    device.wait("onboarded")


def test_the_typed_twin_takes_the_same_code(ways_in, people, things):
    device = things(ways_in["coap"])
    person = people(OWNER)
    person.open("/add")
    person.page.get_by_label("Or type or paste the code").fill(device.code())
    person.tap("Continue")
    person.tap("Add to Home")
    watch_until_onboarded(person)
    device.wait("onboarded")


def test_a_photo_of_the_code_does_as_well(ways_in, people, things, find_peer, tmp_path):
    device = things(ways_in["https"])
    photo = picture(find_peer("ffmpeg"), device.code(), tmp_path / "photo.png")
    person = people(OWNER)
    person.open("/add")
    person.page.locator("input[type=file]").set_input_files(photo)
    person.page.wait_for_url("**/claim/*")
    person.tap("Add to Home")
    watch_until_onboarded(person)
    device.wait("onboarded")


def test_a_photo_without_a_code_says_so(people, find_peer, tmp_path):
    empty = tmp_path / "empty.pgm"
    empty.write_bytes(b"P5 64 64 255\n" + bytes(64 * 64))
    person = people(OWNER)
    person.open("/add")
    person.page.locator("input[type=file]").set_input_files(empty)
    expect(person.page.locator("qr-scan [data-status]")).to_contain_text("No code found in this picture")


def test_without_a_camera_the_page_says_what_is_left(people):
    person = people(OWNER)
    person.open("/add")
    person.tap("Use the camera")
    status = person.page.locator("qr-scan [data-status]")
    expect(status).to_contain_text("type")
    expect(status).to_contain_text("photo")


def test_a_claim_needs_no_pointer(base, ways_in, people, things):
    """From the scanner page to the onboarded device with Tab, Enter and typing only; focus is always seen."""
    device = things(ways_in["https"])
    person = people(OWNER)
    person.open("/add")
    tab_to(person, "#code")
    person.page.keyboard.type(device.code())
    person.page.keyboard.press("Enter")
    person.page.wait_for_url("**/claim/*")
    tab_to(person, "form button.primary")
    person.page.keyboard.press("Enter")
    watch_until_onboarded(person)
    tab_to(person, "#name")
    person.page.keyboard.type("Hall lamp")
    person.page.keyboard.press("Enter")
    expect(person.page.locator("[data-save-status]")).to_have_text("Saved")
    tab_to(person, "#history summary")
    person.page.keyboard.press("Enter")
    expect(person.page.locator("#history details[open]")).to_have_count(1)
    device.wait("onboarded")


def tab_to(person, selector: str, most: int = 40) -> None:
    """Press Tab until it is there; wherever focus is, it can be seen."""
    for _press in range(most):
        person.page.keyboard.press("Tab")
        arrived, seen = person.page.evaluate(
            """(selector) => {
              const at = document.activeElement, style = getComputedStyle(at);
              const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
              return [at.matches(selector), ring || at === document.body];
            }""",
            selector,
        )
        assert seen, person.page.evaluate("document.activeElement.outerHTML")
        if arrived:
            return
    raise AssertionError(f"no Tab leads to {selector}")
