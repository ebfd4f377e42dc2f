"""Passing a voucher on: the owner signs the next owner's key onto it; after TO2 a new one begins."""

from __future__ import annotations

from collections.abc import Mapping

from bootstrap.errors import LocalError, MalformedMessage
from bootstrap.wire import cbor
from bootstrap.wire.cose import sign1
from bootstrap.wire.keys import Signer

from ..constants import ENTRIES_MAX, VOUCHER_MAX_LENGTH
from ..crypto.hashes import digest
from ..primitives import Hash
from ..public_key import PublicKey
from .checks import first_previous_hash, header_info_hash
from .model import OvHeader, Voucher
from .problems import VoucherProblem


def extend(
    voucher: Voucher, signer: Signer, next_key: PublicKey, extra: Mapping[int, bytes] | None = None
) -> Voucher:
    """A voucher with one more entry, signed by its present owner, that names ``next_key``.

    Raises LocalError unless ``signer`` holds the owner key, VoucherProblem VCH-115 when the next key is of
    another kind than the manufacturer's (a device verifies one kind only) and VCH-116 when it is full.
    """
    owner = voucher.owner_key
    if signer.public != owner.handle():
        raise LocalError("the voucher belongs to another key than the one that is to sign")
    if next_key.handle().kind is not owner.handle().kind:
        raise VoucherProblem("VCH-115", f"{next_key.handle().kind} after {owner.handle().kind}")
    if len(voucher.raw_entries) >= ENTRIES_MAX:
        raise VoucherProblem("VCH-116")
    payload = entry_payload(voucher, next_key, extra)
    algorithm = voucher.header.manufacturer_key.algorithm()
    extended = voucher.with_entry(sign1(signer, algorithm, payload).encode())
    if len(extended.encode()) > VOUCHER_MAX_LENGTH:
        raise VoucherProblem("VCH-104")
    return extended


def entry_payload(voucher: Voucher, next_key: PublicKey, extra: Mapping[int, bytes] | None = None) -> bytes:
    """OVEntryPayload of the entry that would come next. No extra is null: one device refuses an empty map."""
    kind = voucher.hash_type
    last = voucher.entries[-1:]
    previous = digest(kind, last[0].encode()) if last else first_previous_hash(kind, voucher)
    parts = [
        Hash(kind, previous).encode(),
        Hash(kind, header_info_hash(kind, voucher)).encode(),
        cbor.encode(cbor.encode(dict(extra)) if extra else None),
        next_key.encode(),
    ]
    return b"\x84" + b"".join(parts)


def new_header(
    *,
    guid: bytes,
    rvinfo: bytes,
    device_info: str,
    key: PublicKey,
    chain_hash: Hash | None,
) -> OvHeader:
    """An OVHeader of ours. What it encodes to is what the device's HMAC will cover."""
    made = OvHeader(guid, rvinfo, device_info, key, chain_hash)
    return OvHeader.decode(made.encode())


def chain_hash(kind: int, chain: tuple[bytes, ...]) -> Hash:
    """OVDevCertChainHash: over the certificates one after the other, without any framing."""
    return Hash(kind, digest(kind, *chain))


def new_voucher(header: bytes, hmac: Hash, chain: tuple[bytes, ...]) -> Voucher:
    """A voucher without entries, from the octets that the device's HMAC covers. Raises VoucherMalformed."""
    return Voucher(OvHeader.decode(header), hmac, chain)


def replacement(old: Voucher, header: bytes, hmac: Hash) -> Voucher:
    """What the owner keeps after TO2: the new header, the same device certificates, no entries.

    Raises MalformedMessage when the header is none.
    """
    made = new_voucher(header, hmac, old.chain)
    if made.header.chain_hash != old.header.chain_hash:
        raise MalformedMessage("the new header names other device certificates")
    return Voucher(made.header, hmac, old.chain, raw_chain=old.raw_chain)


def replacement_header(old: Voucher, *, guid: bytes, rvinfo: bytes, owner2_key: PublicKey) -> OvHeader:
    """The header that both sides form from TO2.SetupDevice; DeviceInfo and the chain's hash stay."""
    return new_header(
        guid=guid,
        rvinfo=rvinfo,
        device_info=old.header.device_info,
        key=owner2_key,
        chain_hash=old.header.chain_hash,
    )
