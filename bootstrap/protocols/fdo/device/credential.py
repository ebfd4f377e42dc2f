"""DeviceCredential: what a device remembers from DI or the last TO2 (FDO 1.1 section 3.4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bootstrap.wire.keys import KeyKind

from ..crypto.hashes import HashType, digest, hash_type_of, hmac, hmac_type_of
from ..primitives import Hash
from ..voucher import OvHeader


@dataclass(frozen=True, slots=True)
class DeviceCredential:
    """Flat, for ``wire.frozen``. Its key pair is kept apart: a device has one for life."""

    guid: bytes
    rvinfo: bytes
    """Encoded."""
    device_info: str
    key_type: int
    """hashtype of ``key_hash``; the voucher's own."""
    key_hash: bytes
    """Of the header's PublicKey: the manufacturer's, later the owner's who set the device up last."""
    hmac_secret: bytes = field(repr=False)
    active: bool = True

    @classmethod
    def of(cls, header: OvHeader, secret: bytes, device: KeyKind) -> DeviceCredential:
        """From the header that the device is about to confirm with its HMAC."""
        kind = hash_type(header, device)
        return cls(
            header.guid,
            header.rvinfo,
            header.device_info,
            int(kind),
            digest(kind, header.manufacturer_key.encode()),
            secret,
        )

    def hmac(self, header: bytes) -> Hash:
        """Over the octets of a header."""
        kind = hmac_type_of(self.key_type)
        return Hash(int(kind), hmac(kind, self.hmac_secret, header))

    def renewed(self, header: OvHeader) -> DeviceCredential:
        """The credential after TO2: another header, the same secret."""
        return replace(
            self,
            guid=header.guid,
            rvinfo=header.rvinfo,
            key_hash=digest(self.key_type, header.manufacturer_key.encode()),
        )


def hash_type(header: OvHeader, device: KeyKind) -> HashType:
    """The voucher's one type of hash: the header names it, else the smaller of both keys does."""
    if header.chain_hash is not None:
        return HashType(header.chain_hash.type)
    maker = hash_type_of(header.manufacturer_key.handle().kind)
    return HashType.SHA256 if HashType.SHA256 in (maker, hash_type_of(device)) else HashType.SHA384
