"""What every claim and device page keeps to: no inline code, one heading, labels, headers, weight, no way out."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from api_device import waiting
from api_world import Side
from django.contrib.staticfiles import finders
from django.test import Client
from pages_world import browser, colleague, tags, text

from bootstrap.bindings import claims
from devices.models import DeviceState, Membership, Role

pytestmark = pytest.mark.django_db
ADDRESSES = {
    "href",
    "src",
    "action",
    "data-src",
    "data-live",
    "data-leave-to",
    "data-decoder",
    "data-wasm",
    "poster",
}
FIRST_LOAD_MAX = 60_000
"""Octets of HTML, CSS and scripts, compressed (product.md 4.4)."""


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


def scan(client: Client, thing: Any) -> str:
    """Where the device's link leads."""
    return str(client.get("/n?" + urlsplit(thing.shows()).query)["Location"])


def asking(client: Client, mine: Side) -> Any:
    return client.get(scan(client, waiting("ASK-1")))


def asking_again(client: Client, mine: Side) -> Any:
    mine.device("AGAIN-1")
    return client.get(scan(client, waiting("AGAIN-1")))


def different(client: Client, mine: Side) -> Any:
    return client.get(scan(client, waiting("ASK-2")) + "/different")


def refused(client: Client, mine: Side) -> Any:
    return client.get("/n?nonsense")


def refused_post(client: Client, mine: Side) -> Any:
    return client.post("/add/show", {"serial": "NOBODY"})


def same(client: Client, mine: Side) -> Any:
    mine.device("SAME-1").sessions.all().delete()
    waiting("SAME-1")
    return client.post("/add/show", {"serial": "SAME-1"})


def offered(client: Client, mine: Side) -> Any:
    waiting("OFFER-1")
    return client.get(client.post("/add/show", {"serial": "OFFER-1"})["Location"])


def adding(client: Client, mine: Side) -> Any:
    waiting("NEAR-1", organization_id=mine.organization.pk)
    return client.get("/add")


def empty_list(client: Client, mine: Side) -> Any:
    return client.get("/devices")


def full_list(client: Client, mine: Side) -> Any:
    for state in DeviceState.values:
        mine.device(f"S-{state}", state=state, name=state)
    waiting("NEAR-2", organization_id=mine.organization.pk)
    return client.get("/devices?q=")


def device_in(state: str) -> Callable[[Client, Side], Any]:
    def page(client: Client, mine: Side) -> Any:
        device = mine.device("S-1", state=state, reason="onboarding.silent" if state == "stuck" else "")
        return client.get(f"/devices/{device.pk}")

    return page


def front(client: Client, mine: Side) -> Any:
    return Client().get("/")


def not_found(client: Client, mine: Side) -> Any:
    return client.get("/devices/1")


def forged(client: Client, mine: Side) -> Any:
    careful = browser(mine.owner, enforce_csrf_checks=True)
    return careful.post("/add", {"code": "x"})


def as_viewer(client: Client, mine: Side) -> Any:
    return asking(browser(colleague(mine, Role.VIEWER)), mine)


