"""Members of a tar file (POSIX.1-1988 and the GNU form), read once from front to back, and the gzip around it.

Headers are bounded and nothing is unpacked ahead, so that no claim of a header costs memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .limits import CHUNK, Budget, Limits, Peekable, Readable
from .problems import VoucherMalformed

GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 512
_FILE_TYPES = (b"0", b"\0", b"7")
_LONG_NAME = b"L"
_PASSED_OVER = (b"x", b"g", b"K", b"5")
"""Extended headers, long link names, directories."""
_NAME_MAX_LENGTH = 4096
_EMPTY = bytes(BLOCK)
_GZIP_MEMBERS_MAX = 256
"""Parallel compressors write a few; each costs time even when it is empty."""


@dataclass(frozen=True, slots=True)
class Member:
    """One header; ``stream`` gives its octets, at once or never."""

    name: str
    is_ordinary: bool
    stream: Peekable


class Gunzip:
    """A gzip stream, unpacked within a budget; several members one after the other are one stream (RFC 1952)."""

    def __init__(self, source: Readable, budget: Budget) -> None:
        self._source, self._budget = source, budget
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._packed = b""
        self._members = 1

    def read(self, size: int = -1, /) -> bytes:
        """Some of what comes next, not more than ``size``; empty at the end. Raises VoucherMalformed."""
        size = CHUNK if size <= 0 else min(size, CHUNK)
        while not self._inflater.eof or self._again():
            packed = self._inflater.unconsumed_tail or self._packed or self._source.read(CHUNK)
            self._packed = b""
            try:
                found = self._inflater.decompress(packed, size)
            except zlib.error:
                raise VoucherMalformed("VCH-156", "does not unpack") from None
            if found:
                self._budget.spend(len(found))
                return found
            if not packed and not self._inflater.eof:
                raise VoucherMalformed("VCH-156", "cut short")
        return b""

    def _again(self) -> bool:
        """Begin the next gzip member, if there is one; zeros may pad the last."""
        packed = self._inflater.unused_data.lstrip(b"\0")
        while not packed:
            more = self._source.read(CHUNK)
            if not more:
                return False
            packed = more.lstrip(b"\0")
        self._members += 1
        if self._members > _GZIP_MEMBERS_MAX:
            raise VoucherMalformed("VCH-156", "too many pieces")
        self._inflater, self._packed = zlib.decompressobj(zlib.MAX_WBITS | 16), packed
        return True


class _Slice:
    """The next ``length`` octets of a stream."""

    def __init__(self, source: Peekable, length: int) -> None:
        self._source, self.left = source, length

    def read(self, size: int = -1, /) -> bytes:
        size = self.left if size < 0 else min(size, self.left)
        found = self._source.read(min(size, CHUNK)) if size else b""
        if size and not found:
            raise VoucherMalformed("VCH-156", "cut short")
        self.left -= len(found)
        return found


def is_tar(ahead: bytes) -> bool:
    """Whether a block is a tar header: its checksum is as good as a magic number."""
    return len(ahead) == BLOCK and ahead != _EMPTY and _checksum(ahead) == _number(ahead[148:156])


def members(stream: Peekable, limits: Limits) -> Iterator[Member]:
    """Every member in order. Raises VoucherMalformed for damage and beyond the limits."""
    count, long_name = 0, ""
    while (header := stream.read(BLOCK)) and header != _EMPTY:
        if not is_tar(header):
            raise VoucherMalformed("VCH-156", "a header is damaged")
        kind, length = header[156:157], _number(header[124:136])
        count += 1
        if count > limits.vouchers:
            raise VoucherMalformed("VCH-151", f"more than {limits.vouchers} members")
        if not 0 <= length <= limits.total_length:
            raise VoucherMalformed("VCH-152", "a member claims more than that")
        body = _Slice(stream, length)
        if kind == _LONG_NAME:
            long_name = body.read(_NAME_MAX_LENGTH).rstrip(b"\0").decode("utf-8", "replace")
        elif kind not in _PASSED_OVER:
            yield Member(long_name or _name(header), kind in _FILE_TYPES, Peekable(body))
            long_name = ""
        stream.skip(body.left + -length % BLOCK)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:262] == b"ustar" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _number(text: bytes) -> int:
    """Octal digits, or the GNU form for large numbers: a first bit, then binary. -1 for neither."""
    if text[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(text[1:], "big") if text[0] == 0x80 else -1
    digits = text.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else (-1 if digits else 0)


def _checksum(header: bytes) -> int:
    """The sum of all octets with the checksum itself as spaces."""
    return sum(header) - sum(header[148:156]) + 8 * 0x20
