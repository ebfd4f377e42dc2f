"""What the code's link may do, and what it may not: no effect by looking, no secret left anywhere."""

from __future__ import annotations

import re
import sqlite3
from secrets import token_hex
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OWNER, mailed_code
from tests.e2e.test_claim_by_code import watch_until_onboarded
from tests.e2e.things import here, secret_of, with_wrong_hoob

pytestmark = pytest.mark.browser

LOOKING = {
    "a person": {},
    "a browser that guesses": {"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"},
    "a messenger": {"User-Agent": "WhatsApp/2.23"},
}


def rows(portal, serial: str) -> list[tuple]:
    """All that the portal knows of a device, from its own file: session, events, device, claims."""
    with sqlite3.connect(f"file:{portal.folder / 'onward.sqlite3'}?mode=ro", uri=True) as database:
        sessions = database.execute(
            "SELECT id, version, phase, messages, state, device_id FROM engine_session WHERE serial = ?",
            [serial],
        ).fetchall()
        marks = ",".join(str(row[0]) for row in sessions)
        events = database.execute(
            f"SELECT session_id, code FROM engine_event WHERE session_id IN ({marks})"
        ).fetchall()
        devices = database.execute("SELECT id FROM devices_device WHERE serial = ?", [serial]).fetchall()
    return [*sessions, *events, *devices]


@pytest.fixture
def asleep(portal, token, ways_in, things):
    """Serial and code of a device that is switched off after showing its code: it changes nothing itself."""
    serial = f"LAND-{token_hex(3).upper()}"
    device = things(ways_in["https"], "--serial", serial)
    code = device.code()
    device.off()
    return serial, code


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("who", LOOKING)
@pytest.mark.parametrize("where", ["portal", "devices"])
def test_looking_at_the_link_has_no_effect_and_counts_no_try(portal, asleep, method, who, where):
    """Also on the device port, which is what the code itself names."""
    serial, code = asleep
    before = rows(portal, serial)
    for link in (here(code, portal.places[where]), here(with_wrong_hoob(code), portal.places[where])):
        for _again in range(7):
            answer = httpx.request(method, link, headers=LOOKING[who], verify=False)
            assert answer.status_code == 303
            assert secret_of(code) not in answer.headers["location"]
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
    assert rows(portal, serial) == before


def test_the_landing_takes_no_post(asleep, base):
    assert httpx.post(here(asleep[1], base)).status_code in (403, 405)


def test_looking_signed_in_has_no_effect_either_until_the_button(portal, asleep, base, people):
    serial, code = asleep
    person = people(OWNER)
    person.open(here(code, base))
    before = rows(portal, serial)
    for _again in range(7):
        person.page.reload()
    expect(person.page.get_by_role("button", name="Add to Home")).to_be_visible()
    assert rows(portal, serial) == before
    # What a crawler with this person's cookies would send.
    answer = person.page.request.head(person.page.url)
    assert answer.ok
    assert rows(portal, serial) == before
    person.tap("Add to Home")
    person.page.wait_for_url("**/devices/*")
    assert rows(portal, serial) != before


def test_the_secret_leaves_the_address_at_once_and_is_nowhere_else(portal, asleep, base, people):
    _serial, code = asleep
    secret = secret_of(code)
    person = people(OWNER)
    person.open("/devices")
    person.open(here(code, base))
    assert person.page.url.startswith(f"{base}/claim/")
    pages = [person.page.content()]
    person.tap("The serial is different", role="link")
    person.page.wait_for_url("**/different")
    pages.append(person.page.content())
    person.tap("I misread it, go back", role="link")
    person.tap("Add to Home")
    person.page.wait_for_url("**/devices/*")
    pages.append(person.page.content())

    for page in pages:
        assert secret not in page
    cdp = person.page.context.new_cdp_session(person.page)
    history = cdp.send("Page.getNavigationHistory")["entries"]
    assert len(history) >= 3
    assert not [entry["url"] for entry in history if secret in entry["url"]]
    sent = [request for request in person.watcher.requests if secret in f"{request.url} {request.headers}"]
    assert [request.url for request in sent] == [here(code, base)], "one request carries it, no Referer does"
    assert secret not in str(person.page.context.cookies())
    assert secret not in person.page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    for form in (secret, quote(secret)):
        assert form not in portal.log.read_text()


def test_somebody_new_signs_up_with_a_passkey_and_the_code_waits(
    portal, base, token, ways_in, people, things
):
    """Landing, sign-in page, sign-up, mail code, passkey, and back to the device: the code is in no address."""
    device = things(ways_in["https"])
    code = device.code()
    secret = secret_of(code)
    person = people()
    person.add_authenticator()
    email = f"new-{token_hex(4)}@example.org"

    person.open(here(code, base))
    assert person.page.url == f"{base}/account/login/"
    assert person.heading() == "Sign in to add this device"
    person.tap("Create an account", role="link")
    person.page.get_by_role("textbox", name=re.compile("mail", re.IGNORECASE)).fill(email)
    person.tap("Code, then a passkey for next time")
    person.page.get_by_label("Code").fill(mailed_code(portal, email, 0))
    person.tap("Continue")
    person.tap("Make a passkey")
    person.page.wait_for_url("**/claim/*")
    person.page.get_by_role("button", name="Add to").click()
    watch_until_onboarded(person)
    device.wait("onboarded")

    visited = [request.url for request in person.watcher.requests if request.resource_type == "document"]
    assert [url for url in visited if secret in url] == [here(code, base)]
    assert not [url for url in visited if "next=" in url and "claim" in url]


def test_who_has_a_passkey_comes_back_with_it_and_with_the_code(base, portal, token, ways_in, people, things):
    """Made on the account page, used on the sign-in page, which the browser offers by itself."""
    person = people()
    person.add_authenticator()
    email = f"keys-{token_hex(4)}@example.org"
    person.open("/account/signup")
    person.page.get_by_role("textbox", name=re.compile("mail", re.IGNORECASE)).fill(email)
    person.tap("Mail me a code")
    person.page.get_by_label("Code").fill(mailed_code(portal, email, 0))
    person.tap("Continue")
    person.page.wait_for_url(lambda url: "/account/" not in url)
    person.open("/account/2fa/webauthn/add/")
    person.tap("Make a passkey")
    person.page.wait_for_url(lambda url: "/webauthn/add" not in url)
    assert person.heading() != "Is it you?"
    person.page.context.clear_cookies()

    device = things(ways_in["coap"])
    person.taps = 0
    person.open(here(device.code(), base))
    person.taps += 1
    if "/account/login" in person.page.url:
        # Either the browser offers the passkey while the page opens, or the person asks for it.
        button = person.page.get_by_role("button", name="Use a passkey")
        try:
            person.page.wait_for_url("**/claim/*", timeout=3000)
        except Exception:
            button.click()
            person.taps += 1
    person.page.wait_for_url("**/claim/*")
    person.page.get_by_role("button", name="Add to").click()
    person.taps += 1
    watch_until_onboarded(person)
    device.wait("onboarded")
    assert person.taps <= 3


def test_a_code_serves_the_browser_that_opened_it_alone_and_once(asleep, base, people):
    _serial, code = asleep
    person, other = people(OWNER), people()
    person.open(here(code, base))
    waiting = person.page.url
    other.open(waiting)
    assert "CLM-106" in other.page.content()
    person.tap("Add to Home")
    person.page.wait_for_url("**/devices/*")
    person.open(waiting)
    assert "CLM-106" in person.page.content()
