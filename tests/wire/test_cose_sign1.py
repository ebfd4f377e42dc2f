"""COSE_Sign1: what was received is what is verified; CBOR slices are the octets that came."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage, NotAuthenticated
from bootstrap.wire import cbor
from bootstrap.wire.cose import Sign1, sign1
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, SoftSigner, default_algorithm

SIGNER = SoftSigner.generate(KeyKind.P256)
WORKING_GROUP = PublicKeyHandle.from_xy(  # key "11" of RFC 9052 appendix C.7.1
    KeyKind.P256,
    bytes.fromhex("bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"),
    bytes.fromhex("20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"),
)
EXAMPLE = bytes.fromhex(  # RFC 9052 appendix C.2.1, "Single ECDSA Signature"
    "d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c"
    "083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36"
)


def test_the_example_of_the_standard_verifies():
    message = Sign1.decode(EXAMPLE)
    assert (message.payload, message.unprotected, message.algorithm) == (
        b"This is the content.",
        {4: b"11"},
        -7,
    )
    message.verify(WORKING_GROUP)
    assert message.encode() == EXAMPLE
    with pytest.raises(NotAuthenticated):
        message.verify(SIGNER.public)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_what_we_sign_verifies_with_and_without_its_tag(kind: KeyKind):
    signer = SoftSigner.generate(kind)
    made = sign1(signer, default_algorithm(kind), b"payload", unprotected={256: b"nonce"}, external_aad=b"a")
    octets = made.encode()
    for form in (octets, octets[1:], cbor2.loads(octets)):
        read = Sign1.decode(form)
        read.verify(signer.public, external_aad=b"a")
        assert read == made
        assert read.encode() == octets
        with pytest.raises(NotAuthenticated):
            read.verify(signer.public)
        with pytest.raises(NotAuthenticated):
            read.verify(signer.public, external_aad=b"a", payload=b"other")


@given(st.integers(0, len(EXAMPLE) * 8 - 1))
def test_no_flipped_bit_verifies(position: int):
    changed = bytearray(EXAMPLE)
    changed[position // 8] ^= 1 << position % 8
    try:
        message = Sign1.decode(bytes(changed))
        message.verify(WORKING_GROUP)
    except (MalformedMessage, NotAuthenticated):
        return
    assert (message.protected, message.payload) == (b"\xa1\x01\x26", b"This is the content.")
    assert message.unprotected != {4: b"11"}, "only what nothing protects may differ"


@given(st.binary(max_size=200))
def test_any_octets_are_a_sign1_or_malformed(octets: bytes):
    for form in (octets, b"\xd2" + octets, b"\x84" + octets):
        try:
            Sign1.decode(form).verify(SIGNER.public)
        except (MalformedMessage, NotAuthenticated):
            continue


ITEMS = st.recursive(
    st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(max_size=40)
    | st.none()
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(ITEMS, max_size=8))
def test_slices_of_an_array_put_together_are_the_array(items: list[object]):
    octets = cbor2.dumps(items)
    slices = cbor.split_array(octets, max_depth=12)
    assert octets.endswith(b"".join(slices))
    assert [cbor2.loads(one) for one in slices] == cbor2.loads(octets)


def test_slices_keep_an_encoding_that_is_not_the_shortest():
    assert cbor.split_array(bytes.fromhex("83 1800 1900ff d2810a".replace(" ", ""))) == [
        b"\x18\x00",
        b"\x19\x00\xff",
        b"\xd2\x81\x0a",
    ]


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "80ff",
        "8201",
        "9f01ff",
        "81" * 20,
        "9bffffffffffffffff",
        "815f4101ff",
        "8158ff00",
        "a0",
        "811c",
        "819bffffffffffffffff00",
    ],
)
def test_what_cannot_be_sliced_is_malformed(octets: str):
    with pytest.raises(MalformedMessage):
        cbor.split_array(bytes.fromhex(octets))


@given(st.binary(max_size=120))
def test_slicing_any_octets_ends(octets: bytes):
    for whole in (octets, b"\x84" + octets):
        try:
            cbor.split_array(whole)
        except MalformedMessage:
            continue


def test_only_named_tags_are_kept():
    assert cbor.decode_tagged(b"\xd2\x01").tag == 18
    for octets in (b"\xc1\x01", b"\xd8\x1c\x01", b"\x81\xd9\x01\x02\x01"):
        with pytest.raises(MalformedMessage):
            cbor.decode_tagged(octets)
    with pytest.raises(MalformedMessage):
        cbor.decode(b"\xd2\x01")
