"""The ownership voucher as a structure: parts in the octets that came, looked into only when asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor
from bootstrap.wire.cose import Sign1
from bootstrap.wire.keys import PublicKeyHandle
from bootstrap.wire.x509 import is_certificate

from .. import grammar
from ..constants import (
    CERTIFICATE_MAX_LENGTH,
    CHAIN_MAX,
    DEVICE_INFO_MAX_LENGTH,
    ENTRIES_MAX,
    GUID_LENGTH,
    PROTOCOL_VERSION,
    VOUCHER_MAX_LENGTH,
)
from ..primitives import Hash
from ..public_key import PublicKey
from .problems import VoucherMalformed

_NULL = b"\xf6"
_TAG_SIGN1 = 0xD2
"""CBOR tag 18 as its single octet."""
_HASH_OF = {5: -16, 6: -43}
"""hashtype of an HMAC to that of the hash as wide."""


@dataclass(frozen=True, slots=True)
class OvHeader:
    """``[protver, Guid, RendezvousInfo, DeviceInfo, mfg PublicKey, OVDevCertChainHash / null]``."""

    guid: bytes
    rvinfo: bytes
    """Encoded (``rendezvous.RvInfo.decode``)."""
    device_info: str
    manufacturer_key: PublicKey
    chain_hash: Hash | None
    version: int = PROTOCOL_VERSION
    raw: bytes = field(default=b"", compare=False, repr=False)
    """As received: what the HMAC covers."""

    @classmethod
    def decode(cls, octets: bytes) -> OvHeader:
        """Raises VoucherMalformed."""
        try:
            version, guid, rvinfo, device_info, key, chain_hash = grammar.pieces(octets, "OVHeader", 6)
            return cls(
                grammar.bstr(cbor.decode(guid), "OVGuid", length=GUID_LENGTH),
                rvinfo,
                grammar.tstr(cbor.decode(device_info), "OVDeviceInfo", DEVICE_INFO_MAX_LENGTH),
                PublicKey.decode(key),
                None if chain_hash == _NULL else Hash.decode(chain_hash),
                grammar.uint(cbor.decode(version), "OVHProtVer", grammar.UINT16),
                octets,
            )
        except VoucherMalformed:
            raise
        except MalformedMessage as error:
            raise VoucherMalformed("VCH-103", str(error)) from None

    def encode(self) -> bytes:
        """Contents of the OVHeader's bstr: as received, or in deterministic encoding."""
        if self.raw:
            return self.raw
        parts = [
            cbor.encode(self.version),
            cbor.encode(self.guid),
            self.rvinfo,
            cbor.encode(self.device_info),
            self.manufacturer_key.encode(),
            _NULL if self.chain_hash is None else self.chain_hash.encode(),
        ]
        return b"\x86" + b"".join(parts)


@dataclass(frozen=True)
class Entry:
    """OVEntry: a COSE_Sign1 over ``[hashPrevEntry, hashHdrInfo, extra, next owner's PublicKey]``."""

    raw: bytes = field(repr=False)
    """With tag 18, unless it came without."""
    envelope: Sign1 = field(repr=False, compare=False)
    previous_hash: Hash
    header_hash: Hash
    extra: bytes | None
    """Contents of the bstr: an encoded map of int to bstr, ours to keep but not to read."""
    next_key: PublicKey

    @classmethod
    def decode(cls, octets: bytes) -> Entry:
        """Raises VoucherMalformed."""
        try:
            envelope = Sign1.decode(octets)
            previous, header, extra, key = grammar.pieces(envelope.payload, "OVEntryPayload", 4)
            return cls(
                octets,
                envelope,
                Hash.decode(previous),
                Hash.decode(header),
                None if extra == _NULL else grammar.bstr(cbor.decode(extra), "OVEExtra"),
                PublicKey.decode(key),
            )
        except MalformedMessage as error:
            raise VoucherMalformed("VCH-111", str(error)) from None

    def encode(self) -> bytes:
        """Tagged 18 always: one implementation reads nothing else."""
        return self.raw if self.raw[0] == _TAG_SIGN1 else bytes([_TAG_SIGN1]) + self.raw


