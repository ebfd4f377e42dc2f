"""What a simulated device remembers over a power cut, and the file system that its plan writes to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote, unquote

from bootstrap.wire.frozen import freeze, thaw


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything of one device, in one file: an association and the keys from it are never apart."""

    association: bytes = field(default=b"", repr=False)
    """The onboarding protocol's own state, frozen."""
    provisioning: bytes = field(default=b"", repr=False)
    """``provisioning.device.DeviceState``, frozen; empty before there are keys."""
    provision_url: str = ""
    """Where the plan is, as the server said; empty when it did not."""
    plan_version: int = 0
    """Version applied, 0 for none."""
    results: tuple[tuple[str, bool, str], ...] = ()
    """Of ``plan_version``: item id, ok, detail."""
    reported: bool = False
    """The server acknowledged ``results``."""


M = TypeVar("M")


class Store(Generic[M]):
    """One folder for any number of devices: ``<serial>.state``, and what a plan wrote under ``<serial>/``."""

    def __init__(self, folder: Path, durable: bool = True, *, kind: type[Any] = Memory) -> None:
        self._folder = folder
        self._durable = durable
        self._kind = kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self, serial: str) -> M | None:
        """What the device remembers; None for one never switched on. Raises LocalError if unreadable."""
        try:
            return cast(M, thaw(self._kind, self._file(serial).read_bytes()))
        except FileNotFoundError:
            return None

    def save(self, serial: str, memory: M) -> None:
        """Replace the file in one step, mode 0600: the next start sees the old or the new one."""
        file = self._file(serial)
        new = file.with_suffix(".new")
        with open(new, "wb", opener=_private) as stream:
            stream.write(freeze(memory))
            if self._durable:
                stream.flush()
                os.fsync(stream.fileno())
        new.replace(file)

    def serials(self) -> list[str]:
        """Every device with a memory here, in order."""
        return sorted(unquote(file.stem) for file in self._folder.glob("*.state"))

    def root(self, serial: str) -> Path:
        """The device's own file system."""
        return self._folder / _name(serial)

    def _file(self, serial: str) -> Path:
        return self._folder / f"{_name(serial)}.state"


def _name(serial: str) -> str:
    """A file name for any serial; never one that leads out of the folder."""
    return quote(serial, safe="").replace(".", "%2E")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
