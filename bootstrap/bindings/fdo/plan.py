"""A plan's items as actions of FDO's service info, for one device.

Pure, so that a dry run shows what a device would get. Texts may name values of the device, ``${serial}`` or
``${tag.site}``; a name that is not there is an error, never an empty text. ``$${`` stands for ``${``. Values go into
words that are cut already: a device cannot add an argument to a command by what it says of itself. Contents of files
are sent as they are.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bootstrap.errors import OnwardError
from bootstrap.protocols.fdo.service_info import Action, Command, Download, Upload, Wget
from bootstrap.protocols.fdo.service_info.actions import Csr
from bootstrap.protocols.fdo.service_info.devmod import Devmod
from bootstrap.protocols.fdo.voucher import Voucher

FOLDER = "/etc/onward"
"""Where a device finds networks, servers and settings: ``/etc/onward/<kind>.d/<id>.json``."""
CHMOD_SUFFIX = " (mode)"
"""Of the id of the command that gives a file its mode, which fdo.download cannot."""

_NAME = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


class PlanProblem(OnwardError):
    """An item that cannot be made to fit this device: ``item`` is its id, ``name`` what its text asked for."""

    def __init__(self, item: str, name: str) -> None:
        super().__init__(f"item {item}: nothing is called {name!r}")
        self.item, self.name = item, name


def values_of(
    voucher: Voucher, devmod: Devmod, *, serial: str = "", tags: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Everything that a text may name for one device."""
    guid = voucher.guid.hex()
    values = {
        "serial": serial or devmod.sn,
        "guid": guid,
        "voucher.guid": guid,
        "voucher.device_info": voucher.header.device_info,
        "voucher.entries": str(len(voucher.raw_entries)),
    }
    values |= devmod.values()
    return values | {f"tag.{name}": str(value) for name, value in (tags or {}).items()}


def names_in(items: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Every name that the items ask for."""
    texts = [text for item in items for field, text in item["value"].items() if field != "content"]
    return frozenset(found for text in texts for found in _NAME.findall(text) if found)


def actions_of(items: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> tuple[Action, ...]:
    """What the device is to do, in the plan's order. Raises PlanProblem."""
    return tuple(action for item in items for action in _ACTIONS[item["kind"]](_Filled(item, values)))


class _Filled:
    """One item, its texts with the device's values."""

    def __init__(self, item: Mapping[str, Any], values: Mapping[str, str]) -> None:
        self.id: str = item["id"]
        self.kind: str = item["kind"]
        self._texts: Mapping[str, str] = item["value"]
        self._values = values

    def raw(self, field: str) -> str:
        """As the person wrote it."""
        return self._texts.get(field, "")

    def text(self, field: str) -> str:
        """With values."""
        return self.fill(self.raw(field))

    def fill(self, text: str) -> str:
        """One text with values. Raises PlanProblem."""
        return _NAME.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "${"
        if name not in self._values:
            raise PlanProblem(self.id, name)
        return self._values[name]

    def says(self, field: str) -> bool:
        """Of a flag."""
        return self.raw(field) == "yes"

    def fields(self) -> dict[str, str]:
        """Everything, with values."""
        return {field: self.text(field) for field in self._texts}


def _document(item: _Filled) -> tuple[Action, ...]:
    """A network, server or setting: one JSON document of its fields, with the item's id."""
    name = f"{FOLDER}/{item.kind}.d/{_UNFIT.sub('-', item.id)}.json"
    content = json.dumps({"id": item.id, **item.fields()}, ensure_ascii=False, sort_keys=True)
    return (Download(item.id, name, content.encode() + b"\n"),)


def _file(item: _Filled) -> tuple[Action, ...]:
    path, mode = item.text("path"), item.raw("mode")
    download = Download(item.id, path, base64.b64decode(item.raw("content")))
    if not mode:
        return (download,)
    chmod = Command(item.id + CHMOD_SUFFIX, "chmod", (mode, path), may_fail=True, return_stdout=False)
    return (download, chmod)


def _certificate(item: _Filled) -> tuple[Action, ...]:
    return (Csr(item.id),)


def _command(item: _Filled) -> tuple[Action, ...]:
    shown = item.says("output")
    words = tuple(item.fill(word) for word in shlex.split(item.raw("args")))
    command = item.text("command")
    return (Command(item.id, command, words, item.says("may_fail"), shown, shown),)


def _collect(item: _Filled) -> tuple[Action, ...]:
    return (Upload(item.id, item.text("name"), may_fail=item.says("may_fail")),)


def _fetch(item: _Filled) -> tuple[Action, ...]:
    sha384 = bytes.fromhex(item.raw("sha384"))
    return (Wget(item.id, item.text("url"), item.text("name"), sha384, may_fail=item.says("may_fail")),)


_ACTIONS: dict[str, Callable[[_Filled], tuple[Action, ...]]] = {
    "network": _document,
    "server": _document,
    "config": _document,
    "file": _file,
    "certificate": _certificate,
    "command": _command,
    "collect": _collect,
    "fetch": _fetch,
}
