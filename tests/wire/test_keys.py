"""Public handles and signers: every kind and algorithm, and everything that does not verify."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.wire.cose import decode_key, encode_key
from bootstrap.wire.keys import (
    ES256,
    ES384,
    PS256,
    PS384,
    RS256,
    RS384,
    KeyKind,
    PublicKeyHandle,
    SoftSigner,
    default_algorithm,
)

SIGNERS = {kind: SoftSigner.generate(kind) for kind in KeyKind}
FITTING = {
    KeyKind.P256: (ES256,),
    KeyKind.P384: (ES384,),
    KeyKind.RSA2048: (RS256, RS384, PS256, PS384),
    KeyKind.RSA3072: (RS256, RS384, PS256, PS384),
}
ALGORITHMS = (ES256, ES384, RS256, RS384, PS256, PS384)


@pytest.mark.parametrize("kind", list(KeyKind))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_signs_by_its_own_algorithms_only(kind: KeyKind, algorithm: int):
    signer = SIGNERS[kind]
    if algorithm not in FITTING[kind]:
        with pytest.raises(LocalError):
            signer.sign(algorithm, b"message")
        with pytest.raises(NotAuthenticated):
            signer.public.verify(algorithm, b"message", bytes(64))
        return
    signature = signer.sign(algorithm, b"message")
    signer.public.verify(algorithm, b"message", signature)
    for message, changed in ((b"massage", signature), (b"message", signature[:-1] + b"\x00\x00")):
        with pytest.raises(NotAuthenticated):
            signer.public.verify(algorithm, message, changed)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_every_form_of_a_public_key_is_the_same_key(kind: KeyKind):
    public = SIGNERS[kind].public
    assert public.kind is kind
    assert PublicKeyHandle.from_spki(public.der) == public
    assert decode_key(encode_key(public)) == public
    nameless = {label: value for label, value in encode_key(public).items() if label != 1}
    assert decode_key(nameless, need_type=False) == public
    with pytest.raises(MalformedMessage):
        decode_key(nameless)
    assert SoftSigner.from_pkcs8(SIGNERS[kind].to_pkcs8()).public == public
    assert default_algorithm(kind) == FITTING[kind][0 if kind is not KeyKind.RSA3072 else 1]


def test_oaep_is_for_rsa_and_does_not_open_for_others():
    owner, other = SIGNERS[KeyKind.RSA2048], SoftSigner.generate(KeyKind.RSA2048)
    sealed = owner.public.encrypt_oaep(b"secret")
    assert owner.decrypt_oaep(sealed) == b"secret"
    with pytest.raises(NotAuthenticated):
        other.decrypt_oaep(sealed)
    with pytest.raises(LocalError):
        SIGNERS[KeyKind.P256].public.encrypt_oaep(b"secret")
    with pytest.raises(LocalError):
        SIGNERS[KeyKind.P256].decrypt_oaep(sealed)


def test_a_private_key_and_a_point_off_the_curve_are_no_public_keys():
    whole = encode_key(SIGNERS[KeyKind.P256].public)
    for change in ({-4: bytes(32)}, {-2: bytes(32)}, {-1: 3}, {-2: bytes(33)}, {1: 1}, {1: None}):
        with pytest.raises(MalformedMessage):
            decode_key(whole | change)
    with pytest.raises(MalformedMessage):
        decode_key(encode_key(SIGNERS[KeyKind.RSA2048].public) | {-3: b"\x01"})


def test_other_kinds_of_keys_are_refused():
    small = bytes.fromhex(  # Ed25519, RFC 8410 section 10.1
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    )
    with pytest.raises(MalformedMessage):
        PublicKeyHandle.from_spki(small)
    with pytest.raises(MalformedMessage):
        PublicKeyHandle.from_rsa(b"\xc5" * 128, b"\x01\x00\x01")


def test_nothing_of_a_private_key_is_in_its_repr():
    assert repr(SIGNERS[KeyKind.P256]) == "SoftSigner(P-256)"


@given(st.dictionaries(st.integers(-9, 9), st.binary(max_size=40) | st.integers() | st.none(), max_size=6))
def test_any_map_is_a_key_or_malformed(item: dict[int, object]):
    with contextlib.suppress(MalformedMessage):
        decode_key(item, need_type=False)


RFC_6979_P384 = PublicKeyHandle.from_xy(  # RFC 6979 appendix A.2.6
    KeyKind.P384,
    bytes.fromhex(
        "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13"
    ),
    bytes.fromhex(
        "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720"
    ),
)
SAMPLE = bytes.fromhex(
    "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
    "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"
)


def test_the_signature_of_rfc_6979_is_an_es384_signature():
    RFC_6979_P384.verify(ES384, b"sample", SAMPLE)
    for signature in (SAMPLE[48:] + SAMPLE[:48], SAMPLE[:95], b"", bytes(96), b"\xff" * 96):
        with pytest.raises(NotAuthenticated):
            RFC_6979_P384.verify(ES384, b"sample", signature)


def test_an_exponent_as_long_as_the_modulus_is_refused():
    modulus, _exponent = SIGNERS[KeyKind.RSA2048].public.ne()
    slow = rsa.RSAPublicNumbers(int.from_bytes(modulus, "big") - 2, int.from_bytes(modulus, "big"))
    der = slow.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(MalformedMessage):
        PublicKeyHandle.from_spki(der)


@given(st.binary(max_size=400), st.binary(max_size=12))
def test_any_numbers_are_an_rsa_key_or_malformed(n: bytes, e: bytes):
    with pytest.raises(MalformedMessage):
        PublicKeyHandle.from_rsa(n, e)


@given(st.sampled_from([KeyKind.P256, KeyKind.P384]), st.binary(max_size=60), st.binary(max_size=60))
def test_any_coordinates_are_a_point_or_malformed(kind: KeyKind, x: bytes, y: bytes):
    with pytest.raises(MalformedMessage):
        PublicKeyHandle.from_xy(kind, x, y)


@given(st.sampled_from(list(KeyKind)), st.integers(0, 10_000))
def test_a_key_with_a_flipped_bit_is_another_key_or_malformed(kind: KeyKind, position: int):
    """In the number itself, that is: SEC 1 has a hybrid form, one bit away, of the same point."""
    der = bytearray(SIGNERS[kind].public.der)
    der[-1 - position // 8 % 64] ^= 1 << position % 8
    with contextlib.suppress(MalformedMessage):
        assert PublicKeyHandle.from_spki(bytes(der)) != SIGNERS[kind].public