PAGES: dict[str, tuple[Callable[[Client, Side], Any], int]] = {
    "front": (front, 200),
    "asking": (asking, 200),
    "asking again": (asking_again, 200),
    "asking a viewer": (as_viewer, 200),
    "different": (different, 200),
    "refused": (refused, 400),
    "refused after a press": (refused_post, 404),
    "the same one": (same, 200),
    "offered": (offered, 200),
    "adding": (adding, 200),
    "no devices": (empty_list, 200),
    "devices": (full_list, 200),
    **{f"a {state} device": (device_in(state), 200) for state in DeviceState.values},
    "not found": (not_found, 404),
    "forged": (forged, 403),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_keeps_the_rules(name: str, owner: Client, mine: Side) -> None:
    make, status = PAGES[name]
    answer = make(owner, mine)
    assert answer.status_code == status
    for rule in RULES:
        rule(answer)
    for back in {a["value"] for _tag, a in tags(answer) if a.get("name") == "back"}:
        assert owner.get(back).status_code != 405, "a way back can be opened"


def nothing_runs_or_is_styled_inline(page: Any) -> None:
    for tag, attributes in tags(page):
        assert tag != "style"
        assert not (tag == "script" and not attributes.get("src"))
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert not [value for value in attributes.values() if (value or "").lower().startswith("javascript:")]


def nothing_comes_from_elsewhere(page: Any) -> None:
    for tag, attributes in tags(page):
        for name in ADDRESSES & set(attributes):
            address = attributes[name] or ""
            assert not urlsplit(address).netloc, (tag, name, address)
            assert not urlsplit(address).scheme, (tag, name, address)


def the_headers_close_the_page(page: Any) -> None:
    policy = page["Content-Security-Policy"]
    for directive in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"):
        assert directive in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy
    assert page["X-Content-Type-Options"] == "nosniff"
    assert page["X-Frame-Options"] == "DENY"
    assert page["Referrer-Policy"] in ("same-origin", "no-referrer", "strict-origin")
    assert page["Cross-Origin-Opener-Policy"] == "same-origin"


def it_can_be_read_aloud(page: Any) -> None:
    found = tags(page)
    assert [a.get("lang") for tag, a in found if tag == "html"] == ["en"]
    assert [tag for tag, _a in found].count("h1") == 1
    assert [tag for tag, _a in found].count("main") == 1
    ids = [a["id"] for _tag, a in found if a.get("id")]
    assert len(ids) == len(set(ids)), "an id names one element"
    labels = {a.get("for") for tag, a in found if tag == "label"}
    html = page.content.decode()
    for tag, a in found:
        if tag not in ("input", "select", "textarea") or a.get("type") == "hidden":
            continue
        wrapped = re.search(
            r"<label[^>]*>(?:(?!</label>).)*" + re.escape(f'type="{a.get("type")}"'), html, re.DOTALL
        )
        assert a.get("id") in labels or a.get("aria-label") or wrapped, a
    for tag, a in found:
        for name in ("aria-labelledby", "aria-describedby"):
            assert a.get(name) is None or a[name] in ids, (tag, a)
        if tag == "a":
            assert a.get("href")


def every_form_that_acts_is_protected(page: Any) -> None:
    html = page.content.decode()
    for form in re.findall(r"<form.*?</form>", html, re.DOTALL):
        assert ('method="post"' in form) == ("csrfmiddlewaretoken" in form), form[:200]


RULES = (
    nothing_runs_or_is_styled_inline,
    nothing_comes_from_elsewhere,
    the_headers_close_the_page,
    it_can_be_read_aloud,
    every_form_that_acts_is_protected,
)


def test_only_the_scanner_may_use_the_camera_or_compile(owner: Client, mine: Side) -> None:
    for name, (make, _status) in PAGES.items():
        if name != "adding":
            answer = make(owner, mine)
            assert "wasm" not in answer["Content-Security-Policy"], name
            assert "camera=(self" not in answer.get("Permissions-Policy", ""), name
    answer = adding(owner, mine)
    assert "'wasm-unsafe-eval'" in answer["Content-Security-Policy"]
    assert "camera=(self)" in answer["Permissions-Policy"]
    assert "microphone=()" in answer["Permissions-Policy"]


def modules(path: str, seen: dict[str, bytes]) -> None:
    """A script of ours and everything that it imports."""
    found = finders.find(path)
    assert found, path
    seen[path] = Path(found).read_bytes()
    for name in re.findall(r"""import\s+["']\./([\w-]+\.js)["']""", seen[path].decode()):
        if f"js/{name}" not in seen:
            modules(f"js/{name}", seen)


def test_the_first_load_is_light(owner: Client, mine: Side) -> None:
    for number in range(50):
        mine.device(f"T2-0042-{number:04}", name=f"Sensor {number} of the lobby", state=DeviceState.ONBOARDED)
    answer = owner.get("/devices")
    parts: dict[str, bytes] = {"page": answer.content}
    for tag, attributes in tags(answer):
        address = attributes.get("src") if tag == "script" else attributes.get("href")
        if tag == "script" or (tag == "link" and attributes.get("rel") == "stylesheet"):
            modules((address or "").removeprefix("/static/"), parts)
    assert {"css/app.css", "js/live-region.js", "vendor/htmx-4.0.1/htmx.min.js"} <= set(parts)
    weight = sum(len(gzip.compress(part)) for part in parts.values())
    assert weight < FIRST_LOAD_MAX, {name: len(gzip.compress(part)) for name, part in parts.items()}


class TestColours:
    """The first byte has the right ones."""

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_the_cookie_is_honoured(self, owner: Client, theme: str) -> None:
        assert owner.post("/theme", {"theme": theme, "back": "/devices"})["Location"] == "/devices"
        for address in ("/devices", "/add", "/devices/1", "/n?x"):
            html = [a for tag, a in tags(owner.get(address)) if tag == "html"]
            assert html[0].get("data-theme") == theme
        pressed = [a["value"] for tag, a in tags(owner.get("/devices")) if a.get("aria-pressed") == "true"]
        assert pressed == [theme]

    @pytest.mark.parametrize("theme", ["", "pink", '"><script>'])
    def test_anything_else_is_the_systems_wish(self, owner: Client, theme: str) -> None:
        owner.post("/theme", {"theme": "dark"})
        owner.post("/theme", {"theme": theme})
        owner.cookies["theme"] = theme
        assert "data-theme" not in next(a for tag, a in tags(owner.get("/devices")) if tag == "html")

    def test_the_cookie_is_out_of_reach_of_scripts(self, owner: Client) -> None:
        cookie = owner.post("/theme", {"theme": "dark"}).cookies["theme"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"


class TestWaysBack:
    """``back`` leads to a page of ours, or to the front."""

    @pytest.mark.parametrize("path", ["/theme", "/organizations/choose"])
    @pytest.mark.parametrize(
        "back",
        [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "http:///evil.example",
            "\x00//evil.example",
            "data:text/html,x",
        ],
    )
    def test_no_way_leads_out(self, owner: Client, mine: Side, path: str, back: str) -> None:
        answer = owner.post(path, {"theme": "dark", "organization": mine.organization.pk, "back": back})
        assert (answer.status_code, answer["Location"]) == (302, "/")

    @pytest.mark.parametrize(
        "back", ["devices", "nowhere", "portal.pages", "/x\r\nSet-Cookie: a=b", "/ä", "?q=1"]
    )
    def test_a_strange_one_is_no_error_and_no_header(self, owner: Client, back: str) -> None:
        answer = owner.post("/theme", {"theme": "dark", "back": back})
        assert answer.status_code == 302
        assert not urlsplit(answer["Location"]).netloc
        assert "\n" not in answer["Location"]
        assert set(answer.cookies) == {"theme"}

    @pytest.mark.parametrize(
        ("back", "leads"),
        [
            ("/devices/7", "/devices"),
            ("/offers/7", "/add"),
            ("/plans/3", "/plans"),
            ("/add", "/add"),
            ("/claim/x", "/claim/x"),
        ],
    )
    def test_choosing_an_organization_leaves_the_others_things(
        self, owner: Client, mine: Side, back: str, leads: str
    ) -> None:
        body = {"organization": mine.organization.pk, "back": back}
        assert owner.post("/organizations/choose", body)["Location"] == leads


def test_a_page_in_another_language_says_which(owner: Client) -> None:
    """Words that have no translation are English, and so is the page: never a mixture."""
    page = owner.get("/devices", headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert [a.get("lang") for tag, a in tags(page) if tag == "html"] == [page["Content-Language"]]


def test_the_web_app_is_described(owner: Client) -> None:
    answer = owner.get("/manifest.webmanifest")
    assert answer["Content-Type"] == "application/manifest+json"
    described = answer.json()
    assert described["start_url"] == described["id"] == "/"
    for icon in described["icons"]:
        assert finders.find(icon["src"].removeprefix("/static/"))


def test_a_claim_that_is_offered_shows_only_to_its_owner(mine: Side) -> None:
    waiting("OFFER-2")
    made = claims.offer(Membership.objects.get(user=mine.owner), serial="OFFER-2")
    viewer = browser(colleague(mine, Role.VIEWER)).get(f"/offers/{made.claim_id}")
    assert viewer.status_code == 403
    assert made.code not in text(viewer)
