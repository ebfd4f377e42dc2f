"""The EAP packet (RFC 3748 section 4): Code, Identifier, Length, and for requests and responses a Type."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from bootstrap.errors import LocalError, MalformedMessage

EAP_MTU = 1020
"""Octets a lower layer carries at least (RFC 3748 section 3.1): the room of a method without fragments."""
HEADER_LENGTH = 4
_HEADER = struct.Struct("!BBH")


class EapCode(IntEnum):
    """RFC 3748 section 4."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(IntEnum):
    """The method types met here (IANA "EAP Registry", Method Types)."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    MD5_CHALLENGE = 4
    OTP = 5
    GTC = 6
    TLS = 13
    TTLS = 21
    AKA = 23
    PEAP = 25
    MSCHAPV2 = 26
    PSK = 47
    NOOB = 56
    EXPANDED = 254
    EXPERIMENTAL = 255


_TYPED = frozenset({EapCode.REQUEST, EapCode.RESPONSE})


@dataclass(frozen=True, slots=True)
class EapPacket:
    """One EAP packet. ``type`` is None in Success and Failure; ``data`` is what follows the Type octet."""

    code: EapCode
    identifier: int
    type: int | None = None
    data: bytes = field(default=b"", repr=False)

    @classmethod
    def decode(cls, octets: bytes) -> EapPacket:
        """Parse one packet; octets behind Length are padding and ignored (RFC 3748 section 4.1)."""
        if len(octets) < HEADER_LENGTH:
            raise MalformedMessage(f"EAP packet of {len(octets)} octets has no header")
        number, identifier, length = _HEADER.unpack_from(octets)
        if length > len(octets):
            raise MalformedMessage(f"EAP Length {length} is more than the {len(octets)} octets received")
        try:
            code = EapCode(number)
        except ValueError as error:
            raise MalformedMessage(f"unknown EAP Code {number}") from error
        if code not in _TYPED:
            if length != HEADER_LENGTH:
                raise MalformedMessage(f"EAP {code.name} with Length {length}, not {HEADER_LENGTH}")
            return cls(code, identifier)
        if length <= HEADER_LENGTH:
            raise MalformedMessage(f"EAP {code.name} with Length {length} has no Type")
        return cls(code, identifier, octets[HEADER_LENGTH], octets[HEADER_LENGTH + 1 : length])

    def encode(self) -> bytes:
        """The packet's octets."""
        if not 0 <= self.identifier <= 255:
            raise LocalError(f"EAP Identifier {self.identifier} is not one octet")
        if (self.type is not None) != (self.code in _TYPED):
            raise LocalError(f"EAP {self.code.name} must {'' if self.code in _TYPED else 'not '}have a Type")
        body = b"" if self.type is None else bytes((self.type,)) + self.data
        length = HEADER_LENGTH + len(body)
        if length > 0xFFFF:
            raise LocalError(f"EAP packet of {length} octets does not fit its Length field")
        return _HEADER.pack(self.code, self.identifier, length) + body


def request(identifier: int, type: int, data: bytes = b"") -> EapPacket:
    """An EAP-Request of a method."""
    return EapPacket(EapCode.REQUEST, identifier, type, data)


def response(identifier: int, type: int, data: bytes = b"") -> EapPacket:
    """An EAP-Response; ``identifier`` is that of the request it answers."""
    return EapPacket(EapCode.RESPONSE, identifier, type, data)


def nak(identifier: int, *desired: int) -> EapPacket:
    """A legacy Nak with the types the peer would take; none is the single octet 0 (section 5.3.1)."""
    return response(identifier, EapType.NAK, bytes(desired) or b"\x00")


def success(identifier: int) -> EapPacket:
    """EAP-Success; ``identifier`` is that of the last response (section 4.2)."""
    return EapPacket(EapCode.SUCCESS, identifier)


def failure(identifier: int) -> EapPacket:
    """EAP-Failure; ``identifier`` is that of the last response (section 4.2)."""
    return EapPacket(EapCode.FAILURE, identifier)
