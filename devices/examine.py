"""One voucher looked at from all sides, and child processes that do so for a whole import.

Checking signatures is most of the work of an import and needs nothing but octets, so it runs in processes of
its own: ``python -m devices.examine`` reads batches from standard input and writes what it found. A child knows
no database and no keys, and ends when its parent does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from hashlib import sha256
from typing import IO, Any

import cbor2

from bootstrap.errors import LocalError, PeerError
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.rendezvous import RvInfo

LENGTH_OCTETS = 4
UNREADABLE = "VCH-101"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a voucher says, and whether it holds together. ``code`` is empty when it does; whose it is and whom
    we believe is for others to say."""

    content: bytes = field(repr=False)
    digest: str = ""
    code: str = ""
    problem: str = ""
    guid: str = ""
    serial: str = ""
    device_info: str = ""
    entries: int = 0
    manufacturer: bytes = field(default=b"", repr=False)
    """SPKI of the key that the voucher begins with."""
    owner: bytes = field(default=b"", repr=False)
    """SPKI of the key that it ends in."""
    rendezvous: tuple[str, ...] = ()
    """Every address where the owner is to register (RVInfo)."""

    @property
    def manufacturer_fingerprint(self) -> str:
        """Hexadecimal SHA-256."""
        return sha256(self.manufacturer).hexdigest() if self.manufacturer else ""

    @property
    def owner_fingerprint(self) -> str:
        """Hexadecimal SHA-256."""
        return sha256(self.owner).hexdigest() if self.owner else ""


def examine(content: bytes) -> Examined:
    """Decode and verify everything that can be verified without knowing us. Never raises for bad octets."""
    digest = sha256(content).hexdigest()
    try:
        voucher = vouchers.Voucher.decode(content)
    except PeerError as error:
        return Examined(content, digest, _code(error), str(error)[:200])
    try:
        said = _said(voucher, content, digest)
    except PeerError as error:
        return Examined(content, digest, _code(error), str(error)[:200], voucher.guid.hex())
    try:
        vouchers.verify(voucher, owner=None, trusted=None)
    except PeerError as error:
        return Examined(*_with(said, _code(error), str(error)[:200]))
    return said


def _said(voucher: vouchers.Voucher, content: bytes, digest: str) -> Examined:
    return Examined(
        content,
        digest,
        guid=voucher.guid.hex(),
        serial=vouchers.serial_of(voucher)[:120],
        device_info=voucher.header.device_info[:256],
        entries=len(voucher.raw_entries),
        manufacturer=voucher.header.manufacturer_key.handle().der,
        owner=voucher.owner_key.handle().der,
        rendezvous=owner_urls(voucher),
    )


def owner_urls(voucher: vouchers.Voucher) -> tuple[str, ...]:
    """Where the owner registers: every address of every directive that is for owners, once each. Over HTTP; what
    other transports a directive names is the doctor's to remark on."""
    targets = RvInfo.decode(voucher.rvinfo).owner_targets()
    urls = [
        url
        for target in targets
        if not target.bypass
        for url in target.url_candidates
        if url.startswith(("http://", "https://"))
    ]
    return tuple(dict.fromkeys(urls))


def _code(error: PeerError) -> str:
    return str(getattr(error, "code", "") or UNREADABLE)


def _with(said: Examined, code: str, problem: str) -> tuple[Any, ...]:
    values = list(astuple(said))
    values[2:4] = [code, problem]
    return tuple(values)


class Examiners:
    """A few child processes; ``examine`` keeps them all busy and gives batches back in order."""

    def __init__(self, count: int | None = None) -> None:
        self._children = [_start() for _ in range(count or max(1, min(4, os.cpu_count() or 1)))]

    def __enter__(self) -> Examiners:
        return self

    def __exit__(self, *_error: object) -> None:
        for child in self._children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()

    def examine(self, batches: Iterator[Sequence[bytes]]) -> Iterator[list[Examined]]:
        """Every batch, examined. At most one batch is with a child, so neither side can wait for the other's pipe;
        and a child has its next batch before the caller works on what it found."""
        waiting: list[tuple[subprocess.Popen[bytes], Sequence[bytes]]] = []
        for child in self._children:
            if (batch := next(batches, None)) is not None:
                waiting.append((child, _send(child, batch)))
        while waiting:
            child, batch = waiting.pop(0)
            found = _receive(child, batch)
            if (following := next(batches, None)) is not None:
                waiting.append((child, _send(child, following)))
            yield found


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "devices.examine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    )


def _send(child: subprocess.Popen[bytes], batch: Sequence[bytes]) -> Sequence[bytes]:
    assert child.stdin is not None
    _write(child.stdin, cbor2.dumps(list(batch)))
    return batch


def _receive(child: subprocess.Popen[bytes], batch: Sequence[bytes]) -> list[Examined]:
    assert child.stdout is not None
    raw = _read(child.stdout)
    if raw is None:
        raise LocalError(f"the process that examines vouchers ended with {child.wait()}")
    rows = cbor2.loads(raw)
    return [Examined(content, *(*row[:-1], tuple(row[-1]))) for content, row in zip(batch, rows, strict=True)]


def _write(pipe: IO[bytes], blob: bytes) -> None:
    try:
        pipe.write(len(blob).to_bytes(LENGTH_OCTETS) + blob)
        pipe.flush()
    except OSError as error:
        raise LocalError("the process that examines vouchers has ended") from error


def _read(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(LENGTH_OCTETS)
    if len(head) < LENGTH_OCTETS:
        return None
    length = int.from_bytes(head)
    blob = pipe.read(length)
    return blob if len(blob) == length else None


def main() -> None:
    """The child: batches in, findings out, until the parent is gone."""
    while (raw := _read(sys.stdin.buffer)) is not None:
        found = [astuple(examine(content))[1:] for content in cbor2.loads(raw)]
        _write(sys.stdout.buffer, cbor2.dumps(found))


if __name__ == "__main__":
    main()
