"""fdo.csr: a device asks for a certificate inside TO2, and a real authority issues it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from fdo_service_info_pair import DEVMOD, Workbench, run

from bootstrap.errors import MalformedMessage, NotAuthorized, TooManyRequests
from bootstrap.protocols.fdo.service_info import Csr, Download, OwnerModules, advance
from bootstrap.protocols.fdo.service_info.device import DeviceModules, Traits

START = datetime(2026, 1, 1, tzinfo=UTC)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "house")])


@dataclass
class House:
    """A certificate authority with one key."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    refuse: type[Exception] | None = None
    renewals: list[bool] = field(default_factory=list)

    def issued(self, subject: x509.Name, key: Any) -> x509.Certificate:
        builder = x509.CertificateBuilder(NAME, subject, key, x509.random_serial_number())
        until = START + timedelta(days=9)
        return builder.not_valid_before(START).not_valid_after(until).sign(self.key, SHA256())

    def ca_certificate(self) -> bytes:
        return self.issued(NAME, self.key.public_key()).public_bytes(Encoding.DER)

    def ca_certificates(self) -> bytes:
        return pkcs7.serialize_certificates([self.issued(NAME, self.key.public_key())], Encoding.DER)

    def enroll(self, request: bytes, renewal: bool) -> bytes:
        if self.refuse:
            raise self.refuse("no")
        self.renewals.append(renewal)
        try:
            csr = x509.load_der_x509_csr(request)
        except ValueError:
            raise MalformedMessage("not PKCS #10") from None
        return self.issued(csr.subject, csr.public_key()).public_bytes(Encoding.DER)

    def attributes(self) -> bytes | None:
        return None


def request_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lamp")])
    return x509.CertificateSigningRequestBuilder(subject).sign(key, SHA256()).public_bytes(Encoding.DER)


KEY = ec.generate_private_key(ec.SECP256R1())
REQUEST = request_of(KEY)


@pytest.mark.parametrize("limit", [256, 1300, 64_000])
def test_a_device_gets_its_certificate_and_the_plan_goes_on(limit: int) -> None:
    bench = Workbench(request=REQUEST)
    plan = (Csr("certificate"), Download("after", "f", b"1"))
    log = run(plan, bench, owner_limit=limit, device_limit=limit, csr=House())
    assert [(r.id, r.ok) for r in log.results] == [("certificate", True), ("after", True)]
    (certificate, authorities), *more = bench.certificates
    assert more == []
    assert x509.load_der_x509_certificate(certificate).public_key() == KEY.public_key()
    assert log.by_id["certificate"].output == certificate
    assert pkcs7.load_der_pkcs7_certificates(authorities)[0].subject == NAME


def test_without_an_authority_nothing_is_offered_and_the_result_says_so() -> None:
    log = run((Csr("certificate", may_fail=True),), Workbench(request=REQUEST))
    assert [r.detail for r in log.results] == [
        "certificate requests are not available: no certificate authority is set up"
    ]
    assert not log.to_device


def kv(key: str, value: object) -> tuple[str, bytes]:
    return f"fdo.csr:{key}", cbor2.dumps(value)


def begun(plan: tuple[Csr, ...], csr: House | None) -> OwnerModules:
    said = DeviceModules(DEVMOD, Workbench(), 64_000).first()
    return advance(OwnerModules(), said.kvs, False, (*plan, Download("d", "f", b"")), 1300, csr=csr).state


def ask(said: list[tuple[str, bytes]], csr: House | None) -> tuple[dict[str, Any], OwnerModules]:
    plan = (Download("d", "f", b""),)
    answer = advance(begun((), csr), said, False, plan, 64_000, csr=csr)
    return {key: cbor2.loads(value) for key, value in answer.kvs}, answer.state


def test_a_device_that_asks_unasked_without_an_authority_hears_not_supported_and_leaves_a_note() -> None:
    answers, state = ask([kv("active", True), kv("cacerts-req", 281)], None)
    assert answers == {"fdo.csr:error": 3}
    plan = (Download("d", "f", b""),)
    answer = advance(state, [("fdo.download:done", b"\x00"), kv("active", False)], False, plan, 1300)
    assert answer.is_done
    assert [(r.id, r.ok) for r in answer.results] == [("d", True), ("fdo.csr", False)]
    assert "not available" in answer.results[1].detail
    assert answer.state.failed == ""


