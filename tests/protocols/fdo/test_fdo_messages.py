"""Every message of FDO 1.1: round trips, hostile octets, and the forms that other implementations send."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from cbor2 import CBORTag, dumps
from fdo_hand import certificate, key, public
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bootstrap import errors
from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.protocols.fdo import messages as m
from bootstrap.protocols.fdo.constants import (
    ERROR_CODES,
    ERROR_TEXT,
    ERROR_TEXT_MAX_LENGTH,
    MESSAGE_NAMES,
    CredentialReuse,
    ErrorCode,
    InvalidGuid,
    InvalidIpAddress,
    InvalidOwnerSign,
    InvalidToken,
    InvalidVoucher,
    KeyEncoding,
    KeyType,
    MessageType,
    ResourceNotFound,
    error_code,
)
from bootstrap.protocols.fdo.primitives import Hash, SigInfo
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.wire import cbor
from bootstrap.wire.keys import KeyKind, PublicKeyHandle

P256 = key(KeyKind.P256)
few = settings(max_examples=25, deadline=None)
NONCE, GUID = bytes(range(16)), bytes(range(100, 116))

nonces = st.binary(min_size=16, max_size=16)
hashes = st.one_of(
    st.builds(Hash, st.sampled_from([-16, 5]), st.binary(min_size=32, max_size=32)),
    st.builds(Hash, st.sampled_from([-43, 6]), st.binary(min_size=48, max_size=48)),
)
sig_infos = st.builds(SigInfo, st.sampled_from([-7, -35, -257, -258, -37, -38, 90]), st.binary(max_size=40))
uint8, uint16, uint32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
texts = st.text(max_size=60)
pairs = st.lists(st.tuples(texts, st.binary(max_size=30)), max_size=5).map(tuple)
addresses = st.builds(
    m.RvTo2Addr,
    st.one_of(st.none(), st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    st.one_of(st.none(), texts),
    uint16,
    uint8,
)
infos = st.builds(
    m.DeviceMfgInfo,
    uint8,
    uint8,
    texts,
    texts,
    st.binary(max_size=50),
    st.just(()) | st.just((b"\xf6", b"\x40")),
)
KEYS = [
    public(KeyKind.P256),
    public(KeyKind.P384, encoding=KeyEncoding.COSEKEY),
    public(KeyKind.P256, encoding=KeyEncoding.X5CHAIN),
]
keys = st.sampled_from(KEYS)
rvinfos = st.just(cbor.encode([[[5, cbor.encode("rv.example")]]]))


def signed(message: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return message.map(lambda one: one.sign(P256, -7))


MESSAGES: dict[type[Any], st.SearchStrategy[Any]] = {
    m.AppStart: st.builds(m.AppStart, st.none() | infos),
    m.SetCredentials: st.builds(m.SetCredentials, st.binary(max_size=60)),
    m.SetHmac: st.builds(m.SetHmac, hashes),
    m.DiDone: st.just(m.DiDone()),
    m.To0Hello: st.just(m.To0Hello()),
    m.To0HelloAck: st.builds(m.To0HelloAck, nonces),
    m.OwnerSign: st.builds(m.OwnerSign, st.binary(max_size=50), st.just(b"\xd2\x84\x40\xa0\x40\x40")),
    m.AcceptOwner: st.builds(m.AcceptOwner, uint32),
    m.HelloRv: st.builds(m.HelloRv, nonces, sig_infos),
    m.HelloRvAck: st.builds(m.HelloRvAck, nonces, sig_infos),
    m.ProveToRv: signed(st.builds(m.ProveToRv, nonces, nonces)),
    m.RvRedirect: signed(
        st.builds(m.To1d, st.lists(addresses, min_size=1, max_size=3).map(tuple), hashes)
    ).map(lambda one: m.RvRedirect(one.encode())),
    m.HelloDevice: st.builds(
        m.HelloDevice,
        uint16,
        nonces,
        nonces,
        st.text(max_size=32),
        st.integers(-(2**31) + 1, 2**31 - 1),
        sig_infos,
    ),
    m.ProveOvHdr: signed(
        st.builds(
            m.ProveOvHdr,
            st.binary(max_size=60),
            uint8,
            hashes,
            nonces,
            sig_infos,
            st.binary(max_size=100),
            hashes,
            uint16,
            nonces,
            keys,
        )
    ),
    m.GetOvNextEntry: st.builds(m.GetOvNextEntry, uint8),
    m.OvNextEntry: st.builds(m.OvNextEntry, uint8, st.just(b"\xd2\x84\x40\xa0\x40\x40")),
    m.ProveDevice: signed(st.builds(m.ProveDevice, nonces, nonces, st.binary(max_size=100), nonces)),
    m.SetupDevice: signed(st.builds(m.SetupDevice, rvinfos, nonces, nonces, keys)),
    m.DeviceServiceInfoReady: st.builds(m.DeviceServiceInfoReady, st.none() | hashes, st.none() | uint16),
    m.OwnerServiceInfoReady: st.builds(m.OwnerServiceInfoReady, st.none() | uint16),
    m.DeviceServiceInfo: st.builds(m.DeviceServiceInfo, st.booleans(), pairs),
    m.OwnerServiceInfo: st.builds(m.OwnerServiceInfo, st.booleans(), st.booleans(), pairs),
    m.Done: st.builds(m.Done, nonces),
    m.Done2: st.builds(m.Done2, nonces),
    m.ErrorMessage: st.builds(
        m.ErrorMessage, uint16, uint8, texts, st.integers(0, 2**40) | st.text(max_size=60), st.none() | uint32
    ),
}
every_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda cls: cls.__name__)
DECODERS: dict[str, Any] = {cls.__name__: cls.decode for cls in MESSAGES} | {
    "To0d": m.To0d.decode,
    "To1d": m.To1d.decode,
    "DeviceMfgInfo": m.DeviceMfgInfo.decode,
    "PublicKey": PublicKey.decode,
    "Hash": Hash.decode,
}
every_decoder = pytest.mark.parametrize("name", DECODERS)

cbor_items = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=20)
    | st.text(max_size=10)
    | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=10)
        | st.dictionaries(st.integers(-300, 300), inner, max_size=4)
        | st.builds(CBORTag, st.sampled_from([0, 1, 16, 17, 18, 99]), inner)
    ),
    max_leaves=12,
)


def test_there_is_a_decoder_for_every_number_and_a_name() -> None:
    assert set(m.DECODERS) == set(MessageType) == set(MESSAGE_NAMES)
    assert {cls.TYPE for cls in MESSAGES} == set(MessageType)


@every_message
@few
@given(data=st.data())
def test_a_message_comes_back_as_it_went(message: type[Any], data: st.DataObject) -> None:
    one = data.draw(MESSAGES[message])
    octets = one.encode()
    again = message.decode(octets)
    assert again == one
    assert again.encode() == octets


@every_decoder
@few
@given(octets=st.binary(max_size=300))
def test_any_octets_decode_or_are_malformed(name: str, octets: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        DECODERS[name](octets)


@every_decoder
@few
@given(item=cbor_items)
def test_any_cbor_decodes_or_is_malformed(name: str, item: Any) -> None:
    with contextlib.suppress(MalformedMessage):
        DECODERS[name](dumps(item))


@every_message
@few
@given(data=st.data())
def test_a_changed_octet_decodes_to_something_else_or_is_malformed(
    message: type[Any], data: st.DataObject
) -> None:
    octets = bytearray(data.draw(MESSAGES[message]).encode())
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = message.decode(bytes(octets))
    except MalformedMessage:
        return
    if message is not m.ErrorMessage:  # which forgets a timestamp that it cannot read
        assert message.decode(again.encode()) == again


@every_message
@few
@given(data=st.data())
def test_a_message_cut_short_or_with_more_behind_it_is_malformed(
    message: type[Any], data: st.DataObject
) -> None:
    octets = data.draw(MESSAGES[message]).encode()
    with pytest.raises(MalformedMessage):
        message.decode(octets[: data.draw(st.integers(0, len(octets) - 1))])
    with pytest.raises(MalformedMessage):
        message.decode(octets + b"\x00")


@pytest.mark.parametrize(
    "head", [b"\x9b", b"\x9a\xff\xff\xff\xff", b"\x5b", b"\x82\x5a\xff\xff\xff\xff", b"\x84\xbb"]
)
@every_decoder
def test_a_header_that_claims_gigabytes_is_malformed_at_once(name: str, head: bytes) -> None:
    with pytest.raises(MalformedMessage):
        DECODERS[name](head + b"\xff" * 8 + b"\x00" * 100)


@every_decoder
def test_nesting_without_end_is_malformed(name: str) -> None:
    for octets in (b"\x81" * 60000 + b"\x00", b"\xd2" * 60000 + b"\x00", b"\xa1" * 60000):
        with pytest.raises(MalformedMessage):
            DECODERS[name](octets)


SIGNED = [m.ProveToRv, m.ProveOvHdr, m.ProveDevice, m.SetupDevice]


@pytest.mark.parametrize("message", SIGNED, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_signature_holds_for_its_key_alone_and_for_these_octets_alone(
    message: type[Any], data: st.DataObject
) -> None:
    octets = data.draw(MESSAGES[message]).encode()
    message.decode(octets).verify(P256.public)
    with pytest.raises(NotAuthenticated):
        message.decode(octets).verify(key(KeyKind.P256, "other").public)
    changed = bytearray(octets)
    changed[-1 - data.draw(st.integers(0, 63))] ^= 1
    with pytest.raises(NotAuthenticated):
        message.decode(bytes(changed)).verify(P256.public)


@pytest.mark.parametrize("message", SIGNED, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_signed_message_is_read_without_its_tag_and_sent_with_it(
    message: type[Any], data: st.DataObject
) -> None:
    tagged = data.draw(MESSAGES[message]).encode()
    assert tagged[0] == 0xD2
    bare = message.decode(tagged[1:])
    bare.verify(P256.public)
    assert bare.encode() == tagged


def test_nothing_goes_out_unsigned() -> None:
    with pytest.raises(LocalError):
        m.ProveToRv(NONCE, GUID).encode()


def test_the_ueid_is_01_and_the_guid() -> None:
    proof = m.ProveToRv(NONCE, GUID).sign(P256, -7)
    assert b"\x19\x01\x00\x51\x01" + GUID in proof.encode()
    other = cbor.encode({10: NONCE, 256: b"\x02" + GUID})
    forged = cbor.encode([b"\xa1\x01\x26", {}, other, bytes(64)])
    with pytest.raises(MalformedMessage, match="ueid"):
        m.ProveToRv.decode(forged)


def test_a_device_may_say_more_in_its_token_than_we_read() -> None:
    claims = cbor.encode({10: NONCE, 256: b"\x01" + GUID, -257: [b"x"], 4: 1700000000})
    envelope = cbor.encode([b"\xa1\x01\x26", {-259: NONCE, -258: b"maroe"}, claims, bytes(64)])
    assert m.ProveDevice.decode(envelope).setup_dv_nonce == NONCE


def test_prove_device_without_its_second_nonce_is_malformed() -> None:
    claims = cbor.encode({10: NONCE, 256: b"\x01" + GUID, -257: [b"x"]})
    with pytest.raises(MalformedMessage):
        m.ProveDevice.decode(cbor.encode([b"\xa1\x01\x26", {}, claims, bytes(64)]))


def test_a_repr_shows_no_key_material() -> None:
    proof = m.ProveDevice(NONCE, GUID, b"secret half", NONCE)
    info = m.DeviceServiceInfo(False, (("fdo.download:data", b"secret"),))
    assert "secret" not in repr(proof) + repr(info)


# What others hash is kept as it came.


def test_an_hmac_in_a_longer_encoding_goes_on_as_it_came() -> None:
    odd = b"\x82\x18\x05\x58\x20" + bytes(32)
    assert m.SetHmac.decode(b"\x81" + odd).hmac.encode() == odd


def test_hello_device_keeps_its_octets() -> None:
    odd = b"\x86\x1a\x00\x00\x05\x14\x50" + GUID + b"\x50" + NONCE + b"\x67ECDH256\x01\x82\x26\x40"
    hello = m.HelloDevice.decode(odd)
    assert hello.max_device_message_size == 1300
    assert hello.encode() == hello.raw == odd


def test_owner_sign_keeps_both_parts_as_they_came() -> None:
    odd = b"\x98\x03" + b"\x81\x18\x01" + b"\x1a\x00\x00\x00\x05" + b"\x50" + NONCE
    to1d = b"\x84\x43\xa1\x01\x26\xa0\x41\x00\x58\x01\x00"
    message = m.OwnerSign.decode(b"\x82\x58" + bytes([len(odd)]) + odd + to1d)
    assert (message.to0d, message.to1d) == (odd, to1d)
    assert m.To0d.decode(message.to0d).voucher == b"\x81\x18\x01"


# DI.AppStart


def test_app_start_takes_null_and_items_of_on_die_devices() -> None:
    assert m.AppStart.decode(b"\x81\xf6").info is None
    items = [10, 1, "serial", "model", b"csr", b"chain", b"signature", b"prefix"]
    info = m.AppStart.decode(cbor.encode([cbor.encode(items)])).info
    assert info is not None
    assert (info.serial, info.csr, len(info.extras)) == ("serial", b"csr", 3)
    for wrong in (items[:4], [*items, b"more"]):
        with pytest.raises(MalformedMessage):
            m.AppStart.decode(cbor.encode([cbor.encode(wrong)]))


# Addresses


def test_addresses_of_4_and_16_octets_are_read() -> None:
    four = m.RvTo2Addr.from_item([bytes([10, 0, 0, 1]), None, 8042, 3])
    mapped = m.RvTo2Addr.from_item([bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1]), "owner.example", 8042, 5])
    six = m.RvTo2Addr.from_item([bytes(15) + b"\x01", None, 80, 3])
    assert four.urls() == ("http://10.0.0.1:8042",)
    assert mapped.urls() == ("https://owner.example:8042", "https://10.0.0.1:8042")
    assert six.urls() == ("http://[::1]:80",)
    assert m.RvTo2Addr(None, "x", 1, 77).urls() == ()


def test_an_address_of_5_octets_is_error_4() -> None:
    with pytest.raises(InvalidIpAddress) as caught:
        m.RvTo2Addr.from_item([bytes(5), None, 80, 3])
    assert error_code(caught.value) == ErrorCode.INVALID_IP_ADDRESS


# Message 255


@pytest.mark.parametrize(
    ("timestamp", "read"),
    [
        (b"\x00", 0),
        (b"\x1a\x65\x53\xf1\x00", 1700000000),
        (b"\xf6", None),
        (b"\xc1\x1a\x65\x53\xf1\x00", 1700000000),
        (b"\xc1\xfb\x41\xd9\x54\xfc\x40\x00\x00\x00", 1700000000),
        (b"\xc0\x742023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
        (b"\x742023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
        (b"\x40", None),
        (b"\xf7", None),
        (b"\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", None),
    ],
)
@pytest.mark.parametrize(("correlation", "number"), [(b"\xf6", None), (b"\x07", 7), (b"\x41\x01", None)])
def test_every_form_of_timestamp_and_correlation_is_read(
    timestamp: bytes, read: int | str | None, correlation: bytes, number: int | None
) -> None:
    error = m.ErrorMessage.decode(b"\x85\x18\x64\x18\x3c\x63bad" + timestamp + correlation)
    assert (error.code, error.previous, error.text) == (100, 60, "bad")
    assert (error.timestamp, error.correlation) == (read, number)


def test_an_error_without_timestamp_and_with_too_much_text_is_read() -> None:
    assert m.ErrorMessage.decode(cbor.encode([500, 60, "x" * 5000])).text == "x" * ERROR_TEXT_MAX_LENGTH


def test_our_errors_carry_an_integer_for_a_timestamp() -> None:
    """One client reads nothing else there."""
    assert cbor.decode(m.ErrorMessage.of(errors.UnexpectedMessage("secret reason"), 62).encode()) == [
        101,
        62,
        "Message failed validation",
        0,
        None,
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MalformedMessage, 100),
        (errors.UnexpectedMessage, 101),
        (errors.NotAuthenticated, 101),
        (errors.NotAuthorized, 101),
        (errors.UnknownDevice, 6),
        (errors.Replayed, 101),
        (errors.TooManyRequests, 500),
        (InvalidToken, 1),
        (InvalidVoucher, 2),
        (InvalidOwnerSign, 3),
        (InvalidIpAddress, 4),
        (InvalidGuid, 5),
        (ResourceNotFound, 6),
        (CredentialReuse, 102),
        (errors.LocalError, 500),
        (ZeroDivisionError, 500),
    ],
)
def test_an_error_has_the_number_of_its_class(error: type[Exception], code: int) -> None:
    message = m.ErrorMessage.of(error("the reason that only our log hears"), 60)
    assert message.code == code
    assert message.text == ERROR_TEXT[code]


def test_every_error_code_is_used_and_has_a_text() -> None:
    assert set(ERROR_CODES.values()) == set(ErrorCode) == set(ERROR_TEXT)


# Public keys

EVERY_KEY = [
    (kind, encoding, pss)
    for kind in KeyKind
    for encoding in KeyEncoding
    for pss in (False, True)
    if not (pss and kind.is_ec)
]


@pytest.mark.parametrize(("kind", "encoding", "pss"), EVERY_KEY)
def test_every_key_in_every_encoding_comes_back(kind: KeyKind, encoding: KeyEncoding, pss: bool) -> None:
    one = public(kind, "owner", encoding, pss)
    again = PublicKey.decode(one.encode())
    assert again == one
    assert again.handle() == key(kind).public
    assert again.is_pss is pss
    assert PublicKey.from_item(cbor.decode(one.encode())) == one
    chain = certificate(kind, "owner") if encoding is KeyEncoding.X5CHAIN else ()
    assert again.chain() == chain


def forged(kind: int, encoding: int, body: Any) -> PublicKey:
    return PublicKey.decode(cbor.encode([kind, encoding, body]))


def cose_map(handle: PublicKeyHandle) -> dict[int, Any]:
    body = cbor.decode(PublicKey.of(handle, KeyEncoding.COSEKEY).body)
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("kind", KeyKind)
def test_a_cose_key_may_leave_kty_out_or_come_in_a_byte_string(kind: KeyKind) -> None:
    handle = key(kind).public
    number = PublicKey.of(handle).type
    body = cose_map(handle)
    assert forged(number, 3, cbor.encode(body)).handle() == handle
    without = {label: value for label, value in body.items() if label != 1}
    assert forged(number, 3, without).handle() == handle
    assert forged(number, 3, cbor.encode(without)).handle() == handle


def test_one_certificate_may_stand_alone_in_an_x5chain() -> None:
    chain = certificate(KeyKind.P256, "owner")
    assert forged(10, 2, chain[0]).handle() == key(KeyKind.P256).public


@pytest.mark.parametrize(
    ("kind", "encoding", "body"),
    [
        (10, 1, b""),
        (10, 1, "text"),
        (10, 1, key(KeyKind.P384).public.der),
        (11, 1, P256.public.der),
        (5, 1, P256.public.der),
        (10, 2, []),
        (10, 2, [b"not a certificate"]),
        (10, 2, [b"x"] * 17),
        (10, 3, {}),
        (10, 3, {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}),
        (10, 3, {1: 2, -1: 1, -2: bytes(32), -3: True}),
        (10, 3, cose_map(key(KeyKind.P384).public)),
        (10, 3, b"\xff"),
        (10, 3, None),
        (10, 0, bytes(64)),
        (10, 0, b"short"),
        (5, 0, [b"\x00", b"\x00"]),
        (5, 0, b"no array"),
        (1, 1, key(KeyKind.RSA3072).public.der),
    ],
    ids=range(19),
)
def test_a_body_that_is_no_key_of_its_type_is_malformed_when_used(
    kind: int, encoding: int, body: Any
) -> None:
    unread = forged(kind, encoding, body)
    with pytest.raises(MalformedMessage):
        unread.handle()


@pytest.mark.parametrize("head", [(7, 1), (10, 4), (0, 1), (-1, 1), ("a", 1), (10, None), (True, 1)])
def test_an_unknown_type_or_encoding_is_malformed_at_once(head: tuple[Any, Any]) -> None:
    with pytest.raises(MalformedMessage):
        forged(*head, b"")


def test_a_key_may_be_called_by_either_name_of_rsa_2048() -> None:
    handle = key(KeyKind.RSA2048).public
    assert PublicKey.of(handle).type is KeyType.RSA2048RESTR
    named = PublicKey.of(handle, type=KeyType.RSAPKCS)
    assert PublicKey.decode(named.encode()).type is KeyType.RSAPKCS


def test_an_x5chain_of_ours_begins_with_the_keys_own_certificate() -> None:
    with pytest.raises(MalformedMessage):
        PublicKey.of(P256.public, KeyEncoding.X5CHAIN, chain=certificate(KeyKind.P256, "another"))


@few
@given(body=cbor_items, kind=st.sampled_from(KeyType), encoding=st.sampled_from(KeyEncoding))
@example(body={1: 2, -1: 2**70}, kind=KeyType.SECP256R1, encoding=KeyEncoding.COSEKEY)
def test_any_body_is_a_key_or_malformed(body: Any, kind: KeyType, encoding: KeyEncoding) -> None:
    with contextlib.suppress(MalformedMessage):
        PublicKey.decode(dumps([int(kind), int(encoding), body])).handle()
