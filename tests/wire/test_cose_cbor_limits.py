"""The decoder that every message of a device passes: nothing in it may cost much or raise anything else."""

import tracemalloc

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor

LIARS = ["5bffffffffffffffff", "5b00000000ffffffff00", "7b7fffffffffffffff", "9bffffffffffffffff"]
LIARS += ["9b000000010000000000", "bbffffffffffffffff", "9a00ffffff00", "8181819a7fffffff"]


@pytest.mark.parametrize("octets", LIARS)
def test_a_length_that_is_not_there_costs_no_memory(octets):
    tracemalloc.start()
    for read in (cbor.decode, cbor.decode_tagged, cbor.split_array):
        with pytest.raises(MalformedMessage):
            read(bytes.fromhex(octets))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("head", [b"\x81", b"\xa1\x00", b"\xd2", b"\xd1\x81"])
def test_nesting_ends_at_its_limit(head):
    octets = head * 5000 + b"\x00"
    for read in (cbor.decode, cbor.decode_tagged, cbor.split_array, cbor.item_end):
        with pytest.raises(MalformedMessage):
            read(octets)


@pytest.mark.parametrize(
    "octets",
    ["a2 0100 0100", "a2 6161 00 6161 00", "a2 4161 00 4161 00", "a2 01 00 1801 00", "82 01 a2 f5 00 f5 00"],
)
def test_a_repeated_key_is_refused_however_it_is_spelt(octets):
    for read in (cbor.decode, cbor.decode_tagged):
        with pytest.raises(MalformedMessage):
            read(bytes.fromhex(octets))


def test_an_array_has_at_most_the_items_that_its_reader_expects():
    octets = b"\x98\x64" + bytes(100)
    assert len(cbor.split_array(octets, max_items=100)) == 100
    with pytest.raises(MalformedMessage):
        cbor.split_array(octets, max_items=99)


@pytest.mark.parametrize("tag", [0, 1, 2, 18, 24, 28, 37, 258, 55799, 70000])
def test_a_tag_is_kept_when_it_is_named_and_never_followed(tag):
    octets = cbor2.dumps(cbor2.CBORTag(tag, 5))
    kept = cbor.decode_tagged(octets, frozenset({tag}))
    assert (type(kept), kept.tag, kept.value) == (cbor2.CBORTag, tag, 5)
    with pytest.raises(MalformedMessage):
        cbor.decode_tagged(octets, frozenset({99}))


@given(st.binary(max_size=64))
def test_both_ways_of_reading_agree_on_where_an_array_ends(octets):
    array = b"\x84" + octets
    try:
        items = cbor.decode(array)
    except MalformedMessage:
        return
    slices = cbor.split_array(array)
    assert b"\x84" + b"".join(slices) == array
    assert repr([cbor.decode(one) for one in slices]) == repr(items)
