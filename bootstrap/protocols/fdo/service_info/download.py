"""fdo.download, owner side: a file to the device."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha384
from typing import Any

from bootstrap.protocols.fdo.service_info.actions import ActionResult, Download, quoted
from bootstrap.protocols.fdo.service_info.constants import Module
from bootstrap.protocols.fdo.service_info.kv import KV
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.protocols.fdo.service_info.state import DEFAULT_PATIENCE, Heard, OwnerModules
from bootstrap.wire import cbor


@dataclass(frozen=True, slots=True)
class OwnerDownload:
    """The length is always announced, so ``data`` ends by itself; only an empty file needs an empty one."""

    action: Download
    module: str = Module.DOWNLOAD
    streams: bool = True
    patience: int | None = DEFAULT_PATIENCE

    @property
    def content(self) -> bytes:
        """The file."""
        return self.action.content

    def head(self, quirks: Quirks) -> list[KV]:
        """Name, length and checksum."""
        return [
            ("fdo.download:name", cbor.encode(self.action.name)),
            ("fdo.download:length", cbor.encode(len(self.content))),
            ("fdo.download:sha-384", cbor.encode(sha384(self.content).digest())),
        ]

    def heard(self, state: OwnerModules, message: str, item: Any) -> Heard:
        """``done`` carries the octets written, or -1."""
        if message == "error":
            return state, self._failed(f"the device could not store it: {quoted(item)}")
        if message != "done":
            return state, None
        if item == len(self.content) and state.sent:
            return state, ActionResult(self.action.id, True, f"{self.action.name}: {item} octets written")
        if isinstance(item, int) and item < 0:
            return state, self._failed("the device could not write it, or its checksum did not match")
        return state, self._failed(f"the device stored {quoted(item)} octets of {len(self.content)}")

    def silent(self, state: OwnerModules) -> ActionResult:
        """No ``done`` came."""
        return self._failed("the device did not say whether it was stored")

    def _failed(self, why: str) -> ActionResult:
        return ActionResult(self.action.id, False, f"{self.action.name}: {why}")
