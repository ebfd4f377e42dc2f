"""Transfer Ownership 2, messages 60 to 65: owner and device prove themselves, the device gets its next credential."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor
from bootstrap.wire.cose import Sign1

from .. import grammar
from ..constants import (
    CUPH_NONCE,
    CUPH_OWNER_PUBLIC_KEY,
    GUID_LENGTH,
    KEY_EXCHANGE_MAX_LENGTH,
    NONCE_LENGTH,
    MessageType,
)
from ..primitives import Hash, SigInfo
from ..public_key import PublicKey
from .eat import Eat
from .signed import Signed

_KEX_NAME_MAX_LENGTH = 32
_CIPHER_MAX = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class HelloDevice:
    """60, device to owner: ``[maxDeviceMessageSize, Guid, NonceTO2ProveOV, kexSuiteName, cipherSuiteName,
    eASigInfo]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_HELLO_DEVICE
    max_device_message_size: int
    guid: bytes
    nonce: bytes
    """NonceTO2ProveOV."""
    kex_suite: str
    """As the device spells it; ``crypto.kex.KexSuite`` has the known ones."""
    cipher_suite: int
    sig_info: SigInfo
    raw: bytes = field(default=b"", compare=False, repr=False)
    """As received: the next message carries the hash of it."""

    @classmethod
    def decode(cls, octets: bytes) -> HelloDevice:
        """Raises MalformedMessage."""
        size, guid, nonce, kex, cipher, sig_info = grammar.items(octets, "TO2.HelloDevice", 6)
        return cls(
            grammar.uint(size, "maxDeviceMessageSize", grammar.UINT16),
            grammar.bstr(guid, "Guid", length=GUID_LENGTH),
            grammar.bstr(nonce, "NonceTO2ProveOV", length=NONCE_LENGTH),
            grammar.tstr(kex, "kexSuiteName", _KEX_NAME_MAX_LENGTH),
            grammar.integer(cipher, "cipherSuiteName", -_CIPHER_MAX, _CIPHER_MAX),
            SigInfo.from_item(sig_info),
            octets,
        )

    def encode(self) -> bytes:
        return self.raw or cbor.encode(
            [
                self.max_device_message_size,
                self.guid,
                self.nonce,
                str(self.kex_suite),
                int(self.cipher_suite),
                self.sig_info.item(),
            ]
        )


@dataclass(frozen=True, slots=True)
class ProveOvHdr(Signed):
    """61, owner to device, signed by the owner key: the voucher's header and the owner's half of the key
    exchange. In the unprotected header: NonceTO2ProveDv and the owner's public key."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_PROVE_OV_HDR
    header: bytes
    """Contents of the OVHeader's bstr."""
    num_entries: int
    hmac: Hash
    nonce: bytes
    """NonceTO2ProveOV, from HelloDevice."""
    sig_info: SigInfo
    x_a: bytes = field(repr=False)
    hello_hash: Hash
    """Of message 60 as received."""
    max_owner_message_size: int
    prove_dv_nonce: bytes
    """NonceTO2ProveDv."""
    owner_public_key: PublicKey

    @classmethod
    def decode(cls, octets: bytes) -> ProveOvHdr:
        """Raises MalformedMessage; ``verify`` is the caller's next step."""
        envelope = Sign1.decode(octets)
        parts = grammar.pieces(envelope.payload, "TO2.ProveOVHdr", 8)
        header, count, _, nonce, sig_info, x_a, _, size = (cbor.decode(part) for part in parts)
        labels = envelope.unprotected
        return cls(
            header=grammar.bstr(header, "OVHeader"),
            num_entries=grammar.uint(count, "NumOVEntries", grammar.UINT8),
            hmac=Hash.decode(parts[2]),
            nonce=grammar.bstr(nonce, "NonceTO2ProveOV", length=NONCE_LENGTH),
            sig_info=SigInfo.from_item(sig_info),
            x_a=grammar.bstr(x_a, "xAKeyExchange", most=KEY_EXCHANGE_MAX_LENGTH),
            hello_hash=Hash.decode(parts[6]),
            max_owner_message_size=grammar.uint(size, "maxOwnerMessageSize", grammar.UINT16),
            prove_dv_nonce=grammar.bstr(labels.get(CUPH_NONCE), "NonceTO2ProveDv", length=NONCE_LENGTH),
            owner_public_key=PublicKey.from_item(labels.get(CUPH_OWNER_PUBLIC_KEY)),
            envelope=envelope,
        )

    def payload(self) -> bytes:
        parts = [
            cbor.encode(self.header),
            cbor.encode(self.num_entries),
            self.hmac.encode(),
            cbor.encode(self.nonce),
            cbor.encode(self.sig_info.item()),
            cbor.encode(self.x_a),
            self.hello_hash.encode(),
            cbor.encode(self.max_owner_message_size),
        ]
        return b"\x88" + b"".join(parts)

    def unprotected(self) -> dict[int, Any]:
        return {CUPH_NONCE: self.prove_dv_nonce, CUPH_OWNER_PUBLIC_KEY: self.owner_public_key.item()}


