"""Device CA, device certificates, and chains: with keys in memory and keys that only sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage, NotAuthenticated
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, SoftSigner
from bootstrap.wire.x509 import (
    common_name,
    issue_device_certificate,
    request_key,
    self_signed_ca,
    serial_attribute,
    verify_chain,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LATER = NOW + timedelta(days=10950)


class OnlySigns:
    """What a PKCS#11 key looks like from here."""

    def __init__(self, signer: SoftSigner) -> None:
        self.public = signer.public
        self.sign = signer.sign
        self.decrypt_oaep = signer.decrypt_oaep


def request(signer: SoftSigner, name: str = "sensor-1") -> bytes:
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.SERIAL_NUMBER, "S-1")]
    )
    digest = hashes.SHA384() if signer.public.kind is KeyKind.P384 else hashes.SHA256()
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(signer.private_key, digest)
    return built.public_bytes(serialization.Encoding.DER)


def issued(ca, anchor: bytes, device: SoftSigner, **words: str) -> bytes:
    return issue_device_certificate(request(device), ca, anchor, 7, NOW, LATER, **words)


@pytest.mark.parametrize("kind", list(KeyKind))
@pytest.mark.parametrize("dress", [lambda signer: signer, OnlySigns], ids=["in memory", "only signs"])
def test_a_device_certificate_chains_to_its_ca(kind: KeyKind, dress):
    signer, device = SoftSigner.generate(kind), SoftSigner.generate(KeyKind.P256)
    ca = dress(signer)
    anchor = self_signed_ca(ca, "Factory", NOW, 30)
    leaf = issued(ca, anchor, device)
    assert verify_chain([leaf, anchor]) == device.public == verify_chain([leaf], [anchor])
    assert (common_name(leaf), serial_attribute(leaf)) == ("sensor-1", "S-1")
    assert x509.load_der_x509_certificate(leaf).serial_number == 7
    x509.load_der_x509_certificate(anchor).verify_directly_issued_by(x509.load_der_x509_certificate(anchor))


def test_another_name_replaces_the_one_in_the_request():
    ca = SoftSigner.generate(KeyKind.P256)
    leaf = issued(
        ca, self_signed_ca(ca, "F", NOW, 1), SoftSigner.generate(KeyKind.P384), common_name="X" * 99
    )
    assert common_name(leaf) == "X" * 64
    assert serial_attribute(leaf) == ""


def test_a_chain_of_strangers_a_leaf_that_signs_and_a_foreign_anchor_are_refused():
    ca, other = SoftSigner.generate(KeyKind.P256), SoftSigner.generate(KeyKind.P256)
    anchor, foreign = self_signed_ca(ca, "A", NOW, 1), self_signed_ca(other, "A", NOW, 1)
    device = SoftSigner.generate(KeyKind.P256)
    leaf = issued(ca, anchor, device)
    below = issue_device_certificate(request(other), device, leaf, 9, NOW, LATER)
    for chain, anchors in (([leaf, foreign], []), ([leaf], [foreign]), ([below, leaf, anchor], [])):
        with pytest.raises(NotAuthenticated):
            verify_chain(chain, anchors)
    for chain in ([], [leaf] * 17, [b"\x30\x00"]):
        with pytest.raises(MalformedMessage):
            verify_chain(chain)


def test_a_request_must_be_signed_by_its_own_key():
    signer, other = SoftSigner.generate(KeyKind.P256), SoftSigner.generate(KeyKind.P256)
    good = request(signer)
    assert request_key(good) == signer.public
    with pytest.raises(NotAuthenticated):
        request_key(good.replace(signer.public.der[-65:], other.public.der[-65:]))


@given(st.binary(max_size=300))
def test_any_octets_end_in_malformed_message(octets: bytes):
    for read in (common_name, request_key, PublicKeyHandle.from_certificate, PublicKeyHandle.from_spki):
        with pytest.raises(MalformedMessage):
            read(octets)
