"""CoAP-EAP payloads and keys. Vectors computed with a hand-written HMAC, not with the code under test."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.wire import coap_eap
from bootstrap.wire.coap_eap import CipherSuite, Parameters, Reading

IDENTITY_REQUEST = bytes.fromhex("0107000501")
MSK = bytes(range(64))


def expand(msk: bytes, info: bytes, length: int, digest: str = "sha256") -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3) for one block."""
    return hmac.new(msk, info + b"\x01", getattr(hashlib, digest)).digest()[:length]


def test_the_first_payload_is_the_packet_and_the_map_of_the_published_example():
    """``a1 02 41 14``: RID-C 0x14, as the C implementation of RFC 9820 sends it."""
    assert coap_eap.join(IDENTITY_REQUEST, Parameters(rid_c=b"\x14")) == IDENTITY_REQUEST + bytes.fromhex(
        "a1024114"
    )


def test_a_payload_splits_by_the_length_of_the_eap_packet():
    packet, parameters = coap_eap.split(IDENTITY_REQUEST + bytes.fromhex("a30181000341aa041a00015180"))
    assert packet == IDENTITY_REQUEST
    assert parameters == Parameters(cipher_suites=(0,), rid_i=b"\xaa", session_lifetime_seconds=86400)


def test_unknown_keys_are_skipped_and_order_does_not_matter():
    assert coap_eap.split(IDENTITY_REQUEST + bytes.fromhex("a3034102187b6178024101"))[1] == Parameters(
        rid_c=b"\x01", rid_i=b"\x02"
    )


@pytest.mark.parametrize(
    "tail",
    [
        "a0a0",  # something after the map
        "80",  # not a map
        "a10180",  # no suite at all
        "a1018118ff18",  # cut off
        "a101811800",  # suite 0 in two octets: not as we would hash it
        "a1f58100",  # key true, which Python takes for 1
        "a101f5",
        "a10248" + "00" * 8,  # Recipient ID too long for the nonce
        "a1026114",  # text instead of octets
        "a10420",  # negative lifetime
        "a1041b0000000100000000",
        "bf024114ff",  # indefinite length
        "a202411402411 5".replace(" ", ""),  # a key twice
        "a101d81c8100",  # a tag
        "a1181958" + "3e" + "00" * 62,  # more octets than the map may have
    ],
)
def test_a_bad_map_is_malformed(tail: str):
    with pytest.raises(MalformedMessage):
        coap_eap.split(IDENTITY_REQUEST + bytes.fromhex(tail))


@pytest.mark.parametrize("payload", [b"", b"\x01\x07\x00", b"\x01\x07\x00\x03", b"\x01\x07\x00\x06\x01"])
def test_a_length_that_is_not_the_packets_is_malformed(payload: bytes):
    with pytest.raises(MalformedMessage):
        coap_eap.split(payload)


def test_a_packet_above_the_eap_mtu_is_refused_in_both_directions():
    packet = b"\x01\x00" + (1021).to_bytes(2, "big") + bytes(1017)
    with pytest.raises(MalformedMessage):
        coap_eap.split(packet)
    with pytest.raises(LocalError):
        coap_eap.join(packet)


@given(st.binary(max_size=80))
def test_any_octets_split_or_are_malformed(octets: bytes):
    try:
        packet, parameters = coap_eap.split(octets)
    except MalformedMessage:
        return
    assert octets.startswith(packet)
    assert coap_eap.split(coap_eap.join(packet, parameters)) == (packet, parameters)


@given(
    st.builds(
        Parameters,
        cipher_suites=st.lists(st.integers(-24, 4), max_size=4).map(tuple),
        rid_c=st.none() | st.binary(max_size=7),
        rid_i=st.none() | st.binary(max_size=7),
        session_lifetime_seconds=st.none() | st.integers(0, 2**32 - 1),
    )
)
def test_parameters_come_back_as_they_went(parameters: Parameters):
    assert Parameters.decode(parameters.encode()) == parameters


def test_default_keys_hash_two_arrays_of_suite_zero_and_the_upper_case_label():
    master = coap_eap.derive_oscore_master(MSK, (), CipherSuite.AES_CCM_16_64_128_SHA256)
    assert master.secret == expand(MSK, bytes.fromhex("81008100") + b"COAP-EAP OSCORE MASTER SECRET", 16)
    assert master.salt == expand(MSK, bytes.fromhex("81008100") + b"COAP-EAP OSCORE MASTER SALT", 8)


