"""devmod: what a device says of itself before anything else (FDO 1.1 section 3.8.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import cbor2

from bootstrap.errors import MalformedMessage
from bootstrap.protocols.fdo.service_info.constants import KEY_LENGTH_MAX, MODULES_MAX, TEXT_LENGTH_MAX
from bootstrap.protocols.fdo.service_info.kv import KV, TRUE, Packer
from bootstrap.wire import cbor

TEXTS = (
    "os",
    "arch",
    "version",
    "device",
    "sn",
    "pathsep",
    "sep",
    "nl",
    "tmp",
    "dir",
    "progenv",
    "bin",
    "mudurl",
)
"""Messages with one text, in the order in which the specification lists them."""
_REQUIRED = ("os", "arch", "version", "device", "sep", "bin")


class SerialForm(StrEnum):
    """How the serial number came: typed bstr, sent as tstr by some; a fingerprint of the implementation."""

    ABSENT = ""
    TEXT = "text"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Devmod:
    """Flat and lenient: what is missing is empty, what is too long is cut, what is unknown is dropped."""

    active: bool = False
    os: str = ""
    arch: str = ""
    version: str = ""
    device: str = ""
    sn: str = ""
    sn_form: str = SerialForm.ABSENT.value
    pathsep: str = ""
    sep: str = ""
    nl: str = ""
    tmp: str = ""
    dir: str = ""
    progenv: str = ""
    bin: str = ""
    mudurl: str = ""
    num_modules: int = -1
    modules: tuple[str, ...] = ()
    listed: int = 0
    """Module names seen on the wire, repetitions too: what ``nummodules`` counts."""

    @property
    def complete(self) -> bool:
        """Everything announced is here."""
        return bool(self.os or self.arch or self.device) and 0 <= self.num_modules <= self.listed

    @property
    def missing(self) -> tuple[str, ...]:
        """Required messages that did not come."""
        return tuple(name for name in _REQUIRED if not getattr(self, name))

    def values(self) -> dict[str, str]:
        """For templates: ``devmod.os``, ``devmod.sn`` and so on; lists are joined by commas."""
        texts = {f"devmod.{name}": str(getattr(self, name)) for name in TEXTS}
        return texts | {"devmod.modules": ",".join(self.modules)}


def collect(devmod: Devmod, message: str, item: Any) -> Devmod:
    """``devmod`` with one more message. Raises MalformedMessage only for a list of modules without end."""
    if message == "active":
        return replace(devmod, active=item is True)
    if message == "nummodules":
        return replace(devmod, num_modules=min(item, MODULES_MAX)) if _is_count(item) else devmod
    if message == "modules":
        return _with_modules(devmod, item)
    if message == "sn":
        form = SerialForm.BYTES if isinstance(item, bytes) else SerialForm.TEXT
        return replace(devmod, sn=_text(item), sn_form=form.value)
    if message in TEXTS:
        changes: dict[str, Any] = {message: _text(item)}
        return replace(devmod, **changes)
    return devmod


def _is_count(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and item >= 0


def _text(item: Any) -> str:
    if isinstance(item, bytes):
        text = item.decode("utf-8", "replace")
        text = text if text.isprintable() else item.hex()
    else:
        text = item if isinstance(item, str) else ""
    return text[:TEXT_LENGTH_MAX]


def _with_modules(devmod: Devmod, item: Any) -> Devmod:
    """Names of ``[start, count, name...]``; ``[start, count, [name...]]`` and a plain list of names pass too."""
    if isinstance(item, bytes):
        try:
            item = cbor.decode(item)
        except MalformedMessage:
            return devmod
    if not isinstance(item, list):
        return devmod
    found = [n for part in item for n in (part if isinstance(part, list) else [part]) if isinstance(n, str)]
    if devmod.listed + len(found) > 4 * MODULES_MAX:
        raise MalformedMessage(f"a device with more than {4 * MODULES_MAX} modules")
    names = dict.fromkeys((*devmod.modules, *(n for n in found if 0 < len(n) <= KEY_LENGTH_MAX)))
    return replace(devmod, modules=tuple(names)[:MODULES_MAX], listed=devmod.listed + len(found))


def messages(devmod: Devmod, limit: int) -> list[KV]:
    """The device's own devmod key-values; the list of modules is cut so that each fits ``limit``."""
    said: list[KV] = [("devmod:active", TRUE)]
    for name in TEXTS:
        value = getattr(devmod, name)
        if not value:
            continue
        is_bytes = name == "sn" and devmod.sn_form != SerialForm.TEXT
        said.append((f"devmod:{name}", cbor.encode(value.encode() if is_bytes else value)))
    said.append(("devmod:nummodules", cbor.encode(len(devmod.modules))))
    return said + _module_lists(devmod.modules, limit)


def _module_lists(names: tuple[str, ...], limit: int) -> list[KV]:
    room = Packer(limit).room("devmod:modules")
    lists: list[KV] = []
    start = 0
    while start < len(names) or not lists:
        count = len(names) - start
        while len(value := cbor2.dumps([start, count, *names[start : start + count]])) > room and count > 1:
            count -= 1
        lists.append(("devmod:modules", value))
        start += max(count, 1)
    return lists
