"""The next credential: what TO2.SetupDevice offers, and the voucher that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bootstrap.contract import Env
from bootstrap.errors import LocalError, UnexpectedMessage
from bootstrap.wire.keys import Signer

from ..constants import GUID_LENGTH, KeyEncoding, ResourceNotFound
from ..primitives import Hash
from ..public_key import PublicKey
from ..voucher import OvHeader, Voucher
from ..voucher.transfer import extend, replacement, replacement_header
from .state import OwnerFacts, OwnerMaterial, OwnerState


@dataclass(frozen=True, slots=True)
class Offer:
    """The content of TO2.SetupDevice, and the header that the device will compute its HMac over."""

    reuse: bool
    header: OvHeader
    signer: Signer
    key: PublicKey
    """Owner2Key."""


def owner_signer(voucher: Voucher, facts: OwnerFacts) -> tuple[Signer, PublicKey]:
    """Our private key for the key in the voucher's last entry. Raises ResourceNotFound."""
    key = voucher.owner_key
    signer = facts.signer(key.handle().der)
    if signer is None:
        raise ResourceNotFound("the voucher belongs to a key that is not ours")
    return signer, key


def offer(state: OwnerState, voucher: Voucher, facts: OwnerFacts, env: Env) -> Offer:
    """What the device is offered now.

    Reuse repeats GUID, RendezvousInfo and key octet for octet (section 7), so the key that signs is the
    voucher's own even when the owner has a newer one. A replacement names the owner's present key if that is
    of the voucher's kind, which all keys of one device have to be. A replacement that was offered before and
    would be the same again keeps its GUID.
    """
    signer, key = owner_signer(voucher, facts)
    if facts.reuse:
        return Offer(True, voucher.header, signer, key)
    if facts.owner2 is not None and facts.owner2[1].handle().kind is key.handle().kind:
        signer, key = facts.owner2[0], _in_the_form_of(key, facts.owner2[1])
    rvinfo = voucher.rvinfo if facts.rvinfo is None else facts.rvinfo
    if state.guid2:
        header = replacement_header(voucher, guid=state.guid2, rvinfo=rvinfo, owner2_key=key)
        if header.encode() == state.header2:
            return Offer(False, header, signer, key)
    guid = env.random(GUID_LENGTH)
    return Offer(False, replacement_header(voucher, guid=guid, rvinfo=rvinfo, owner2_key=key), signer, key)


def _in_the_form_of(present: PublicKey, key: PublicKey) -> PublicKey:
    """``key`` with the type and encoding that this device is known to read; without certificates there is no
    X5CHAIN."""
    if (key.type, key.encoding) == (present.type, present.encoding):
        return key
    encoding, chain = present.encoding, key.chain()
    if encoding is KeyEncoding.X5CHAIN and not chain:
        encoding = KeyEncoding.X509
    return PublicKey.of(key.handle(), encoding, chain=chain, type=present.type)


def must_fit(hmac: Hash, header2: bytes) -> None:
    """A voucher has one width of hashes throughout. Raises UnexpectedMessage for an HMac of another."""
    chain_hash = OvHeader.decode(header2).chain_hash
    if chain_hash is not None and len(hmac.value) != len(chain_hash.value):
        raise UnexpectedMessage(f"HMac of type {hmac.type} under a chain hash of type {chain_hash.type}")


def new_material(state: OwnerState, voucher: Voucher, facts: OwnerFacts) -> OwnerMaterial:
    """The replacement voucher, extended from the new key to itself. One signature.

    Made when TO2 ends rather than when the next one begins: message 60 must stay as cheap as it is, and the
    rendezvous server needs the entry long before.
    """
    header = OvHeader.decode(state.header2)
    key = header.manufacturer_key
    signer = facts.signer(key.handle().der)
    if signer is None and facts.owner2 is not None and facts.owner2[1].handle() == key.handle():
        signer = facts.owner2[0]
    if signer is None:
        raise LocalError("the key of the replacement voucher was taken away during TO2")
    unextended = replacement(voucher, state.header2, Hash.decode(state.hmac2))
    return OwnerMaterial(extend(unextended, signer, key).encode(), replaces=voucher.guid.hex())


def unextended(voucher: bytes) -> bytes:
    """The voucher without its entries: what TO2 itself left, for the history."""
    return replace(Voucher.decode(voucher), raw_entries=()).encode()
