"""RADIUS codec: the examples of RFC 2865, a recorded foreign session, hand-built octets, any bytes."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.wire import radius
from bootstrap.wire.radius import Attribute, AttributeType, Code, MppeKeys, Packet

VECTORS = Path(__file__).parents[1] / "vectors" / "radius"
RECORDED = json.loads((VECTORS / "hostapd-eap-psk.json").read_text())
RFC2865_SECRET = b"xyzzy5461"

RFC2865_SECTION_7 = [
    (
        "7.1",
        "01000038 0f403f94 73978057 bd83d5cb 98f4227a 01066e65 6d6f0212"
        "0dbe708d 93d413ce 3196e43f 782a0aee 0406c0a8 01100506 00000003",
        "02000026 86fe220e 7624ba2a 1005f6bf 9b55e0b2 06060000 00010f06 00000000 0e06c0a8 0103",
    ),
    (
        "7.2",
        "01010047 2aee86f0 8d0d5596 9ca5978e 0d3367a2 0108666c 6f707379 031316e9 7557c316 185895f2"
        "93ff6344 07727504 06c0a801 10050600 00001406 06000000 02070600 000001",
        "02010038 15efbc7d ab26cfa3 dc34d9c0 3c8601a4 06060000 00020706 00000001"
        "0806ffff fffe0a06 00000002 0d060000 00010c06 000005dc",
    ),
    (
        "7.3 challenge",
        "01020039 f3a47a1f 6a6d7671 0b947ab9 3041a039 01076d6f 70737902 12336575 73778289 b570885e"
        "15084825 c50406c0 a8011005 06000000 07",
        "0b02004e 36f3c876 4ae8c711 57403c0c 71ff9c45 12304368 616c6c65 6e676520 33323736 39343330"
        "2e202045 6e746572 20726573 706f6e73 65206174 2070726f 6d70742e 180a3332 37363934 3330",
    ),
    (
        "7.3 reject",
        "01030043 b122556d 428a13d0 d6253807 c457ecf0 01076d6f 70737902 12692c1f 205fc081 b919b951"
        "95f561a5 810406c0 a8011005 06000000 07180a33 32373639 343330",
        "03030014 a42f4fca 45916c4e 09c8340f 9e746aa0",
    ),
]


"""As printed, but for one octet: the second request of 7.3 shows Length 10 (hexadecimal) for a State of ten
octets, which would overrun the packet."""


def _packets(origin: str) -> list[Packet]:
    return [Packet.decode(bytes.fromhex(p["hex"])) for p in RECORDED["packets"] if p["from"] == origin]


def _request(*attributes: Attribute, secret: bytes = b"s3cret") -> Packet:
    return radius.access_request(7, bytes(range(16)), attributes, secret)


@pytest.mark.parametrize(("section", "request_hex", "reply_hex"), RFC2865_SECTION_7)
def test_examples_of_rfc_2865_decode_and_encode_back(section, request_hex, reply_hex):
    for octets in (bytes.fromhex(request_hex), bytes.fromhex(reply_hex)):
        assert Packet.decode(octets).encode() == octets


@pytest.mark.parametrize(("section", "request_hex", "reply_hex"), RFC2865_SECTION_7)
def test_response_authenticators_of_rfc_2865_recompute(section, request_hex, reply_hex):
    request, reply = Packet.decode(bytes.fromhex(request_hex)), Packet.decode(bytes.fromhex(reply_hex))
    right = radius.response_authenticator(reply, request.authenticator, RFC2865_SECRET)
    assert right == reply.authenticator


def test_the_state_of_the_rfc_2865_challenge_comes_back_in_the_next_request():
    challenge = Packet.decode(bytes.fromhex(RFC2865_SECTION_7[2][2]))
    answer = Packet.decode(bytes.fromhex(RFC2865_SECTION_7[3][1]))
    assert challenge.value(AttributeType.STATE) == answer.value(AttributeType.STATE) == b"32769430"


def test_the_overrunning_state_as_rfc_2865_prints_it_is_malformed():
    printed = bytes.fromhex(RFC2865_SECTION_7[3][1]).replace(b"\x18\x0a3276", b"\x18\x103276")
    with pytest.raises(MalformedMessage):
        Packet.decode(printed)


def test_recorded_requests_of_a_foreign_access_point_verify():
    secret = RECORDED["secret"].encode()
    for request in _packets("nas"):
        radius.verify_request(request, secret)
        assert request.value(AttributeType.USER_NAME) == RECORDED["identity"].encode()
        with pytest.raises(NotAuthenticated):
            radius.verify_request(request, secret + b"x")


def test_recorded_replies_of_a_foreign_server_verify_only_against_their_own_request():
    secret = RECORDED["secret"].encode()
    requests, replies = _packets("nas"), _packets("server")
    assert [r.code for r in replies] == [Code.ACCESS_CHALLENGE, Code.ACCESS_CHALLENGE, Code.ACCESS_ACCEPT]
    for request, reply in zip(requests, replies, strict=True):
        radius.verify_reply(reply, request, secret)
    with pytest.raises(NotAuthenticated):
        radius.verify_reply(replies[0], requests[1], secret)
    with pytest.raises(NotAuthenticated):
        radius.verify_reply(replies[0], replace(requests[1], identifier=replies[0].identifier), secret)


def test_recorded_mppe_keys_open_to_the_halves_of_the_msk():
    accept, request = _packets("server")[-1], _packets("nas")[-1]
    keys = radius.mppe_keys(accept, RECORDED["secret"].encode(), request.authenticator)
    assert keys == MppeKeys.of_msk(bytes.fromhex(RECORDED["msk"]))


def test_recorded_mppe_attributes_are_what_we_would_have_sealed():
    """Same key, same salt, same authenticator: the same octets as the foreign server made."""
    accept, request = _packets("server")[-1], _packets("nas")[-1]
    msk, secret = bytes.fromhex(RECORDED["msk"]), RECORDED["secret"].encode()
    by_type = {value[4]: value[6:] for value in accept.values(AttributeType.VENDOR_SPECIFIC)}
    for kind, key in ((17, msk[:32]), (16, msk[32:])):
        theirs = by_type[kind]
        assert radius.seal_key(key, theirs[:2], secret, request.authenticator) == theirs


def test_request_is_signed_over_the_octets_with_its_first_attribute_zeroed():
    octets = _request(Attribute(AttributeType.USER_NAME, b"a@b")).encode()
    assert octets[20:22] == bytes((80, 18))
    zeroed = octets[:22] + bytes(16) + octets[38:]
    assert octets[22:38] == hmac.new(b"s3cret", zeroed, hashlib.md5).digest()


def test_a_copy_of_the_signature_elsewhere_in_the_packet_does_not_confuse_the_check():
    """Zeroing goes by place: a Proxy-State that repeats the signature stays as it is."""
    body = b"".join((bytes((33, 18)), b"\xaa" * 16))
    head = bytes((1, 9)) + (20 + 18 + len(body)).to_bytes(2, "big") + bytes(range(16)) + bytes((80, 18))
    signature = hmac.new(b"k", head + bytes(16) + body, hashlib.md5).digest()
    signed = Packet.decode(head + signature + body)
    radius.verify_request(signed, b"k")
    echoing = replace(
        signed, attributes=(*signed.attributes[:1], Attribute(AttributeType.PROXY_STATE, signature))
    )
    with pytest.raises(NotAuthenticated):
        radius.verify_request(echoing, b"k")


def test_message_authenticator_is_found_wherever_a_client_put_it():
    for request in _packets("nas"):
        assert request.attributes[-1].type == AttributeType.MESSAGE_AUTHENTICATOR or request.identifier == 2
        radius.verify_request(request, RECORDED["secret"].encode())


def test_a_request_without_message_authenticator_is_not_authenticated():
    request = Packet.decode(bytes.fromhex(RFC2865_SECTION_7[0][1]))
    with pytest.raises(NotAuthenticated):
        radius.verify_request(request, RFC2865_SECRET)


def test_two_message_authenticators_are_malformed():
    octets = _request().encode()
    twice = octets[:2] + (len(octets) + 18).to_bytes(2, "big") + octets[4:] + octets[20:38]
    with pytest.raises(MalformedMessage):
        Packet.decode(twice)


def test_reply_starts_with_message_authenticator_and_ends_with_the_proxy_states_in_order():
    states = [Attribute(AttributeType.PROXY_STATE, value) for value in (b"two", b"", b"one")]
    request = _request(states[0], Attribute(AttributeType.USER_NAME, b"u"), *states[1:])
    reply = radius.reply_to(
        request, Code.ACCESS_CHALLENGE, [Attribute(AttributeType.STATE, b"token")], b"s3cret"
    )
    kinds = [a.type for a in Packet.decode(reply.encode()).attributes]
    assert kinds == [80, 24, 33, 33, 33]
    assert reply.attributes[2:] == tuple(states)
    assert reply.identifier == request.identifier


def test_reply_authenticators_match_a_computation_by_hand():
    request = _request()
    octets = radius.reply_to(request, Code.ACCESS_REJECT, (), b"s3cret").encode()
    under_request = octets[:4] + request.authenticator + octets[20:]
    zeroed = under_request[:22] + bytes(16)
    assert octets[22:38] == hmac.new(b"s3cret", zeroed, hashlib.md5).digest()
    assert octets[4:20] == hashlib.md5(under_request + b"s3cret").digest()


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_in_a_reply_is_refused(at, bit):
    request = _request(Attribute(AttributeType.PROXY_STATE, b"p"))
    attributes = radius.eap_attributes(b"\x01\x05\x00\x06\x38\x00")
    octets = bytearray(radius.reply_to(request, Code.ACCESS_CHALLENGE, attributes, b"s3cret").encode())
    octets[at % len(octets)] ^= 1 << bit
    with pytest.raises((MalformedMessage, NotAuthenticated)):
        radius.verify_reply(Packet.decode(bytes(octets)), request, b"s3cret")


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_in_a_request_is_refused(at, bit):
    octets = bytearray(_request(*radius.eap_attributes(b"\x02\x05\x00\x06\x03\x00")).encode())
    octets[at % len(octets)] ^= 1 << bit
    with pytest.raises((MalformedMessage, NotAuthenticated)):
        radius.verify_request(Packet.decode(bytes(octets)), b"s3cret")


def test_status_server_is_answered_without_other_attributes():
    request = radius.status_server(3, bytes(16), b"s3cret")
    radius.verify_request(request, b"s3cret")
    reply = radius.reply_to(request, Code.ACCESS_ACCEPT, (), b"s3cret")
    radius.verify_reply(reply, request, b"s3cret")
    assert [a.type for a in reply.attributes] == [AttributeType.MESSAGE_AUTHENTICATOR]


@pytest.mark.parametrize(
    ("length", "pieces"), [(4, [4]), (253, [253]), (254, [253, 1]), (1020, [253] * 4 + [8])]
)
def test_eap_packets_split_at_253_octets_and_join_again(length, pieces):
    eap = bytes(i % 251 for i in range(length))
    attributes = radius.eap_attributes(eap)
    assert [len(a.value) for a in attributes] == pieces
    assert radius.eap_message(Packet.decode(_request(*attributes).encode())) == eap


def test_no_eap_message_differs_from_eap_start():
    assert radius.eap_message(_request()) is None
    start = _request(Attribute(AttributeType.EAP_MESSAGE, b""))
    assert radius.eap_message(Packet.decode(start.encode())) == b""


@pytest.mark.parametrize(
    "attributes",
    [
        [(79, b"ab"), (24, b"s"), (79, b"cd")],
        [(79, b"ab"), (79, b"")],
        [(79, b"ab"), (2, bytes(16))],
        [(79, b"ab"), (3, bytes(17))],
    ],
    ids=["not consecutive", "empty among others", "with User-Password", "with CHAP-Password"],
)
def test_eap_messages_that_rfc_3579_forbids_are_malformed(attributes):
    with pytest.raises(MalformedMessage):
        radius.eap_message(_request(*(Attribute(*a) for a in attributes)))


@pytest.mark.parametrize(
    "body",
    [
        "01", "0101", "0100", "0103", "010261", "1802", "5003ff", "0405c0a801", "0507000000010a",
        "1a0400000137", "1803611803 62", "200361200362",
    ],
)  # fmt: skip
def test_attributes_of_a_wrong_length_or_number_are_malformed(body):
    octets = bytes.fromhex(body)
    head = bytes((1, 0)) + (20 + len(octets)).to_bytes(2, "big") + bytes(16)
    with pytest.raises(MalformedMessage):
        Packet.decode(head + octets)


def test_header_lengths_are_checked_and_padding_is_ignored():
    octets = _request().encode()
    assert Packet.decode(octets + b"padding").encode() == octets
    for wrong in (octets[:19], octets[:-1], octets[:2] + b"\x00\x13" + octets[4:]):
        with pytest.raises(MalformedMessage):
            Packet.decode(wrong)
    with pytest.raises(MalformedMessage):
        Packet.decode(bytes((1, 0)) + (4097).to_bytes(2, "big") + bytes(16) + bytes((33, 255)) * 2048)


@pytest.mark.parametrize("code", [0, 4, 5, 13, 40, 255])
def test_codes_of_other_ports_are_malformed(code):
    with pytest.raises(MalformedMessage):
        Packet.decode(bytes((code, 0, 0, 20)) + bytes(16))


def test_what_does_not_fit_is_our_own_fault():
    with pytest.raises(LocalError):
        Attribute(AttributeType.STATE, bytes(254)).encode()
    with pytest.raises(LocalError):
        _request(*radius.eap_attributes(bytes(4080)))
    with pytest.raises(LocalError):
        MppeKeys.of_msk(bytes(63))


@given(
    key=st.binary(max_size=232),
    secret=st.binary(min_size=1, max_size=40),
    salt=st.binary(min_size=2, max_size=2),
)
def test_mppe_keys_of_any_length_open_again(key, secret, salt):
    salt = bytes((salt[0] | 0x80, salt[1]))
    sealed = radius.seal_key(key, salt, secret, bytes(range(16)))
    assert (len(sealed) - 2) % 16 == 0
    assert radius.open_key(sealed, secret, bytes(range(16))) == key


def test_first_mppe_block_matches_a_computation_by_hand():
    """RFC 2548 section 2.4.2: c(1) = p(1) xor MD5(S + R + A), b(2) = MD5(S + c(1))."""
    salt, authenticator, key = b"\x81\x02", bytes(range(16)), bytes(range(100, 120))
    plain = b"\x14" + key + bytes(11)
    first = bytes(
        a ^ b for a, b in zip(plain[:16], hashlib.md5(b"S" + authenticator + salt).digest(), strict=True)
    )
    second = bytes(a ^ b for a, b in zip(plain[16:], hashlib.md5(b"S" + first).digest(), strict=True))
    assert radius.seal_key(key, salt, b"S", authenticator) == salt + first + second


def test_the_two_keys_of_an_accept_have_marked_and_different_salts():
    keys = MppeKeys.of_msk(bytes(range(64)))
    for salt in (b"\x00\x00", b"\x00\x01", b"\xff\xff"):
        values = [a.value[6:] for a in keys.attributes(b"s", bytes(16), salt)]
        assert all(v[0] & 0x80 for v in values)
        assert values[0][:2] != values[1][:2]


def test_mppe_keys_need_both_halves_and_skip_other_vendors():
    request = _request()
    recv, send = MppeKeys.of_msk(bytes(range(64))).attributes(b"s3cret", request.authenticator, b"\x01\x02")
    cisco = Attribute(AttributeType.VENDOR_SPECIFIC, b"\x00\x00\x00\x09\x01")
    whole = radius.reply_to(request, Code.ACCESS_ACCEPT, (cisco, recv, send), b"s3cret")
    half = radius.reply_to(request, Code.ACCESS_ACCEPT, (cisco, recv), b"s3cret")
    opened = radius.mppe_keys(whole, b"s3cret", request.authenticator)
    assert opened == MppeKeys(bytes(range(32)), bytes(range(32, 64)))
    assert radius.mppe_keys(half, b"s3cret", request.authenticator) is None


@given(st.binary(max_size=300))
def test_any_bytes_open_as_a_key_or_are_malformed(value):
    try:
        radius.open_key(value, b"s", bytes(16))
    except MalformedMessage:
        return


@given(st.binary(max_size=300) | st.binary(max_size=200).map(
    lambda body: bytes((1, 0)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body
))  # fmt: skip
def test_any_bytes_decode_to_themselves_or_are_malformed(data):
    try:
        packet = Packet.decode(data)
    except MalformedMessage:
        return
    assert data.startswith(packet.encode())
    try:
        radius.eap_message(packet)
        radius.mppe_keys(packet, b"s", bytes(16))
    except MalformedMessage:
        return


@given(
    st.lists(st.tuples(st.sampled_from([33, 79, 26, 200]), st.binary(min_size=5, max_size=253)), max_size=12)
)
def test_any_attributes_survive_the_wire(pairs):
    packet = Packet(Code.ACCESS_REQUEST, 1, bytes(16), tuple(Attribute(*pair) for pair in pairs))
    assert Packet.decode(packet.encode()) == packet


def test_addresses_of_both_families_become_their_attribute():
    assert radius.nas_address(ip_address("192.0.2.1")) == Attribute(4, bytes((192, 0, 2, 1)))
    assert radius.nas_address(ip_address("2001:db8::1")).type == AttributeType.NAS_IPV6_ADDRESS


def test_no_secret_shows_in_a_repr():
    keys = MppeKeys(b"RECVKEYRECVKEY", b"SENDKEYSENDKEY")
    packet = _request(Attribute(AttributeType.STATE, b"TOKENTOKEN"))
    shown = repr(keys) + repr(packet)
    assert not any(word in shown for word in ("RECVKEY", "SENDKEY", "TOKEN", repr(packet.authenticator)))
