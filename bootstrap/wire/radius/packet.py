"""Packets and attributes (RFC 2865 sections 3 and 5): strict both ways, and nothing is lost in between.

``Packet.decode(data).encode()`` is the received packet again, so that every check runs on the wire's octets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from bootstrap.errors import LocalError, MalformedMessage

HEADER_LENGTH = 20
AUTHENTICATOR_LENGTH = 16
MAX_PACKET_LENGTH = 4096
MAX_VALUE_LENGTH = 253
MESSAGE_AUTHENTICATOR_LENGTH = 16

_HEADER = struct.Struct("!BBH16s")


class Code(IntEnum):
    """RADIUS packet types that reach an authentication port (RFC 2865 section 3, RFC 5997)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12


class AttributeType(IntEnum):
    """The attributes we read or write (RFC 2865 section 5, RFC 2869, RFC 3162)."""

    USER_NAME = 1
    USER_PASSWORD = 2
    CHAP_PASSWORD = 3
    NAS_IP_ADDRESS = 4
    NAS_PORT = 5
    SERVICE_TYPE = 6
    FRAMED_MTU = 12
    STATE = 24
    VENDOR_SPECIFIC = 26
    CALLED_STATION_ID = 30
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    NAS_PORT_TYPE = 61
    ARAP_PASSWORD = 70
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    NAS_IPV6_ADDRESS = 95


_VALUE_LENGTHS: dict[int, tuple[int, int]] = {
    AttributeType.USER_NAME: (1, MAX_VALUE_LENGTH),
    AttributeType.NAS_IP_ADDRESS: (4, 4),
    AttributeType.NAS_PORT: (4, 4),
    AttributeType.SERVICE_TYPE: (4, 4),
    AttributeType.FRAMED_MTU: (4, 4),
    AttributeType.STATE: (1, MAX_VALUE_LENGTH),
    AttributeType.VENDOR_SPECIFIC: (5, MAX_VALUE_LENGTH),
    AttributeType.NAS_PORT_TYPE: (4, 4),
    AttributeType.MESSAGE_AUTHENTICATOR: (MESSAGE_AUTHENTICATOR_LENGTH, MESSAGE_AUTHENTICATOR_LENGTH),
    AttributeType.NAS_IPV6_ADDRESS: (16, 16),
}
"""Octets of a value, least and most; the others may have anything up to 253."""

_AT_MOST_ONCE = frozenset(
    {
        AttributeType.USER_NAME,
        AttributeType.NAS_IP_ADDRESS,
        AttributeType.NAS_PORT,
        AttributeType.STATE,
        AttributeType.CALLED_STATION_ID,
        AttributeType.CALLING_STATION_ID,
        AttributeType.NAS_IDENTIFIER,
        AttributeType.MESSAGE_AUTHENTICATOR,
        AttributeType.NAS_IPV6_ADDRESS,
    }
)
"""Rows ``0-1`` of the tables in RFC 2865 section 5.44, RFC 3162 section 3 and RFC 3579 section 3.3."""

_CODES = frozenset(Code)


@dataclass(frozen=True, slots=True)
class Attribute:
    """Type and value (RFC 2865 section 5); the value may be a key, a password or our State."""

    type: int
    value: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Raises LocalError: only we make attributes that do not fit."""
        if len(self.value) > MAX_VALUE_LENGTH:
            raise LocalError(f"attribute {self.type} has {len(self.value)} octets")
        return bytes((self.type, len(self.value) + 2)) + self.value


@dataclass(frozen=True, slots=True)
class Packet:
    """One RADIUS packet; ``authenticator`` is the Request or Response Authenticator (RFC 2865 section 3)."""

    code: Code
    identifier: int
    authenticator: bytes = field(repr=False)
    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def decode(cls, data: bytes) -> Packet:
        """Parse a datagram; octets after Length are padding and ignored. Raises MalformedMessage."""
        if len(data) < HEADER_LENGTH:
            raise MalformedMessage(f"RADIUS packet has {len(data)} octets")
        code, identifier, length, authenticator = _HEADER.unpack_from(data)
        if not HEADER_LENGTH <= length <= min(len(data), MAX_PACKET_LENGTH):
            raise MalformedMessage(f"RADIUS Length is {length} in {len(data)} octets")
        if code not in _CODES:
            raise MalformedMessage(f"RADIUS Code {code} is not for this port")
        attributes = tuple(_attributes(data[HEADER_LENGTH:length]))
        _check_once(attributes)
        return cls(Code(code), identifier, authenticator, attributes)

    def encode(self) -> bytes:
        """The octets on the wire. Raises LocalError when they are more than 4,096."""
        body = b"".join(attribute.encode() for attribute in self.attributes)
        length = HEADER_LENGTH + len(body)
        if length > MAX_PACKET_LENGTH:
            raise LocalError(f"RADIUS packet would have {length} octets")
        return _HEADER.pack(self.code, self.identifier, length, self.authenticator) + body

    def values(self, kind: AttributeType) -> tuple[bytes, ...]:
        """Every value of that type, in order."""
        return tuple(a.value for a in self.attributes if a.type == kind)

    def value(self, kind: AttributeType) -> bytes | None:
        """The first value of that type."""
        return next((a.value for a in self.attributes if a.type == kind), None)


def _attributes(body: bytes) -> Iterator[Attribute]:
    at = 0
    while at < len(body):
        kind, length = body[at], body[at + 1] if at + 1 < len(body) else 0
        if length < 2 or at + length > len(body):
            raise MalformedMessage(f"attribute {kind} at octet {HEADER_LENGTH + at} has a wrong Length")
        least, most = _VALUE_LENGTHS.get(kind, (0, MAX_VALUE_LENGTH))
        if not least <= length - 2 <= most:
            raise MalformedMessage(f"attribute {kind} has a value of {length - 2} octets")
        yield Attribute(kind, body[at + 2 : at + length])
        at += length


def _check_once(attributes: Iterable[Attribute]) -> None:
    seen = set()
    for attribute in attributes:
        if attribute.type in seen:
            raise MalformedMessage(f"attribute {attribute.type} occurs twice")
        if attribute.type in _AT_MOST_ONCE:
            seen.add(attribute.type)


def nas_address(address: IPv4Address | IPv6Address) -> Attribute:
    """NAS-IP-Address or NAS-IPv6-Address (RFC 2865 section 5.4, RFC 3162 section 2.1)."""
    kind = AttributeType.NAS_IP_ADDRESS if address.version == 4 else AttributeType.NAS_IPV6_ADDRESS
    return Attribute(kind, address.packed)
