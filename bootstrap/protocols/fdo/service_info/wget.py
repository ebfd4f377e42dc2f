"""fdo.wget, owner side: the device fetches a file by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bootstrap.protocols.fdo.service_info.actions import ActionResult, Wget, quoted
from bootstrap.protocols.fdo.service_info.constants import Module
from bootstrap.protocols.fdo.service_info.kv import KV
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.protocols.fdo.service_info.state import Heard, OwnerModules
from bootstrap.wire import cbor


@dataclass(frozen=True, slots=True)
class OwnerWget:
    """The device checks the checksum; we compare the length it reports."""

    action: Wget
    module: str = Module.WGET
    content: bytes = b""
    streams: bool = False
    patience: int | None = None

    def head(self, quirks: Quirks) -> list[KV]:
        """The URL comes last, because it starts the transfer."""
        said: list[KV] = []
        if self.action.sha384:
            said.append(("fdo.wget:sha-384", cbor.encode(self.action.sha384)))
        if self.action.name:
            said.append(("fdo.wget:name", cbor.encode(self.action.name)))
        return [*said, ("fdo.wget:url", cbor.encode(self.action.url))]

    def heard(self, state: OwnerModules, message: str, item: Any) -> Heard:
        """``done`` carries the octets fetched, ``error`` the device's own words."""
        if message == "error":
            return state, self._failed(f"the device could not fetch it: {quoted(item)}")
        if message != "done":
            return state, None
        if not isinstance(item, int) or item < 0:
            return state, self._failed("the device could not fetch it, or its checksum did not match")
        if self.action.length is not None and item != self.action.length:
            return state, self._failed(f"the device fetched {item} octets, not {self.action.length}")
        return state, ActionResult(self.action.id, True, f"{self._what}: {item} octets fetched")

    def silent(self, state: OwnerModules) -> ActionResult:
        """Only reached through the limit of rounds."""
        return self._failed("the device did not say whether it was fetched")

    @property
    def _what(self) -> str:
        return self.action.name or "file"

    def _failed(self, why: str) -> ActionResult:
        return ActionResult(self.action.id, False, f"{self._what}: {why}")
