"""Vouchers of every length, key and encoding hold; whatever is changed in one ends in its own code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cbor2 import CBORTag
from fdo_hand import OTHER_RVINFO, certificate, key, public
from fdo_vouchers import GUID, device_chain, made, next_key, owner_name, sha256, signer
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage, PeerError
from bootstrap.protocols.fdo.advice import ADVICE
from bootstrap.protocols.fdo.constants import ErrorCode, KeyEncoding, KeyType, error_code
from bootstrap.protocols.fdo.crypto.hashes import HashType, digest
from bootstrap.protocols.fdo.primitives import Hash
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.voucher import (
    CODES,
    Entry,
    OvHeader,
    Voucher,
    VoucherMalformed,
    VoucherProblem,
    chain_hash,
    entry_payload,
    expected_hash_type,
    extend,
    fix,
    lint,
    new_voucher,
    replacement,
    replacement_header,
    sentence,
    serial_of,
    verify,
)
from bootstrap.wire import cbor
from bootstrap.wire.cose import sign1
from bootstrap.wire.keys import KeyKind, default_algorithm

P256, P384 = KeyKind.P256, KeyKind.P384

EVERY_KIND = [
    pytest.param(kind, encoding, pss, device, id=f"{kind}{'-pss' if pss else ''}-{encoding.name}-{device}")
    for kind in KeyKind
    for encoding in KeyEncoding
    for pss in (False, True)
    if not (pss and kind.is_ec)
    for device in ((P256, P384) if encoding is KeyEncoding.X509 else (P256,))
]


def code_of(spoil: Callable[[], Any]) -> str:
    with pytest.raises(PeerError) as caught:
        spoil()
    error = caught.value
    assert isinstance(error, VoucherMalformed | VoucherProblem), error
    return error.code


def refused(octets: bytes, **judge: Any) -> str:
    """Through the whole way that an upload takes."""
    return code_of(lambda: verify(Voucher.decode(octets), **judge))


# Sound ones


@pytest.mark.parametrize("entries", [0, 1, 2, 3, 10])
@pytest.mark.parametrize(("kind", "encoding", "pss", "device"), EVERY_KIND)
def test_a_voucher_of_every_kind_holds(
    kind: KeyKind, encoding: KeyEncoding, pss: bool, device: KeyKind, entries: int
) -> None:
    voucher = made(entries, kind, encoding, pss, device)
    octets = voucher.encode()
    again = Voucher.decode(octets)
    verify(again, owner=key(kind, owner_name(entries)).public, trusted=lambda one: one.handle().kind is kind)
    assert again == voucher
    assert again.encode() == octets
    assert (again.guid, len(again.entries)) == (GUID, entries)
    assert again.owner_key.handle() == key(kind, owner_name(entries)).public
    assert again.device_key == key(device, "device").public
    assert again.hash_type == expected_hash_type(again)


def test_octets_are_hashed_as_they_came_not_as_we_would_write_them() -> None:
    """An HMac, an RVInfo and a whole header in a longer encoding than needed still hang together."""
    base = made(0)
    hmac = b"\x82\x18\x05\x98\x20"[:3] + b"\x59\x00\x20" + base.hmac.value
    header = base.header.encode()
    odd = b"\x98\x06" + header[1:]
    voucher = Voucher.decode(
        b"\x85\x18\x65" + cbor.encode(odd) + hmac + cbor.encode(list(base.chain)) + b"\x80"
    )
    assert voucher.header.encode() == odd
    assert voucher.hmac.encode() == hmac
    twice = extend(extend(voucher, signer(P256, 0), next_key(P256, 0)), signer(P256, 1), next_key(P256, 1))
    again = Voucher.decode(twice.encode())
    verify(again)
    assert again.entries[0].previous_hash.value == sha256(odd, hmac)


def test_a_previous_hash_covers_the_entry_with_its_tag() -> None:
    first, second, _ = made(3).entries
    assert first.raw[0] == 0xD2
    assert second.previous_hash.value == sha256(first.raw)


def test_an_entry_that_lost_its_tag_is_read_and_sent_on_with_it() -> None:
    voucher = made(3)
    bare = replace(voucher, raw_entries=tuple(entry[1:] for entry in voucher.raw_entries))
    octets = b"\x85\x18\x65" + cbor.encode(bare.header.encode()) + bare.hmac.encode()
    octets += cbor.encode(list(bare.chain)) + b"\x83" + b"".join(bare.raw_entries)
    again = Voucher.decode(octets)
    verify(again)
    assert again.encode() == voucher.encode()
    assert "VLT-107" in {finding.code for finding in lint(again)}


def test_an_extra_comes_through() -> None:
    voucher = extend(made(0), signer(P256, 0), next_key(P256, 0), {7: b"batch 12"})
    again = Voucher.decode(voucher.encode())
    verify(again)
    assert again.entries[0].extra == cbor.encode({7: b"batch 12"})
    assert made(1).entries[0].extra is None


def test_a_voucher_may_be_one_of_several_owners() -> None:
    keys = {key(P256, name).public for name in ("other", "owner-2")}
    verify(made(2), owner=keys)


# Broken ones: each field, its code


def rebuilt(
    entries: int = 3,
    version: Any = 101,
    header: Any = None,
    hmac: bytes | None = None,
    chain: Any = False,
    raw_entries: Any = None,
) -> bytes:
    base = made(entries)
    raw = base.raw_entries if raw_entries is None else raw_entries
    parts = [
        cbor.encode(version),
        cbor.encode(base.header.encode() if header is None else header),
        base.hmac.encode() if hmac is None else hmac,
        cbor.encode(list(base.chain) if chain is False else chain),
        raw if isinstance(raw, bytes) else bytes([0x80 | len(raw)]) + b"".join(raw),
    ]
    return b"\x85" + b"".join(parts)


def header_with(**fields: Any) -> bytes:
    return replace(made(0).header, raw=b"", **fields).encode()


def entry(number: int, by: str | None = None, voucher: Voucher | None = None, **fields: Any) -> bytes:
    """Entry ``number`` of a three-entry voucher with other fields, signed by the right key or by ``by``."""
    old = (voucher or made(3)).entries[number]
    parts = {
        "previous_hash": old.previous_hash,
        "header_hash": old.header_hash,
        "extra": old.extra,
        "next_key": old.next_key,
    } | fields
    payload = b"\x84" + b"".join(
        [
            parts["previous_hash"].encode(),
            parts["header_hash"].encode(),
            cbor.encode(parts["extra"]),
            parts["next_key"] if isinstance(parts["next_key"], bytes) else parts["next_key"].encode(),
        ]
    )
    return sign1(key(P256, by or owner_name(number)), -7, payload).encode()


def with_entry(number: int, octets: bytes) -> bytes:
    """Only this entry differs, and those behind it were signed on to it."""
    raw = list(made(3).raw_entries)
    raw[number] = octets
    for behind in range(number + 1, 3):
        raw[behind] = entry(behind, previous_hash=Hash(-16, sha256(raw[behind - 1])))
    return rebuilt(raw_entries=raw)


def flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


SHA384 = Hash(-43, bytes(48))
BAD_POINT = cbor.encode([10, 0, bytes(64)])

WHOLE = [
    ("VCH-101", lambda: b""),
    ("VCH-101", lambda: b"not CBOR"),
    ("VCH-101", lambda: b"\x81\x01"),
    ("VCH-101", lambda: made(1).encode()[:-1]),
    ("VCH-101", lambda: made(1).encode() + b"\x00"),
    ("VCH-101", lambda: rebuilt(version="101")),
    ("VCH-101", lambda: b"\x9f" + made(1).encode()[1:] + b"\xff"),
    ("VCH-102", lambda: rebuilt(version=100)),
    ("VCH-102", lambda: rebuilt(version=200)),
    ("VCH-102", lambda: b"\x84\x18\x64" + cbor.encode(b"old") + made(0).hmac.encode() + b"\x80"),
    ("VCH-102", lambda: rebuilt(header=header_with(version=100))),
    ("VCH-103", lambda: rebuilt(header="text")),
    ("VCH-103", lambda: rebuilt(header=b"")),
    ("VCH-103", lambda: rebuilt(header=b"\x80")),
    ("VCH-103", lambda: rebuilt(header=made(0).header.encode() + b"\x00")),
    ("VCH-103", lambda: rebuilt(header=header_with(guid=GUID[:15]))),
    ("VCH-103", lambda: rebuilt(header=header_with(device_info="x" * 513))),
    ("VCH-103", lambda: rebuilt(header=made(0).header.encode().replace(b"\x83\x0a\x01", b"\x83\x0c\x01"))),
    ("VCH-104", lambda: rebuilt(chain=[b"x" * 65536])),
    ("VCH-105", lambda: rebuilt(hmac=b"\xf6")),
    ("VCH-105", lambda: rebuilt(hmac=cbor.encode([5, bytes(31)]))),
    ("VCH-105", lambda: rebuilt(hmac=cbor.encode([6, bytes(32)]))),
    ("VCH-105", lambda: rebuilt(hmac=cbor.encode([4, bytes(32)]))),
    ("VCH-105", lambda: rebuilt(entries=0, hmac=Hash(-16, bytes(32)).encode())),
    ("VCH-106", lambda: rebuilt(hmac=Hash(6, bytes(48)).encode())),
    ("VCH-106", lambda: rebuilt(entries=0, header=header_with(chain_hash=Hash(5, bytes(32))))),
    ("VCH-107", lambda: rebuilt(entries=0, header=header_with(chain_hash=None), chain=None)),
    ("VCH-108", lambda: rebuilt(chain=None)),
    ("VCH-108", lambda: rebuilt(entries=0, header=header_with(chain_hash=None))),
    ("VCH-108", lambda: rebuilt(chain=list(reversed(made(0).chain)))),
    ("VCH-108", lambda: rebuilt(chain=list(made(0).chain[:1]))),
    ("VCH-108", lambda: rebuilt(chain=list(device_chain(P256, "another")))),
    ("VCH-108", lambda: rebuilt(entries=0, header=header_with(chain_hash=Hash(-16, bytes(32))))),
    ("VCH-109", lambda: rebuilt(chain=[])),
    ("VCH-109", lambda: rebuilt(chain="text")),
    ("VCH-109", lambda: rebuilt(chain=[b"x" * 8193])),
    ("VCH-109", lambda: rebuilt(chain=[b"x"] * 17)),
    ("VCH-109", lambda: with_chain(b"not", b"certificates")),
    ("VCH-109", lambda: with_chain(*made(0).chain[:1], *certificate(P256, "owner")[:1])),
    ("VCH-111", lambda: rebuilt(raw_entries=b"\xf6")),
    ("VCH-111", lambda: rebuilt(raw_entries=[b"\x01"])),
    ("VCH-111", lambda: rebuilt(raw_entries=[cbor.encode(CBORTag(17, [b"", {}, b"", b""]))])),
    ("VCH-111", lambda: rebuilt(raw_entries=[sign1(key(P256), -7, b"").encode()])),
    ("VCH-111", lambda: rebuilt(raw_entries=[sign1(key(P256), -7, b"\x83\x01\x02\x03").encode()])),
    ("VCH-111", lambda: with_entry(1, entry(1, extra="text"))),
    ("VCH-111", lambda: with_entry(1, entry(1, next_key=b"\xf6"))),
    ("VCH-116", lambda: rebuilt(raw_entries=b"\x99\x01\x00" + b"\x01" * 256)),
    ("VCH-117", lambda: rebuilt(header=header_with(manufacturer_key=PublicKey.decode(BAD_POINT)))),
    ("VCH-120", lambda: rebuilt(entries=0, header=header_with(manufacturer_key=torn_chain()))),
    ("VCH-121", lambda: rebuilt(header=header_with(rvinfo=OTHER_RVINFO))),
    ("VCH-121", lambda: rebuilt(header=header_with(manufacturer_key=public(P256, "owner-1")))),
    ("VCH-121", lambda: rebuilt(hmac=Hash(5, flipped(made(0).hmac.value)).encode())),
    ("VCH-122", lambda: rebuilt(entries=0, header=header_with(rvinfo=b"\x01"))),
    ("VCH-122", lambda: rebuilt(entries=0, header=header_with(rvinfo=b"\x81\x81\x81\x61a"))),
    ("VCH-112", lambda: rebuilt(header=header_with(guid=flipped(GUID)))),
    ("VCH-112", lambda: rebuilt(header=header_with(device_info="model 8"))),
]


def with_chain(*chain: bytes) -> bytes:
    """Certificates that are hashed rightly, whatever they are."""
    header = header_with(chain_hash=chain_hash(HashType.SHA256, chain))
    return rebuilt(entries=0, header=header, chain=list(chain))


def torn_chain() -> PublicKey:
    chain = (certificate(P256, "manufacturer")[0], certificate(P256, "owner")[0])
    return PublicKey.of(key(P256, "manufacturer").public, KeyEncoding.X5CHAIN, chain=chain)


@pytest.mark.parametrize(("code", "spoil"), WHOLE, ids=lambda value: value if isinstance(value, str) else "")
def test_a_broken_part_has_its_code(code: str, spoil: Callable[[], bytes]) -> None:
    assert refused(spoil()) == code


ENTRY_FIELDS = [
    ("VCH-112", {"header_hash": Hash(-16, bytes(32))}),
    ("VCH-106", {"header_hash": SHA384}),
    ("VCH-106", {"previous_hash": SHA384}),
    ("VCH-106", {"previous_hash": Hash(5, bytes(32))}),
    ("VCH-115", {"next_key": public(P384)}),
    ("VCH-115", {"next_key": BAD_POINT}),
    ("VCH-114", {"by": "stranger"}),
]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("code", "fields"), ENTRY_FIELDS)
def test_a_broken_field_of_an_entry_has_its_code(code: str, fields: dict[str, Any], number: int) -> None:
    assert refused(with_entry(number, entry(number, **fields))) == code


@pytest.mark.parametrize(("number", "code"), [(0, "VCH-121"), (1, "VCH-113"), (2, "VCH-113")])
def test_an_entry_that_continues_something_else_has_its_code(number: int, code: str) -> None:
    assert refused(with_entry(number, entry(number, previous_hash=Hash(-16, bytes(32))))) == code


def test_entries_taken_out_swapped_or_repeated_are_noticed() -> None:
    first, second, third = made(3).raw_entries
    assert refused(rebuilt(raw_entries=[first, third])) == "VCH-113"
    assert refused(rebuilt(raw_entries=[first, third, second])) == "VCH-113"
    assert refused(rebuilt(raw_entries=[second, third])) == "VCH-121"
    assert refused(rebuilt(raw_entries=[first, first])) == "VCH-113"


def test_an_entry_of_another_device_is_noticed() -> None:
    other = made(3, guid=flipped(GUID))
    assert refused(rebuilt(raw_entries=other.raw_entries)) == "VCH-112"


def test_an_entry_hashed_without_its_tag_does_not_hold() -> None:
    """Mistakes with the tag show only from the second entry on."""
    bare = Hash(-16, sha256(made(3).raw_entries[0][1:]))
    raw = [made(3).raw_entries[0], entry(1, previous_hash=bare)]
    assert refused(rebuilt(raw_entries=raw)) == "VCH-113"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_problem_says_which_entry(number: int) -> None:
    with pytest.raises(VoucherProblem) as caught:
        verify(Voucher.decode(with_entry(number, entry(number, by="stranger"))))
    assert caught.value.entry == number


def test_an_entry_with_another_algorithm_than_its_key_is_refused() -> None:
    old = made(1).entries[0].envelope
    wrong = cbor.encode(CBORTag(18, [cbor.encode({1: -35}), {}, old.payload, old.signature]))
    assert refused(rebuilt(raw_entries=[wrong])) == "VCH-114"
    none = cbor.encode(CBORTag(18, [b"", {}, old.payload, old.signature]))
    assert refused(rebuilt(raw_entries=[none])) == "VCH-114"


def test_a_voucher_of_another_owner_or_of_an_unknown_manufacturer_is_refused_in_this_order() -> None:
    octets = made(1).encode()
    stranger = key(P256, "stranger").public
    assert refused(octets, owner=stranger, trusted=lambda one: False) == "VCH-118"
    assert refused(octets, owner=key(P256, "owner-1").public, trusted=lambda one: False) == "VCH-119"
    assert refused(octets, owner=[]) == "VCH-118"


def test_a_device_key_of_no_kind_that_we_know_is_refused() -> None:
    chain = certificate_of_unknown_kind()
    assert refused(with_chain(*chain)) == "VCH-110"


def certificate_of_unknown_kind() -> tuple[bytes, ...]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from fdo_hand import NOW

    signing = ec.generate_private_key(ec.SECP521R1())
    name = x509.Name([])
    made_up = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signing.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .sign(signing, hashes.SHA256())
    )
    return (made_up.public_bytes(serialization.Encoding.DER),)


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.thorough
def test_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    octets = bytearray(made(3).encode())
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(bytes(octets)) in CODES


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_a_voucher_or_malformed(octets: bytes) -> None:
    for decode in (Voucher.decode, OvHeader.decode, Entry.decode):
        with contextlib.suppress(VoucherMalformed):
            decode(octets)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_piece_taken_out_or_put_in_is_refused(data: st.DataObject) -> None:
    octets = made(2).encode()
    start = data.draw(st.integers(0, len(octets) - 1))
    length = data.draw(st.integers(0, 40))
    piece = data.draw(st.binary(max_size=40))
    changed = octets[:start] + piece + octets[start + length :]
    if changed != octets:
        assert refused(changed) in CODES


@pytest.mark.parametrize(
    "octets",
    [
        b"\x85\x18\x65\x5b" + b"\xff" * 8,
        b"\x85\x18\x65\x5a\xff\xff\xff\xff" + bytes(100),
        b"\x9b" + b"\xff" * 8,
        b"\x85" * 60000,
        b"\x85\x18\x65" + b"\x9a\x00\x0f\x42\x40" + bytes(60000),
    ],
)
def test_a_header_that_claims_gigabytes_costs_nothing(octets: bytes) -> None:
    assert refused(octets) == "VCH-101"


def test_a_million_entries_are_refused_without_reading_them() -> None:
    count = 60000
    assert refused(rebuilt(raw_entries=b"\x99" + count.to_bytes(2) + b"\x01" * count)) == "VCH-116"
    assert refused(rebuilt(raw_entries=b"\x9a\x00\x0f\x42\x40" + b"\x01" * 1000)) in ("VCH-101", "VCH-111")


# Passing it on


def test_only_the_owner_extends() -> None:
    with pytest.raises(LocalError):
        extend(made(1), key(P256, "stranger"), next_key(P256, 1))


def test_the_next_key_is_of_the_manufacturers_kind() -> None:
    assert code_of(lambda: extend(made(1), signer(P256, 1), public(P384))) == "VCH-115"


def test_a_full_voucher_is_not_extended() -> None:
    """255 entries do not fit into 64 KiB anyway, so the count is all that has to be right."""
    full = replace(made(1), raw_entries=made(1).raw_entries * 255)
    assert code_of(lambda: extend(full, signer(P256, 1), next_key(P256, 1))) == "VCH-116"


def test_rsa_vouchers_keep_the_manufacturers_padding() -> None:
    for pss in (False, True):
        (only,) = made(1, KeyKind.RSA2048, pss=pss).entries
        assert only.envelope.algorithm == default_algorithm(KeyKind.RSA2048, pss=pss)


def test_the_header_after_to2_keeps_the_device_and_loses_the_entries() -> None:
    old = made(3)
    owner2 = public(P256, "owner2")
    header = replacement_header(old, guid=bytes(16), rvinfo=OTHER_RVINFO, owner2_key=owner2)
    new = replacement(old, header.encode(), Hash(5, bytes(32)))
    again = Voucher.decode(new.encode())
    verify(again, owner=key(P256, "owner2").public)
    assert (again.guid, again.rvinfo, again.entries) == (bytes(16), OTHER_RVINFO, ())
    assert (again.chain, again.header.device_info) == (old.chain, "model 7")
    verify(extend(again, key(P256, "owner2"), next_key(P256, 0)))


def test_a_replacement_for_another_device_is_refused() -> None:
    header = header_with(chain_hash=Hash(-16, bytes(32)))
    with pytest.raises(MalformedMessage):
        replacement(made(1), header, Hash(5, bytes(32)))


def test_an_owner_of_another_strength_may_follow_after_to2() -> None:
    """The certificates' hash stays SHA-384 from the factory; everything new is as wide as the new owner's key."""
    old = made(1, P384, device=P384)
    owner2 = public(P256, "owner2")
    header = replacement_header(old, guid=bytes(16), rvinfo=OTHER_RVINFO, owner2_key=owner2)
    new = extend(
        replacement(old, header.encode(), Hash(5, bytes(32))), key(P256, "owner2"), next_key(P256, 0)
    )
    verify(Voucher.decode(new.encode()))
    assert new.hash_type == HashType.SHA256
    assert {"VLT-103", "VLT-108"} <= {finding.code for finding in lint(new)}


def test_a_new_voucher_carries_the_octets_that_the_hmac_covers() -> None:
    base = made(0)
    odd = b"\x98\x06" + base.header.encode()[1:]
    assert new_voucher(odd, base.hmac, base.chain).header.encode() == odd


def test_the_payload_of_an_entry_has_four_parts_and_null_for_no_extra() -> None:
    previous, info, extra, following = cbor.decode(entry_payload(made(0), next_key(P256, 0)))
    assert previous[0] == info[0] == -16
    assert info[1] == digest(-16, GUID, b"model 7")
    assert extra is None
    assert following[:2] == [int(KeyType.SECP256R1), int(KeyEncoding.X509)]


# Words


def test_every_code_has_a_sentence_and_a_fix() -> None:
    for catalogue in (CODES, ADVICE):
        for code, (what, helps) in catalogue.items():
            assert code[3] == "-"
            assert code[4:].isdigit()
            assert what.endswith(".")
            assert helps.endswith(".")
            assert what != helps
    assert sentence("VCH-118") != fix("VCH-118")


def test_every_code_about_one_voucher_has_been_seen_here() -> None:
    seen = {code for code, _ in WHOLE} | {code for code, _ in ENTRY_FIELDS}
    seen |= {"VCH-110", "VCH-113", "VCH-118", "VCH-119"}
    assert seen == {code for code in CODES if code < "VCH-150"}


def test_a_voucher_that_does_not_hold_is_error_2_and_one_that_is_none_is_error_100() -> None:
    assert error_code(VoucherProblem("VCH-114")) == ErrorCode.INVALID_OWNERSHIP_VOUCHER
    assert error_code(VoucherMalformed("VCH-101")) == ErrorCode.MESSAGE_BODY_ERROR


def codes(voucher: Voucher) -> set[str]:
    return {finding.code for finding in lint(voucher)}


def test_a_plain_voucher_earns_only_advice_about_its_directive() -> None:
    assert codes(made(1)) == {"RVI-105"}


def test_advice_about_length_hashes_keys_and_extras() -> None:
    assert "VLT-101" in codes(made(0))
    assert "VLT-108" in codes(made(1, P256, device=P384))
    assert "VLT-109" in codes(made(21))
    mixed = extend(made(1), signer(P256, 1), next_key(P256, 1, KeyEncoding.COSEKEY))
    assert "VLT-104" in codes(mixed)
    rsa = made(0, KeyKind.RSA2048)
    named = PublicKey.of(key(KeyKind.RSA2048, "owner-1").public, type=KeyType.RSAPKCS)
    assert "VLT-105" in codes(extend(rsa, signer(KeyKind.RSA2048, 0), named))
    empty = Voucher.decode(with_entry(2, entry(2, extra=b"")))
    verify(empty)
    assert "VLT-106" in codes(empty)
    wide = Hash(6, bytes(48))
    assert "VLT-102" in codes(new_voucher(made(0).header.encode(), wide, made(0).chain))


def test_advice_about_cose_keys_that_only_we_read() -> None:
    body = cbor.decode(public(P256, "owner-1", KeyEncoding.COSEKEY).body)
    wrapped = PublicKey.decode(cbor.encode([10, 3, cbor.encode(body)]))
    bare = PublicKey.decode(cbor.encode([10, 3, {k: v for k, v in body.items() if k != 1}]))
    base = made(0, encoding=KeyEncoding.COSEKEY)
    for odd in (wrapped, bare):
        voucher = extend(base, signer(P256, 0), odd)
        verify(voucher, owner=key(P256, "owner-1").public)
        assert "VLT-110" in codes(voucher)


def test_a_serial_number_comes_from_the_device_certificate() -> None:
    assert serial_of(made(0)) == "device"
    assert serial_of(replace(made(0), chain=())) == ""
    assert serial_of(replace(made(0), chain=(b"no certificate",))) == ""


def test_an_authority_that_signs_with_sha1_is_taken_and_named() -> None:
    """So is the sample voucher that the FIDO Alliance gives to implementers."""
    chain = sha1_chain()
    voucher = Voucher.decode(with_chain(*chain))
    verify(voucher)
    assert "VLT-111" in codes(voucher)
    forged = chain[1][:-1] + bytes([chain[1][-1] ^ 1])
    assert refused(with_chain(chain[0], forged, chain[2])) == "VCH-109"


SHA1_WITH_RSA = bytes.fromhex("300d06092a864886f70d0101050500")
SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")


def sha1_chain() -> tuple[bytes, ...]:
    """Device, intermediate, root; the library makes no SHA-1 certificates, so the intermediate is signed by hand."""
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.x509.oid import NameOID
    from fdo_hand import NOW, request

    from bootstrap.wire.x509 import issue_device_certificate, self_signed_ca

    root_key, middle_key = key(KeyKind.RSA2048, "root"), key(P256, "middle")
    root = self_signed_ca(root_key, "Root", NOW, 30)
    root_name = x509.load_der_x509_certificate(root).subject
    made_up = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Middle")]))
        .issuer_name(root_name)
        .public_key(middle_key.private_key.public_key())
        .serial_number(6)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .sign(root_key.private_key, hashes.SHA256())
    )
    body = made_up.tbs_certificate_bytes.replace(SHA256_WITH_RSA, SHA1_WITH_RSA)
    signature = root_key.private_key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    middle = made_up.public_bytes(serialization.Encoding.DER)
    middle = middle.replace(SHA256_WITH_RSA, SHA1_WITH_RSA).replace(made_up.signature, signature)
    leaf = issue_device_certificate(
        request(key(P256, "device")), middle_key, middle, 12, NOW, NOW + timedelta(days=9)
    )
    return leaf, middle, root
