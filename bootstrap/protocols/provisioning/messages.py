"""The messages inside the COSE_Encrypt0 objects: CBOR maps with small integer keys (``Label``).

Requests carry a fresh nonce that the reply is bound to. Replies carry the challenge that the next report or
check-in must bring back; a challenge is used once, so an old report cannot be played again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.protocols.provisioning.constants import (
    CHALLENGE_LENGTH,
    MAX_DETAIL_LENGTH,
    MAX_ID_LENGTH,
    MAX_ITEMS,
    MAX_SECONDS,
    MAX_TEXT_LENGTH,
    MAX_VERSION,
    NONCE_LENGTH,
    Label,
    MessageType,
    RefusalCode,
)
from bootstrap.protocols.provisioning.fields import Fields
from bootstrap.protocols.provisioning.items import PlanItem
from bootstrap.wire import cbor


@dataclass(frozen=True, slots=True)
class Fetch:
    """The device asks for its plan; the answer is a Plan, or an Ack when ``have_version`` is the newest."""

    nonce: bytes
    have_version: int = 0
    capabilities: tuple[str, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Fetch:
        """From a decoded map."""
        return cls(
            _nonce(fields),
            fields.uint(Label.PLAN_VERSION, MAX_VERSION, 0),
            fields.texts(Label.CAPABILITIES, MAX_ITEMS, MAX_TEXT_LENGTH),
        )

    def encode(self) -> bytes:
        """The map of this message."""
        return _encode(
            MessageType.FETCH,
            {
                Label.NONCE: self.nonce,
                Label.PLAN_VERSION: self.have_version,
                Label.CAPABILITIES: list(self.capabilities),
            },
        )


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one plan item. ``detail`` is for people and comes from the device."""

    id: str
    ok: bool
    detail: str = ""

    @classmethod
    def read(cls, fields: Fields) -> ItemResult:
        """Labels 1 id, 2 ok, 3 detail."""
        return cls(fields.text(1, MAX_ID_LENGTH), fields.flag(2), fields.text(3, MAX_DETAIL_LENGTH, ""))

    def encode(self) -> dict[int, Any]:
        """The map that ``read`` takes; a longer detail is cut."""
        return {1: self.id, 2: self.ok, 3: self.detail[:MAX_DETAIL_LENGTH]}


@dataclass(frozen=True, slots=True)
class Report:
    """The device says what became of every item of the plan it was given."""

    nonce: bytes
    challenge: bytes
    plan_version: int
    results: tuple[ItemResult, ...]

    @classmethod
    def read(cls, fields: Fields) -> Report:
        """From a decoded map."""
        return cls(
            _nonce(fields),
            _challenge(fields),
            fields.uint(Label.PLAN_VERSION, MAX_VERSION),
            tuple(ItemResult.read(item) for item in fields.maps(Label.RESULTS, MAX_ITEMS)),
        )

    def encode(self) -> bytes:
        """The map of this message."""
        return _encode(
            MessageType.REPORT,
            {
                Label.NONCE: self.nonce,
                Label.CHALLENGE: self.challenge,
                Label.PLAN_VERSION: self.plan_version,
                Label.RESULTS: [result.encode() for result in self.results],
            },
        )


