"""A voucher as people read it. Pages and API show the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from django.http import HttpResponse

from bootstrap.errors import PeerError
from bootstrap.protocols.fdo import rendezvous
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.voucher.pem import dump_pem
from devices.keys import fingerprint_of
from devices.models import OwnerKey, TrustedManufacturer, Voucher


@dataclass(frozen=True, slots=True)
class VoucherView:
    """Chain of owners from the manufacturer on, rendezvous in words, certificates, and what is odd."""

    owners: tuple[dict[str, Any], ...]
    rendezvous: tuple[str, ...]
    certificates: tuple[str, ...]
    findings: tuple[dict[str, str], ...]

    @classmethod
    def of(cls, row: Voucher) -> VoucherView:
        """Take it apart. What is in the table was sound when it came in; what cannot be read is said."""
        voucher = vouchers.Voucher.decode(bytes(row.content))
        names = _names(row.organization_id)
        keys = [("manufacturer", voucher.header.manufacturer_key)]
        keys += [(str(number), entry.next_key) for number, entry in enumerate(voucher.entries, 1)]
        return cls(
            tuple(_key(role, key, names) for role, key in keys),
            tuple(_words(voucher.header.rvinfo)),
            tuple(_certificate(der) for der in voucher.chain or ()),
            tuple(
                {"code": found.code, "sentence": found.sentence, "fix": found.fix, "where": found.where}
                for found in vouchers.lint(voucher)
            ),
        )


def _words(rvinfo: bytes) -> list[str]:
    try:
        return rendezvous.words(rendezvous.RvInfo.decode(rvinfo))
    except PeerError as error:
        return [str(error)]


def voucher_file(row: Voucher, kind: str) -> HttpResponse:
    """The download."""
    content = bytes(row.content)
    if kind == "pem":
        content = dump_pem(content).encode()
    media_type = "application/x-pem-file" if kind == "pem" else "application/cbor"
    answer = HttpResponse(content, content_type=media_type)
    answer["Content-Disposition"] = f'attachment; filename="{row.guid}.{kind}"'
    return answer


def _names(organization_id: int) -> dict[str, tuple[str, bool]]:
    """Fingerprint to what this organization calls the key, and whether it is its own."""
    makers = TrustedManufacturer.objects.filter(organization_id=organization_id)
    own = OwnerKey.objects.filter(organization_id=organization_id).exclude(purpose=OwnerKey.Purpose.DEVICE_CA)
    known = {row.fingerprint: (row.name, False) for row in makers}
    return known | {row.fingerprint: (row.name or row.kind, True) for row in own}


def _key(role: str, key: PublicKey, names: dict[str, tuple[str, bool]]) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": role, "encoding": KeyEncoding(key.encoding).name}
    try:
        handle = key.handle()
    except PeerError:
        return shown | {"kind": "?", "fingerprint": "", "name": "", "ours": False}
    fingerprint = fingerprint_of(handle)
    name, ours = names.get(fingerprint, ("", False))
    return shown | {"kind": handle.kind.value, "fingerprint": fingerprint, "name": name, "ours": ours}


def _certificate(der: bytes) -> str:
    try:
        certificate = x509.load_der_x509_certificate(der)
        until = certificate.not_valid_after_utc
        return f"{certificate.subject.rfc4514_string() or '–'} · {until:%Y-%m-%d}"
    except ValueError:
        return "?"
