"""The decoded view of every message: names of fields, no secrets, and no input that breaks it."""

from __future__ import annotations

import time
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.protocols.fdo.constants import MessageType
from bootstrap.protocols.fdo.decoded import TEXT_LENGTH_MAX, decoded
from bootstrap.protocols.fdo.decoded.masks import arguments_masked, text_masked, url_masked

GUID = bytes(range(16))
NONCE = b"\xaa" * 16
HMAC = [5, b"\x77" * 32]
KEY = [10, 1, b"\x30" * 91]
BOUND = TEXT_LENGTH_MAX + 100


def dumps(item: Any) -> bytes:
    return cbor2.dumps(item, canonical=True)


def sign1(payload: Any, unprotected: dict[int, Any] | None = None) -> cbor2.CBORTag:
    return cbor2.CBORTag(18, [dumps({1: -7}), unprotected or {}, dumps(payload), b"\x99" * 64])


RVINFO = [[[5, dumps("rv.example")], [3, dumps(8041)], [9, dumps("lab")], [10, dumps("hunter2")], [14]]]
HEADER = [101, GUID, RVINFO, "lamp", KEY, [-16, b"\x11" * 32]]
ENTRY = sign1([[-16, b"\x22" * 32], [-16, b"\x33" * 32], None, KEY])
TO1D = sign1([[[b"\x7f\x00\x00\x01", "owner.example", 8043, 3]], [-16, b"\x44" * 32]])
VOUCHER = [101, dumps(HEADER), HMAC, [b"\x30" * 400], [ENTRY]]

MESSAGES: dict[int, Any] = {
    10: [dumps([10, 1, "S-1", "lamp", b"\x30" * 300])],
    11: [dumps(HEADER)],
    12: [HMAC],
    13: [],
    20: [],
    21: [NONCE],
    22: [dumps([VOUCHER, 3600, NONCE]), TO1D],
    23: [3600],
    30: [GUID, [-7, b""]],
    31: [NONCE, [-7, b""]],
    32: sign1({10: NONCE, 256: b"\x01" + GUID}),
    33: TO1D,
    60: [65535, GUID, NONCE, "ECDH256", 1, [-7, b""]],
    61: sign1(
        [dumps(HEADER), 1, HMAC, NONCE, [-7, b""], b"\x55" * 100, [-16, b"\x66" * 32], 0],
        {256: NONCE, 257: KEY},
    ),
    62: [0],
    63: [0, ENTRY],
    64: sign1({10: NONCE, 256: b"\x01" + GUID, -257: [b"\x55" * 100]}, {-259: NONCE}),
    65: sign1([RVINFO, GUID, NONCE, KEY]),
    66: [HMAC, 1300],
    67: [None],
    68: [True, [["devmod:os", dumps("linux")]]],
    69: [False, False, [["fdo.download:data", dumps(b"hunter2")]]],
    70: [NONCE],
    71: [NONCE],
    255: [100, 60, "no such GUID", 1, 7],
}

NAMES = {
    10: ("DI.AppStart", "serial", "deviceInfo", '"lamp"'),
    11: ("DI.SetCredentials", "OVHeader", "RVInfo", "/ DNS /", '"rv.example"'),
    22: ("TO0.OwnerSign", "waitSeconds / 3600", "to0dHash", '"owner.example"', "OVEntries"),
    33: ("TO1.RVRedirect", "3 / HTTP /"),
    60: ("TO2.HelloDevice", "maxDeviceMessageSize / 65535", 'kexSuiteName / "ECDH256"'),
    61: ("TO2.ProveOVHdr", "NumOVEntries / 1", "xAKeyExchange", "HelloDeviceHash", f"256: h'{NONCE.hex()}'"),
    64: ("TO2.ProveDevice", "/ nonce /", "/ ueid /"),
    65: ("TO2.SetupDevice", "Owner2Key", "NonceTO2SetupDv"),
    66: ("TO2.DeviceServiceInfoReady", "ReplacementHMac", "maxOwnerServiceInfoSz / 1300"),
    68: ("IsMoreServiceInfo / true", '["devmod:os", << "linux" >>]'),
    69: ("IsDone / false", "fdo.download:data", "8 octets masked"),
    255: ("Error (255)", "100 / MESSAGE_BODY_ERROR /", '"no such GUID"'),
}


@pytest.mark.parametrize("number", sorted(MESSAGES))
def test_every_message_is_named_and_keeps_its_secrets(number: int) -> None:
    text = decoded(number, dumps(MESSAGES[number]))
    for words in NAMES.get(number, ()):
        assert words in text, text
    assert f"({number}) /" in text
    assert "hunter2" not in text
    assert b"hunter2".hex() not in text
    assert "\x99".encode("latin-1").hex() * 8 not in text, "a whole signature"
    assert "77" * 8 not in text, "a whole HMAC"


def test_every_message_of_the_registry_has_a_schema() -> None:
    assert set(MESSAGES) == set(MessageType)


def test_the_notation_is_laid_out_for_reading() -> None:
    assert decoded(66, dumps([None, 1300])) == (
        "/ TO2.DeviceServiceInfoReady (66) /\n[\n  / ReplacementHMac / null,\n  / maxOwnerServiceInfoSz / 1300\n]"
    )
    assert decoded(13, b"\x80") == "/ DI.Done (13) /\n[]"


