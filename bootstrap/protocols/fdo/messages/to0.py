"""Transfer Ownership 0, messages 20 to 23: the owner tells the rendezvous server where it can be found."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar

from bootstrap.wire import cbor
from bootstrap.wire.cose import Sign1

from .. import grammar
from ..constants import (
    ADDRESSES_MAX,
    DNS_MAX_LENGTH,
    NONCE_LENGTH,
    InvalidIpAddress,
    MessageType,
    TransportProtocol,
)
from ..primitives import Hash
from .signed import Signed

_SCHEMES = {
    TransportProtocol.TCP: "tcp",
    TransportProtocol.TLS: "tls",
    TransportProtocol.HTTP: "http",
    TransportProtocol.COAP: "coap",
    TransportProtocol.HTTPS: "https",
    TransportProtocol.COAPS: "coaps",
}


@dataclass(frozen=True, slots=True)
class To0Hello:
    """20, owner to rendezvous: ``[]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO0_HELLO

    @classmethod
    def decode(cls, octets: bytes) -> To0Hello:
        """Raises MalformedMessage."""
        grammar.items(octets, "TO0.Hello", 0)
        return cls()

    def encode(self) -> bytes:
        return cbor.encode([])


@dataclass(frozen=True, slots=True)
class To0HelloAck:
    """21, rendezvous to owner: ``[NonceTO0Sign]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO0_HELLO_ACK
    nonce: bytes

    @classmethod
    def decode(cls, octets: bytes) -> To0HelloAck:
        """Raises MalformedMessage."""
        (nonce,) = grammar.items(octets, "TO0.HelloAck", 1)
        return cls(grammar.bstr(nonce, "NonceTO0Sign", length=NONCE_LENGTH))

    def encode(self) -> bytes:
        return cbor.encode([self.nonce])


@dataclass(frozen=True, slots=True)
class RvTo2Addr:
    """``[ip / null, dns / null, port, transport]``: one way to reach the owner for TO2."""

    ip: bytes | None
    """4 or 16 octets. Both are read; for IPv4 we send 4, all that one device implementation takes."""
    dns: str | None
    port: int
    transport: int

    @classmethod
    def from_item(cls, item: Any) -> RvTo2Addr:
        """Raises MalformedMessage, InvalidIpAddress among it."""
        ip, dns, port, transport = grammar.array(item, "RVTO2AddrEntry", 4)
        if ip is not None and len(grammar.bstr(ip, "RVIP")) not in (4, 16):
            raise InvalidIpAddress(f"an IP address of {len(ip)} octets")
        return cls(
            ip,
            None if dns is None else grammar.tstr(dns, "RVDNS", DNS_MAX_LENGTH),
            grammar.uint(port, "RVPort", grammar.UINT16),
            grammar.uint(transport, "RVProtocol", grammar.UINT8),
        )

    def item(self) -> list[Any]:
        return [self.ip, self.dns, self.port, int(self.transport)]

    def urls(self) -> tuple[str, ...]:
        """As base URLs, the name before the address; none for a transport we do not know."""
        scheme = _SCHEMES.get(TransportProtocol(self.transport)) if self.transport in _KNOWN else None
        if scheme is None:
            return ()
        hosts = [self.dns] if self.dns else []
        if self.ip:
            hosts.append(ip_text(self.ip))
        return tuple(f"{scheme}://{host}:{self.port}" for host in hosts)


_KNOWN = frozenset(int(transport) for transport in TransportProtocol)


def ip_text(octets: bytes) -> str:
    """An address for a URL; IPv4 in 16 octets comes out as IPv4, IPv6 in brackets."""
    address = ip_address(octets)
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    return f"[{address}]" if address.version == 6 else str(address)


@dataclass(frozen=True, slots=True)
class To1d(Signed):
    """What the device gets in TO1: ``[[RVTO2AddrEntry...], Hash(to0d)]``, signed by the owner key."""

    addresses: tuple[RvTo2Addr, ...]
    to0d_hash: Hash

    @classmethod
    def decode(cls, octets: bytes) -> To1d:
        """Raises MalformedMessage; ``verify`` is the caller's next step."""
        envelope = Sign1.decode(octets)
        addresses, to0d_hash = grammar.items(envelope.payload, "to1d", 2)
        entries = grammar.array(addresses, "RVTO2Addr", 1, ADDRESSES_MAX)
        return cls(
            tuple(RvTo2Addr.from_item(entry) for entry in entries),
            Hash.from_item(to0d_hash),
            envelope=envelope,
        )

    def payload(self) -> bytes:
        return cbor.encode([[address.item() for address in self.addresses], self.to0d_hash.item()])


@dataclass(frozen=True, slots=True)
class To0d:
    """``[OwnershipVoucher, waitSeconds, NonceTO0Sign]``."""

    voucher: bytes
    """Exactly as received (``voucher.Voucher.decode``)."""
    wait_seconds: int
    nonce: bytes

    @classmethod
    def decode(cls, octets: bytes) -> To0d:
        """Raises MalformedMessage."""
        voucher, wait_seconds, nonce = grammar.pieces(octets, "to0d", 3)
        return cls(
            voucher,
            grammar.uint(cbor.decode(wait_seconds), "waitSeconds", grammar.UINT32),
            grammar.bstr(cbor.decode(nonce), "NonceTO0Sign", length=NONCE_LENGTH),
        )

    def encode(self) -> bytes:
        return b"\x83" + self.voucher + cbor.encode(self.wait_seconds) + cbor.encode(self.nonce)


@dataclass(frozen=True, slots=True)
class OwnerSign:
    """22, owner to rendezvous: ``[bstr .cbor to0d, to1d]``."""

    TYPE: ClassVar[MessageType] = MessageType.TO0_OWNER_SIGN
    to0d: bytes
    """Contents of the bstr: what to1d has the hash of (``To0d.decode``)."""
    to1d: bytes
    """Exactly as received: what the device will get (``To1d.decode``)."""

    @classmethod
    def decode(cls, octets: bytes) -> OwnerSign:
        """Raises MalformedMessage."""
        to0d, to1d = grammar.pieces(octets, "TO0.OwnerSign", 2)
        return cls(grammar.bstr(cbor.decode(to0d), "to0d"), to1d)

    def encode(self) -> bytes:
        return b"\x82" + cbor.encode(self.to0d) + self.to1d


@dataclass(frozen=True, slots=True)
class AcceptOwner:
    """23, rendezvous to owner: ``[waitSeconds]``, which may be less than asked for."""

    TYPE: ClassVar[MessageType] = MessageType.TO0_ACCEPT_OWNER
    wait_seconds: int

    @classmethod
    def decode(cls, octets: bytes) -> AcceptOwner:
        """Raises MalformedMessage."""
        (wait_seconds,) = grammar.items(octets, "TO0.AcceptOwner", 1)
        return cls(grammar.uint(wait_seconds, "waitSeconds", grammar.UINT32))

    def encode(self) -> bytes:
        return cbor.encode([self.wait_seconds])
