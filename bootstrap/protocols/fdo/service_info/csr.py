"""fdo.csr, owner side: certificates for the device, asked for by the device (EST, RFC 7030, inside TO2)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bootstrap.errors import MalformedMessage, PeerError, TooManyRequests
from bootstrap.protocols.fdo.service_info.actions import ActionResult, Csr
from bootstrap.protocols.fdo.service_info.constants import (
    CSR_ANSWERS_MAX,
    CSR_LENGTH_MAX,
    CSR_REQUESTS_MAX,
    CsrError,
    CsrFormat,
    Module,
)
from bootstrap.protocols.fdo.service_info.kv import KV
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.protocols.fdo.service_info.state import DEFAULT_PATIENCE, Heard, OwnerModules
from bootstrap.wire import cbor

NOT_AVAILABLE = "certificate requests are not available: no certificate authority is set up"


class CsrAuthority(Protocol):
    """Who issues; answers at once. Everything is DER.

    Raises MalformedMessage for a request that cannot be read, NotAuthorized for one that is not granted and
    TooManyRequests for one that comes too often.
    """

    def ca_certificates(self) -> bytes:
        """A certs-only PKCS #7 of the authority's own certificates."""

    def ca_certificate(self) -> bytes:
        """The authority's own certificate alone."""

    def enroll(self, request: bytes, renewal: bool) -> bytes:
        """The certificate for a PKCS #10 request."""

    def attributes(self) -> bytes | None:
        """CsrAttrs of RFC 7030 section 4.5.2; None when the authority asks for none."""


class _Refused(PeerError):
    """Carries the number for ``fdo.csr:error``; never leaves this file."""

    def __init__(self, number: CsrError, why: str) -> None:
        super().__init__(why)
        self.number = number


@dataclass(frozen=True, slots=True)
class OwnerCsr:
    """Offers the module and waits: the requests themselves are answered whenever they come."""

    action: Csr
    module: str = Module.CSR
    content: bytes = b""
    streams: bool = False
    patience: int | None = DEFAULT_PATIENCE

    def head(self, quirks: Quirks) -> list[KV]:
        """Nothing but ``active``."""
        return []

    def heard(self, state: OwnerModules, message: str, item: Any) -> Heard:
        """``active`` false is the device's way to say that it has what it wants."""
        done = message == "active" and item is False
        return state, self.result(state) if done else None

    def silent(self, state: OwnerModules) -> ActionResult:
        """A device that has its certificate need not say goodbye."""
        return self.result(state)

    def result(self, state: OwnerModules) -> ActionResult:
        """What the requests came to."""
        if state.csr_issued:
            return ActionResult(self.action.id, True, "a certificate was issued", state.csr_issued)
        why = state.csr_problem or "the device asked for no certificate"
        return ActionResult(self.action.id, False, why)


def request_heard(
    state: OwnerModules, message: str, item: Any, authority: CsrAuthority | None
) -> OwnerModules:
    """Answer one message of the device in fdo.csr; the answer waits in ``state.answers``."""
    if message == "active":
        return replace(state, csr_open=item is True, csr_seen=state.csr_seen or item is True)
    name, _, kind = message.rpartition("-")
    if kind != "req":
        return state
    state = replace(state, csr_seen=True, csr_open=True, csr_requests=state.csr_requests + 1)
    try:
        answer, issued = _answer(state, name, item, authority)
    except _Refused as refused:
        return _answered(
            replace(state, csr_problem=str(refused)), ("fdo.csr:error", cbor.encode(int(refused.number)))
        )
    text = b64encode(answer).decode("ascii")
    return _answered(
        replace(state, csr_issued=issued or state.csr_issued), (f"fdo.csr:{name}-res", cbor.encode(text))
    )


def _answered(state: OwnerModules, answer: KV) -> OwnerModules:
    return replace(state, answers=(*state.answers, answer)[: CSR_ANSWERS_MAX + 1])


def _answer(state: OwnerModules, name: str, item: Any, authority: CsrAuthority | None) -> tuple[bytes, bytes]:
    """The DER to send, and the certificate in it if one was issued. Raises _Refused."""
    if authority is None:
        raise _Refused(CsrError.NOT_SUPPORTED, NOT_AVAILABLE)
    if len(state.answers) >= CSR_ANSWERS_MAX or state.csr_requests > CSR_REQUESTS_MAX:
        raise _Refused(
            CsrError.RATE_EXCEEDED, "the device sends certificate requests faster than it takes answers"
        )
    try:
        if name == "cacerts":
            return _ca_certificates(item, authority), b""
        if name == "csrattrs":
            return _attributes(authority), b""
        if name in ("simpleenroll", "simplereenroll"):
            certificate = authority.enroll(_request(item), name == "simplereenroll")
            return certificate, certificate
    except MalformedMessage:
        raise _Refused(CsrError.BAD_REQUEST, "the device's certificate request cannot be read") from None
    except TooManyRequests:
        raise _Refused(CsrError.RATE_EXCEEDED, "the device asks for certificates too often") from None
    except _Refused:
        raise
    except PeerError:
        raise _Refused(CsrError.UNAUTHORIZED, "the device's certificate request was not granted") from None
    raise _Refused(
        CsrError.NOT_SUPPORTED, "the device asked for a kind of certificate service that is not offered"
    )


def _ca_certificates(item: Any, authority: CsrAuthority) -> bytes:
    if item == CsrFormat.PKCS7_CERTS_ONLY:
        return authority.ca_certificates()
    if item == CsrFormat.PKIX_CERT:
        return authority.ca_certificate()
    raise _Refused(CsrError.UNSUPPORTED_FORMAT, "the device asked for CA certificates in an unknown format")


def _attributes(authority: CsrAuthority) -> bytes:
    attributes = authority.attributes()
    if attributes is None:
        raise _Refused(CsrError.NOT_SUPPORTED, "the certificate authority asks for no attributes")
    return attributes


def _request(item: Any) -> bytes:
    """The DER in a base64 text, PEM armour and line ends tolerated. Raises MalformedMessage."""
    if isinstance(item, bytes):
        return item
    if not isinstance(item, str) or len(item) > CSR_LENGTH_MAX:
        raise MalformedMessage("a certificate request that is no text, or too long")
    lines = [line for line in item.split() if line]
    body = "".join(lines) if "-----" not in item else _without_armour(item)
    try:
        return b64decode(body, validate=True)
    except (Base64Error, ValueError):
        raise MalformedMessage("a certificate request that is not base64") from None


def _without_armour(text: str) -> str:
    return "".join(line.strip() for line in text.splitlines() if not line.startswith("-----"))
