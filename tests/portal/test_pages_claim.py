"""The claim link and all its rules (product.md 2.1 and 3.3), with real devices behind the real engine."""

from __future__ import annotations

import html
import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from api_device import Device as Thing
from api_device import waiting, work
from api_world import Side
from claim_world import landing, protocol_rows, scan, spoiled
from django.contrib.sessions.models import Session as BrowserSession
from django.core import mail
from django.test import Client
from pages_world import browser, colleague, tags, text

from bootstrap.bindings import claims
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.contract import Verdict
from bootstrap.engine.models import Event
from devices.models import Device, Membership, Role
from devices.services.access import expected_serials_add, organization_update
from devices.services.people import membership_ensure, organization_create, user_ensure
from portal import catalogue, sentences
from portal.pages.pending import LIFETIME_SECONDS, SESSION_KEY

pytestmark = pytest.mark.django_db
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


def test_two_steps_and_the_device_goes_online(owner: Client) -> None:
    thing = waiting("T2-0042-9913")
    place = scan(owner, thing.shows())
    page = owner.get(place)
    assert page.status_code == 200
    assert "Acme Thermo T2" in text(page)
    assert "T2-0042-<b>9913</b>" in page.content.decode()
    assert "Add to Mine" in text(page)
    added = owner.post(place)
    device = Device.objects.get()
    assert (added.status_code, urlsplit(added["Location"]).path) == (303, f"/devices/{device.pk}")
    assert device.serial_confirmed
    assert owner.get(added["Location"]).status_code == 200
    assert thing.connect() is Verdict.ACCEPT
    work()
    assert "eap-noob.completed" in Event.objects.filter(device=device).values_list("code", flat=True)
    assert "proved itself" in text(owner.get(f"/devices/{device.pk}/progress"))


@pytest.mark.parametrize("method", ["get", "head"])
def test_opening_the_link_changes_nothing_for_the_device(method: str) -> None:
    code = waiting().shows()
    before = protocol_rows()
    for _preview in range(10):
        assert getattr(Client(), method)(landing(code)).status_code == 303
    assert protocol_rows() == before


def test_looking_at_the_question_changes_nothing_for_the_device(owner: Client) -> None:
    place = scan(owner, waiting().shows())
    before = protocol_rows()
    for _look in range(10):
        assert owner.get(place).status_code == 200
        assert owner.head(place).status_code == 200
    assert protocol_rows() == before


def test_a_wrong_code_costs_no_try_until_somebody_says_yes(owner: Client) -> None:
    code = spoiled(waiting().shows(), "H")
    before = protocol_rows()
    for _look in range(8):
        page = owner.get(scan(owner, code))
        assert page.status_code == 422
        assert "CLM-104" in text(page)
    assert protocol_rows() == before
    owner.post(scan(owner, code))
    assert Event.objects.filter(code="claim.wrong-code").count() == 1
    assert not Device.objects.exists()


def test_the_secret_leaves_the_address_at_once() -> None:
    code = waiting().shows()
    answer = Client().get(landing(code))
    assert answer["Cache-Control"] == "no-store"
    assert answer["Referrer-Policy"] == "no-referrer"
    for _name, value in parse_qsl(urlsplit(code).query):
        assert value not in answer["Location"]
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_the_question_is_as_private_as_the_link(owner: Client) -> None:
    code = waiting().shows()
    page = owner.get(scan(owner, code))
    assert "no-store" in page["Cache-Control"]
    # Not no-referrer: a form needs its Origin. The address holds only the random name.
    assert page["Referrer-Policy"] == "same-origin"
    secret = dict(parse_qsl(urlsplit(code).query))["N"]
    assert secret not in page.content.decode()


def test_the_secret_is_sealed_in_the_browsers_session() -> None:
    code = waiting().shows()
    Client().get(landing(code))
    secret = dict(parse_qsl(urlsplit(code).query))["N"]
    stored = BrowserSession.objects.get()
    assert secret not in stored.session_data
    assert secret not in str(stored.get_decoded())


