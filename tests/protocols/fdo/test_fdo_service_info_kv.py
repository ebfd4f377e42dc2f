"""Key-values: cut into pieces, joined again, packed to a size; and hostile ones."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from fdo_service_info_pair import DEVMOD, Workbench
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage, PeerError
from bootstrap.protocols.fdo.service_info import Command, Csr, Download, OwnerModules, Upload, Wget, advance
from bootstrap.protocols.fdo.service_info.constants import VALUE_LENGTH_MAX
from bootstrap.protocols.fdo.service_info.device import DeviceModules, Said
from bootstrap.protocols.fdo.service_info.emit import pack
from bootstrap.protocols.fdo.service_info.kv import Packer, assemble, item_end
from bootstrap.wire.frozen import freeze, thaw

KNOWN = {"m", "devmod"}
items = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=80)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-9, 300), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(["m:a", "m:b", "m:c"]), items)), st.lists(st.integers(1, 9)))
def test_values_cut_anywhere_join_again(values: list[tuple[str, Any]], cuts: list[int]) -> None:
    pieces: list[tuple[str, bytes]] = []
    for n, (key, item) in enumerate(values):
        octets = cbor2.dumps(item, canonical=True)
        size = cuts[n % len(cuts)] if cuts else len(octets)
        pieces += [(key, octets[at : at + size]) for at in range(0, len(octets), size)]
    joined: list[tuple[str, Any]] = []
    key, partial = "", b""
    for piece in pieces:
        assembled = assemble([piece], KNOWN, key, partial)
        joined += assembled.items
        key, partial = assembled.partial_key, assembled.partial
    assert (joined, partial) == (values, b"")
    assert list(assemble(pieces, KNOWN).items) == values


@given(st.binary(max_size=200))
def test_the_end_of_an_item_is_where_the_codec_finds_it(octets: bytes) -> None:
    try:
        end = item_end(octets)
    except MalformedMessage:
        return
    if end is not None:
        assert 0 < end <= len(octets)
        assert item_end(octets[:end]) == end
        assert item_end(octets[: end - 1]) is None


@given(items)
def test_the_end_of_every_plain_item_is_found(item: Any) -> None:
    octets = cbor2.dumps(item)
    assert item_end(octets + b"\x00rest") == len(octets)
    assert item_end(b"xx" + octets, 2) == len(octets) + 2


@pytest.mark.parametrize(
    "octets",
    [
        b"\x5f\x41a\xff",
        b"\x9f\xff",
        b"\xfc",
        b"\x5b" + b"\xff" * 8,
        b"\x9b" + b"\xff" * 8,
        b"\xc0" * 40 + b"\x00",
        b"\x81" * 40 + b"\x00",
        b"\xc1\x00",
        b"\xa2\x01\x02\x01\x03",
    ],
    ids=["parts", "no end", "reserved", "huge bstr", "huge array", "tags", "nested", "tag", "same key twice"],
)
def test_hostile_values_are_malformed(octets: bytes) -> None:
    with pytest.raises(MalformedMessage):
        assemble([("m:a", octets)], KNOWN)
    assert assemble([("other:a", octets)], KNOWN).items == ()


def test_a_value_without_end_is_refused_before_memory_is() -> None:
    key, partial = "", b""
    piece = b"\x9a\x00\x01\xff\xff" + b"\x18\x20" * 30_000
    for _ in range(2):
        assembled = assemble([("m:a", piece)], KNOWN, key, partial)
        key, partial, piece = assembled.partial_key, assembled.partial, b"\x18\x20" * 30_000
    assert len(partial) <= VALUE_LENGTH_MAX
    with pytest.raises(MalformedMessage):
        assemble([("m:a", piece)], KNOWN, key, partial)


def test_a_long_key_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        assemble([("m:" + "a" * 300, b"\x00")], KNOWN)


@given(
    st.integers(64, 70_000),
    st.lists(st.tuples(st.sampled_from(["m:a", "m:b"]), st.binary(min_size=1, max_size=700)), max_size=12),
)
def test_packed_messages_keep_to_their_size_and_lose_nothing(
    limit: int, kvs: list[tuple[str, bytes]]
) -> None:
    sent: list[tuple[str, bytes]] = []
    place, messages = (0, 0), 0
    while place[0] < len(kvs):
        packer = Packer(limit)
        (count, offset), cut = pack(kvs[place[0] :], place[1], packer)
        assert packer.kvs, "no message without progress"
        assert len(cbor2.dumps([False, False, [list(kv) for kv in packer.kvs]])) <= limit
        place = (place[0] + count, offset)
        assert cut == (place[0] < len(kvs))
        sent += packer.kvs
        messages += 1
        assert messages < 10_000
    assert b"".join(v for _, v in sent) == b"".join(v for _, v in kvs)


@pytest.mark.parametrize("limit", [256, 257, 283, 511, 1300, 64_000])
def test_the_room_is_used_to_the_last_octet_or_two(limit: int) -> None:
    packer = Packer(limit)
    packer.add("m:a", b"x" * packer.room("m:a"))
    assert packer.room("m:a") <= 0
    assert limit - 3 <= len(cbor2.dumps([False, False, [list(kv) for kv in packer.kvs]])) <= limit


PLAN = (
    Download("d", "f", b"123"),
    Command("c", "x", ("y",)),
    Upload("u", "f"),
    Wget("w", "http://x.example/"),
    Csr("s"),
)
KEYS = [
    *(f"fdo.{m}:active" for m in ("download", "command", "upload", "wget", "csr")),
    *(
        "fdo.download:done",
        "fdo.command:exitcode",
        "fdo.command:stdout",
        "fdo.upload:length",
        "fdo.upload:data",
    ),
    *(
        "fdo.upload:sha-384",
        "fdo.wget:done",
        "fdo.wget:error",
        "fdo.csr:cacerts-req",
        "fdo.csr:simpleenroll-req",
    ),
    *("devmod:modules", "devmod:os", "devmod:nummodules", "vendor:x", ""),
]
messages_68 = st.tuples(
    st.booleans(), st.lists(st.tuples(st.sampled_from(KEYS), items.map(cbor2.dumps)), max_size=5)
)


@given(st.lists(messages_68, max_size=12))
def test_whatever_a_device_says_the_owner_answers_or_refuses(said: list[tuple[bool, Any]]) -> None:
    state = OwnerModules()
    for is_more, kvs in said:
        try:
            answer = advance(state, kvs, is_more, PLAN, 256)
        except PeerError:
            return
        assert not (is_more and answer.kvs)
        assert not (answer.is_done and answer.kvs)
        assert all(len(r.detail) < 400 for r in answer.results)
        state = thaw(OwnerModules, freeze(answer.state))
        assert state == answer.state


@given(st.lists(messages_68, max_size=6), st.binary(max_size=40))
def test_whatever_an_owner_says_the_device_answers_or_gives_up(
    said: list[tuple[bool, Any]], noise: bytes
) -> None:
    device = DeviceModules(DEVMOD, Workbench(request=b"r"), 256)
    device.first()
    for is_more, kvs in said:
        try:
            answer = device.receive(is_more, [*kvs, ("fdo.command:args", noise)])
        except PeerError:
            return
        assert isinstance(answer, Said)
        assert not (is_more and answer.kvs)
