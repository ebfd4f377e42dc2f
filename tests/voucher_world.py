"""Vouchers as a manufacturer makes them: real keys, certificates and signatures; only the device is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.protocols.fdo.crypto.hashes import digest, hmac
from bootstrap.protocols.fdo.primitives import Hash
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.rendezvous import rvinfo_for
from bootstrap.protocols.fdo.voucher import new_header, new_voucher
from bootstrap.protocols.fdo.voucher.pem import dump_pem
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, Signer, SoftSigner
from bootstrap.wire.x509 import issue_device_certificate, self_signed_ca

RENDEZVOUS = "http://rv.example.com:8041"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2056, 1, 1, tzinfo=UTC)
HASHES = {
    KeyKind.P256: (-16, 5),
    KeyKind.P384: (-43, 6),
    KeyKind.RSA2048: (-16, 5),
    KeyKind.RSA3072: (-43, 6),
}


@dataclass
class Maker:
    """A manufacturer: one key for vouchers, one for device certificates."""

    kind: KeyKind = KeyKind.P256
    encoding: KeyEncoding = KeyEncoding.X509
    urls: tuple[str, ...] = (RENDEZVOUS,)
    signer: SoftSigner = field(init=False)
    ca: SoftSigner = field(init=False)

    def __post_init__(self) -> None:
        self.signer, self.ca = SoftSigner.generate(self.kind), SoftSigner.generate(self.kind)
        self.ca_certificate = self_signed_ca(self.ca, "Factory CA", BEGIN, 30)
        self.rvinfo = rvinfo_for(*self.urls).encode()
        self.key = self.public(self.signer.public)
        self._resellers = [SoftSigner.generate(self.kind) for _ in range(3)]

    def public(self, handle: PublicKeyHandle) -> PublicKey:
        return PublicKey.of(handle, self.encoding)

    def device_certificate(self, serial: str) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1() if self.kind == KeyKind.P256 else ec.SECP384R1())
        name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        csr = request.public_bytes(serialization.Encoding.DER)
        return issue_device_certificate(csr, self.ca, self.ca_certificate, 7, BEGIN, END)

    def blank(self, serial: str = "SN-1", guid: bytes = b"", device_info: str = "Lamp 3") -> vouchers.Voucher:
        """As DI leaves it: no entries."""
        hash_type, hmac_type = HASHES[self.kind]
        chain = (self.device_certificate(serial), self.ca_certificate)
        header = new_header(
            guid=guid or os.urandom(16),
            rvinfo=self.rvinfo,
            device_info=device_info,
            key=self.key,
            chain_hash=Hash(hash_type, digest(hash_type, *chain)),
        ).encode()
        return new_voucher(header, Hash(hmac_type, hmac(hmac_type, os.urandom(32), header)), chain)

    def made_for(
        self, owner: PublicKeyHandle, entries: int = 1, serial: str = "SN-1", guid: bytes = b""
    ) -> bytes:
        """Sold through resellers until it ends in ``owner``."""
        voucher = self.blank(serial, guid)
        holder: Signer = self.signer
        for step in range(entries):
            last = step == entries - 1
            following = self._resellers[step % 3]
            next_key = owner if last else following.public
            voucher = vouchers.extend(voucher, holder, self.public(next_key))
            holder = following
        return voucher.encode()


def pem(*contents: bytes) -> bytes:
    return "".join(dump_pem(content) for content in contents).encode()


@pytest.fixture(scope="session")
def maker() -> Maker:
    return Maker()
