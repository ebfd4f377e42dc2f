"""Ownership vouchers: read, verify, extend, advise on, and find in files."""

from __future__ import annotations

from .model import Entry, OvHeader, Voucher
from .problems import CODES, VoucherMalformed, VoucherProblem, fix, sentence

__all__ = [
    "CODES",
    "Entry",
    "OvHeader",
    "Voucher",
    "VoucherMalformed",
    "VoucherProblem",
    "fix",
    "sentence",
]
