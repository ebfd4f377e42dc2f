"""A plan's items as rows of a form, and back. Field names carry a key per row: ``item-<key>-ssid``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bootstrap.bindings.fdo.plan import names_in
from bootstrap.errors import MalformedMessage
from bootstrap.protocols.fdo.service_info.devmod import Devmod
from bootstrap.protocols.provisioning import PlanItem
from devices.services.plans import (
    FDO_KINDS,
    FIELDS,
    FILE_MAX_LENGTH,
    FLAGS,
    SECURITIES,
    TEXT_MAX_LENGTH,
    items_clean,
)

TITLES: dict[str, Any] = {
    "network": gettext_lazy("Network"),
    "server": gettext_lazy("Server"),
    "config": gettext_lazy("Setting"),
    "file": gettext_lazy("File"),
    "certificate": gettext_lazy("Certificate"),
    "command": gettext_lazy("Command"),
    "collect": gettext_lazy("File to send us"),
    "fetch": gettext_lazy("Download"),
}
LABELS: dict[str, Any] = {
    "ssid": gettext_lazy("Network name (SSID)"),
    "security": gettext_lazy("Security"),
    "passphrase": gettext_lazy("Passphrase"),
    "name": gettext_lazy("Name in the firmware"),
    "url": gettext_lazy("Address"),
    "key": gettext_lazy("Key"),
    "value": gettext_lazy("Value"),
    "path": gettext_lazy("Path on the device"),
    "content": gettext_lazy("File"),
    "mode": gettext_lazy("Mode"),
    "profile": gettext_lazy("Profile"),
    "command": gettext_lazy("Program"),
    "args": gettext_lazy("Arguments"),
    "output": gettext_lazy("Keep what it prints"),
    "may_fail": gettext_lazy("Go on if it fails"),
    "sha384": gettext_lazy("SHA-384 of the file"),
}
KIND_LABELS: dict[tuple[str, str], Any] = {
    ("collect", "name"): gettext_lazy("Path on the device"),
    ("fetch", "name"): gettext_lazy("Path on the device"),
}
"""Where a field of a kind is not what its name says elsewhere."""
HINTS: dict[str, Any] = {
    "passphrase": gettext_lazy("Empty for an open network."),
    "url": gettext_lazy("With its scheme, like mqtts://broker.example.com."),
    "path": gettext_lazy("From the root, like /etc/app.conf."),
    "mode": gettext_lazy("Octal, like 644; empty is 600."),
    "content": gettext_lazy("At most 512 kB."),
    "profile": gettext_lazy("Empty for the usual one."),
    "command": gettext_lazy("Without arguments, like systemctl. It runs as the device's onboarding does."),
    "args": gettext_lazy(
        "As in a shell: quotes around what has spaces. No pipes, no variables of the shell."
    ),
    "output": gettext_lazy("The first part of it is shown on the device's page."),
    "may_fail": gettext_lazy("Otherwise onboarding ends there, and the device is stuck."),
    "sha384": gettext_lazy("96 hexadecimal digits; empty to trust the address."),
}
KIND_HINTS: dict[tuple[str, str], Any] = {
    ("collect", "name"): gettext_lazy("Like /var/log/onboard.log. At most 512 kB are taken."),
    ("fetch", "name"): gettext_lazy("Where the device saves it, like /tmp/app.tar.gz."),
    ("fetch", "url"): gettext_lazy("With http:// or https://. The device gets it by itself."),
}
EXPLAINED: dict[str, Any] = {
    "command": gettext_lazy("Runs a program on the device. FDO devices only."),
    "collect": gettext_lazy("The device sends us one of its files. FDO devices only."),
    "fetch": gettext_lazy("The device downloads a file from somewhere else. FDO devices only."),
}
"""What a kind is, where its title does not say it all."""
CHOICES: dict[str, tuple[str, ...]] = {"security": SECURITIES}
KNOWN_NAMES = frozenset(
    ("serial", "guid", "voucher.guid", "voucher.device_info", "voucher.entries", *Devmod().values())
)
"""What ``${name}`` may ask for, beside tags (bootstrap.bindings.fdo.plan.values_of)."""
WORDS: tuple[tuple[str, Any], ...] = (
    ("serial", gettext_lazy("its serial number")),
    ("guid", gettext_lazy("its FDO GUID, 32 hexadecimal digits")),
    ("tag.site", gettext_lazy("its tag “site”; so does any other tag")),
    ("voucher.device_info", gettext_lazy("what its voucher says it is")),
    ("voucher.entries", gettext_lazy("how many owners its voucher went through")),
    ("devmod.os", gettext_lazy("its operating system, in its own words")),
    ("devmod.arch", gettext_lazy("its processor")),
    ("devmod.version", gettext_lazy("the version of its system")),
    ("devmod.device", gettext_lazy("its model")),
)
"""The names that people need, and what they stand for."""
KEPT = "kept"
"""Carries a file, as base64, that came with a form which had a mistake elsewhere."""


@dataclass(slots=True)
class Control:
    """One input of a row."""

    name: str
    id: str
    label: Any
    value: str = field(repr=False)
    hint: Any = ""
    errors: list[str] = field(default_factory=list)
    choices: tuple[str, ...] = ()
    is_file: bool = False
    is_flag: bool = False


@dataclass(slots=True)
class Row:
    """One item while it is edited."""

    key: str
    kind: str
    item_id: str = ""
    values: dict[str, str] = field(default_factory=dict, repr=False)
    errors: dict[str, list[str]] = field(default_factory=dict)
    unsaved: bool = False
    """Its file came with this very request and is not stored yet."""

    @property
    def title(self) -> Any:
        """What kind of thing it is."""
        return TITLES[self.kind]

    @property
    def size(self) -> int:
        """Octets of the file, or 0."""
        content = self.values.get("content", "")
        return len(content) * 3 // 4 - content.count("=")

    @property
    def controls(self) -> list[Control]:
        """Its inputs, in the order of the kind's fields."""
        return [
            Control(
                name=f"item-{self.key}-{name}",
                id=f"item-{self.key}-{name}",
                label=KIND_LABELS.get((self.kind, name), LABELS[name]),
                value=self.values.get(name, ""),
                hint=KIND_HINTS.get((self.kind, name), HINTS.get(name, "")),
                errors=self.errors.get(name, []),
                choices=CHOICES.get(name, ()),
                is_file=name == "content",
                is_flag=name in FLAGS,
            )
            for name in FIELDS[self.kind]
        ]

    @property
    def explained(self) -> Any:
        """What it does, where that needs words."""
        return EXPLAINED.get(self.kind, "")

    @property
    def item(self) -> dict[str, Any]:
        """As ``plan_save`` takes it."""
        return {"id": self.item_id, "kind": self.kind, "value": {k: v for k, v in self.values.items() if v}}


