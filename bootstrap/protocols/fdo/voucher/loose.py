"""Vouchers in a file that is no archive: PEM text with any number of blocks, or CBOR, one item or a sequence."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor

from .limits import Limits, Peekable
from .problems import VoucherMalformed

LABEL = "OWNERSHIP VOUCHER"
_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?\s*-----BEGIN ([A-Z0-9 ]{1,64})-----\s*\Z")
_END = re.compile(rb"\s*-----END ([A-Z0-9 ]{1,64})-----\s*\Z")
_LINE_MAX = 256 * 1024
"""Some writers put all the base64 of a block into one line."""
_ARRAY_FIRST, _ARRAY_LAST = 0x80, 0x9F
_ITEM_DEPTH = 16

Found = bytes | VoucherMalformed


def vouchers_in(stream: Peekable, limits: Limits, *, notes: bool = False) -> Iterator[Found]:
    """Every voucher, or what stands in its place, in order. Whether the octets are a sound voucher is not
    looked at here."""
    first = stream.peek(1)
    if first and _ARRAY_FIRST <= first[0] <= _ARRAY_LAST:
        yield from _sequence(stream, limits)
    else:
        yield from _pem(stream, limits, notes)


def _sequence(stream: Peekable, limits: Limits) -> Iterator[Found]:
    """A CBOR sequence (RFC 8742) of arrays; after an item without a sound end nothing can be found any more."""
    while ahead := stream.peek(limits.voucher_length + 1):
        if not _ARRAY_FIRST <= ahead[0] <= _ARRAY_LAST:
            yield VoucherMalformed("VCH-101", "something else follows the voucher")
            return
        try:
            end = cbor.item_end(ahead, 0, _ITEM_DEPTH)
        except MalformedMessage as error:
            too_long = len(ahead) > limits.voucher_length
            yield VoucherMalformed("VCH-157" if too_long else "VCH-101", "" if too_long else str(error))
            return
        if end > limits.voucher_length:
            yield VoucherMalformed("VCH-157")
            return
        yield stream.read(end)


def _pem(stream: Peekable, limits: Limits, notes: bool) -> Iterator[Found]:
    """Blocks between BEGIN and END (RFC 7468); text around them is passed over."""
    blocks = 0
    for label, body in _blocks(stream, limits):
        blocks += 1
        if label == LABEL:
            yield body
        elif notes:
            yield VoucherMalformed("VCH-158", label)
    if not blocks:
        yield VoucherMalformed("VCH-160")


def _blocks(stream: Peekable, limits: Limits) -> Iterator[tuple[str, Found]]:
    """Label and contents. A block without its END stops where the next begins."""
    label: str | None = None
    text = _Text(limits)
    while line := stream.line(_LINE_MAX):
        begin, end = _BEGIN.match(line), _END.match(line)
        if begin is not None:
            if label is not None:
                yield label, VoucherMalformed("VCH-159", f"no END of {label}")
            label, text = begin[1].decode(), _Text(limits)
        elif end is not None and label is not None:
            wrong = end[1].decode() != label
            yield label, VoucherMalformed("VCH-159", "another END") if wrong else text.octets()
            label = None
        elif label is not None:
            text.add(line)
    if label is not None:
        yield label, VoucherMalformed("VCH-159", f"no END of {label}")


class _Text:
    """The base64 of one block; what is too much is counted, not kept."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._lines, self._length = limits, list[bytes](), 0

    def add(self, line: bytes) -> None:
        self._length += len(line)
        if self._length <= self._limits.voucher_length * 3 // 2:
            self._lines.append(line)
        else:
            self._lines.clear()

    def octets(self) -> Found:
        if self._length > self._limits.voucher_length * 3 // 2:
            return VoucherMalformed("VCH-157")
        try:
            octets = binascii.a2b_base64(b"".join(b"".join(self._lines).split()), strict_mode=True)
        except binascii.Error:
            return VoucherMalformed("VCH-159", "not base64")
        return octets if len(octets) <= self._limits.voucher_length else VoucherMalformed("VCH-157")