def test_default_keys_are_these_octets():
    """From the openssl command line (``openssl kdf`` HKDF, mode EXPAND_ONLY), fixed for good."""
    master = coap_eap.derive_oscore_master(MSK, (0,), CipherSuite.AES_CCM_16_64_128_SHA256)
    assert (master.secret.hex(), master.salt.hex()) == (
        "ceadf1c3cbfe1dc3b3c5eaa689a7fc35",
        "a598782be40101d4",
    )


def test_the_offer_and_the_choice_both_enter_the_keys_with_the_suites_own_hash():
    master = coap_eap.derive_oscore_master(MSK, (2, 0), CipherSuite.A256GCM_SHA384)
    info = bytes.fromhex("8202008102") + b"COAP-EAP OSCORE MASTER SECRET"
    assert master.secret == expand(MSK, info, 16, "sha384")


def test_a_stripped_offer_gives_other_keys():
    suite = CipherSuite.AES_CCM_16_64_128_SHA256
    assert coap_eap.derive_oscore_master(MSK, (3, 0), suite) != coap_eap.derive_oscore_master(
        MSK, (0,), suite
    )


def test_the_other_published_reading_hashes_bare_numbers():
    master = coap_eap.derive_oscore_master(
        MSK, (), CipherSuite.AES_CCM_16_64_128_SHA256, Reading.BARE_NUMBERS
    )
    assert master.secret == expand(MSK, b"\x00\x00COAP-EAP OSCORE MASTER SECRET", 16)


def test_a_short_msk_is_our_fault_and_keys_stay_out_of_repr():
    with pytest.raises(LocalError):
        coap_eap.derive_oscore_master(MSK[:32], (), coap_eap.DEFAULT_SUITE)
    master = coap_eap.derive_oscore_master(MSK, (), coap_eap.DEFAULT_SUITE)
    assert master.secret.hex() not in repr(master)
    assert repr(master.secret) not in repr(master)


@pytest.mark.parametrize(
    ("offered", "chosen"), [((), (1,)), ((0, 1), (2,)), ((0,), (0, 0)), ((4,), (4,)), ((3,), ())]
)
def test_a_choice_that_was_not_offered_is_refused(offered: tuple[int, ...], chosen: tuple[int, ...]):
    with pytest.raises(NotAuthenticated):
        coap_eap.agree(offered, chosen)


def test_nothing_sent_means_suite_zero_and_the_peer_takes_the_first_it_knows():
    assert coap_eap.agree((), ()) is CipherSuite.AES_CCM_16_64_128_SHA256
    assert coap_eap.agree((2, 0), (2,)) is CipherSuite.A256GCM_SHA384
    assert coap_eap.choose((4, -21, 3, 0)) is CipherSuite.CHACHA20_POLY1305_SHA256
    with pytest.raises(NotAuthenticated):
        coap_eap.choose((4, -21))


def test_recipient_ids_must_differ_and_fit_the_nonce():
    coap_eap.check_recipient_ids(CipherSuite.AES_CCM_16_64_128_SHA256, b"1234567", b"")
    for suite, rid_c, rid_i in [(0, b"1", b"1"), (0, b"", b""), (1, b"1234567", b"1"), (3, b"", b"1234567")]:
        with pytest.raises(NotAuthenticated):
            coap_eap.check_recipient_ids(CipherSuite(suite), rid_c, rid_i)


def test_resource_names_become_path_segments():
    assert coap_eap.decode_path(b"/a/eap/1") == ("a", "eap", "1")


@pytest.mark.parametrize(
    "text",
    [b"", b"a", b"/", b"//", b"/a/", b"/a?b", b"/a b", b"/a%2fb", b"/\xff", b"/..", b"/" + b"a" * 128,
     b"/a" * 9, b"/.well-known/coap-eap", b"/a\x00"],
)  # fmt: skip
def test_a_payload_that_names_no_resource_is_malformed(text: bytes):
    with pytest.raises(MalformedMessage):
        coap_eap.decode_path(text)


@given(st.binary(max_size=140))
def test_any_octets_name_a_resource_or_are_malformed(text: bytes):
    try:
        segments = coap_eap.decode_path(text)
    except MalformedMessage:
        return
    assert "/" + "/".join(segments) == text.decode()
