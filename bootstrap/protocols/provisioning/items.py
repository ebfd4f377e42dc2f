"""The items of a plan: what a device should get, free of any onboarding method.

Values that may be secrets (passphrases, configuration, files) stay out of ``repr``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bootstrap.errors import MalformedMessage
from bootstrap.protocols.provisioning.constants import (
    KIND_NUMBERS,
    MAX_FILE_LENGTH,
    MAX_ID_LENGTH,
    MAX_TEXT_LENGTH,
    ItemKind,
)
from bootstrap.protocols.provisioning.fields import Fields

_ID, _KIND, _VALUE = 1, 2, 3
_MAX_MODE = 0o777


@dataclass(frozen=True, slots=True)
class Network:
    """A network to join. ``security`` is ``open``, ``wpa2-psk``, ``wpa3-sae`` or
    ``wpa-enterprise``."""

    KIND: ClassVar[ItemKind] = ItemKind.NETWORK
    ssid: str
    security: str = "open"
    passphrase: str = field(default="", repr=False)
    hidden: bool = False

    @classmethod
    def decode(cls, value: Fields) -> Network:
        """Labels 1 ssid, 2 security, 3 passphrase, 4 hidden."""
        return cls(
            ssid=value.text(1, MAX_TEXT_LENGTH),
            security=value.text(2, MAX_TEXT_LENGTH),
            passphrase=value.text(3, MAX_TEXT_LENGTH, ""),
            hidden=value.flag(4) if value.has(4) else False,
        )

    def encode(self) -> dict[int, Any]:
        """The map that ``decode`` reads."""
        return {1: self.ssid, 2: self.security, 3: self.passphrase, 4: self.hidden}


@dataclass(frozen=True, slots=True)
class Server:
    """A server the device shall talk to, by the name its firmware knows it under."""

    KIND: ClassVar[ItemKind] = ItemKind.SERVER
    name: str
    url: str

    @classmethod
    def decode(cls, value: Fields) -> Server:
        """Labels 1 name, 2 url."""
        return cls(value.text(1, MAX_TEXT_LENGTH), value.text(2, MAX_TEXT_LENGTH))

    def encode(self) -> dict[int, Any]:
        """The map that ``decode`` reads."""
        return {1: self.name, 2: self.url}


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration setting."""

    KIND: ClassVar[ItemKind] = ItemKind.CONFIG
    key: str
    value: str = field(repr=False)

    @classmethod
    def decode(cls, value: Fields) -> Config:
        """Labels 1 key, 2 value."""
        return cls(value.text(1, MAX_TEXT_LENGTH), value.text(2, MAX_TEXT_LENGTH))

    def encode(self) -> dict[int, Any]:
        """The map that ``decode`` reads."""
        return {1: self.key, 2: self.value}


@dataclass(frozen=True, slots=True)
class File:
    """A file to write. ``sha256`` (32 octets) is of ``content``; an empty one is filled in."""

    KIND: ClassVar[ItemKind] = ItemKind.FILE
    path: str
    content: bytes = field(repr=False)
    sha256: bytes = b""
    mode: int = 0o600

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.content).digest())

    @classmethod
    def decode(cls, value: Fields) -> File:
        """Labels 1 path, 2 content, 3 sha256, 4 mode. A digest that does not fit raises MalformedMessage."""
        content = value.octets(2, MAX_FILE_LENGTH)
        sha256 = value.octets(3, 32, 32)
        if hashlib.sha256(content).digest() != sha256:
            raise MalformedMessage("file content does not have the digest beside it")
        return cls(value.text(1, MAX_TEXT_LENGTH), content, sha256, value.uint(4, _MAX_MODE, 0o600))

    def encode(self) -> dict[int, Any]:
        """The map that ``decode`` reads."""
        return {1: self.path, 2: self.content, 3: self.sha256, 4: self.mode}


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whether the device shall enroll for a certificate, and under which profile."""

    KIND: ClassVar[ItemKind] = ItemKind.CERTIFICATE
    wanted: bool = True
    profile: str = ""

    @classmethod
    def decode(cls, value: Fields) -> Certificate:
        """Labels 1 wanted, 2 profile."""
        return cls(value.flag(1), value.text(2, MAX_TEXT_LENGTH, ""))

    def encode(self) -> dict[int, Any]:
        """The map that ``decode`` reads."""
        return {1: self.wanted, 2: self.profile}


@dataclass(frozen=True, slots=True)
class Unknown:
    """An item of a kind this reader does not know; a device reports it as failed."""

    number: int

    def encode(self) -> dict[int, Any]:
        """What was in it is not kept."""
        return {}


Value = Network | Server | Config | File | Certificate | Unknown

_CLASSES: dict[ItemKind, type[Network | Server | Config | File | Certificate]] = {
    cls.KIND: cls for cls in (Network, Server, Config, File, Certificate)
}
_DECODERS: dict[int, Callable[[Fields], Value]] = {
    KIND_NUMBERS[kind]: cls.decode for kind, cls in _CLASSES.items()
}


def _file_fields(value: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(value)
    if isinstance(fields.get("content"), str):
        fields["content"] = base64.b64decode(fields["content"], validate=True)
    if isinstance(fields.get("mode"), str):
        fields["mode"] = int(fields["mode"], 8)
    return fields


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One item and the name its result is reported under."""

    id: str
    value: Value

    @property
    def kind(self) -> ItemKind | None:
        """What the value is; None for a kind we do not know."""
        return None if isinstance(self.value, Unknown) else self.value.KIND

    @classmethod
    def build(cls, id: str, kind: str, value: Mapping[str, Any]) -> PlanItem:
        """An item from the plan as people edit it: field names to values.

        A file's ``content`` is base64 text (octets are taken as they are), its ``mode`` octal text.
        Raises MalformedMessage when the fields do not fit the kind or break a limit of the wire format.
        """
        try:
            item = cls(
                id, _CLASSES[ItemKind(kind)](**(_file_fields(value) if kind == ItemKind.FILE else value))
            )
        except (TypeError, ValueError) as error:
            raise MalformedMessage(f"plan item {id!r} is no {kind}: {type(error).__name__}") from None
        return cls.decode(Fields(item.encode()))

    @classmethod
    def decode(cls, item: Fields) -> PlanItem:
        """Labels 1 id, 2 kind, 3 value."""
        number = item.uint(_KIND, 2**16)
        decoder = _DECODERS.get(number)
        value = decoder(item.map(_VALUE)) if decoder else Unknown(number)
        return cls(item.text(_ID, MAX_ID_LENGTH), value)

    def encode(self) -> dict[int, Any]:
        """The map that ``decode`` reads."""
        number = self.value.number if isinstance(self.value, Unknown) else KIND_NUMBERS[self.value.KIND]
        return {_ID: self.id, _KIND: number, _VALUE: self.value.encode()}
