"""Vouchers of every kind, made with our own keys, for tests that read them or break them."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from fdo_hand import NOW, RVINFO, ca, key, public, request

from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.protocols.fdo.crypto.hashes import HashType, digest, hash_type_of, hmac, hmac_type_of
from bootstrap.protocols.fdo.primitives import Hash
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.voucher import Voucher, chain_hash, extend, new_header, new_voucher
from bootstrap.wire.keys import KeyKind, SoftSigner
from bootstrap.wire.x509 import issue_device_certificate

GUID = bytes.fromhex("f1d0fd0066bd4ef392bc1b7c393fbe18")
SECRET = b"s" * 32


@lru_cache
def device_chain(kind: KeyKind, name: str = "device") -> tuple[bytes, ...]:
    signer, root = ca(KeyKind.P256)
    leaf = issue_device_certificate(
        request(key(kind, name), name), signer, root, 11, NOW, NOW + timedelta(days=30 * 365)
    )
    return leaf, root


def owner_name(entries: int) -> str:
    """Whose key the voucher ends in."""
    return "manufacturer" if entries == 0 else f"owner-{entries}"


def hash_type(owner: KeyKind, device: KeyKind) -> HashType:
    both = {hash_type_of(owner), hash_type_of(device)}
    return HashType.SHA256 if HashType.SHA256 in both else HashType.SHA384


@lru_cache
def made(
    entries: int = 1,
    kind: KeyKind = KeyKind.P256,
    encoding: KeyEncoding = KeyEncoding.X509,
    pss: bool = False,
    device: KeyKind = KeyKind.P256,
    rvinfo: bytes = RVINFO,
    guid: bytes = GUID,
) -> Voucher:
    """``entries`` transfers of one voucher, from the manufacturer to owner-1, owner-2 and so on."""
    chain, width = device_chain(device), hash_type(kind, device)
    header = new_header(
        guid=guid,
        rvinfo=rvinfo,
        device_info="model 7",
        key=public(kind, "manufacturer", encoding, pss),
        chain_hash=chain_hash(width, chain),
    )
    hmac_type = hmac_type_of(width)
    hmac_value = Hash(hmac_type, hmac(hmac_type, SECRET, header.encode()))
    voucher = new_voucher(header.encode(), hmac_value, chain)
    for number in range(entries):
        voucher = extend(voucher, signer(kind, number), next_key(kind, number, encoding, pss))
    return voucher


def signer(kind: KeyKind, number: int) -> SoftSigner:
    """Who signs entry ``number``."""
    return key(kind, owner_name(number))


def next_key(
    kind: KeyKind, number: int, encoding: KeyEncoding = KeyEncoding.X509, pss: bool = False
) -> PublicKey:
    """Whom entry ``number`` names."""
    return public(kind, owner_name(number + 1), encoding, pss)


def sha256(*parts: bytes) -> bytes:
    return digest(HashType.SHA256, *parts)
