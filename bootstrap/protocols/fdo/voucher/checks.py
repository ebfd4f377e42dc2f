"""Whether a voucher holds: everything that can be checked without the device's own secret.

The HMAC over the header is the device's alone to check; all the rest hangs together by hashes and signatures
over the octets as they came. Cheap checks come before signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from bootstrap.errors import MalformedMessage, NotAuthenticated
from bootstrap.wire.keys import PublicKeyHandle
from bootstrap.wire.x509 import verify_chain

from ..constants import PROTOCOL_VERSION
from ..crypto.hashes import HashType, digest, hash_type_of, hmac_type_of, same
from ..primitives import Hash
from ..public_key import PublicKey
from ..rendezvous import RvInfo
from .model import Entry, Voucher
from .problems import VoucherMalformed, VoucherProblem

Owners = PublicKeyHandle | Collection[PublicKeyHandle]
Trusted = Callable[[PublicKey], bool]

_HASHES = frozenset({HashType.SHA256, HashType.SHA384})


def verify(voucher: Voucher, *, owner: Owners | None = None, trusted: Trusted | None = None) -> None:
    """Check all of it: header, HMAC's form, device certificates, every entry; then whose it is.

    ``owner``: the key, or the keys, it must be extended to. ``trusted``: whether to believe a manufacturer's
    key. Without them the voucher is only checked to be consistent. Raises VoucherProblem (readable, but does
    not hold) or VoucherMalformed, each with ``code``.
    """
    _verify_header(voucher)
    _verify_device_chain(voucher)
    _verify_entries(voucher)
    if owner is not None:
        owners = (owner,) if isinstance(owner, PublicKeyHandle) else owner
        if _usable(voucher.owner_key, len(voucher.raw_entries) - 1) not in owners:
            raise VoucherProblem("VCH-118")
    if trusted is not None and not trusted(voucher.header.manufacturer_key):
        raise VoucherProblem("VCH-119")


def first_previous_hash(kind: int, voucher: Voucher) -> bytes:
    """hashPrevEntry of entry 0: over the contents of the OVHeader and the encoded HMac."""
    return digest(kind, voucher.header.encode(), voucher.hmac.encode())


def header_info_hash(kind: int, voucher: Voucher) -> bytes:
    """hashHdrInfo: over GUID and DeviceInfo, without any framing."""
    return digest(kind, voucher.guid, voucher.header.device_info.encode())


def expected_hash_type(voucher: Voucher) -> HashType:
    """As wide as the smaller of the device's key and the owners' keys. Raises VoucherMalformed."""
    device = hash_type_of(voucher.device_key.kind)
    owner = hash_type_of(_usable(voucher.header.manufacturer_key, None).kind)
    return HashType.SHA256 if HashType.SHA256 in (device, owner) else HashType.SHA384


def _verify_header(voucher: Voucher) -> None:
    if voucher.header.version != PROTOCOL_VERSION:
        raise VoucherProblem("VCH-102", f"the header says {voucher.header.version}")
    if voucher.hmac.type not in (HashType.HMAC_SHA256, HashType.HMAC_SHA384):
        raise VoucherProblem("VCH-105", f"hashtype {voucher.hmac.type}")
    try:
        RvInfo.decode(voucher.rvinfo)
    except MalformedMessage as error:
        raise VoucherMalformed("VCH-122", str(error)) from None
    key = voucher.header.manufacturer_key
    _usable(key, None)
    try:
        chain = key.chain()
        if chain:
            verify_chain(chain)
    except (MalformedMessage, NotAuthenticated) as error:
        raise VoucherProblem("VCH-120", str(error)) from None


def _verify_device_chain(voucher: Voucher) -> None:
    expected = voucher.header.chain_hash
    if not voucher.chain and expected is None:
        raise VoucherProblem("VCH-107")
    if not voucher.chain or expected is None:
        raise VoucherProblem("VCH-108", "one of certificates and hash is missing")
    if expected.type not in _HASHES:
        raise VoucherProblem("VCH-106", f"hashtype {expected.type} for the certificates")
    if not same(digest(expected.type, *voucher.chain), expected.value):
        raise VoucherProblem("VCH-108")
    _ = voucher.device_key
    try:
        # The header's hash, and so the manufacturer, already vouches for these certificates.
        verify_chain(voucher.chain, sha1=True)
    except (MalformedMessage, NotAuthenticated) as error:
        raise VoucherProblem("VCH-109", str(error)) from None


def _verify_entries(voucher: Voucher) -> None:
    """Every entry continues the one before it: its hashes, then its signature by the owner so far."""
    kind = voucher.header.manufacturer_key.handle().kind
    owner = voucher.header.manufacturer_key
    for number, entry in enumerate(voucher.entries):
        _hash_type(entry.previous_hash, voucher, number)
        _hash_type(entry.header_hash, voucher, number)
        if not same(entry.header_hash.value, header_info_hash(entry.header_hash.type, voucher)):
            raise VoucherProblem("VCH-112", entry=number)
        if not _continues(voucher, number, entry):
            raise VoucherProblem("VCH-121" if number == 0 else "VCH-113", entry=number)
        try:
            entry.envelope.verify(_usable(owner, number - 1))
        except (MalformedMessage, NotAuthenticated) as error:
            raise VoucherProblem("VCH-114", str(error), entry=number) from None
        if _usable(entry.next_key, number).kind is not kind:
            raise VoucherProblem("VCH-115", "not of the manufacturer's kind", entry=number)
        owner = entry.next_key


def _continues(voucher: Voucher, number: int, entry: Entry) -> bool:
    """An entry that lost its tag on the way was hashed with it: both forms count."""
    found = entry.previous_hash
    if number == 0:
        return same(found.value, first_previous_hash(found.type, voucher))
    before = voucher.entries[number - 1]
    forms = {before.raw, before.encode()}
    return any(same(found.value, digest(found.type, form)) for form in forms)


def _hash_type(found: Hash, voucher: Voucher, entry: int) -> None:
    """One type of hash in all entries; the HMAC's width goes with it. The certificates' hash stands apart: it
    stays when TO2 gives the device an owner with a key of another size."""
    if found.type not in _HASHES or hmac_type_of(found.type) != voucher.hmac.type:
        raise VoucherProblem("VCH-106", f"hashtype {found.type} beside {voucher.hmac.type}", entry)


def _usable(key: PublicKey, entry: int | None) -> PublicKeyHandle:
    """The key itself; ``entry`` says where it stands, None or negative for the manufacturer's."""
    try:
        return key.handle()
    except MalformedMessage as error:
        if entry is None or entry < 0:
            raise VoucherMalformed("VCH-117", str(error)) from None
        raise VoucherProblem("VCH-115", str(error), entry) from None
