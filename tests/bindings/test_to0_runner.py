"""TO0 against rendezvous servers that listen on real sockets: one that works, and every way one can fail."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.utils import timezone
from voucher_world import Maker, pem

from bootstrap.bindings.vouchers import jobs, register
from bootstrap.bindings.vouchers.hand_over import voucher_delete
from bootstrap.bindings.vouchers.problems import PROBLEMS
from bootstrap.contract import Env
from bootstrap.engine.models import Event
from bootstrap.errors import PeerError
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.constants import ERROR_CODES
from bootstrap.protocols.fdo.messages import ErrorMessage, OwnerSign, To0Hello, To1d
from bootstrap.protocols.fdo.server import rendezvous
from bootstrap.wire.keys import KeyKind
from devices.keys import public_of, signer_of
from devices.models import AuditEntry, Organization, OwnerKey, Registration, Voucher
from devices.services.fdo import fdo_settings_save, manufacturer_trust
from devices.services.owner_keys import owner_key_make
from devices.services.people import organization_create, user_ensure

pytestmark = pytest.mark.django_db


@dataclass
class Rendezvous:
    """The real server side of TO0 behind Python's own HTTP server."""

    max_wait_seconds: int = 3600
    admits: bool = True
    states: dict[bytes, rendezvous.RvState] = field(default_factory=dict)
    pending: dict[str, rendezvous.To0Pending] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    answer: Callable[[int, bytes], tuple[int, dict[str, str], bytes]] | None = None

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                number = int(self.path.rpartition("/")[2])
                outer.requests.append(number)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                token = self.headers.get("Authorization", "")
                status, headers, content = (
                    outer.answer(number, body) if outer.answer else outer.step(number, body, token)
                )
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_words: object) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def step(self, number: int, body: bytes, token: str) -> tuple[int, dict[str, str], bytes]:
        env = Env(datetime.now(UTC), os.urandom)
        facts = rendezvous.RvFacts(lambda _voucher: self.admits, self.max_wait_seconds)
        try:
            if number == 20:
                answer, pending = rendezvous.to0_hello(To0Hello.decode(body), facts, env)
                token = "Bearer " + os.urandom(8).hex()
                self.pending[token] = pending
            else:
                message = OwnerSign.decode(body)
                outcome = rendezvous.to0_owner_sign(None, self.pending.pop(token), message, facts, env)
                self.states[outcome.state.guid], answer = outcome.state, outcome.reply.body
        except PeerError as error:
            code = next(ERROR_CODES[cls] for cls in type(error).__mro__ if cls in ERROR_CODES)
            return 500, {"Message-Type": "255"}, ErrorMessage(int(code), number, "no", None, 0).encode()
        headers = {
            "Message-Type": str(number + 1),
            "Content-Type": "application/cbor",
            "Authorization": token,
        }
        return 200, headers, answer

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[Rendezvous]:
    running = Rendezvous()
    yield running
    running.close()


@pytest.fixture
def mine() -> Organization:
    return organization_create("Mine", user_ensure("owner@example.com"))


def stock(
    mine: Organization, url: str, count: int = 1, kind: KeyKind = KeyKind.P256, entries: int = 2
) -> None:
    """Vouchers to be registered at ``url``."""
    maker = Maker(kind, urls=(url,))
    manufacturer_trust(mine, None, maker.signer.public.der, "Acme")
    key = owner_key_make(mine, None, kind.value)
    content = pem(*(maker.made_for(public_of(key), entries, f"SN-{n}") for n in range(count)))
    job = jobs.import_create(mine, None, [content])
    jobs.import_run(job.pk)
    job.refresh_from_db()
    assert job.added == count


def due() -> None:
    Registration.objects.exclude(state="off").update(next_at=timezone.now())


def run() -> int:
    return register.register_due(timezone.now())


@pytest.mark.parametrize("kind", list(KeyKind))
def test_every_due_voucher_is_registered_and_signed_by_its_owner(
    mine: Organization, server: Rendezvous, kind: KeyKind, settings: object
) -> None:
    settings.PORTAL_URL = "http://198.51.100.4:8000"  # type: ignore[attr-defined]
    stock(mine, server.url, 3, kind)
    assert run() == 3
    assert run() == 0
    assert len(server.states) == 3
    voucher = Voucher.objects.first()
    assert voucher is not None
    state = server.states[bytes.fromhex(voucher.guid)]
    to1d = To1d.decode(state.to1d)
    to1d.verify(public_of(OwnerKey.objects.get()))
    urls = [url for address in to1d.addresses for url in address.urls()]
    assert urls == ["http://198.51.100.4:8000", "https://devices.example.org:443"]
    assert set(Voucher.objects.values_list("state", flat=True)) == {"registered"}
    assert Event.objects.filter(code="voucher.registered").count() == 3


def test_it_registers_again_before_the_lease_ends(mine: Organization, server: Rendezvous) -> None:
    server.max_wait_seconds = 1000
    stock(mine, server.url)
    run()
    row = Registration.objects.get()
    now = timezone.now()
    assert row.state == "registered"
    assert row.lease_until is not None
    assert row.next_at is not None
    assert timedelta(seconds=990) < row.lease_until - now <= timedelta(seconds=1000)
    assert timedelta(seconds=740) < row.next_at - now <= timedelta(seconds=800)
    assert register.register_due(row.next_at - timedelta(seconds=1)) == 0
    assert register.register_due(row.next_at + timedelta(seconds=1)) == 1
    assert server.requests == [20, 22, 20, 22]
    assert Event.objects.filter(code="voucher.registered").count() == 1  # renewals are no news


