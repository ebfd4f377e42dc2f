"""JSON members with their verbatim text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage
from bootstrap.wire.json_slices import MAX_DEPTH, MAX_OCTETS, parse_object

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def test_slices_keep_order_escapes_numbers_and_inner_white_space():
    inner = r'{ "b" : 1.0, "a":"\u00e9\/é", "e": 1E2,' + '\n\t"n":[ 1 , 2 ] }'
    parsed = parse_object((' {"x": ' + inner + ' , "y":-0 } ').encode())
    assert parsed.slices == {"x": inner, "y": "-0"}
    assert parsed.values["x"]["a"] == "é/é"


@given(st.dictionaries(texts, values, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_values_equal_those_of_the_standard_parser_and_slices_parse_to_them(members, indent, ascii_only):
    text = json.dumps(members, indent=indent, ensure_ascii=ascii_only)
    parsed = parse_object(text.encode())
    assert parsed.values == members
    assert {name: json.loads(piece) for name, piece in parsed.slices.items()} == members


@given(st.binary(max_size=48) | st.text(alphabet='{}[]":,\\u01eEn.- \0dN', max_size=32).map(str.encode))
def test_any_bytes_parse_or_are_malformed(octets):
    try:
        parsed = parse_object(octets)
    except MalformedMessage:
        return
    assert parsed.values == json.loads(octets.removesuffix(b"\0"))


def test_one_trailing_nul_is_tolerated_and_a_second_is_not():
    assert parse_object(b'{"a":1}\0').values == {"a": 1}
    with pytest.raises(MalformedMessage):
        parse_object(b'{"a":1}\0\0')


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":1',
        b'{"a":1,}',
        b'{"a" 1}',
        b"{1:1}",
        b'{"a":1}{}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        rb'{"a":1,"\u0061":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 21 + b"}",
        b'{"a":' + b"9" * 4000 + b"}",
        rb'{"a":"\ud800"}',
        rb'{"\udfff":1}',
        b'{"a":"\xff"}',
        b'{"a":"\x01"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"a":"' + b"x" * MAX_OCTETS + b'"}',
    ],
)
def test_what_is_not_one_clean_object_is_malformed(octets):
    with pytest.raises(MalformedMessage):
        parse_object(octets)


def test_nesting_is_allowed_up_to_the_limit_and_brackets_in_strings_do_not_count():
    deep = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse_object(deep)
    with pytest.raises(MalformedMessage):
        parse_object(b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")
    assert parse_object(rb'{"a":"\"[[[[[[[[[[[[[["}').values == {"a": '"' + "[" * 14}


def test_surrogate_pairs_are_fine():
    assert parse_object(rb'{"a":"\ud83d\ude00"}').values == {"a": "😀"}
