"""What every EAP-NOOB message can do: decode, encode, and give its members verbatim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from bootstrap.wire.json_slices import JsonObject

from ..constants import MessageType, NoobError, NoobErrorCode
from . import members
from .members import Member

M = TypeVar("M", bound="Message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A JSON object with a fixed set of members (RFC 9140 section 3.3.2)."""

    TYPE: ClassVar[MessageType]
    MEMBERS: ClassVar[tuple[Member, ...]]

    received: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Verbatim text of each member as it came; empty in a message we made."""

    @classmethod
    def from_json(cls: type[M], parsed: JsonObject) -> M:
        """Check the members; raises NoobError 1002 (missing, unknown) or what the member's rule says."""
        known = {member.name for member in cls.MEMBERS} | {members.TYPE}
        unknown = parsed.values.keys() - known
        missing = {m.name for m in cls.MEMBERS if not m.optional} - parsed.values.keys()
        if unknown or missing:
            raise NoobError(
                NoobErrorCode.INVALID_STRUCTURE,
                f"Type {int(cls.TYPE)}: {len(unknown)} unknown members, missing {sorted(missing)}",
            )
        attributes: dict[str, Any] = {
            m.attribute: m.read(parsed.values[m.name], parsed.slices[m.name])
            for m in cls.MEMBERS
            if m.name in parsed.values
        }
        return cls(**attributes, received=parsed.slices)

    def verbatim(self) -> dict[str, str]:
        """JSON text of each member by name: as received, or as ``encode`` will send it."""
        if self.received:
            return dict(self.received)
        texts = {members.TYPE: str(int(self.TYPE))}
        for member in self.MEMBERS:
            value = getattr(self, member.attribute)
            if value is not None:
                texts[member.name] = member.write(value)
        return texts

    def encode(self) -> bytes:
        """The Type-Data: compact JSON, members in the RFC's order (or in the order they came)."""
        return ("{" + ",".join(f'"{name}":{text}' for name, text in self.verbatim().items()) + "}").encode()
