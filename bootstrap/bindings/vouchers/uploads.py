"""What people and programs hand in, kept as a file until its job is long over."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from bootstrap.protocols.fdo.voucher.pem import iterate

UPLOAD_MAX_LENGTH = 512 * 1024 * 1024
"""Octets of one upload, as it comes: a hundred thousand vouchers and room."""


@dataclass(frozen=True, slots=True)
class Item:
    """One voucher of an upload, or what is in its place."""

    number: int
    name: str
    content: bytes = b""
    code: str = ""
    problem: str = ""


def uploads_folder() -> Path:
    """Mode 0700: vouchers are no secrets, but nobody else's business."""
    folder = Path(settings.DATA_DIR) / "uploads"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def upload_store(chunks: Iterable[bytes]) -> tuple[str, int]:
    """Write it whole or not at all; the name it got, and its length. Raises ValidationError when it is too long
    or empty."""
    name = f"{secrets.token_hex(16)}.upload"
    draft = uploads_folder() / f".{name}"
    length = 0
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for chunk in chunks:
                length += len(chunk)
                if length > UPLOAD_MAX_LENGTH:
                    megabytes = UPLOAD_MAX_LENGTH // 2**20
                    raise ValidationError({"file": _("The file is larger than %d MB.") % megabytes})
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if not length:
            raise ValidationError({"file": _("The file is empty.")})
        draft.replace(uploads_folder() / name)
    finally:
        draft.unlink(missing_ok=True)
    return name, length


def upload_delete(name: str) -> None:
    """Gone, if it was there."""
    if name:
        (uploads_folder() / Path(name).name).unlink(missing_ok=True)


def items(name: str) -> Iterator[Item]:
    """Every voucher of the upload in order, whatever the file is: PEM, CBOR, zip, tar.gz. One at a time in memory.
    Raises PeerError when the whole is beyond the limits."""
    with (uploads_folder() / Path(name).name).open("rb") as stream:
        yield from _numbered(stream)


def _numbered(stream: BinaryIO) -> Iterator[Item]:
    for number, (name, found) in enumerate(iterate(stream), 1):
        if isinstance(found, bytes):
            yield Item(number, name[:200], found)
        else:
            yield Item(number, name[:200], b"", str(getattr(found, "code", "")), str(found)[:200])


def batches(source: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """So many at a time."""
    while batch := list(islice(source, size)):
        yield batch
