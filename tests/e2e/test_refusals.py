"""What cannot go on ends in a sentence with a code, and says who can fix it."""

from __future__ import annotations

from secrets import token_hex

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OWNER
from tests.e2e.test_claim_by_code import watch_until_onboarded
from tests.e2e.things import here, with_wrong_hoob

pytestmark = pytest.mark.browser

NEIGHBOUR = "neighbour@example.org"
COLLEAGUE = "colleague@example.org"


@pytest.fixture(scope="module")
def neighbour(portal, token) -> str:
    """Somebody with an organization of their own."""
    portal.token(NEIGHBOUR, "Next door")
    return NEIGHBOUR


@pytest.fixture(scope="module")
def colleague(portal, token) -> str:
    """A second owner of "Home"."""
    portal.token(COLLEAGUE, "Home")
    return COLLEAGUE


@pytest.fixture
def waiting(ways_in, things):
    """A device that shows its code."""
    return things(ways_in["https"], "--serial", f"NO-{token_hex(3).upper()}")


def says(person, code: str, sentence: str, button: str = "") -> None:
    """One heading with the sentence, the code small, and a way on."""
    expect(person.page.get_by_text(code, exact=True)).to_be_visible()
    assert person.heading() == sentence
    if button:
        expect(person.page.get_by_role("link", name=button)).to_be_visible()


def test_a_wrong_code_says_so_before_anything_is_asked(waiting, base, people):
    person = people(OWNER)
    person.open(here(with_wrong_hoob(waiting.code()), base))
    expect(person.page.get_by_text("CLM-104", exact=True)).to_be_visible()
    assert person.heading() == "That code does not match."
    expect(person.page.get_by_role("button", name="Add to")).to_have_count(0)
    person.open(here(waiting.code(), base))
    person.tap("Add to Home")
    watch_until_onboarded(person)


def test_my_own_device_opens_instead(waiting, base, people):
    person = people(OWNER)
    person.open(here(waiting.code(), base))
    person.tap("Add to Home")
    watch_until_onboarded(person)
    mine = person.page.url.split("?")[0]
    person.open(here(waiting.code(), base))
    says(person, "CLM-107", "You already have this device.")
    person.tap("Open the device", role="link")
    assert person.page.url.split("?")[0] == mine


def test_a_colleague_is_told_that_it_is_here_and_a_stranger_only_that_it_is_owned(
    waiting, base, people, colleague, neighbour
):
    person = people(OWNER)
    code = waiting.code()
    person.open(here(code, base))
    person.tap("Add to Home")
    watch_until_onboarded(person)
    other = people(colleague)
    other.open(here(code, base))
    says(other, "CLM-108", "A colleague added this device already.", "Open the device")
    stranger = people(neighbour)
    stranger.open(here(code, base))
    says(stranger, "CLM-109", "This device already has an owner.", "My devices")
    assert "Home" not in stranger.page.content()
    assert OWNER not in stranger.page.content()


def test_two_people_with_one_code_and_only_the_first_gets_the_device(waiting, base, people, neighbour):
    """Both looked before either pressed."""
    first, second = people(OWNER), people(neighbour)
    first.open(here(waiting.code(), base))
    second.open(here(waiting.code(), base))
    first.tap("Add to Home")
    first.page.wait_for_url("**/devices/*")
    second.tap("Add to Next door")
    expect(second.page.get_by_text("CLM-109", exact=True)).to_be_visible()
    watch_until_onboarded(first)


def test_a_serial_that_differs_stops_it(waiting, base, people, portal, token):
    person = people(OWNER)
    person.open(here(waiting.code(), base))
    person.tap("The serial is different", role="link")
    assert person.heading() == "Good that you looked"
    expect(person.page.get_by_text("Nothing was added.")).to_be_visible()
    serial = waiting.events[0]["serial"]
    assert portal.get(f"/api/v1/devices?q={serial}", token)["results"] == []


def test_a_code_of_a_device_that_never_came_here(base, people, ways_in):
    person = people(OWNER)
    stranger = "/n?P=AAAAAAAAAAAAAAAAAAAAAA&N=AAAAAAAAAAAAAAAAAAAAAA&H=AAAAAAAAAAAAAAAAAAAAAA"
    person.open(stranger)
    says(person, "CLM-103", "No device with this code is waiting here.", "Scan again")


@pytest.mark.parametrize(
    ("text", "code"),
    [("hello", "CLM-101"), ("https://example.org/x", "CLM-101"), ("DPP:K:MDkwEwYHKoZI;;", "CLM-102")],
)
def test_what_is_no_code_of_ours(people, text, code):
    person = people(OWNER)
    person.open("/add")
    person.page.get_by_label("Or type or paste the code").fill(text)
    person.tap("Continue")
    expect(person.page.get_by_text(code, exact=True)).to_be_visible()
    person.tap("Scan again", role="link")
    person.page.wait_for_url("**/add")


def test_a_code_that_waited_too_long_in_the_browser(people):
    person = people(OWNER)
    person.open("/claim/AAAAAAAAAAAAAAAA")
    says(person, "CLM-106", "The code changed. Scan the new one.", "Scan again")


def test_a_device_that_comes_back_after_a_reset_is_merged_when_the_person_says_so(
    base, ways_in, people, things
):
    serial = f"SAME-{token_hex(3).upper()}"
    person = people(OWNER)
    person.open(here(things(ways_in["https"], "--serial", serial).code(), base))
    person.tap("Add to Home")
    watch_until_onboarded(person)
    first = person.page.url.split("?")[0]
    reset = things(ways_in["https"], "--serial", serial)
    person.open(here(reset.code(), base))
    expect(person.page.get_by_text("Is it the same one after a reset?")).to_be_visible()
    person.tap("Yes, the same device")
    reset.wait("onboarded")
    watch_until_onboarded(person)
    assert person.page.url.split("?")[0] == first
