"""COSE_Mac0: published examples, and whatever octets."""

import contextlib
import hmac

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage
from bootstrap.wire.cose import Mac0, mac_structure

KEY = bytes.fromhex("849b57219dae48de646d07dbb533566e976686457c1491be3a76dcea6c427188")
RFC_9052 = bytes.fromhex(  # appendix C.6.1, AES-CBC-MAC-256/64
    "d18443a1010fa054546869732069732074686520636f6e74656e742e48726043745027214f"
)


def test_mac_structure_is_what_the_example_of_rfc_9052_authenticates():
    message = Mac0.decode(RFC_9052)
    data = mac_structure(message.protected, b"", message.payload)
    context = Cipher(algorithms.AES(KEY), modes.CBC(bytes(16))).encryptor()
    last = context.update(data + bytes(-len(data) % 16))[-16:]
    assert last[:8] == message.tag
    assert message.payload == b"This is the content."
    assert message.encode() == RFC_9052


def test_mac_structure_spelt_by_hand():
    """RFC 9052 section 6.3: ["MAC0", protected, external_aad, payload]."""
    assert mac_structure(b"\xa1\x01\x05", b"", b"pay") == bytes.fromhex("84 644d414330 43a10105 40 43706179")


def test_a_message_reads_back_with_and_without_its_tag():
    made = Mac0(b"\xa1\x01\x05", {4: b"kid"}, b"payload", hmac.digest(KEY, b"x", "sha256"))
    assert Mac0.decode(made.encode()) == made == Mac0.decode(made.encode()[1:])
    assert made.tag.hex() not in repr(made)


@pytest.mark.parametrize(
    "item",
    [
        [],
        [b"", {}, b""],
        [b"", {}, None, b""],
        [{}, {}, b"", b""],
        [b"", [], b"", b""],
        [b"", {"alg": 5}, b"", b""],
        [b"", {True: 5}, b"", b""],
        {1: 2},
    ],
)
def test_another_shape_is_malformed(item):
    with pytest.raises(MalformedMessage):
        Mac0.decode(b"\xd1" + cbor2.dumps(item))


@given(st.binary(max_size=120))
def test_any_octets_are_a_mac0_or_malformed(octets):
    for form in (octets, b"\xd1" + octets, b"\xd1\x84" + octets):
        with contextlib.suppress(MalformedMessage):
            Mac0.decode(form)
