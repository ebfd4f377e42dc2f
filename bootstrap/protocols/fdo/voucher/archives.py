"""Whatever file people keep vouchers in: PEM, CBOR, zip, tar, gzip, one level deep and within stated limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from . import tars, zips
from .limits import DEFAULT_LIMITS, Budget, Limits, Peekable
from .loose import Found, vouchers_in
from .problems import VoucherMalformed

_FOREIGN_MAGICS = (b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd")
"""bzip2, xz, 7z, rar, zstd."""
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers leave in archives."""
_NAME_MAX_LENGTH = 200

Item = tuple[str, Found]


def read_archive(file: BinaryIO, limits: Limits = DEFAULT_LIMITS, *, notes: bool = False) -> Iterator[Item]:
    """Every voucher in ``file`` as (name, octets), in order, or (name, VoucherMalformed) for what stands in its
    place; one at a time in memory. ``notes`` gives also what was passed over on purpose.

    ``file`` can seek. Raises VoucherMalformed VCH-151 to VCH-156 when the file as a whole is refused; that may be
    after the first vouchers, so whoever wants all or nothing reads it twice.
    """
    for number, (name, found) in enumerate(_everything(file, limits, notes)):
        if number >= limits.vouchers:
            raise VoucherMalformed("VCH-151", f"more than {limits.vouchers}")
        yield name, found


def _everything(file: BinaryIO, limits: Limits, notes: bool) -> Iterator[Item]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    stream = Peekable(file)
    ahead = stream.peek(tars.BLOCK)
    budget = Budget(limits, size)
    if ahead.startswith(zips.MAGICS):
        yield from _zip(file, limits, budget, notes)
    elif ahead.startswith(_FOREIGN_MAGICS):
        raise VoucherMalformed("VCH-155")
    elif ahead.startswith(tars.GZIP_MAGIC):
        unpacked = Peekable(tars.Gunzip(stream, budget))
        if tars.is_tar(unpacked.peek(tars.BLOCK)):
            yield from _tar(unpacked, limits, notes)
        else:
            yield from _loose("", unpacked, limits, notes)
    elif tars.is_tar(ahead):
        yield from _tar(stream, limits, notes)
    else:
        yield from _loose("", stream, limits, notes)


def _zip(file: BinaryIO, limits: Limits, budget: Budget, notes: bool) -> Iterator[Item]:
    for member in zips.members(file, limits):
        name = _shown(member.name)
        if member.name.endswith("/") or _is_junk(member.name):
            continue
        if not member.is_ordinary:
            yield from _passed_over(name, notes)
            continue
        try:
            yield from _loose(name, Peekable(zips.MemberStream(file, member, budget)), limits, notes)
        except VoucherMalformed as error:
            if error.code in _OF_THE_WHOLE:
                raise
            yield name, error


_OF_THE_WHOLE = frozenset({"VCH-151", "VCH-152", "VCH-153"})
"""A damaged member of a zip is its own misfortune; these are everybody's."""


def _tar(stream: Peekable, limits: Limits, notes: bool) -> Iterator[Item]:
    for member in tars.members(stream, limits):
        name = _shown(member.name)
        if _is_junk(member.name):
            continue
        if member.is_ordinary:
            yield from _loose(name, member.stream, limits, notes)
        else:
            yield from _passed_over(name, notes)


def _loose(name: str, stream: Peekable, limits: Limits, notes: bool) -> Iterator[Item]:
    """A file that should hold vouchers itself; an archive in an archive is not opened."""
    if _is_archive(stream.peek(tars.BLOCK)):
        yield name, VoucherMalformed("VCH-154")
        return
    for number, found in enumerate(vouchers_in(stream, limits, notes=notes), 1):
        yield (name if name and number == 1 else f"{name}#{number}"), found


def _is_archive(ahead: bytes) -> bool:
    return (
        ahead.startswith(zips.MAGICS)
        or ahead.startswith(tars.GZIP_MAGIC)
        or ahead.startswith(_FOREIGN_MAGICS)
        or tars.is_tar(ahead)
    )


def _passed_over(name: str, notes: bool) -> Iterator[Item]:
    if notes:
        yield name, VoucherMalformed("VCH-161")


def _is_junk(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return name.startswith(_JUNK[0]) or last.startswith("._") or last in _JUNK


def _shown(name: str) -> str:
    """A name for people: it came with the archive and is never used as a path."""
    return "".join(c if c.isprintable() else "?" for c in name)[-_NAME_MAX_LENGTH:]
