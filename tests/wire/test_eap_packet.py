"""The EAP header (RFC 3748 section 4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage
from bootstrap.wire import eap
from bootstrap.wire.eap import EapCode, EapPacket, EapType

typed = st.builds(
    EapPacket,
    st.sampled_from([EapCode.REQUEST, EapCode.RESPONSE]),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=40),
)
untyped = st.builds(EapPacket, st.sampled_from([EapCode.SUCCESS, EapCode.FAILURE]), st.integers(0, 255))


def test_an_identity_response_has_the_octets_of_the_standard():
    packet = eap.response(7, EapType.IDENTITY, b"noob@eap-noob.arpa")
    assert packet.encode() == b"\x02\x07\x00\x17\x01noob@eap-noob.arpa"
    assert EapPacket.decode(packet.encode()) == packet


def test_success_and_failure_are_four_octets():
    assert eap.success(9).encode() == b"\x03\x09\x00\x04"
    assert eap.failure(9).encode() == b"\x04\x09\x00\x04"


def test_a_nak_names_types_or_zero():
    assert eap.nak(1, EapType.TLS, EapType.NOOB).data == b"\x0d\x38"
    assert eap.nak(1).data == b"\x00"


@given(typed | untyped)
def test_every_packet_round_trips_and_padding_is_ignored(packet):
    assert EapPacket.decode(packet.encode()) == packet
    assert EapPacket.decode(packet.encode() + b"\xff\x00") == packet


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_malformed(octets):
    try:
        packet = EapPacket.decode(octets)
    except MalformedMessage:
        return
    assert octets.startswith(packet.encode())


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x01\x01\x00",
        b"\x01\x01\x00\x04",
        b"\x01\x01\x00\x03\x01",
        b"\x01\x01\x00\x06\x01",
        b"\x03\x01\x00\x05\x01",
        b"\x00\x01\x00\x05\x01",
        b"\x05\x01\x00\x05\x01",
    ],
)
def test_lengths_and_codes_that_do_not_fit_are_malformed(octets):
    with pytest.raises(MalformedMessage):
        EapPacket.decode(octets)


@pytest.mark.parametrize(
    "packet",
    [
        EapPacket(EapCode.REQUEST, 1),
        EapPacket(EapCode.SUCCESS, 1, EapType.NOOB),
        EapPacket(EapCode.REQUEST, 256, EapType.NOOB),
        EapPacket(EapCode.REQUEST, 1, EapType.NOOB, bytes(65535)),
    ],
)
def test_a_packet_that_cannot_be_sent_is_our_fault(packet):
    with pytest.raises(LocalError):
        packet.encode()
