"""Stated limits of a file of vouchers, and a reader that keeps them while it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..constants import VOUCHER_MAX_LENGTH
from .problems import VoucherMalformed

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Whatever is beyond these is refused, most of it before anything is unpacked."""

    vouchers: int = 100_000
    """In one file; also the members of one archive."""
    voucher_length: int = VOUCHER_MAX_LENGTH
    """Octets of one voucher."""
    total_length: int = 1 << 30
    """Octets of everything unpacked: a hundred thousand vouchers of 10 KiB."""
    ratio: int = 100
    """Unpacked octets for each packed one; vouchers do not come near it."""
    ratio_from_length: int = 1 << 20
    """Octets unpacked before the ratio counts."""


DEFAULT_LIMITS = Limits()


class Readable(Protocol):
    """The part of a binary file that is needed to read it from front to back."""

    def read(self, size: int = -1, /) -> bytes: ...


class Budget:
    """How much has come out of an archive so far; shared by all its members."""

    def __init__(self, limits: Limits, packed_length: int) -> None:
        self.limits = limits
        self._packed = max(1, packed_length)
        self._spent = 0

    def spend(self, octets: int) -> None:
        """Raises VoucherMalformed VCH-152 or VCH-153 once it is too much."""
        self._spent += octets
        if self._spent > self.limits.total_length:
            raise VoucherMalformed("VCH-152", f"more than {self.limits.total_length} octets")
        if self._spent > self.limits.ratio_from_length and self._spent > self._packed * self.limits.ratio:
            raise VoucherMalformed("VCH-153", f"more than {self.limits.ratio} to 1")


class Peekable:
    """A stream from front to back, with a look ahead and with lines of bounded length."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._buffer = bytearray()
        self._at = 0
        self._ended = False

    def peek(self, size: int) -> bytes:
        """The next ``size`` octets, fewer at the end, without passing them."""
        while len(self._buffer) - self._at < size and self._fill():
            pass
        return bytes(self._buffer[self._at : self._at + size])

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` octets; fewer only at the end."""
        found = self.peek(CHUNK if size < 0 else size)
        self._at += len(found)
        return found

    def skip(self, size: int) -> None:
        """Pass ``size`` octets, or what is left."""
        while size > 0 and (found := self.read(min(size, CHUNK))):
            size -= len(found)

    def line(self, most: int) -> bytes:
        """The next line with its end, cut at ``most`` octets; empty at the end of the stream."""
        searched = self._at
        while (end := self._buffer.find(b"\n", searched)) < 0:
            held = len(self._buffer) - self._at
            if held >= most or not self._fill():
                return self.read(min(held, most))
            searched = self._at + held
        return self.read(min(end + 1 - self._at, most))

    def _fill(self) -> bool:
        """Take more from the source; False at its end."""
        if self._ended:
            return False
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        more = self._source.read(CHUNK)
        self._ended = not more
        self._buffer += more
        return not self._ended
