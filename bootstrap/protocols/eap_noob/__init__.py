"""EAP-NOOB (RFC 9140): a message that a person carries authenticates a device nobody knew."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.wire.eap import EapType

from . import constants, device, messages, server, sticker
from .constants import NoobError
from .crypto import RFC_TEXT, Convention
from .sticker import Oob

__all__ = [
    "RFC_TEXT",
    "SPEC",
    "Convention",
    "NoobError",
    "Oob",
    "constants",
    "device",
    "messages",
    "server",
    "sticker",
]


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What the EAP layer needs to know of a method; it has no routes of its own."""

    slug: str
    title: str
    references: tuple[str, ...]
    eap_type: int
    strangers: bool
    """Devices arrive unannounced: a first message may create an association."""


SPEC = MethodSpec(
    slug="eap-noob",
    title="EAP-NOOB",
    references=("RFC 9140", "RFC 3748"),
    eap_type=EapType.NOOB,
    strangers=True,
)
