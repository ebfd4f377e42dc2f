"""RendezvousInfo as devices and owners read it, in every form that is about, and the advice it earns."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage
from bootstrap.protocols.fdo.constants import RVProtocol, RVVariable
from bootstrap.protocols.fdo.rendezvous import (
    Directive,
    Instruction,
    RvInfo,
    RvInfoMalformed,
    Target,
    lint,
    rvinfo_for,
    words,
)
from bootstrap.wire import cbor

DNS, IP, DEV, OWNER, PROTOCOL = (
    RVVariable.DNS,
    RVVariable.IP_ADDRESS,
    RVVariable.DEV_PORT,
    RVVariable.OWNER_PORT,
    RVVariable.PROTOCOL,
)
PLAIN = {DNS: "rv.example", DEV: 8041, OWNER: 8042, PROTOCOL: 1}


def rvinfo(*directives: dict[Any, Any]) -> RvInfo:
    """Values as they are, None for a mark."""
    items = [
        [[int(var)] if value is None else [int(var), cbor.encode(value)] for var, value in one.items()]
        for one in directives
    ]
    return RvInfo.decode(cbor.encode(items))


def device_urls(*directives: dict[Any, Any]) -> list[str]:
    return [url for target in rvinfo(*directives).device_targets() for url in target.url_candidates]


def owner_urls(*directives: dict[Any, Any]) -> list[str]:
    return [url for target in rvinfo(*directives).owner_targets() for url in target.url_candidates]


def codes(*directives: dict[Any, Any]) -> list[str]:
    return [finding.code for finding in lint(rvinfo(*directives))]


def test_each_side_takes_its_own_port() -> None:
    assert device_urls(PLAIN) == ["http://rv.example:8041"]
    assert owner_urls(PLAIN) == ["http://rv.example:8042"]


def test_each_side_passes_over_what_is_for_the_other() -> None:
    devices, owners = PLAIN | {RVVariable.DEV_ONLY: None}, PLAIN | {RVVariable.OWNER_ONLY: None}
    both = rvinfo(devices, owners)
    assert [target.directive for target in both.device_targets()] == [0]
    assert [target.directive for target in both.owner_targets()] == [1]


def test_the_name_is_tried_before_the_address_and_directives_in_their_order() -> None:
    first = PLAIN | {IP: bytes([10, 0, 0, 1])}
    second = {IP: bytes([192, 0, 2, 7]), DEV: 80, PROTOCOL: 1}
    assert device_urls(first, second) == [
        "http://rv.example:8041",
        "http://10.0.0.1:8041",
        "http://192.0.2.7:80",
    ]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (bytes([10, 0, 0, 1]), "10.0.0.1"),
        (bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1]), "10.0.0.1"),
        (bytes.fromhex("20010db8") + bytes(11) + b"\x01", "[2001:db8::1]"),
    ],
)
def test_addresses_of_4_and_16_octets_are_read(address: bytes, host: str) -> None:
    assert device_urls({IP: address, DEV: 80, PROTOCOL: 1}) == [f"http://{host}:80"]


@pytest.mark.parametrize(
    ("protocol", "urls"),
    [
        (RVProtocol.REST, ["https://rv.example:8041", "http://rv.example:8041"]),
        (RVProtocol.HTTP, ["http://rv.example:8041"]),
        (RVProtocol.HTTPS, ["https://rv.example:8041"]),
        (RVProtocol.TCP, ["tcp://rv.example:8041"]),
        (RVProtocol.TLS, ["tls://rv.example:8041"]),
        (RVProtocol.COAP_TCP, ["coap+tcp://rv.example:8041"]),
        (RVProtocol.COAP_UDP, ["coap://rv.example:8041"]),
    ],
)
def test_every_protocol_has_its_scheme(protocol: RVProtocol, urls: list[str]) -> None:
    assert device_urls(PLAIN | {PROTOCOL: int(protocol)}) == urls


def test_without_a_protocol_it_is_tls() -> None:
    assert device_urls({DNS: "rv.example", DEV: 8041}) == ["https://rv.example:8041"]


def test_without_a_port_it_is_the_usual_one_where_there_is_one() -> None:
    assert device_urls({DNS: "rv.example", PROTOCOL: 1}) == ["http://rv.example:80"]
    assert device_urls({DNS: "rv.example", PROTOCOL: 2}) == ["https://rv.example:443"]
    assert device_urls({DNS: "rv.example", PROTOCOL: 3}) == []


def test_the_last_directive_waits_two_minutes_unless_it_says_otherwise() -> None:
    said = PLAIN | {RVVariable.DELAYSEC: 7}
    assert [target.delay_seconds for target in rvinfo(PLAIN, PLAIN).device_targets()] == [0, 120]
    assert [target.delay_seconds for target in rvinfo(said, said).owner_targets()] == [7, 7]
    assert [target.delay_seconds for target in rvinfo(PLAIN | {RVVariable.DELAYSEC: 0}).device_targets()] == [
        0
    ]


def test_bypass_is_shown_to_both_and_asks_nothing_of_the_owner() -> None:
    one = rvinfo(PLAIN | {RVVariable.BYPASS: None})
    assert one.device_targets() == (Target(("http://rv.example:8041",), 120, True, 0),)
    assert [target.bypass for target in one.owner_targets()] == [True]


@pytest.mark.parametrize(
    "mark", [b"\x81\x0e", b"\x82\x0e\xf6", b"\x82\x0e\x40", b"\x82\x0e\x41\xf6", b"\x82\x0e\x41\xf5"]
)
def test_a_mark_comes_with_one_item_or_with_two(mark: bytes) -> None:
    octets = b"\x81\x82\x82\x05\x4b" + cbor.encode("rv.example") + mark
    one = RvInfo.decode(octets)
    assert one.directives[0].bypass
    assert one.encode() == octets


@pytest.mark.parametrize(
    "host", ["evil/../x", "a b", "user@host", "host:80", "a?b", "", "-", "é.example", "a\n", "[::1]"]
)
def test_a_host_that_would_bend_the_url_is_no_host(host: str) -> None:
    assert device_urls(PLAIN | {DNS: host}) == []
    assert "RVI-113" in codes(PLAIN | {DNS: host})


@pytest.mark.parametrize(
    ("variable", "value"),
    [(DEV, 0), (DEV, 65536), (DEV, "80"), (PROTOCOL, 9), (IP, bytes(5)), (DNS, 7), (DNS, "x" * 254)],
)
def test_a_value_that_cannot_be_read_counts_as_missing(variable: RVVariable, value: Any) -> None:
    one = PLAIN | {variable: value}
    assert "RVI-113" in codes(one)
    rvinfo(one).device_targets()


def test_of_a_variable_that_stands_twice_the_first_readable_one_counts() -> None:
    octets = cbor.encode(
        [[[5, cbor.encode(7)], [5, cbor.encode("a.example")], [5, cbor.encode("b.example")]]]
    )
    one = RvInfo.decode(octets)
    assert one.directives[0].read(DNS) == "a.example"
    assert "RVI-112" in [finding.code for finding in lint(one)]


@pytest.mark.parametrize(
    "item",
    [
        1,
        None,
        "text",
        {},
        [1],
        [[1]],
        [[[]]],
        [[["5", b""]]],
        [[[5, "not wrapped"]]],
        [[[5, b"", b""]]],
        [[[256, b""]]],
        [[[-1, b""]]],
        [[]] * 17,
        [[[5, b""]] * 33],
    ],
)
def test_another_shape_is_malformed(item: Any) -> None:
    with pytest.raises(RvInfoMalformed) as caught:
        RvInfo.decode(cbor.encode(item))
    assert caught.value.code == "VCH-122"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_rendezvous_information_or_malformed(octets: bytes) -> None:
    with suppress(MalformedMessage):
        use(RvInfo.decode(octets))


values = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.integers(0, 2**33).map(dumps),
    st.text(max_size=12).map(dumps),
    st.binary(max_size=17).map(dumps),
)
instructions = st.tuples(st.integers(0, 17), values).map(list) | st.integers(0, 17).map(lambda var: [var])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(instructions, max_size=8), max_size=5))
def test_whatever_the_instructions_say_they_can_be_used_shown_and_advised_on(item: list[Any]) -> None:
    octets = dumps(item)
    one = RvInfo.decode(octets)
    assert one.encode() == octets
    use(one)
    assert RvInfo.decode(RvInfo(one.directives).encode()) == one


def use(one: RvInfo) -> None:
    for target in (*one.device_targets(), *one.owner_targets()):
        assert all("://" in url and " " not in url for url in target.url_candidates)
        assert target.delay_seconds >= 0
    assert len(words(one)) == len(one.directives)
    lint(one)


# Ours


@pytest.mark.parametrize(
    "url",
    [
        "http://rv.example:8041",
        "https://rv.example:443",
        "http://10.1.2.3:80",
        "https://[2001:db8::5]:8443",
        "coap://rv:5683",
    ],
)
def test_our_own_directive_reads_back_for_both_sides(url: str) -> None:
    one = RvInfo.decode(rvinfo_for(url).encode())
    assert one.device_targets() == one.owner_targets() == (Target((url,), 120, False, 0),)


def test_our_own_directive_is_the_one_that_every_device_reads() -> None:
    assert rvinfo_for("http://10.0.0.1:8040").encode() == cbor.encode(
        [[[2, b"\x44\x0a\x00\x00\x01"], [3, b"\x19\x1f\x68"], [4, b"\x19\x1f\x68"], [12, b"\x01"]]]
    )
    assert lint(rvinfo_for("https://rv.example", "http://rv.example:8041")) == []


def test_our_own_bypass_and_delay() -> None:
    one = rvinfo_for("http://owner.example", "http://b.example", bypass=True, delay_seconds=5)
    assert [(target.bypass, target.delay_seconds) for target in one.device_targets()] == [(True, 5)] * 2
    assert b"\x81\x0e" in one.encode()


@pytest.mark.parametrize(
    "url", ["", "rv.example", "ftp://rv.example", "http://", "http://a b", "http://x:99999", "http://x:y"]
)
def test_a_url_that_is_none_is_our_own_mistake(url: str) -> None:
    with pytest.raises(LocalError):
        rvinfo_for(url)


# Words and advice


@pytest.mark.parametrize(
    ("directive", "sentence"),
    [
        (PLAIN | {OWNER: 8041}, "Devices and owners use http://rv.example:8041."),
        (PLAIN, "Devices use http://rv.example:8041, owners use http://rv.example:8042."),
        (PLAIN | {RVVariable.DEV_ONLY: None}, "Only devices use http://rv.example:8041."),
        (PLAIN | {RVVariable.OWNER_ONLY: None}, "Only owners use http://rv.example:8042."),
        (PLAIN | {RVVariable.BYPASS: None}, "Devices go straight to the owner at http://rv.example:8041."),
        (
            {RVVariable.EXT_RV: []},
            "Devices and owners use an address that is not given. An external mechanism finds the server.",
        ),
        (
            PLAIN
            | {OWNER: 8041, RVVariable.WIFI_SSID: "shop", RVVariable.MEDIUM: 11, RVVariable.DELAYSEC: 9},
            "Devices and owners use http://rv.example:8041. They join the Wi-Fi network 'shop' first. "
            "They use Wi-Fi interface 1. After a failure they wait 9 s.",
        ),
    ],
)
def test_a_directive_in_words(directive: dict[Any, Any], sentence: str) -> None:
    assert words(rvinfo(directive)) == [sentence]


def test_words_do_not_show_the_wifi_password() -> None:
    one = rvinfo(PLAIN | {RVVariable.WIFI_SSID: "shop", RVVariable.WIFI_PW: "hunter2"})
    assert "hunter2" not in "".join(words(one)) + str(lint(one))


def without(*variables: RVVariable) -> dict[Any, Any]:
    return {variable: value for variable, value in PLAIN.items() if variable not in variables}


@pytest.mark.parametrize(
    ("code", "directives"),
    [
        ("RVI-101", []),
        ("RVI-102", [without(PROTOCOL)]),
        ("RVI-103", [PLAIN | {PROTOCOL: 4}]),
        ("RVI-104", [without(DEV)]),
        ("RVI-105", [without(OWNER)]),
        ("RVI-106", [without(DNS)]),
        ("RVI-107", [PLAIN | {IP: bytes.fromhex("20010db8") + bytes(12)}]),
        ("RVI-108", [PLAIN | {IP: bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1])}]),
        ("RVI-109", [PLAIN | {RVVariable.BYPASS: None}]),
        ("RVI-110", [PLAIN | {RVVariable.OWNER_ONLY: None}]),
        ("RVI-111", [PLAIN | {RVVariable.DEV_ONLY: None}]),
        ("RVI-113", [PLAIN | {DEV: "x"}]),
        ("RVI-114", [PLAIN | {77: 1}]),
        ("RVI-115", [PLAIN | {RVVariable.WIFI_PW: "x"}]),
        ("RVI-116", [PLAIN | {DNS: "localhost"}]),
    ],
)
def test_every_weakness_earns_its_advice(code: str, directives: list[dict[Any, Any]]) -> None:
    assert code in codes(*directives)


def test_sound_information_earns_none() -> None:
    assert codes(PLAIN) == []
    assert codes(PLAIN | {RVVariable.DEV_ONLY: None}, PLAIN | {RVVariable.OWNER_ONLY: None}) == []


def test_advice_says_which_directive() -> None:
    assert [(f.code, f.where) for f in lint(rvinfo(PLAIN, without(PROTOCOL)))] == [("RVI-102", "directive 2")]


def test_the_model_is_small_and_comparable() -> None:
    assert Directive((Instruction(14),)) == Directive.decode(b"\x81\x81\x0e")