@pytest.mark.parametrize(
    ("refuse", "said", "number"),
    [
        (None, ("cacerts-req", 99), 5),
        (None, ("csrattrs-req", 0), 3),
        (None, ("serverkeygen-req", "x"), 3),
        (None, ("simpleenroll-req", "%%%"), 1),
        (None, ("simpleenroll-req", b64encode(b"no request").decode()), 1),
        (None, ("simpleenroll-req", 5), 1),
        (NotAuthorized, ("simpleenroll-req", b64encode(REQUEST).decode()), 2),
        (TooManyRequests, ("simpleenroll-req", b64encode(REQUEST).decode()), 4),
    ],
)
def test_each_refusal_has_its_number(
    refuse: type[Exception] | None, said: tuple[str, object], number: int
) -> None:
    answers, state = ask([kv(*said)], House(refuse=refuse))
    assert answers == {"fdo.csr:error": number}
    assert state.csr_problem


def test_requests_come_in_base64_with_line_ends_or_armour() -> None:
    text = b64encode(REQUEST).decode()
    lines = "\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    armour = f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n"
    for form in (text, lines, armour):
        answers, state = ask([kv("simpleenroll-req", form)], House())
        assert list(answers) == ["fdo.csr:simpleenroll-res"]
        assert state.csr_issued


def test_a_renewal_is_told_from_a_first_request() -> None:
    house = House()
    ask([kv("simplereenroll-req", b64encode(REQUEST).decode())], house)
    assert house.renewals == [True]


def test_a_flood_of_requests_is_answered_with_rate_exceeded() -> None:
    house = House()
    answers, state = ask([kv("simpleenroll-req", b64encode(REQUEST).decode())] * 20, house)
    assert len(house.renewals) == 4
    assert answers["fdo.csr:error"] == 4
    assert state.answers == ()


def test_a_device_without_the_module_leaves_the_action_undone() -> None:
    log = run((Csr("c"),), Workbench(request=REQUEST), modules=("fdo.download",), csr=House())
    assert log.results[0].detail == "the device does not support fdo.csr"


def test_a_device_that_wants_no_certificate_says_so() -> None:
    log = run((Csr("c", may_fail=True),), Workbench(), csr=House())
    assert [(r.ok, r.detail) for r in log.results] == [(False, "the device asked for no certificate")]


def test_a_device_that_lists_no_modules_may_ask_too() -> None:
    bench = Workbench(request=REQUEST)
    log = run((Csr("c"), Download("d", "f", b"1")), bench, traits=Traits(lists_modules=False), csr=House())
    assert [(r.id, r.ok) for r in log.results] == [("c", True), ("d", True)]
    assert bench.certificates


def test_a_device_that_lists_and_answers_nothing_is_soon_left_alone() -> None:
    traits = Traits(lists_modules=False, answers_active=False)
    log = run((Csr("c", may_fail=True),), Workbench(), modules=("fdo.download",), traits=traits, csr=House())
    assert [(r.ok, r.detail) for r in log.results] == [(False, "the device asked for no certificate")]
    assert log.rounds < 10


def test_a_certificate_that_was_issued_is_told_even_when_the_plan_failed() -> None:
    house, plan = House(), (Download("d", "f", b"1"),)
    said = [kv("simpleenroll-req", b64encode(REQUEST).decode())]
    state = advance(begun((), house), said, False, plan, 64_000, csr=house).state
    failed = advance(state, [("fdo.download:done", b"\x20")], False, plan, 1300, csr=house)
    answer = advance(failed.state, (), False, plan, 1300, csr=house)
    assert answer.is_done
    assert [(r.id, r.ok) for r in (*failed.results, *answer.results)] == [("d", False), ("fdo.csr", True)]
    assert answer.state.failed == "d"