def test_another_browser_cannot_use_the_place(owner: Client, mine: Side) -> None:
    place = scan(owner, waiting().shows())
    stranger = browser(colleague(mine))
    assert stranger.get(place).status_code == 410
    assert stranger.post(place).status_code == 410
    assert not Device.objects.exists()
    assert owner.get(place).status_code == 200


def test_the_place_works_once(owner: Client) -> None:
    place = scan(owner, waiting().shows())
    assert owner.post(place).status_code == 303
    assert owner.post(place).status_code == 410
    assert owner.get(place).status_code == 410
    assert Device.objects.count() == 1


def test_the_place_is_gone_after_a_quarter_of_an_hour(owner: Client) -> None:
    place = scan(owner, waiting().shows())
    session = owner.session
    session[SESSION_KEY] = {
        name: [since - LIFETIME_SECONDS - 1, sealed] for name, (since, sealed) in session[SESSION_KEY].items()
    }
    session.save()
    assert owner.post(place).status_code == 410
    assert not Device.objects.exists()


def test_a_browser_keeps_only_a_few_codes(owner: Client) -> None:
    things = [waiting(f"SN-{number}") for number in range(7)]
    places = [scan(owner, thing.shows()) for thing in things]
    assert owner.get(places[0]).status_code == 410
    assert owner.get(places[-1]).status_code == 200
    assert len(owner.session[SESSION_KEY]) <= 5


def test_a_forged_post_does_nothing(mine: Side) -> None:
    careful = browser(mine.owner, enforce_csrf_checks=True)
    place = scan(careful, waiting().shows())
    for path in (place, "/add", "/add/show"):
        answer = careful.post(path, {"code": "x", "serial": "T2-0042"})
        assert answer.status_code == 403
        assert "Nothing was changed" in text(answer)
    assert not Device.objects.exists()


BAD_QUERIES = [
    "",
    "?",
    "?P=1",
    "?P=&N=&H=",
    "?x=" + "y" * 3000,
    "?P=%00&N=%ff&H=%",
    "?" + "A" * 2048,
    "?" + "A" * 60_000,
    "?\x00\xff\xfe",
    "?P=" + "%F0%9F%98%80" * 20 + "&N=" + "A" * 22 + "&H=" + "A" * 22,
    "?P=a&P=b&N=" + "A" * 22 + "&H=" + "A" * 22,
    "?P=%22%3E%3Cscript%3E&N=" + "A" * 22 + "&H=" + "A" * 22,
    "?P=a%2F..%2Fb&N=" + "A" * 22 + "&H=" + "A" * 22,
    "?N=../../etc/passwd&P=;--&H=%3Cscript%3E",
]


@pytest.mark.parametrize("query", BAD_QUERIES)
@pytest.mark.parametrize("who", ["owner", "nobody"])
def test_a_bad_link_is_a_page_with_a_code_and_leaves_nothing(owner: Client, query: str, who: str) -> None:
    client = owner if who == "owner" else Client()
    kept = BrowserSession.objects.count()
    answer = client.get("/n", QUERY_STRING=query.removeprefix("?"))
    assert (answer.status_code, "CLM-101" in text(answer)) == (400, True)
    assert answer["Cache-Control"] == "no-store"
    assert BrowserSession.objects.count() == kept, "no row for what nobody can read"
    assert SESSION_KEY not in client.session


@pytest.mark.parametrize("name", ["\xd7\xa9", "%D7%A9%D7%9C", "some.body-else"])
def test_a_strange_name_of_a_device_is_only_an_unknown_one(owner: Client, name: str) -> None:
    noob = "A" * 22
    place = owner.get("/n", QUERY_STRING=f"P={name}&N={noob}&H={noob}")["Location"]
    page = owner.get(place)
    assert (page.status_code, "CLM-103" in text(page)) == (404, True)


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}, {"User-Agent": "Slackbot-LinkExpanding 1.0"}, {}],
)
@pytest.mark.parametrize("method", ["get", "head"])
def test_previews_and_prefetches_are_looks_like_any_other(
    owner: Client, headers: dict[str, str], method: str
) -> None:
    code = waiting().shows()
    before = protocol_rows()
    for _time in range(2):
        answer = getattr(owner, method)(landing(code), headers=headers)
        assert answer.status_code == 303
        assert answer["Cache-Control"] == "no-store"
    assert protocol_rows() == before
    assert owner.get(answer["Location"]).status_code == 200


