"""Device CA, device certificates, and chains: with keys in memory and keys that only sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
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
BEFORE = NOW - timedelta(days=1)


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


def signed(subject: str, key: SoftSigner, issuer: str, by: SoftSigner, *extensions) -> bytes:
    """Any certificate, good or bad."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.private_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(LATER)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(by.private_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


ROOT, MIDDLE, LEAF = (SoftSigner.generate(KeyKind.P256) for _ in range(3))
LEAF_DER = signed("leaf", LEAF, "middle", MIDDLE)


def ca(path_length: int | None = None) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=path_length)


def test_a_chain_as_long_as_its_ca_allows_verifies_and_a_longer_one_does_not():
    middle = signed("middle", MIDDLE, "root", ROOT, ca(0))
    for longest, allowed in ((None, True), (1, True), (0, False)):
        chain = [LEAF_DER, middle, signed("root", ROOT, "root", ROOT, ca(longest))]
        for _again in range(2):
            if allowed:
                assert verify_chain(chain) == LEAF.public
            else:
                with pytest.raises(NotAuthenticated):
                    verify_chain(chain)


def test_an_issuer_without_extensions_may_sign_and_one_that_says_no_may_not():
    root = signed("root", ROOT, "root", ROOT)
    assert verify_chain([LEAF_DER, signed("middle", MIDDLE, "root", ROOT), root]) == LEAF.public
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    for extension in (x509.BasicConstraints(ca=False, path_length=None), usage):
        with pytest.raises(NotAuthenticated):
            verify_chain([LEAF_DER, signed("middle", MIDDLE, "root", ROOT, extension), root])


def test_the_right_name_with_another_key_issues_nothing():
    with pytest.raises(NotAuthenticated):
        verify_chain([LEAF_DER, signed("middle", ROOT, "middle", ROOT, ca())])
    with pytest.raises(NotAuthenticated):
        verify_chain([LEAF_DER, signed("center", MIDDLE, "center", MIDDLE, ca())])


SHA1_LEAF = bytes.fromhex(
    "3082010c3081b5020107300906072a8648ce3d04013011310f300d06035504030c064f6c642043413020170d323631313233"
    "3031323534355a180f32303536313131353031323534355a30153113301106035504030c0a6f6c6420646576696365305930"
    "1306072a8648ce3d020106082a8648ce3d03010703420004205950e0dadc03292a20a0f2451c72dffab267d0fc108a44b25b"
    "4ddff3b53f57daf203ff8d4c7e56a73ca9a70aacd42b7f87767e0efcf8822ab22aaa375ab2e0300906072a8648ce3d040103"
    "4700304402202f5eb605ffc901e8485a9e6be4f32fe3c7298de43aa36623f849a044270926ad02204ab3ba46fcca13c9bc02"
    "673194cb10d2777f67755c3bffcbd013fb748daed733"
)
SHA1_CA = bytes.fromhex(
    "308201793082011fa0030201020214767ec9eda2c35766f238794c45f32bdca15835bc300a06082a8648ce3d040302301131"
    "0f300d06035504030c064f6c642043413020170d3236313132333031323534355a180f32303536313131353031323534355a"
    "3011310f300d06035504030c064f6c642043413059301306072a8648ce3d020106082a8648ce3d03010703420004f153b99e"
    "921da1017a21c6e7febcb2574f09c3356596ae1d15d42bc4d10ee86da18a18c8efdbb412f87e1f00992a3207dd265f630061"
    "e899e90d74922158ac81a3533051301d0603551d0e0416041480f921098268de90ec654ad342e3e47c4ef03d11301f060355"
    "1d2304183016801480f921098268de90ec654ad342e3e47c4ef03d11300f0603551d130101ff040530030101ff300a06082a"
    "8648ce3d040302034800304502207509714c7847a9ff495dfca6e0eebfa8c6d24d802cae673f2b78be11ad11019f022100c6"
    "08d6d454b644e44c378847a7c1ca3b525274517cdefd5370bfd681d65a79b2"
)


def test_a_certificate_signed_over_sha_1_is_refused():
    """Both made with openssl; the CA's own signature is over SHA-256."""
    assert common_name(SHA1_LEAF) == "old device"
    with pytest.raises(NotAuthenticated):
        verify_chain([SHA1_LEAF, SHA1_CA])


@given(st.integers(0, 100_000))
def test_no_bit_of_a_device_certificate_may_change(position: int):
    changed = bytearray(LEAF_DER)
    changed[position // 8 % len(changed)] ^= 1 << position % 8
    with pytest.raises((MalformedMessage, NotAuthenticated)):
        verify_chain([bytes(changed), signed("middle", MIDDLE, "middle", MIDDLE, ca())])


@given(st.integers(0, 100_000))
def test_a_request_with_a_flipped_bit_gets_no_certificate(position: int):
    changed = bytearray(REQUEST)
    changed[position // 8 % len(changed)] ^= 1 << position % 8
    with pytest.raises((MalformedMessage, NotAuthenticated)):
        issue_device_certificate(bytes(changed), ROOT, ROOT_DER, 1, NOW, LATER)


REQUEST = request(LEAF)
ROOT_DER = self_signed_ca(ROOT, "Root", NOW, 30)


def test_our_own_mistakes_are_local_errors():
    for signer, serial, until in (
        (MIDDLE, 1, LATER),
        (ROOT, 0, LATER),
        (ROOT, 1 << 200, LATER),
        (ROOT, 1, BEFORE),
    ):
        with pytest.raises(LocalError):
            issue_device_certificate(REQUEST, signer, ROOT_DER, serial, NOW, until)


def test_a_request_for_a_key_that_no_protocol_knows_is_malformed():
    key = ec.generate_private_key(ec.SECP521R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA512())
    with pytest.raises(MalformedMessage):
        request_key(built.public_bytes(serialization.Encoding.DER))


def test_a_certificate_of_an_unknown_version_is_malformed():
    odd = LEAF_DER.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)
    assert odd != LEAF_DER
    for read in (common_name, PublicKeyHandle.from_certificate):
        with pytest.raises(MalformedMessage):
            read(odd)
