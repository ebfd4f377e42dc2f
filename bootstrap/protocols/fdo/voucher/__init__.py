"""Ownership vouchers: read, verify, extend, advise on, and find in files."""

from __future__ import annotations

from .checks import expected_hash_type, verify
from .doctor import lint, serial_of
from .model import Entry, OvHeader, Voucher
from .problems import CODES, VoucherMalformed, VoucherProblem, fix, sentence
from .transfer import (
    chain_hash,
    entry_payload,
    extend,
    new_header,
    new_voucher,
    replacement,
    replacement_header,
)

__all__ = [
    "CODES",
    "Entry",
    "OvHeader",
    "Voucher",
    "VoucherMalformed",
    "VoucherProblem",
    "chain_hash",
    "entry_payload",
    "expected_hash_type",
    "extend",
    "fix",
    "lint",
    "new_header",
    "new_voucher",
    "replacement",
    "replacement_header",
    "sentence",
    "serial_of",
    "verify",
]
