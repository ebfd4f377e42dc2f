"""What a device can do, as callbacks, and how it differs from other devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bootstrap.errors import LocalError, UnexpectedMessage


class EffectFailed(LocalError):
    """The device could not do it; the text is for the owner."""


class ModuleFailed(UnexpectedMessage):
    """A module ends TO2: the caller sends message 255 with this text."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that ended."""

    exit_code: int
    stdout: bytes = field(default=b"", repr=False)
    stderr: bytes = field(default=b"", repr=False)


class Effects(Protocol):
    """The device behind the modules. Every method may raise EffectFailed."""

    def write_file(self, name: str, content: bytes) -> None:
        """Store a file under the owner's name for it."""

    def read_file(self, name: str) -> bytes:
        """A file that the owner wants."""

    def run(self, command: str, args: tuple[str, ...]) -> Ran:
        """Run a program to its end, or pretend to."""

    def fetch(self, url: str) -> bytes:
        """Get a file from the network."""

    def certificate_request(self) -> bytes | None:
        """A PKCS #10 (DER) to have signed; None when the device wants no certificate."""

    def certificate(self, certificate: bytes, authorities: bytes) -> None:
        """The certificate (DER) and the authority's PKCS #7 (DER) that came back."""


@dataclass(frozen=True, slots=True)
class Traits:
    """How this device behaves where real ones differ."""

    args: str = "any"
    """Form of ``fdo.command:args`` it reads: "bstr", "array" or "any"."""
    answers_active: bool = True
    lists_modules: bool = True