@dataclass(frozen=True, slots=True)
class GetOvNextEntry:
    """62, device to owner: ``[OPEntryNum]``, from 0."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_GET_OV_NEXT_ENTRY
    number: int

    @classmethod
    def decode(cls, octets: bytes) -> GetOvNextEntry:
        """Raises MalformedMessage."""
        (number,) = grammar.items(octets, "TO2.GetOVNextEntry", 1)
        return cls(grammar.uint(number, "OVEntryNum", grammar.UINT8))

    def encode(self) -> bytes:
        return cbor.encode([self.number])


@dataclass(frozen=True, slots=True)
class OvNextEntry:
    """63, owner to device: ``[OVEntryNum, OVEntry]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_OV_NEXT_ENTRY
    number: int
    entry: bytes
    """One COSE_Sign1 exactly as in the voucher (``voucher.Entry.decode``)."""

    @classmethod
    def decode(cls, octets: bytes) -> OvNextEntry:
        """Raises MalformedMessage."""
        number, entry = grammar.pieces(octets, "TO2.OVNextEntry", 2)
        return cls(grammar.uint(cbor.decode(number), "OVEntryNum", grammar.UINT8), entry)

    def encode(self) -> bytes:
        return b"\x82" + cbor.encode(self.number) + self.entry


@dataclass(frozen=True, slots=True)
class ProveDevice(Signed):
    """64, device to owner: an EAT with NonceTO2ProveDv and xB, signed by the device key; NonceTO2SetupDv in
    the unprotected header."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_PROVE_DEVICE
    nonce: bytes
    """NonceTO2ProveDv, from message 61."""
    guid: bytes
    x_b: bytes = field(repr=False)
    setup_dv_nonce: bytes
    """NonceTO2SetupDv."""

    @classmethod
    def decode(cls, octets: bytes) -> ProveDevice:
        """Raises MalformedMessage; ``verify`` is the caller's next step."""
        envelope = Sign1.decode(octets)
        eat = Eat.of(envelope)
        if eat.fdo is None or len(eat.fdo) != 1 or eat.euph_nonce is None:
            raise MalformedMessage("TO2.ProveDevice without xBKeyExchange or EUPHNonce")
        x_b = grammar.bstr(eat.fdo[0], "xBKeyExchange", most=KEY_EXCHANGE_MAX_LENGTH)
        return cls(eat.nonce, eat.guid, x_b, eat.euph_nonce, envelope=envelope)

    def _eat(self) -> Eat:
        return Eat(self.nonce, self.guid, [self.x_b], self.setup_dv_nonce)

    def payload(self) -> bytes:
        return self._eat().payload()

    def unprotected(self) -> dict[int, Any]:
        return self._eat().unprotected()


@dataclass(frozen=True, slots=True)
class SetupDevice(Signed):
    """65, owner to device, the first encrypted message; inside, signed by the Owner2 key:
    ``[RendezvousInfo, Guid, NonceTO2SetupDv, Owner2Key]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO2_SETUP_DEVICE
    rvinfo: bytes
    """Encoded (``rendezvous.RvInfo.decode``), octet for octet what the new header holds."""
    guid: bytes
    nonce: bytes
    """NonceTO2SetupDv, from message 64."""
    owner2_key: PublicKey

    @classmethod
    def decode(cls, octets: bytes) -> SetupDevice:
        """Raises MalformedMessage; ``verify`` is the caller's next step."""
        envelope = Sign1.decode(octets)
        rvinfo, guid, nonce, key = grammar.pieces(envelope.payload, "TO2.SetupDevice", 4)
        return cls(
            rvinfo,
            grammar.bstr(cbor.decode(guid), "Guid", length=GUID_LENGTH),
            grammar.bstr(cbor.decode(nonce), "NonceTO2SetupDv", length=NONCE_LENGTH),
            PublicKey.decode(key),
            envelope=envelope,
        )

    def payload(self) -> bytes:
        return (
            b"\x84"
            + self.rvinfo
            + cbor.encode(self.guid)
            + cbor.encode(self.nonce)
            + self.owner2_key.encode()
        )
