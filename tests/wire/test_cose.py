"""COSE_Encrypt0: the COSE working group's own examples, and whatever bytes."""

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage, NotAuthenticated
from bootstrap.wire import cbor, cose

# The COSE working group's examples (github.com/cose-wg/Examples): aes-gcm-enc-01 and aes-gcm-enc-03.
KEY_128 = bytes.fromhex("849B57219DAE48DE646D07DBB533566E")
KEY_256 = bytes.fromhex("0F1E2D3C4B5A69788796A5B4C3D2E1F01F2E3D4C5B6A798897A6B5C4D3E2F100")
IV = bytes.fromhex("02D1F7E6F26C43D4868D87CE")
CONTENT = b"This is the content."
EXAMPLES = [
    pytest.param(
        cose.Algorithm.A128GCM,
        KEY_128,
        "D08343A10101A1054C02D1F7E6F26C43D4868D87CE582460973A94BB2898009EE52ECFD9AB1DD2"
        "5867374B162E2C03568B41F57C3CC16F9166250A",
        id="aes-gcm-enc-01",
    ),
    pytest.param(
        cose.Algorithm.A256GCM,
        KEY_256,
        "D08343A10103A1054C02D1F7E6F26C43D4868D87CE58249D64A5A59A3B04867DCCF6B8EF82F7D1"
        "A3B25EF84ECA2BC5D7593A96E943859A9CC24AD3",
        id="aes-gcm-enc-03",
    ),
]


@pytest.mark.parametrize(("algorithm", "key", "octets"), EXAMPLES)
def test_an_example_of_the_working_group_opens_and_seals_to_the_same_octets(algorithm, key, octets):
    message = cose.Encrypt0.decode(bytes.fromhex(octets))
    assert message.algorithm is algorithm
    assert cose.open(message, key) == CONTENT
    assert cose.seal(CONTENT, key, IV, algorithm=algorithm) == bytes.fromhex(octets)


def test_enc_structure_is_the_one_that_rfc_8613_prints():
    """RFC 8613 appendix C.4 shows the whole Enc_structure around its external_aad."""
    external_aad = bytes.fromhex("8501810a40411440")
    assert cose.enc_structure(b"", external_aad).hex() == "8368456e63727970743040488501810a40411440"


def test_enc_structure_opens_the_example_of_rfc_9052():
    """RFC 9052 appendix C.4.1 uses AES-CCM, which we do not speak; what it authenticates is the same."""
    protected, unprotected, ciphertext = cbor2.loads(
        bytes.fromhex(
            "D08343A1010AA1054D89F52F65A1C580933B5261A78C581C5974E1B99A3A4CC09A659AA2E9E7FFF1"
            "61D38CE71CB45CE460FFB569"
        )
    ).value
    key = AESCCM(bytes.fromhex("849B5786457C1491BE3A76DCEA6C4271"), tag_length=8)
    assert key.decrypt(unprotected[5], ciphertext, cose.enc_structure(protected, b"")) == CONTENT


def test_the_protected_octets_that_arrived_are_the_ones_authenticated():
    """{1: 3} with a needlessly long 3: re-encoding would shorten it and the tag would not fit."""
    protected = bytes.fromhex("A1011803")
    sealed = AESGCM(KEY_256).encrypt(IV, CONTENT, cbor2.dumps(["Encrypt0", protected, b"aad"]))
    octets = b"\xd0" + cbor2.dumps([protected, {5: IV}, sealed])
    assert cose.open(cose.Encrypt0.decode(octets), KEY_256, external_aad=b"aad") == CONTENT


def test_every_flipped_bit_is_refused():
    octets = cose.seal(CONTENT, KEY_256, IV, external_aad=b"aad")
    for bit in range(len(octets) * 8):
        flipped = bytearray(octets)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedMessage, NotAuthenticated)):
            cose.open(cose.Encrypt0.decode(bytes(flipped)), KEY_256, external_aad=b"aad")


def test_wrong_key_wrong_aad_and_wrong_algorithm_look_alike():
    message = cose.Encrypt0.decode(cose.seal(CONTENT, KEY_256, IV, kid=b"device"))
    assert message.kid == b"device"
    for key, aad in ((bytes(32), b""), (KEY_256, b"other"), (KEY_128, b"")):
        with pytest.raises(NotAuthenticated):
            cose.open(message, key, external_aad=aad)


@pytest.mark.parametrize(
    "item",
    [
        [b"\xa1\x01\x03", {5: IV}, bytes(15)],
        [b"\xa1\x01\x03", {5: IV}, None],
        [b"\xa1\x01\x03", {5: IV[:11]}, bytes(16)],
        [b"\xa1\x01\x03", {5: IV, 4: bytes(129)}, bytes(16)],
        [b"\xa1\x01\x03", {5: IV, 2: [1]}, bytes(16)],
        [b"\xa1\x01\x03", {5: IV, "5": IV}, bytes(16)],
        [b"\xa1\x01\x03", {}, bytes(16)],
        [b"\xa1\x01\x0a", {5: IV}, bytes(16)],
        [b"\xa1\xf5\x03", {5: IV}, bytes(16)],
        [b"\xa2\x01\x03\x02\x80", {5: IV}, bytes(16)],
        [b"", {5: IV, 1: 3}, bytes(16)],
        [b"\xa1\x01\x03", {5: IV}, bytes(16), []],
        {},
    ],
)
def test_what_the_profile_leaves_out_is_malformed(item):
    with pytest.raises(MalformedMessage):
        cose.Encrypt0.decode(b"\xd0" + cbor2.dumps(item))


@given(st.binary(max_size=128))
def test_any_bytes_decode_or_are_malformed(octets):
    for candidate in (octets, b"\xd0" + octets, b"\xd0\x83" + octets):
        try:
            cose.Encrypt0.decode(candidate)
        except MalformedMessage:
            continue


@pytest.mark.parametrize("tag", [*range(0, 300), 1004, 43000, 55799])
def test_no_cbor_tag_is_followed(tag):
    with pytest.raises(MalformedMessage):
        cbor.decode(cbor2.dumps([cbor2.CBORTag(tag, 0)]))


def test_cbor_that_goes_on_repeats_a_key_or_nests_too_deep_is_malformed():
    for octets in (b"\x01\x02", b"\xa2\x01\x01\x01\x02", b"\x81" * 9 + b"\x01", b"\x9f\xff", b""):
        with pytest.raises(MalformedMessage):
            cbor.decode(octets)


@given(st.binary(max_size=64))
def test_any_bytes_are_one_plain_cbor_item_or_malformed(octets):
    try:
        item = cbor.decode(octets)
    except MalformedMessage:
        return
    assert cbor.encode(cbor.decode(cbor.encode(item))) == cbor.encode(item)
