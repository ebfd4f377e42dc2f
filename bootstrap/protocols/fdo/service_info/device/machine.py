"""The device's service-info exchange: devmod first, then whatever the owner asks, message by message."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bootstrap.errors import UnexpectedMessage
from bootstrap.protocols.fdo.service_info.constants import ROUNDS_MAX, Module
from bootstrap.protocols.fdo.service_info.device.effects import Effects, Traits
from bootstrap.protocols.fdo.service_info.device.modules import (
    CommandModule,
    CsrModule,
    DownloadModule,
    Say,
    UploadModule,
    WgetModule,
)
from bootstrap.protocols.fdo.service_info.devmod import Devmod, messages
from bootstrap.protocols.fdo.service_info.emit import pack
from bootstrap.protocols.fdo.service_info.kv import (
    KV,
    Packer,
    assemble,
    message_of,
    module_of,
    service_info_limit,
)
from bootstrap.wire import cbor

_OFFERED = (Module.COMMAND, Module.DOWNLOAD, Module.UPLOAD, Module.WGET, Module.CSR)


class _Everything:
    """Every key is of interest to a device: one that it does not know gets an answer."""

    def __contains__(self, name: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Said:
    """Message 68."""

    is_more: bool
    kvs: tuple[KV, ...] = field(repr=False)


class DeviceModules:
    """One device in one TO2. ``first()`` gives the first message 68; each 69 goes through ``receive``.

    Raises ModuleFailed (or another PeerError) when the device gives up; the caller then sends message 255.
    """

    def __init__(
        self,
        devmod: Devmod,
        effects: Effects,
        limit: int | None = None,
        *,
        modules: Sequence[str] = _OFFERED,
        traits: Traits | None = None,
    ) -> None:
        self._limit = service_info_limit(limit)
        self._traits = traits or Traits()
        listed = tuple(map(str, (Module.DEVMOD, *modules))) if self._traits.lists_modules else ()
        self._devmod = replace(devmod, modules=listed)
        every: dict[str, Any] = {
            Module.COMMAND: CommandModule(effects, self._traits),
            Module.DOWNLOAD: DownloadModule(effects),
            Module.UPLOAD: UploadModule(effects),
            Module.WGET: WgetModule(effects),
        }
        self._csr = CsrModule(effects) if Module.CSR in modules else None
        self._modules = {name: module for name, module in every.items() if name in modules}
        self._active: set[str] = set()
        self._queue: deque[KV] = deque()
        self._offset = 0
        self._partial: tuple[str, bytes] = ("", b"")
        self._rounds = 0

    def first(self) -> Said:
        """devmod, or as much of it as fits."""
        self._queue.extend(messages(self._devmod, self._limit))
        return self._said()

    def receive(self, is_more: bool, kvs: Sequence[KV]) -> Said:
        """Work through message 69; while the owner has more to say the answer is empty."""
        self._rounds += 1
        if self._rounds > ROUNDS_MAX:
            raise UnexpectedMessage(f"service info beyond {ROUNDS_MAX} rounds")
        assembled = assemble(kvs, _Everything(), *self._partial)
        self._partial = (assembled.partial_key, assembled.partial)
        for key, item in assembled.items:
            self._heard(module_of(key), message_of(key), item)
        return Said(False, ()) if is_more else self._said()

    def _heard(self, module: str, message: str, item: Any) -> None:
        say = self._say(module)
        if message == "active":
            self._with_active(module, item is True, say)
        elif module == Module.CSR and self._csr is not None:
            self._csr.receive(message, item, say)
        elif module in self._active:
            self._modules[module].receive(message, item, say)

    def _with_active(self, module: str, active: bool, say: Say) -> None:
        """Say so when a module becomes active, and when it cannot (FDO 1.1 section 3.8.3.1)."""
        if module == Module.CSR and self._csr is not None:
            if active and module not in self._active and self._csr.begin(say):
                self._active.add(module)
            elif active and module not in self._active:
                say("active", False)
            return
        known = module in self._modules
        if active and self._traits.answers_active and not (known and module in self._active):
            say("active", known or module == Module.DEVMOD)
        if active and known:
            self._active.add(module)
        else:
            self._active.discard(module)

    def _say(self, module: str) -> Say:
        def say(message: str, value: Any) -> None:
            self._queue.append((f"{module}:{message}", cbor.encode(value)))

        return say

    def _said(self) -> Said:
        packer = Packer(self._limit)
        (count, self._offset), cut = pack(list(self._queue), self._offset, packer)
        for _ in range(count):
            self._queue.popleft()
        return Said(cut, tuple(packer.kvs))
