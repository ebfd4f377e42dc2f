"""fdo.upload, owner side: a file from the device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha384
from hmac import compare_digest
from typing import Any

from bootstrap.protocols.fdo.service_info.actions import ActionResult, Upload, quoted
from bootstrap.protocols.fdo.service_info.constants import UPLOAD_LENGTH_MAX, Module
from bootstrap.protocols.fdo.service_info.kv import KV, TRUE
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.protocols.fdo.service_info.state import DEFAULT_PATIENCE, Heard, OwnerModules
from bootstrap.wire import cbor

STREAM_ENDED = -2
"""In ``OwnerModules.length``: no length was announced, and the empty ``data`` that ends the file came."""


@dataclass(frozen=True, slots=True)
class OwnerUpload:
    """A file beyond the limit is counted to its end but not kept, so that what follows stays in step."""

    action: Upload
    module: str = Module.UPLOAD
    content: bytes = b""
    streams: bool = False
    patience: int | None = DEFAULT_PATIENCE

    def head(self, quirks: Quirks) -> list[KV]:
        """The wish for a checksum comes before the name, because the name starts the transfer."""
        wish: list[KV] = [("fdo.upload:need-sha", TRUE)] if self.action.need_sha else []
        return [*wish, ("fdo.upload:name", cbor.encode(self.action.name))]

    def heard(self, state: OwnerModules, message: str, item: Any) -> Heard:
        """Length, data, checksum; some devices leave the length out and end with an empty ``data``."""
        if message == "error":
            return state, self._failed(f"the device could not read it: {quoted(item)}")
        if message == "length" and isinstance(item, int) and item >= 0:
            state = replace(state, length=int(item))
        elif message == "data" and isinstance(item, bytes):
            state = _with_data(state, item)
        elif message == "sha-384" and isinstance(item, bytes):
            state = replace(state, sha384=item)
        return state, self._result(state)

    def silent(self, state: OwnerModules) -> ActionResult:
        """The transfer stopped."""
        if state.length < 0 and not state.received:
            return self._failed("the device sent nothing; perhaps it has no such file")
        expected = f" of {state.length}" if state.length >= 0 else ""
        return self._failed(f"the transfer stopped after {state.received} octets{expected}")

    def _result(self, state: OwnerModules) -> ActionResult | None:
        whole = state.length == STREAM_ENDED or 0 <= state.length <= state.received
        if not whole or (self.action.need_sha and not state.sha384):
            return None
        if state.received > UPLOAD_LENGTH_MAX:
            return self._failed(
                f"{state.received} octets are more than the {UPLOAD_LENGTH_MAX} that are kept"
            )
        if 0 <= state.length < state.received:
            return self._failed(f"the device announced {state.length} octets and sent {state.received}")
        if self.action.need_sha and not compare_digest(sha384(state.content).digest(), state.sha384):
            return self._failed("its checksum does not match what arrived")
        return ActionResult(
            self.action.id, True, f"{self.action.name}: {state.received} octets received", state.content
        )

    def _failed(self, why: str) -> ActionResult:
        return ActionResult(self.action.id, False, f"{self.action.name}: {why}")


def _with_data(state: OwnerModules, data: bytes) -> OwnerModules:
    if not data:
        return replace(state, length=STREAM_ENDED) if state.length < 0 else state
    received = state.received + len(data)
    content = state.content + data if received <= UPLOAD_LENGTH_MAX else b""
    return replace(state, received=received, content=content)