@dataclass(frozen=True)
class Voucher:
    """``[protver, bstr .cbor OVHeader, HMac, X5CHAIN / null, [OVEntry...]]``.

    ``decode`` splits and bounds the whole and reads the header; certificates and entries are parsed on first
    use, so serving one entry does not cost parsing all. Whatever is parsed late raises VoucherMalformed then.
    """

    header: OvHeader
    hmac: Hash
    chain: tuple[bytes, ...]
    """OVDevCertChain: DER certificates, the device's first; empty for null."""
    raw_entries: tuple[bytes, ...] = field(default=(), repr=False)
    version: int = PROTOCOL_VERSION
    raw_chain: bytes = field(default=b"", repr=False, compare=False)

    @classmethod
    def decode(cls, octets: bytes) -> Voucher:
        """Raises VoucherMalformed (a MalformedMessage with ``code``)."""
        if len(octets) > VOUCHER_MAX_LENGTH:
            raise VoucherMalformed("VCH-104", f"{len(octets)} octets")
        try:
            parts = grammar.pieces(octets, "OwnershipVoucher", 4, 5)
            version = grammar.uint(cbor.decode(parts[0]), "OVProtVer", grammar.UINT16)
        except MalformedMessage as error:
            raise VoucherMalformed("VCH-101", str(error)) from None
        if version != PROTOCOL_VERSION or len(parts) != 5:
            raise VoucherMalformed("VCH-102", f"version {version} with {len(parts)} parts")
        return cls._of_parts(version, *parts[1:])

    @classmethod
    def _of_parts(cls, version: int, header: bytes, hmac: bytes, chain: bytes, entries: bytes) -> Voucher:
        ov_header = OvHeader.decode(_contents(header))
        try:
            read_hmac = Hash.decode(hmac)
        except MalformedMessage as error:
            raise VoucherMalformed("VCH-105", str(error)) from None
        return cls(ov_header, read_hmac, _chain(chain), _entries(entries), version, chain)

    def encode(self) -> bytes:
        """Every part as received; the frame around them is canonical."""
        count = len(self.raw_entries)
        head = bytes([0x80 | count]) if count < 24 else bytes([0x98, count])
        chain = self.raw_chain or (cbor.encode(list(self.chain)) if self.chain else _NULL)
        return b"".join(
            [
                b"\x85" + cbor.encode(self.version) + cbor.encode(self.header.encode()),
                self.hmac.encode() + chain + head,
                *(
                    entry if entry[0] == _TAG_SIGN1 else bytes([_TAG_SIGN1]) + entry
                    for entry in self.raw_entries
                ),
            ]
        )

    @property
    def guid(self) -> bytes:
        return self.header.guid

    @property
    def rvinfo(self) -> bytes:
        """Encoded."""
        return self.header.rvinfo

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Raises VoucherMalformed."""
        return tuple(Entry.decode(entry) for entry in self.raw_entries)

    @cached_property
    def owner_key(self) -> PublicKey:
        """Whose the device is: the key in the last entry, or the manufacturer's. Raises VoucherMalformed."""
        if not self.raw_entries:
            return self.header.manufacturer_key
        return Entry.decode(self.raw_entries[-1]).next_key

    @cached_property
    def device_key(self) -> PublicKeyHandle:
        """The key in the device's certificate. Raises VoucherMalformed."""
        if not self.chain:
            raise VoucherMalformed("VCH-107")
        try:
            return PublicKeyHandle.from_certificate(self.chain[0])
        except MalformedMessage as error:
            code = "VCH-110" if is_certificate(self.chain[0]) else "VCH-109"
            raise VoucherMalformed(code, str(error)) from None

    @property
    def hash_type(self) -> int:
        """The type of hash in all entries: as in entry 0, else the one that goes with the device's HMAC."""
        if self.raw_entries:
            return Entry.decode(self.raw_entries[0]).previous_hash.type
        return _HASH_OF.get(self.hmac.type, self.hmac.type)

    def with_entry(self, entry: bytes) -> Voucher:
        """The same with one more encoded entry at its end (``extend`` makes it)."""
        return replace(self, raw_entries=(*self.raw_entries, entry))


def _contents(header: bytes) -> bytes:
    try:
        return grammar.bstr(cbor.decode(header), "OVHeader")
    except MalformedMessage as error:
        raise VoucherMalformed("VCH-103", str(error)) from None


def _chain(octets: bytes) -> tuple[bytes, ...]:
    if octets == _NULL:
        return ()
    try:
        found: list[Any] = grammar.array(cbor.decode(octets), "OVDevCertChain", 1, CHAIN_MAX)
        return tuple(grammar.bstr(item, "certificate", most=CERTIFICATE_MAX_LENGTH) for item in found)
    except MalformedMessage as error:
        raise VoucherMalformed("VCH-109", str(error)) from None


def _entries(octets: bytes) -> tuple[bytes, ...]:
    try:
        found = cbor.split_array(octets, max_items=VOUCHER_MAX_LENGTH)
    except MalformedMessage as error:
        raise VoucherMalformed("VCH-111", str(error)) from None
    if len(found) > ENTRIES_MAX:
        raise VoucherMalformed("VCH-116", f"{len(found)} entries")
    return tuple(found)
