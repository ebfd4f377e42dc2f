"""The keys of an Access-Accept: MS-MPPE-Send-Key and MS-MPPE-Recv-Key (RFC 2548 section 2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from bootstrap.errors import LocalError, MalformedMessage
from bootstrap.wire.radius.authenticator import md5
from bootstrap.wire.radius.packet import Attribute, AttributeType, Packet

MSK_LENGTH = 64
MPPE_KEY_LENGTH = 32
SALT_LENGTH = 2
VENDOR_MICROSOFT = 311

_BLOCK_LENGTH = 16
_SALT_MARK = 0x80


class MicrosoftType(IntEnum):
    """Vendor types under vendor 311 (RFC 2548 section 2.4)."""

    MS_MPPE_SEND_KEY = 16
    MS_MPPE_RECV_KEY = 17


@dataclass(frozen=True, slots=True)
class MppeKeys:
    """What the access point encrypts with; named from its side (RFC 2548 sections 2.4.2 and 2.4.3)."""

    recv_key: bytes = field(repr=False)
    send_key: bytes = field(repr=False)

    @classmethod
    def of_msk(cls, msk: bytes) -> MppeKeys:
        """MSK octets 0-31 are the Recv-Key, 32-63 the Send-Key (RFC 5216 section 2.3). Raises LocalError."""
        if len(msk) != MSK_LENGTH:
            raise LocalError(f"MSK has {len(msk)} octets")
        return cls(msk[:MPPE_KEY_LENGTH], msk[MPPE_KEY_LENGTH:])

    def attributes(
        self, secret: bytes, request_authenticator: bytes, salt: bytes
    ) -> tuple[Attribute, Attribute]:
        """Both keys, encrypted. ``salt`` is two random octets; the second key gets the neighbouring value."""
        first = bytes((salt[0] | _SALT_MARK, salt[1]))
        second = bytes((salt[0] | _SALT_MARK, salt[1] ^ 1))
        return (
            _microsoft(
                MicrosoftType.MS_MPPE_RECV_KEY, seal_key(self.recv_key, first, secret, request_authenticator)
            ),
            _microsoft(
                MicrosoftType.MS_MPPE_SEND_KEY, seal_key(self.send_key, second, secret, request_authenticator)
            ),
        )


def mppe_keys(accept: Packet, secret: bytes, request_authenticator: bytes) -> MppeKeys | None:
    """The keys of an Access-Accept; None unless it carries both. Raises MalformedMessage."""
    sealed = dict(_microsoft_values(accept))
    recv, send = sealed.get(MicrosoftType.MS_MPPE_RECV_KEY), sealed.get(MicrosoftType.MS_MPPE_SEND_KEY)
    if recv is None or send is None:
        return None
    return MppeKeys(
        open_key(recv, secret, request_authenticator), open_key(send, secret, request_authenticator)
    )


def seal_key(key: bytes, salt: bytes, secret: bytes, request_authenticator: bytes) -> bytes:
    """Salt and encrypted String of RFC 2548 section 2.4.2; the salt's leftmost bit MUST be set."""
    if len(salt) != SALT_LENGTH or not salt[0] & _SALT_MARK:
        raise LocalError("an MPPE salt is two octets with the leftmost bit set")
    plain = bytes((len(key),)) + key
    plain += bytes(-len(plain) % _BLOCK_LENGTH)
    sealed, chain = b"", request_authenticator + salt
    for at in range(0, len(plain), _BLOCK_LENGTH):
        chain = _xor(plain[at : at + _BLOCK_LENGTH], md5(secret + chain))
        sealed += chain
    return salt + sealed


def open_key(value: bytes, secret: bytes, request_authenticator: bytes) -> bytes:
    """The key that ``seal_key`` closed. Raises MalformedMessage."""
    salt, sealed = value[:SALT_LENGTH], value[SALT_LENGTH:]
    if not sealed or len(sealed) % _BLOCK_LENGTH or not salt[0] & _SALT_MARK:
        raise MalformedMessage("an MPPE key is a salt and blocks of 16 octets")
    plain, chain = b"", request_authenticator + salt
    for at in range(0, len(sealed), _BLOCK_LENGTH):
        block = sealed[at : at + _BLOCK_LENGTH]
        plain += _xor(block, md5(secret + chain))
        chain = block
    length = plain[0]
    if length > len(plain) - 1:
        raise MalformedMessage("an MPPE key is longer than its String")
    return plain[1 : 1 + length]


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(_BLOCK_LENGTH, "big")


def _microsoft(kind: MicrosoftType, value: bytes) -> Attribute:
    vendor = VENDOR_MICROSOFT.to_bytes(4, "big")
    return Attribute(AttributeType.VENDOR_SPECIFIC, vendor + bytes((kind, len(value) + 2)) + value)


def _microsoft_values(packet: Packet) -> Iterator[tuple[int, bytes]]:
    """Vendor type and value of each Microsoft attribute (RFC 2865 section 5.26). Raises MalformedMessage."""
    for value in packet.values(AttributeType.VENDOR_SPECIFIC):
        if int.from_bytes(value[:4], "big") != VENDOR_MICROSOFT:
            continue
        at = 4
        while at < len(value):
            length = value[at + 1] if at + 1 < len(value) else 0
            if length < 2 or at + length > len(value):
                raise MalformedMessage("a Microsoft attribute has a wrong Vendor-Length")
            yield value[at], value[at + 2 : at + length]
            at += length