@dataclass(frozen=True, slots=True)
class CheckIn:
    """The device speaks from normal operation."""

    nonce: bytes
    challenge: bytes
    plan_version: int
    uptime_seconds: int
    firmware: str = ""

    @classmethod
    def read(cls, fields: Fields) -> CheckIn:
        """From a decoded map."""
        return cls(
            _nonce(fields),
            _challenge(fields),
            fields.uint(Label.PLAN_VERSION, MAX_VERSION),
            fields.uint(Label.UPTIME_SECONDS, MAX_VERSION),
            fields.text(Label.FIRMWARE, MAX_TEXT_LENGTH, ""),
        )

    def encode(self) -> bytes:
        """The map of this message."""
        return _encode(
            MessageType.CHECK_IN,
            {
                Label.NONCE: self.nonce,
                Label.CHALLENGE: self.challenge,
                Label.PLAN_VERSION: self.plan_version,
                Label.UPTIME_SECONDS: self.uptime_seconds,
                Label.FIRMWARE: self.firmware,
            },
        )


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """What one device should get. A binding makes it without ``challenge``; the server step adds that."""

    plan_version: int
    items: tuple[PlanItem, ...] = ()
    challenge: bytes = b""

    def __post_init__(self) -> None:
        if not 1 <= self.plan_version <= MAX_VERSION:
            raise MalformedMessage(f"plan version {self.plan_version} is not a positive integer")
        if len({item.id for item in self.items}) != len(self.items) or len(self.items) > MAX_ITEMS:
            raise MalformedMessage(f"a plan has at most {MAX_ITEMS} items, each with its own id")

    @classmethod
    def read(cls, fields: Fields) -> PlanDocument:
        """From a decoded map."""
        return cls(
            fields.uint(Label.PLAN_VERSION, MAX_VERSION),
            tuple(PlanItem.decode(item) for item in fields.maps(Label.ITEMS, MAX_ITEMS)),
            _challenge(fields),
        )

    def encode(self) -> bytes:
        """The map of this message."""
        return _encode(
            MessageType.PLAN,
            {
                Label.CHALLENGE: self.challenge,
                Label.PLAN_VERSION: self.plan_version,
                Label.ITEMS: [item.encode() for item in self.items],
            },
        )


@dataclass(frozen=True, slots=True)
class Ack:
    """Taken; speak again in so many seconds."""

    next_check_in_seconds: int
    challenge: bytes

    @classmethod
    def read(cls, fields: Fields) -> Ack:
        """From a decoded map."""
        return cls(fields.uint(Label.NEXT_CHECK_IN_SECONDS, MAX_SECONDS), _challenge(fields))

    def encode(self) -> bytes:
        """The map of this message."""
        return _encode(
            MessageType.ACK,
            {Label.CHALLENGE: self.challenge, Label.NEXT_CHECK_IN_SECONDS: self.next_check_in_seconds},
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """An authenticated request could not be taken; ``retry_after_seconds`` says when the next one may."""

    code: RefusalCode
    challenge: bytes
    retry_after_seconds: int = 0

    @classmethod
    def read(cls, fields: Fields) -> Refusal:
        """From a decoded map."""
        code = fields.uint(Label.CODE, 255)
        if code not in RefusalCode.__members__.values():
            raise MalformedMessage(f"refusal code {code} is not known")
        seconds = fields.uint(Label.NEXT_CHECK_IN_SECONDS, MAX_SECONDS, 0)
        return cls(RefusalCode(code), _challenge(fields), seconds)

    def encode(self) -> bytes:
        """The map of this message."""
        return _encode(
            MessageType.REFUSAL,
            {
                Label.CHALLENGE: self.challenge,
                Label.NEXT_CHECK_IN_SECONDS: self.retry_after_seconds,
                Label.CODE: int(self.code),
            },
        )


Request = Fetch | Report | CheckIn
Answer = PlanDocument | Ack | Refusal
Message = Request | Answer

_READERS: dict[int, Callable[[Fields], Message]] = {
    MessageType.FETCH: Fetch.read,
    MessageType.PLAN: PlanDocument.read,
    MessageType.REPORT: Report.read,
    MessageType.CHECK_IN: CheckIn.read,
    MessageType.ACK: Ack.read,
    MessageType.REFUSAL: Refusal.read,
}


def decode(octets: bytes) -> Message:
    """The message that a plaintext is. Raises MalformedMessage."""
    fields = Fields.decode(octets)
    reader = _READERS.get(fields.uint(Label.TYPE, 255))
    if reader is None:
        raise MalformedMessage("message type is not known")
    return reader(fields)


def _encode(message_type: MessageType, values: dict[Label, Any]) -> bytes:
    return cbor.encode({int(Label.TYPE): int(message_type)} | {int(k): v for k, v in values.items()})


def _nonce(fields: Fields) -> bytes:
    return fields.octets(Label.NONCE, NONCE_LENGTH, NONCE_LENGTH)


def _challenge(fields: Fields) -> bytes:
    return fields.octets(Label.CHALLENGE, CHALLENGE_LENGTH, CHALLENGE_LENGTH)
