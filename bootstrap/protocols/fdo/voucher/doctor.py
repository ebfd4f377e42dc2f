"""Advice about a whole voucher, and the little that it says of the device in words."""

from __future__ import annotations

from collections.abc import Iterator

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor
from bootstrap.wire.x509 import common_name, is_signed_with_sha1, serial_attribute

from ..advice import LintFinding
from ..constants import KeyEncoding
from ..crypto.hashes import hash_type_of
from ..public_key import PublicKey
from ..rendezvous import RvInfo
from ..rendezvous import lint as lint_rvinfo
from .checks import expected_hash_type
from .model import Entry, Voucher

_LONG = 20
"""Entries; a device makes one round trip and one verification for each."""
_COSE_KTY = 1


def lint(voucher: Voucher) -> list[LintFinding]:
    """What will not work well, of a voucher that ``verify`` took. Raises VoucherMalformed like it."""
    found = [LintFinding.of(code, where) for code, where in _findings(voucher)]
    return found + lint_rvinfo(RvInfo.decode(voucher.rvinfo))


def serial_of(voucher: Voucher) -> str:
    """The device's serial number as its certificate has it, else its common name, else nothing."""
    if not voucher.chain:
        return ""
    try:
        return serial_attribute(voucher.chain[0]) or common_name(voucher.chain[0])
    except MalformedMessage:
        return ""


def _findings(voucher: Voucher) -> Iterator[tuple[str, str]]:
    yield from ((code, "") for code in _of_the_whole(voucher))
    if _is_odd_cose_key(voucher.header.manufacturer_key):
        yield "VLT-110", "manufacturer"
    for number, entry in enumerate(voucher.entries, 1):
        yield from ((code, f"entry {number}") for code in _of_entry(entry, voucher.header.manufacturer_key))


def _of_the_whole(voucher: Voucher) -> Iterator[str]:
    if not voucher.raw_entries:
        yield "VLT-101"
    if len(voucher.raw_entries) > _LONG:
        yield "VLT-109"
    if voucher.hash_type != expected_hash_type(voucher):
        yield "VLT-102"
    chain_hash = voucher.header.chain_hash
    if chain_hash is not None and chain_hash.type != voucher.hash_type:
        yield "VLT-103"
    device, owner = voucher.device_key.kind, voucher.header.manufacturer_key.handle().kind
    if hash_type_of(device) is not hash_type_of(owner):
        yield "VLT-108"
    if any(is_signed_with_sha1(certificate) for certificate in voucher.chain[:-1]):
        yield "VLT-111"


def _of_entry(entry: Entry, manufacturer: PublicKey) -> Iterator[str]:
    yield from _of_key(entry.next_key, manufacturer)
    if entry.extra == b"":
        yield "VLT-106"
    if entry.raw != entry.encode():
        yield "VLT-107"


def _of_key(key: PublicKey, manufacturer: PublicKey) -> Iterator[str]:
    if key.encoding is not manufacturer.encoding:
        yield "VLT-104"
    if key.type is not manufacturer.type:
        yield "VLT-105"
    if _is_odd_cose_key(key):
        yield "VLT-110"


def _is_odd_cose_key(key: PublicKey) -> bool:
    """A COSE_Key in a byte string, or without kty."""
    if key.encoding is not KeyEncoding.COSEKEY:
        return False
    body = cbor.decode(key.body)
    return not isinstance(body, dict) or _COSE_KTY not in body
