"""Transfer Ownership 1, messages 30 to 33: the device asks the rendezvous server where its owner is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bootstrap.wire import cbor
from bootstrap.wire.cose import Sign1

from .. import grammar
from ..constants import GUID_LENGTH, NONCE_LENGTH, MessageType
from ..primitives import SigInfo
from .eat import Eat
from .signed import Signed


@dataclass(frozen=True, slots=True)
class HelloRv:
    """30, device to rendezvous: ``[Guid, eASigInfo]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO1_HELLO_RV
    guid: bytes
    sig_info: SigInfo

    @classmethod
    def decode(cls, octets: bytes) -> HelloRv:
        """Raises MalformedMessage."""
        guid, sig_info = grammar.items(octets, "TO1.HelloRV", 2)
        return cls(grammar.bstr(guid, "Guid", length=GUID_LENGTH), SigInfo.from_item(sig_info))

    def encode(self) -> bytes:
        return cbor.encode([self.guid, self.sig_info.item()])


@dataclass(frozen=True, slots=True)
class HelloRvAck:
    """31, rendezvous to device: ``[NonceTO1Proof, eBSigInfo]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO1_HELLO_RV_ACK
    nonce: bytes
    sig_info: SigInfo

    @classmethod
    def decode(cls, octets: bytes) -> HelloRvAck:
        """Raises MalformedMessage."""
        nonce, sig_info = grammar.items(octets, "TO1.HelloRVAck", 2)
        return cls(
            grammar.bstr(nonce, "NonceTO1Proof", length=NONCE_LENGTH),
            SigInfo.from_item(sig_info),
        )

    def encode(self) -> bytes:
        return cbor.encode([self.nonce, self.sig_info.item()])


@dataclass(frozen=True, slots=True)
class ProveToRv(Signed):
    """32, device to rendezvous: an EAT with NonceTO1Proof, signed by the device key."""

    TYPE: ClassVar[MessageType] = MessageType.TO1_PROVE_TO_RV
    nonce: bytes
    guid: bytes

    @classmethod
    def decode(cls, octets: bytes) -> ProveToRv:
        """Raises MalformedMessage; ``verify`` is the caller's next step."""
        envelope = Sign1.decode(octets)
        eat = Eat.of(envelope)
        return cls(eat.nonce, eat.guid, envelope=envelope)

    def payload(self) -> bytes:
        return Eat(self.nonce, self.guid).payload()


@dataclass(frozen=True, slots=True)
class RvRedirect:
    """33, rendezvous to device: the owner's to1d as it was registered, octet for octet."""

    TYPE: ClassVar[MessageType] = MessageType.TO1_RV_REDIRECT
    to1d: bytes
    """``messages.To1d.decode`` reads it."""

    @classmethod
    def decode(cls, octets: bytes) -> RvRedirect:
        """Raises MalformedMessage unless it is a COSE_Sign1."""
        Sign1.decode(octets)
        return cls(octets)

    def encode(self) -> bytes:
        return self.to1d