def refused(number: int, _body: bytes) -> tuple[int, dict[str, str], bytes]:
    return 500, {"Message-Type": "255"}, ErrorMessage(101, number, "go away", None, 0).encode()


FAILURES: dict[str, tuple[Callable[[int, bytes], tuple[int, dict[str, str], bytes]], str]] = {
    "a refusal": (refused, "TO0-104"),
    "a web page": (lambda _n, _b: (200, {"Content-Type": "text/html"}, b"<html>"), "TO0-104"),
    "no such page": (lambda _n, _b: (404, {}, b""), "TO0-104"),
    "garbage": (lambda n, _b: (200, {"Message-Type": str(n + 1)}, b"\xff\xff"), "TO0-104"),
    "another message": (lambda _n, _b: (200, {"Message-Type": "71"}, b"\x80"), "TO0-104"),
    "a flood": (lambda n, _b: (200, {"Message-Type": str(n + 1)}, bytes(70_000)), "TO0-104"),
    "a redirect": (lambda _n, _b: (302, {"Location": "http://127.0.0.1:1/"}, b""), "TO0-104"),
}


@pytest.mark.parametrize("answer", FAILURES)
def test_whatever_a_server_answers_is_a_reason_and_another_try(
    mine: Organization, server: Rendezvous, answer: str
) -> None:
    server.answer, code = FAILURES[answer]
    stock(mine, server.url)
    assert run() == 1
    row = Registration.objects.get()
    assert (row.state, row.last_error_code, row.attempts) == ("failing", code, 1)
    assert code in PROBLEMS
    assert row.next_at is not None
    assert row.next_at > timezone.now()
    assert run() == 0
    server.answer = None
    due()
    run()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == ("registered", 0, "")
    codes = Event.objects.exclude(code="voucher.admitted").order_by("pk").values_list("code", flat=True)
    assert list(codes) == ["voucher.register-failed", "voucher.registered"]


def test_a_server_that_does_not_answer_does_not_hold_up_the_others(
    mine: Organization, server: Rendezvous
) -> None:
    stock(mine, server.url, 2)
    Registration.objects.filter(pk=Registration.objects.first().pk).update(url="http://127.0.0.1:1")  # type: ignore[union-attr]
    run()
    assert sorted(Registration.objects.values_list("state", "last_error_code")) == [
        ("failing", "TO0-103"),
        ("registered", ""),
    ]


def test_patience_doubles_up_to_an_hour_with_a_quarter_of_chance() -> None:
    for attempt, base in [(1, 10), (2, 20), (5, 160), (9, 2560), (10, 3600), (1000, 3600)]:
        tries = [register.backoff(attempt).total_seconds() for _ in range(200)]
        assert base * 0.75 <= min(tries) < base < max(tries) <= base * 1.25


def test_a_person_who_will_not_wait(mine: Organization, server: Rendezvous) -> None:
    stock(mine, server.url)
    server.admits = False
    run()
    server.admits = True
    assert run() == 0
    voucher = Voucher.objects.get()
    assert register.register_now(voucher, None) == 1
    assert run() == 1
    assert Registration.objects.get().state == "registered"
    assert AuditEntry.objects.filter(action="voucher.register-now").exists()


def test_a_deleted_voucher_and_an_owner_switched_off_register_nowhere(
    mine: Organization, server: Rendezvous
) -> None:
    stock(mine, server.url, 2)
    voucher_delete(Voucher.objects.first(), None)  # type: ignore[arg-type]
    assert register.register_now(Voucher.objects.first(), None) == 0  # type: ignore[arg-type]
    fdo_settings_save(mine, None, owner_on=False)
    run()
    assert server.requests == []
    assert set(Registration.objects.values_list("state", flat=True)) == {"off"}


def test_a_key_that_does_not_open_is_said_so(mine: Organization, server: Rendezvous) -> None:
    stock(mine, server.url)
    OwnerKey.objects.update(sealed=b"x")
    run()
    assert Registration.objects.get().last_error_code == "TO0-102"
    assert server.requests == []


def test_a_voucher_without_entries_is_extended_to_its_owner_first(mine: Organization) -> None:
    maker = Maker()
    key = owner_key_make(mine, None)
    maker.signer = signer_of(key)  # type: ignore[assignment]
    maker.key = maker.public(public_of(key))
    blank = maker.blank()
    ready = register.registrable(blank, signer_of(key))
    assert len(ready.entries) == 1
    vouchers.verify(ready, owner=public_of(key), trusted=None)
    assert register.registrable(ready, signer_of(key)) is ready


def test_addresses_of_this_owner_in_every_form() -> None:
    forms = {
        "http://198.51.100.4:8000": (bytes([198, 51, 100, 4]), None, 8000, 3),
        "https://portal.example.org": (None, "portal.example.org", 443, 5),
        "http://[2001:db8::1]:80": (bytes.fromhex("20010db8000000000000000000000001"), None, 80, 3),
    }
    for url, (ip, dns, port, transport) in forms.items():
        made = register.address_of(url)
        assert (made.ip, made.dns, made.port, int(made.transport)) == (ip, dns, port, transport)
