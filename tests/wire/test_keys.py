"""Public handles and signers: every kind and algorithm, and everything that does not verify."""

from __future__ import annotations

import contextlib

import pytest
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
