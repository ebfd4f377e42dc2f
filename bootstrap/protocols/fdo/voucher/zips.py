"""Members of a zip file, found by its central directory (APPNOTE 6.3 sections 4.3.12 to 4.3.16).

Read record by record, so that a directory of millions costs no memory, and unpacked within a budget, whatever
the headers claim. Stored and deflated members only.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .limits import CHUNK, Budget, Limits
from .problems import VoucherMalformed

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_RECORD = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_COMMENT_MAX_LENGTH = 0xFFFF
_UNSAID_16, _UNSAID_32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8
_RECORD_MAX_LENGTH = 1024
"""Octets of one record on average; names of files are not longer."""
_EXTRA_ZIP64 = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One record of the directory."""

    name: str
    flags: int
    method: int
    mode: int
    """Unix mode, 0 when unknown."""
    checksum: int
    packed_length: int
    length: int
    """As claimed."""
    offset: int

    @property
    def is_ordinary(self) -> bool:
        """A file: no directory, no link, no device."""
        return not self.name.endswith("/") and (self.mode >> 12) in (0, 8)


def members(file: BinaryIO, limits: Limits) -> Iterator[Member]:
    """Every record. Raises VoucherMalformed for the archive as a whole, before the first one, when it claims to be
    beyond the limits."""
    offset, length, count = _directory(file)
    if count > limits.vouchers:
        raise VoucherMalformed("VCH-151", f"{count} members")
    if length > (count + 1) * _RECORD_MAX_LENGTH:
        raise VoucherMalformed("VCH-156", "the directory is longer than its members")
    total = 0
    for number, member in enumerate(_records(file, offset, length)):
        total += member.length
        if number >= limits.vouchers:
            raise VoucherMalformed("VCH-151", "more members than the directory says")
        if total > limits.total_length:
            raise VoucherMalformed("VCH-152", f"more than {limits.total_length} octets")
    yield from _records(file, offset, length)


class MemberStream:
    """One member, unpacked piece by piece; ``read`` raises VoucherMalformed for damage and over the budget."""

    def __init__(self, file: BinaryIO, member: Member, budget: Budget) -> None:
        if member.flags & _ENCRYPTED or member.method not in (_STORED, _DEFLATED):
            raise VoucherMalformed("VCH-155", f"method {member.method}")
        local = _read_at(file, member.offset, _LOCAL.size)
        signature, *_, name, extra = _LOCAL.unpack(local)
        if signature != b"PK\x03\x04":
            raise VoucherMalformed("VCH-156", "a member is not where the directory says")
        self._file, self._member, self._budget = file, member, budget
        self._position = member.offset + _LOCAL.size + name + extra
        self._left = member.packed_length
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
        self._checksum, self._length, self._ended = 0, 0, False

    def read(self, size: int = -1, /) -> bytes:
        """Some of what comes next, not more than ``size``; empty at the end."""
        size = CHUNK if size <= 0 else min(size, CHUNK)
        found = b""
        while not found and not self._ended:
            found = self._next(size)
        self._budget.spend(len(found))
        self._checksum = zlib.crc32(found, self._checksum)
        self._length += len(found)
        if self._ended and not found:
            self._check()
        return found

    def _next(self, size: int) -> bytes:
        if self._inflater is None:
            found = self._packed(size)
            self._ended = not found
            return found
        packed = self._inflater.unconsumed_tail or self._packed(CHUNK)
        try:
            found = self._inflater.decompress(packed, size)
        except zlib.error:
            raise VoucherMalformed("VCH-156", "a member does not unpack") from None
        self._ended = self._inflater.eof or not (packed or found)
        return found

    def _packed(self, size: int) -> bytes:
        size = min(size, self._left)
        self._file.seek(self._position)
        found = self._file.read(size) if size else b""
        self._position += len(found)
        self._left -= len(found)
        return found

    def _check(self) -> None:
        if self._checksum != self._member.checksum or self._length != self._member.length:
            raise VoucherMalformed("VCH-156", "a member is not what the directory says")


def _directory(file: BinaryIO) -> tuple[int, int, int]:
    """Offset, length and number of records of the central directory."""
    size = file.seek(0, os.SEEK_END)
    tail_at = max(0, size - _END.size - _COMMENT_MAX_LENGTH)
    tail = _read_at(file, tail_at, size - tail_at)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise VoucherMalformed("VCH-156", "no directory")
    _, _, _, _, count, length, offset, _ = _END.unpack_from(tail, at)
    if count == _UNSAID_16 or length == _UNSAID_32 or offset == _UNSAID_32:
        offset, length, count = _directory64(file, tail_at + at, (offset, length, count))
    if offset + length > size:
        raise VoucherMalformed("VCH-156", "the directory is outside the file")
    return offset, length, count


def _directory64(file: BinaryIO, end: int, said: tuple[int, int, int]) -> tuple[int, int, int]:
    if end < _LOCATOR64.size:
        return said
    signature, _, at, _ = _LOCATOR64.unpack(_read_at(file, end - _LOCATOR64.size, _LOCATOR64.size))
    if signature != b"PK\x06\x07":
        return said
    signature, *_, count, length, offset = _END64.unpack(_read_at(file, at, _END64.size))
    if signature != b"PK\x06\x06":
        raise VoucherMalformed("VCH-156", "no 64-bit directory")
    return offset, length, count


def _records(file: BinaryIO, offset: int, length: int) -> Iterator[Member]:
    end = offset + length
    while offset < end:
        fields = _RECORD.unpack(_read_at(file, offset, _RECORD.size))
        name, extra, comment = fields[10:13]
        rest = _read_at(file, offset + _RECORD.size, name + extra)
        offset += _RECORD.size + name + extra + comment
        if fields[0] != b"PK\x01\x02" or offset > end:
            raise VoucherMalformed("VCH-156", "the directory is damaged")
        yield _member(fields, rest[:name], rest[name:])


def _member(fields: tuple[int, ...], name: bytes, extra: bytes) -> Member:
    checksum, packed, length = fields[7:10]
    offset = fields[16]
    if _UNSAID_32 in (packed, length, offset):
        length, packed, offset = _zip64(extra, [length, packed, offset])
    made_on, mode = fields[1] >> 8, fields[15] >> 16
    return Member(
        name.decode("utf-8", "replace"),
        fields[3],
        fields[4],
        mode if made_on == 3 else 0,
        checksum,
        packed,
        length,
        offset,
    )


def _zip64(extra: bytes, said: list[int]) -> list[int]:
    """The 64-bit numbers of section 4.5.3 for those that are all ones, in their fixed order."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        body, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _EXTRA_ZIP64:
            numbers = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            return [next(numbers, value) if value == _UNSAID_32 else value for value in said]
    return said


def _read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    try:
        file.seek(offset)
        found = file.read(length)
    except (OSError, OverflowError, ValueError):
        found = b""
    if len(found) != length:
        raise VoucherMalformed("VCH-156", "the archive is cut short")
    return found
