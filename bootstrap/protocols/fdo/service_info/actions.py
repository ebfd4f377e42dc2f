"""What the owner wants done on a device, one dataclass per service-info module, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from bootstrap.protocols.fdo.service_info.constants import DETAIL_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class Download:
    """Put a file on the device (fdo.download)."""

    id: str
    name: str
    content: bytes = field(repr=False)
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """Run a program on the device (fdo.command).

    Without ``may_fail`` a device ends TO2 with message 255 when the program fails; that is the module's rule.
    """

    id: str
    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    may_fail: bool = False
    return_stdout: bool = True
    return_stderr: bool = True


@dataclass(frozen=True, slots=True)
class Upload:
    """Take a file from the device (fdo.upload)."""

    id: str
    name: str
    need_sha: bool = True
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Wget:
    """Have the device fetch a file by itself (fdo.wget)."""

    id: str
    url: str = field(repr=False)
    name: str = ""
    """Where the device stores it; empty leaves the choice to the device."""
    sha384: bytes = b""
    length: int | None = None
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Csr:
    """Give the device a chance to ask for a certificate (fdo.csr)."""

    id: str
    may_fail: bool = False


Action = Download | Command | Upload | Wget | Csr


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How one action ended."""

    id: str
    ok: bool
    detail: str
    """One sentence for people. Quotes of the device are bounded and untrusted."""
    output: bytes = field(default=b"", repr=False)
    """The uploaded file, or the first octets of stdout, or the certificate that was issued."""
    errors: bytes = field(default=b"", repr=False)
    """The first octets of stderr."""
    exit_code: int | None = None


def fingerprint(actions: Sequence[Action]) -> bytes:
    """Names a list of actions, so that a plan that changes under way is noticed; says nothing of contents."""
    names = "\n".join(f"{type(action).__name__} {action.id}" for action in actions)
    return sha256(names.encode()).digest()[:8]


def quoted(text: object) -> str:
    """A device's own words, fit for a sentence: one line, bounded, printable."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= DETAIL_LENGTH_MAX else line[:DETAIL_LENGTH_MAX] + "…"
