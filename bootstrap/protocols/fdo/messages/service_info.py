"""Transfer Ownership 2, messages 66 to 71, all inside the encrypted session: service info, then good-bye."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from bootstrap.wire import cbor

from .. import grammar
from ..constants import NONCE_LENGTH, SERVICE_INFO_KEY_MAX_LENGTH, MessageType
from ..primitives import Hash

KeyValues = tuple[tuple[str, bytes], ...]
"""Service info: ``module:message`` and one encoded CBOR item each, in order."""


@dataclass(frozen=True, slots=True)
class DeviceServiceInfoReady:
    """66, device to owner: ``[HMac / null, maxOwnerServiceInfoSz / null]``; a null HMac accepts the reuse of
    the credential."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_DEVICE_SERVICE_INFO_READY
    hmac: Hash | None
    max_owner_service_info_size: int | None

    @classmethod
    def decode(cls, octets: bytes) -> DeviceServiceInfoReady:
        """Raises MalformedMessage."""
        hmac, size = grammar.pieces(octets, "TO2.DeviceServiceInfoReady", 2)
        return cls(None if hmac == b"\xf6" else Hash.decode(hmac), _size(size))

    def encode(self) -> bytes:
        hmac = b"\xf6" if self.hmac is None else self.hmac.encode()
        return b"\x82" + hmac + cbor.encode(self.max_owner_service_info_size)


@dataclass(frozen=True, slots=True)
class OwnerServiceInfoReady:
    """67, owner to device: ``[maxDeviceServiceInfoSz / null]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_OWNER_SERVICE_INFO_READY
    max_device_service_info_size: int | None

    @classmethod
    def decode(cls, octets: bytes) -> OwnerServiceInfoReady:
        """Raises MalformedMessage."""
        (size,) = grammar.pieces(octets, "TO2.OwnerServiceInfoReady", 1)
        return cls(_size(size))

    def encode(self) -> bytes:
        return cbor.encode([self.max_device_service_info_size])


@dataclass(frozen=True, slots=True)
class DeviceServiceInfo:
    """68, device to owner: ``[isMoreServiceInfo, ServiceInfo]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_DEVICE_SERVICE_INFO
    is_more: bool
    service_info: KeyValues = field(default=(), repr=False)

    @classmethod
    def decode(cls, octets: bytes) -> DeviceServiceInfo:
        """Raises MalformedMessage."""
        is_more, pairs = grammar.items(octets, "TO2.DeviceServiceInfo", 2)
        return cls(grammar.boolean(is_more, "isMoreServiceInfo"), _pairs(pairs))

    def encode(self) -> bytes:
        return cbor.encode([self.is_more, [list(pair) for pair in self.service_info]])


@dataclass(frozen=True, slots=True)
class OwnerServiceInfo:
    """69, owner to device: ``[isMoreServiceInfo, isDone, ServiceInfo]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_OWNER_SERVICE_INFO
    is_more: bool
    is_done: bool
    service_info: KeyValues = field(default=(), repr=False)

    @classmethod
    def decode(cls, octets: bytes) -> OwnerServiceInfo:
        """Raises MalformedMessage."""
        is_more, is_done, pairs = grammar.items(octets, "TO2.OwnerServiceInfo", 3)
        return cls(
            grammar.boolean(is_more, "isMoreServiceInfo"),
            grammar.boolean(is_done, "isDone"),
            _pairs(pairs),
        )

    def encode(self) -> bytes:
        return cbor.encode([self.is_more, self.is_done, [list(pair) for pair in self.service_info]])


@dataclass(frozen=True, slots=True)
class Done:
    """70, device to owner: ``[NonceTO2ProveDv]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_DONE
    nonce: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Done:
        """Raises MalformedMessage."""
        return cls(_nonce(octets, "TO2.Done"))

    def encode(self) -> bytes:
        return cbor.encode([self.nonce])


@dataclass(frozen=True, slots=True)
class Done2:
    """71, owner to device: ``[NonceTO2SetupDv]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_DONE2
    nonce: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Done2:
        """Raises MalformedMessage."""
        return cls(_nonce(octets, "TO2.Done2"))

    def encode(self) -> bytes:
        return cbor.encode([self.nonce])


def _size(octets: bytes) -> int | None:
    size = cbor.decode(octets)
    return None if size is None else grammar.uint(size, "maximum of service info", grammar.UINT16)


def _pairs(value: object) -> KeyValues:
    return grammar.key_values(value, "ServiceInfo", SERVICE_INFO_KEY_MAX_LENGTH)


def _nonce(octets: bytes, what: str) -> bytes:
    (nonce,) = grammar.items(octets, what, 1)
    return grammar.bstr(nonce, "nonce", length=NONCE_LENGTH)