def rows_of(items: list[dict[str, Any]]) -> list[Row]:
    """Stored items as rows."""
    return [
        Row(str(number), item["kind"], item["id"], dict(item["value"])) for number, item in enumerate(items)
    ]


def rows_read(
    data: Mapping[str, str],
    keys: list[str],
    files: MultiValueDict[str, UploadedFile],
    stored: list[dict[str, Any]],
) -> list[Row]:
    """The rows of a submitted form that stay, checked one by one; ``errors`` says what is wrong with each."""
    contents = {item["id"]: item["value"].get("content", "") for item in stored if item["kind"] == "file"}
    rows = [row for key in keys if (row := _read(data, key, files, contents)) is not None]
    _name(rows)
    for row in rows:
        _check(row)
    return rows


def _read(
    data: Mapping[str, str], key: str, files: MultiValueDict[str, UploadedFile], contents: dict[str, str]
) -> Row | None:
    """One row; None when it is to go, was left blank or is nothing we made."""
    kind = data.get(f"item-{key}-kind", "")
    if kind not in FIELDS or data.get(f"item-{key}-remove"):
        return None
    row = Row(key, kind, data.get(f"item-{key}-id", "")[:64])
    for name in FIELDS[kind]:
        # A browser sends an empty text under the name of a file input that was left alone.
        row.values[name] = data.get(f"item-{key}-{KEPT if name == 'content' else name}", "")
    if kind == "file":
        _content(row, files.get(f"item-{key}-content"), contents)
    asked_for = data.get(f"item-{key}-wanted") if kind == "certificate" else _filled(row)
    return row if row.item_id or asked_for else None


def _filled(row: Row) -> bool:
    return any(text for name, text in row.values.items() if name != "security") or bool(row.errors)


def _content(row: Row, upload: UploadedFile | None, contents: dict[str, str]) -> None:
    """What is uploaded now, else what an earlier try brought, else what is stored."""
    if upload is None:
        row.unsaved = bool(row.values["content"])
        row.values["content"] = row.values["content"] or contents.get(row.item_id, "")
    elif (upload.size or 0) > FILE_MAX_LENGTH:
        row.errors["content"] = [_("The file is larger than 512 kB.")]
        row.values["content"] = contents.get(row.item_id, "")
    else:
        row.values["content"], row.unsaved = base64.b64encode(upload.read()).decode(), True


def _name(rows: list[Row]) -> None:
    """Ids for the new ones that no other item has: results are reported under them."""
    taken = {row.item_id for row in rows}
    for row in rows:
        number = 1
        while not row.item_id:
            wanted = f"{row.kind}-{number}"
            row.item_id, number = "" if wanted in taken else wanted, number + 1
        taken.add(row.item_id)


def _check(row: Row) -> None:
    """Ask the service about this item alone, so that the answer lands under its field."""
    if row.errors:
        return
    try:
        (cleaned,) = items_clean([row.item])
        if row.kind in FDO_KINDS:
            _check_names(row)
        else:
            PlanItem.build(cleaned["id"], cleaned["kind"], cleaned["value"])
    except ValidationError as error:
        sentence = error.messages[0].partition(": ")[2] or error.messages[0]
        blamed = _blamed(row, sentence)
        row.errors[blamed] = [_reworded(row, blamed, sentence)]
    except MalformedMessage:
        blamed = "mode" if row.kind == "file" else next(iter(FIELDS[row.kind]))
        row.errors[blamed] = [_("A device would not understand this.")]


def _blamed(row: Row, sentence: str) -> str:
    """The field that the service speaks of, else the first one."""
    words = sentence.removesuffix(".").split()
    named = (name for name in FIELDS[row.kind] if name in words or (name == "url" and "address" in words))
    return next(named, next(iter(FIELDS[row.kind])))


def _check_names(row: Row) -> None:
    """A ``${name}`` that no device can have is a slip of the pen; tags may still be given."""
    for field_name, text in row.values.items():
        asked = names_in([{"value": {field_name: text}}])
        unknown = sorted(name for name in asked if name not in KNOWN_NAMES and not name.startswith("tag."))
        if unknown:
            row.errors[field_name] = [_("Nothing is called ${%s}. See the list below.") % unknown[0]]


def _reworded(row: Row, name: str, sentence: str) -> str:
    """The service speaks to programs; a person reads about the field above."""
    text = row.values.get(name, "")
    if not text:
        return _("Fill this in.")
    if name != "content" and len(text) > TEXT_MAX_LENGTH:
        return _("At most %d characters.") % TEXT_MAX_LENGTH
    return sentence[:1].upper() + sentence[1:]
