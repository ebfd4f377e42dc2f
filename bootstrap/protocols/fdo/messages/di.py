"""Device Initialization, messages 10 to 13: the manufacturer gives the device its first credential."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from bootstrap.wire import cbor

from .. import grammar
from ..constants import DEVICE_INFO_MAX_LENGTH, SERIAL_MAX_LENGTH, MessageType
from ..primitives import Hash

_EXTRAS_MAX = 3
"""On-die certificate chain, test signature, MAROE prefix."""
_CSR_MAX_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class DeviceMfgInfo:
    """What a device says of itself in the factory.

    The specification leaves the form open; this is the one that existing devices send.
    """

    key_type: int
    key_encoding: int
    serial: str
    device_info: str
    csr: bytes = field(repr=False)
    """PKCS#10, DER."""
    extras: tuple[bytes, ...] = field(default=(), repr=False)
    """Encoded items after the fifth; we do not use them."""

    @classmethod
    def decode(cls, octets: bytes) -> DeviceMfgInfo:
        """Raises MalformedMessage."""
        parts = grammar.pieces(octets, "DeviceMfgInfo", 5, 5 + _EXTRAS_MAX)
        key_type, key_encoding, serial, device_info, csr = (cbor.decode(part) for part in parts[:5])
        return cls(
            grammar.uint(key_type, "key type", grammar.UINT8),
            grammar.uint(key_encoding, "key encoding", grammar.UINT8),
            grammar.tstr(serial, "serial number", SERIAL_MAX_LENGTH),
            grammar.tstr(device_info, "DeviceInfo", DEVICE_INFO_MAX_LENGTH),
            grammar.bstr(csr, "certificate request", most=_CSR_MAX_LENGTH),
            tuple(parts[5:]),
        )

    def encode(self) -> bytes:
        head = [int(self.key_type), int(self.key_encoding), self.serial, self.device_info, self.csr]
        body = b"".join([cbor.encode(item) for item in head] + list(self.extras))
        return bytes([0x80 | (len(head) + len(self.extras))]) + body


@dataclass(frozen=True, slots=True)
class AppStart:
    """10, device to manufacturer: ``[bstr .cbor DeviceMfgInfo / null]``."""

    TYPE: ClassVar[MessageType] = MessageType.DI_APP_START
    info: DeviceMfgInfo | None

    @classmethod
    def decode(cls, octets: bytes) -> AppStart:
        """Raises MalformedMessage."""
        (info,) = grammar.items(octets, "DI.AppStart", 1)
        if info is None:
            return cls(None)
        return cls(DeviceMfgInfo.decode(grammar.bstr(info, "DeviceMfgInfo")))

    def encode(self) -> bytes:
        return cbor.encode([None if self.info is None else self.info.encode()])


@dataclass(frozen=True, slots=True)
class SetCredentials:
    """11, manufacturer to device: ``[bstr .cbor OVHeader]``."""

    TYPE: ClassVar[MessageType] = MessageType.DI_SET_CREDENTIALS
    header: bytes
    """Contents of the bstr: what the HMAC covers (``voucher.OvHeader.decode``)."""

    @classmethod
    def decode(cls, octets: bytes) -> SetCredentials:
        """Raises MalformedMessage."""
        (header,) = grammar.items(octets, "DI.SetCredentials", 1)
        return cls(grammar.bstr(header, "OVHeader"))

    def encode(self) -> bytes:
        return cbor.encode([self.header])


@dataclass(frozen=True, slots=True)
class SetHmac:
    """12, device to manufacturer: ``[HMac]`` over the octets of the OVHeader."""

    TYPE: ClassVar[MessageType] = MessageType.DI_SET_HMAC
    hmac: Hash

    @classmethod
    def decode(cls, octets: bytes) -> SetHmac:
        """Raises MalformedMessage."""
        (hmac,) = grammar.pieces(octets, "DI.SetHMAC", 1)
        return cls(Hash.decode(hmac))

    def encode(self) -> bytes:
        return b"\x81" + self.hmac.encode()


@dataclass(frozen=True, slots=True)
class DiDone:
    """13, manufacturer to device: ``[]``."""

    TYPE: ClassVar[MessageType] = MessageType.DI_DONE

    @classmethod
    def decode(cls, octets: bytes) -> DiDone:
        """Raises MalformedMessage."""
        grammar.items(octets, "DI.Done", 0)
        return cls()

    def encode(self) -> bytes:
        return cbor.encode([])
