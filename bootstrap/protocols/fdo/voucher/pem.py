"""Vouchers as text and from any file: ``dump_pem`` writes, ``iterate`` finds."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from .archives import Item, read_archive
from .limits import DEFAULT_LIMITS, Limits
from .loose import LABEL
from .model import Voucher

_LINE_LENGTH = 64
"""RFC 7468 section 2."""


def dump_pem(voucher: Voucher | bytes) -> str:
    """One PEM block, with a line end after it."""
    octets = voucher.encode() if isinstance(voucher, Voucher) else voucher
    text = b64encode(octets).decode()
    lines = [text[at : at + _LINE_LENGTH] for at in range(0, len(text), _LINE_LENGTH)]
    return "\n".join([f"-----BEGIN {LABEL}-----", *lines, f"-----END {LABEL}-----", ""])


def iterate(
    source: bytes | BinaryIO, limits: Limits = DEFAULT_LIMITS, *, notes: bool = False
) -> Iterator[Item]:
    """``archives.read_archive`` for octets or for a file that can seek."""
    return read_archive(BytesIO(source) if isinstance(source, bytes) else source, limits, notes=notes)