def test_no_cookie_and_no_later_page_holds_the_secret(owner: Client) -> None:
    code = waiting().shows()
    parts = {value for name, value in parse_qsl(urlsplit(code).query) if name in ("N", "H")}
    place = scan(owner, code)
    written = [owner.get(path).content.decode() for path in (place, f"{place}/different", "/devices", "/add")]
    owner.post(place)
    device = Device.objects.get()
    written += [
        owner.get(f"/devices/{device.pk}{end}").content.decode() for end in ("", "/progress", "/bundle.json")
    ]
    written += [cookie.value for cookie in owner.cookies.values()]
    for part in parts:
        assert not [one for one in written if part in one]


def test_the_link_acts_on_no_other_method(owner: Client) -> None:
    assert owner.post(landing(waiting().shows())).status_code == 405


def claim_page(client: Client) -> str:
    """The place of a code that waits."""
    return scan(client, waiting().shows())


class TestEveryRefusal:
    """Each problem that a claim can have is a page with its code, sentence, button and status."""

    DETAIL = {
        "kind": "Matter",
        "tries_left": 4,
        "serial": "T2-0042",
        "merge_with": 1,
        "retry_after_seconds": 60,
        "candidates": [1, 2],
    }

    def check(self, owner: Client, mine: Side, answer: Any, problem: ClaimProblem) -> None:
        entry = sentences.PROBLEMS[problem]
        said = catalogue.problem(ClaimRefused(problem, **self.DETAIL))
        page = text(answer)
        assert answer.status_code == (200 if entry.tone == "ok" else entry.status)
        assert said.sentence in page
        assert said.fix in page
        assert problem.value in page
        assert "–" not in page, "no value is missing"
        assert answer["Cache-Control"].startswith("no-store")
        links = [a["href"] or "" for tag, a in tags(answer) if tag == "a" and "btn" in (a.get("class") or "")]
        assert links
        for link in links:
            assert owner.get(link).status_code == 200
        alert = [a for _tag, a in tags(answer) if a.get("role") == "alert"]
        assert bool(alert) == (entry.tone == "bad")

    PAGES = [problem for problem in ClaimProblem if problem is not ClaimProblem.WAS_HERE_BEFORE]

    @pytest.mark.parametrize("problem", PAGES)
    @pytest.mark.parametrize("deed", ["look", "confirm", "offer"])
    def test_it_reaches_the_person(
        self, owner: Client, mine: Side, monkeypatch: pytest.MonkeyPatch, problem: ClaimProblem, deed: str
    ) -> None:
        device = mine.device("OLD-1")

        def refuse(*_arguments: Any, **_more: Any) -> None:
            raise ClaimRefused(problem, **self.DETAIL, device=device.pk)

        place = claim_page(owner)
        monkeypatch.setattr(claims, deed, refuse)
        if deed == "look":
            answer = owner.get(place)
        elif deed == "confirm":
            answer = owner.post(place)
        else:
            answer = owner.post("/add/show", {"serial": "T2-0042"})
        monkeypatch.undo()
        self.check(owner, mine, answer, problem)
        if deed != "offer":
            assert owner.get(place).status_code == 410, "a code that was refused is not kept"

    def test_a_colleagues_device_opens(
        self, owner: Client, mine: Side, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = mine.device("OLD-1")

        def refuse(*_arguments: Any, **_more: Any) -> None:
            raise ClaimRefused(ClaimProblem.ADDED_BY_COLLEAGUE, device=device.pk)

        place = claim_page(owner)
        monkeypatch.setattr(claims, "look", refuse)
        links = {a.get("href") for tag, a in tags(owner.get(place)) if tag == "a"}
        assert f"/devices/{device.pk}" in links

    def test_the_last_wrong_code_starts_the_device_over(self, owner: Client) -> None:
        """Five wrong codes that somebody confirms (OobRetries): the fifth says that pairing begins again."""
        thing = waiting()
        pages = [owner.post(scan(owner, spoiled(thing.shows(), "H"))) for _try in range(5)]
        assert ["CLM-104" in text(page) for page in pages] == [True] * 4 + [False]
        assert "4 tries left" in text(pages[0])
        assert "CLM-105" in text(pages[4])
        assert not Device.objects.exists()

    def test_the_same_code_twice_is_no_error(self, owner: Client) -> None:
        code = waiting().shows()
        owner.post(scan(owner, code))
        page = owner.get(scan(owner, code))
        assert (page.status_code, "CLM-110" in text(page)) == (200, True)
        assert "nothing more to do" in text(page)


class TestSigningInOnTheWay:
    """The code waits in the session, never in the address of the sign-in page."""

    @staticmethod
    def sign_in(client: Client, page: str, email: str) -> Any:
        """By mail code, as the sign-in page does it."""
        client.post("/account/login/code/", {"email": email})
        found = re.search(r"\b(\d{6})\b", str(mail.outbox[-1].body))
        assert found, mail.outbox[-1].body
        return client.post("/account/login/code/confirm/", {"code": found[1]})

    def test_signing_in_by_mail_code_returns_to_the_question(self, mine: Side) -> None:
        client, code = Client(), waiting().shows()
        place = scan(client, code)
        away = client.get(place)
        assert away.status_code == 302
        assert urlsplit(away["Location"]).query == ""
        before = client.session.session_key
        back = self.sign_in(client, away["Location"], mine.owner.email)
        assert (back.status_code, back["Location"]) == (302, place), text(back)
        assert client.session.session_key != before, "no session fixation"
        assert client.post(place).status_code == 303
        assert Device.objects.get().organization == mine.organization

    def test_a_post_before_signing_in_does_nothing(self) -> None:
        client = Client()
        place = scan(client, waiting().shows())
        before = protocol_rows()
        assert client.post(place).status_code == 302
        assert protocol_rows() == before

    def test_a_new_person_comes_back_with_an_organization_of_their_own(self) -> None:
        client = Client()
        place = scan(client, waiting().shows())
        client.post("/account/signup/", {"email": "new@example.com"})
        found = re.search(r"\b(\d{6})\b", str(mail.outbox[-1].body))
        assert found
        back = client.post("/account/confirm-email/", {"code": found[1]})
        assert back["Location"] == place
        assert "Add to new&#x27;s devices" in client.get(place).content.decode()


class TestRefusals:
    """Each reaches the person as its own sentence."""

    def open(self, client: Client, code: str) -> Any:
        return client.post("/add", {"code": code}, follow=True)

    def test_something_else(self, owner: Client) -> None:
        page = self.open(owner, "https://example.com/menu")
        assert (page.status_code, "CLM-101" in text(page)) == (400, True)

    @pytest.mark.parametrize("code", ["DPP:C:81/1;M:1;K:abc;;", "MT:Y.K90AFN00", "LW:D0:1:2:3"])
    def test_a_kind_that_comes_later(self, owner: Client, code: str) -> None:
        page = self.open(owner, code)
        assert (page.status_code, "CLM-102" in text(page)) == (400, True)

    def test_nobody_waits(self, owner: Client) -> None:
        page = self.open(owner, spoiled(waiting().shows(), "P"))
        assert (page.status_code, "CLM-103" in text(page)) == (404, True)

    def test_mine_already_leads_there_and_is_no_error(self, owner: Client) -> None:
        thing = waiting()
        code = thing.shows()
        owner.post(scan(owner, code))
        assert thing.connect() is Verdict.ACCEPT
        page = self.open(owner, code)
        device = Device.objects.get()
        assert page.status_code == 200
        assert f'href="/devices/{device.pk}"' in page.content.decode()
        assert not [
            attributes for _tag, attributes in tags(page) if "bad" in (attributes.get("class") or "").split()
        ]

    def test_a_colleague_added_it(self, owner: Client, mine: Side) -> None:
        thing = waiting()
        code = thing.shows()
        browser_of_colleague = browser(colleague(mine))
        browser_of_colleague.post(scan(browser_of_colleague, code))
        assert thing.connect() is Verdict.ACCEPT
        assert "CLM-108" in text(self.open(owner, code))

    def test_somebody_else_owns_it_and_is_not_named(self, owner: Client) -> None:
        thing, rivals = waiting(), Side("Rivals")
        other = browser(rivals.owner)
        code = thing.shows()
        other.post(scan(other, code))
        assert thing.connect() is Verdict.ACCEPT
        page = self.open(owner, code)
        assert (page.status_code, "CLM-109" in text(page)) == (409, True)
        assert "Rivals" not in page.content.decode()

    def test_a_viewer_reads_why_not_and_has_no_button(self, mine: Side) -> None:
        viewer = browser(colleague(mine, Role.VIEWER))
        place = scan(viewer, waiting().shows())
        page = viewer.get(place)
        assert page.status_code == 200
        assert "Ask an owner or admin" in text(page)
        assert "Add to Mine" not in text(page)
        refused = viewer.post(place)
        assert (refused.status_code, "CLM-111" in text(refused)) == (403, True)
        assert not Device.objects.exists()

    def test_a_serial_that_nobody_expects(self, owner: Client, mine: Side) -> None:
        organization_update(mine.organization, mine.owner, expected_serials_only=True)
        expected_serials_add(mine.organization, mine.owner, ["OTHER"])
        refused = owner.post(scan(owner, waiting("T2-1").shows()))
        assert (refused.status_code, "CLM-112" in text(refused)) == (403, True)
        expected_serials_add(mine.organization, mine.owner, ["T2-1"])
        assert "on your list" in text(owner.get(scan(owner, waiting("T2-1").shows())))

    def test_too_many_wrong_codes(self, owner: Client) -> None:
        answers = [self.open(owner, "rubbish").status_code for _try in range(30)]
        assert answers[0] == 400
        assert answers[-1] == 429

    def test_the_serial_on_the_label_is_another(self, owner: Client) -> None:
        place = scan(owner, waiting().shows())
        before = protocol_rows()
        page = owner.get(f"{place}/different")
        assert page.status_code == 200
        assert "Nothing was added" in text(page)
        assert protocol_rows() == before

    def test_the_refusal_page_of_a_foreign_name_links_nowhere_else(self, owner: Client) -> None:
        page = owner.get("/claim/..%2f..%2fevil/different")
        assert page.status_code == 404 or "/claim/" in page.content.decode()


class TestTheSameDeviceAfterAReset:
    """A second device with a serial number that is here asks one question."""

    @pytest.fixture
    def again(self, owner: Client) -> Thing:
        first = waiting("T2-7")
        owner.post(scan(owner, first.shows()))
        assert first.connect() is Verdict.ACCEPT
        return waiting("T2-7")

    @pytest.mark.parametrize(("answer", "devices"), [("yes", 1), ("no", 2)])
    def test_the_person_decides(self, owner: Client, again: Thing, answer: str, devices: int) -> None:
        place = scan(owner, again.shows())
        page = owner.get(place)
        assert "same one after a reset" in text(page)
        assert owner.post(place, {"merge": answer}).status_code == 303
        assert Device.objects.count() == devices
        assert again.connect() is Verdict.ACCEPT

    def test_a_yes_without_the_answer_is_asked_again_and_the_code_stays(
        self, owner: Client, again: Thing
    ) -> None:
        place = scan(owner, again.shows())
        assert owner.post(place).status_code == 409
        assert owner.post(place, {"merge": "yes"}).status_code == 303


class TestSeveralOrganizations:
    """The device goes where the page said it would."""

    def test_the_chosen_one_gets_it(self, owner: Client, mine: Side) -> None:
        other = organization_create("Workshop", mine.owner)
        place = scan(owner, waiting().shows())
        chosen = owner.post("/organizations/choose", {"organization": other.pk, "back": place})
        assert chosen["Location"] == place
        assert "Add to Workshop" in text(owner.get(place))
        owner.post(place)
        assert Device.objects.get().organization == other

    def test_nobody_chooses_what_they_do_not_belong_to(self, owner: Client) -> None:
        rivals = Side("Rivals")
        assert (
            owner.post("/organizations/choose", {"organization": rivals.organization.pk}).status_code == 404
        )

    @pytest.mark.parametrize(
        "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
    )
    def test_no_way_leads_out(self, owner: Client, mine: Side, back: str) -> None:
        for path in ("/theme", "/organizations/choose"):
            answer = owner.post(path, {"theme": "dark", "organization": mine.organization.pk, "back": back})
            assert answer["Location"] == "/"


def test_what_a_device_says_of_itself_is_only_ever_text(owner: Client, mine: Side) -> None:
    thing = waiting(HOSTILE[:60], organization_id=mine.organization.pk)
    place = scan(owner, thing.shows())
    pages = [owner.get("/add"), owner.get("/devices"), owner.get(place)]
    owner.post(place)
    device = Device.objects.get()
    pages += [
        owner.get(path) for path in ("/devices", f"/devices/{device.pk}", f"/devices/{device.pk}/progress")
    ]
    for page in pages:
        assert page.status_code == 200
        assert not [a for tag, a in tags(page) if tag == "script" and not a.get("src")]
        assert not [tag for tag, a in tags(page) if any(name.startswith("on") for name in a) or tag == "img"]
    assert all("alert(1)" in text(page) for page in pages[:-1])


@pytest.mark.parametrize(
    "words",
    [
        "\u202e3199-2400",
        "\u2066T2\u2069-0042",
        "שלום-9913",
        "x" * 64,
        "' onmouseover='alert(1)",
        "{{ 7|add:7 }}{% now %}",
        "&lt;b&gt;",
    ],
)
def test_words_of_a_device_stand_apart_from_ours(owner: Client, mine: Side, words: str) -> None:
    """In a bdi each, escaped once, and without characters that turn the text around them."""
    thing = waiting(words, organization_id=mine.organization.pk)
    place = scan(owner, thing.shows())
    answers = [owner.get("/add"), owner.get("/devices"), owner.get(place)]
    owner.post(place)
    answers += [owner.get("/devices"), owner.get(f"/devices/{Device.objects.get().pk}")]
    shown = "".join(c for c in words if c.isprintable())
    for answer in answers:
        page = answer.content.decode()
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(page)
        isolated = [
            html.unescape(re.sub(r"<.*?>", "", found))
            for found in re.findall(r"<bdi[^>]*>(.*?)</bdi>", page, re.DOTALL)
        ]
        assert shown in isolated, page
        assert "14" not in isolated


def test_somebody_who_left_the_organization_cannot_confirm(owner: Client, mine: Side) -> None:
    place = scan(owner, waiting().shows())
    successor = user_ensure("next@example.com")
    membership_ensure(mine.organization, successor, Role.OWNER)
    Membership.objects.get(user=mine.owner).delete()
    answer = owner.post(place)
    assert (answer.status_code, answer["Location"]) == (302, "/organizations/new")
    assert not Device.objects.exists()


def test_the_clock_of_a_pending_code_is_the_servers(owner: Client) -> None:
    scan(owner, waiting().shows())
    (since, _sealed) = next(iter(owner.session[SESSION_KEY].values()))
    assert abs(since - time.time()) < 5