def service_info(key: str, value: Any) -> str:
    return decoded(69, dumps([False, False, [[key, dumps(value)]]]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fdo.download:data", b"hunter2"),
        ("fdo.upload:data", b"hunter2"),
        ("fdo.csr:serverkeygen-res", "hunter2"),
        ("fdo.command:args", dumps(["--password", "hunter2"])),
        ("fdo.command:args", ["-p", "hunter2"]),
        ("fdo.command:args", ["--token=hunter2"]),
        ("fdo.command:args", ["-c", "echo root:hunter2 | chpasswd"]),
        ("fdo.command:args", ["-c", "export API_KEY=hunter2; run"]),
        ("fdo.command:args", ["-c", "mysql --password hunter2 db"]),
        ("fdo.command:args", ["https://me:hunter2@x.example/"]),
        ("fdo.command:args", "hunter2"),
        ("fdo.command:stdout", b"password: hunter2\n"),
        ("fdo.wget:url", "https://me:hunter2@x.example/f"),
        ("fdo.wget:url", "https://x.example/f?sig=hunter2"),
        ("fdo.wifi:network-add", {"psk": "hunter2"}),
        ("fdo.sysconfig:set", {"password": "hunter2"}),
        ("fido_alliance:dev_conformance", "hunter2"),
        ("vendor:anything", "hunter2"),
    ],
)
def test_secrets_in_service_info_are_masked(key: str, value: Any) -> None:
    text = service_info(key, value)
    assert "hunter2" not in text, text
    assert b"hunter2".hex() not in text
    assert key in text


def test_a_secret_that_is_cut_into_pieces_stays_masked() -> None:
    whole = dumps(dumps(["--password", "hunter2" * 20]))
    for at in range(1, len(whole)):
        text = decoded(
            69, dumps([True, False, [["fdo.command:args", whole[:at]], ["fdo.command:args", whole[at:]]]])
        )
        assert "hunter2" not in text
        assert b"hunter2".hex() not in text


def test_what_helps_a_person_is_shown() -> None:
    text = service_info("fdo.command:args", dumps(["-c", "systemctl restart app.service"]))
    assert 'fdo.command:args", << << ["-c", "systemctl restart app.service"] >> >>' in text
    assert '<< "https://x.example/fw.bin" >>' in service_info("fdo.wget:url", "https://x.example/fw.bin")
    assert '<< "/etc/app.conf" >>' in service_info("fdo.download:name", "/etc/app.conf")
    assert "<< -1 >>" in service_info("fdo.download:done", -1)
    assert '<< "up 3 days\\n" >>' in service_info("fdo.command:stdout", b"up 3 days\n")


def test_arguments_and_texts_lose_what_looks_secret_and_keep_the_rest() -> None:
    assert arguments_masked(["--user", "me", "--secret", "x1", "go"]) == [
        "--user",
        "me",
        "--secret",
        "/ 2 characters masked /",
        "go",
    ]
    assert arguments_masked(["A" * 40]) == ["/ 40 characters masked /"]
    assert text_masked("PASSWORD=x y=z") == "PASSWORD=… y=z"
    assert text_masked("the owner key is not ours") == "the owner key is not ours"
    assert url_masked("http://[broken") == "/ 14 characters masked /"
    assert url_masked("https://x.example/a?b=1&c=2#d") == "https://x.example/a?b=…&c=…"


def test_controls_and_direction_marks_do_not_reach_the_reader() -> None:
    text = decoded(255, dumps([100, 60, "a\u202eb\x1b[31m\n</pre>", None, None]))
    assert text.isascii()
    assert len(text.splitlines()) == len(decoded(255, dumps([100, 60, "ab", None, None])).splitlines())


def test_hostile_text_takes_no_time() -> None:
    started = time.monotonic()
    for text in ("a" * 60_000, "pass" * 15_000, "- -" * 20_000, "://" * 20_000, "BEGIN " * 10_000):
        assert len(decoded(255, dumps([100, 60, text, None, None]))) < 2000
        assert len(service_info("fdo.command:args", [text[:30_000], text[:30_000]])) < 2000
    assert time.monotonic() - started < 2


def test_unknown_numbers_and_oversize_messages_show_their_length_only() -> None:
    assert decoded(80, b"\x80") == "/ message 80 is not known /\nh'' / 1 octets masked /"
    assert "200000 octets masked" in decoded(69, b"\x80" * 200_000)


numbers = st.sampled_from([*MESSAGES, 0, 80, -1])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.builds(cbor2.CBORSimpleValue, st.integers(32, 255))
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.integers(-300, 300) | st.text(max_size=9), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.sampled_from([16, 17, 18, 999]), inner)
        | inner.map(cbor2.dumps)
    ),
)


@given(numbers, st.binary(max_size=300))
def test_any_octets_decode_to_something_bounded(number: int, octets: bytes) -> None:
    assert 0 < len(decoded(number, octets)) < BOUND


@given(numbers, trees)
def test_any_cbor_decodes_to_something_bounded(number: int, tree: Any) -> None:
    text = decoded(number, cbor2.dumps(tree))
    assert 0 < len(text) < BOUND
    assert all(c.isprintable() or c == "\n" for c in text)


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_a_real_message_with_octets_changed_or_cut_still_decodes(number: int, data: st.DataObject) -> None:
    octets = bytearray(dumps(MESSAGES[number]))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(octets[: data.draw(st.integers(0, len(octets)))])
    assert 0 < len(decoded(number, cut)) < BOUND


@pytest.mark.parametrize(
    "octets",
    [b"\x81" * 5000, b"\xc0" * 5000, b"\x9b" + b"\xff" * 8, b"\x9a\x00\x01\x00\x00" + b"\x00" * 65536],
)
def test_deep_and_wide_messages_are_given_up_on(octets: bytes) -> None:
    assert len(decoded(69, octets)) < 400
