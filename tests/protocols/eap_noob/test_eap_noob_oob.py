"""The OOB step in both directions (RFC 9140 section 3.2.3) and its URL (Appendix D)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noob_pair import FACTS, Pair, counted_random, pair

from bootstrap.errors import LocalError, MalformedMessage, UnexpectedMessage
from bootstrap.protocols.eap_noob import Oob, crypto, device, messages, server, sticker
from bootstrap.protocols.eap_noob.constants import OobOutcome

RFC_EXAMPLE = (
    "https://aaa.example.com/eapnoob?P=mcm5BSCDZ45cYPlAr1ghNw&N=rMinS0-F4EfCU8D9ljxX_A"
    "&H=QvnMp4UGxuQVFaXPW_14UW"
)
oobs = st.builds(
    Oob,
    st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True) | st.sampled_from(["a+b=c", "ä.&x", "%41"]),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
)


def from_device(made: Pair) -> Oob:
    made.device, oob, _ = device.oob_output(made.device, made.device_facts, made.env)
    return oob


def spoiled(oob: Oob) -> Oob:
    return replace(oob, hoob=bytes([oob.hoob[0] ^ 1]) + oob.hoob[1:])


def test_the_first_good_message_is_accepted_and_later_ones_are_redundant():
    made = pair(1, 1)
    assert server.oob_check(made.server, from_device(made)) is OobOutcome.ACCEPTED
    assert made.deliver_to_server().outcome is OobOutcome.ACCEPTED
    assert made.server.state == 2
    before = made.server
    made.later(minutes=31)
    assert made.deliver_to_server().outcome is OobOutcome.REDUNDANT
    assert made.server == before


def test_wrong_messages_are_counted_and_the_fifth_resets():
    made = pair(1, 1)
    wrong = spoiled(from_device(made))
    for left in (4, 3, 2, 1):
        result = server.oob_receive(made.server, wrong, made.env, FACTS)
        assert (result.outcome, result.tries_left, result.state.state) == (OobOutcome.WRONG, left, 1)
        made.server = result.state
        assert server.oob_check(made.server, wrong) is OobOutcome.WRONG
    result = server.oob_receive(made.server, wrong, made.env, FACTS)
    assert (result.outcome, result.tries_left) == (OobOutcome.WRONG_AND_RESET, 0)
    assert result.state == server.reset(made.server)
    made.server = result.state
    assert made.talk().types == [1, 2, 3]


def test_a_wrong_message_in_state_2_costs_nothing():
    made = pair(2, 1)
    result = server.oob_receive(made.server, spoiled(from_device(made)), made.env, FACTS)
    assert (result.outcome, result.state) == (OobOutcome.WRONG, made.server)


def test_every_other_situation_has_its_own_word():
    made = pair(1, 1)
    oob = from_device(made)
    other = replace(oob, peer_id="somebody-else")
    assert server.oob_check(made.server, other) is OobOutcome.WRONG_PEER_ID
    assert server.oob_check(server.reset(made.server), oob) is OobOutcome.NOT_WAITING
    assert server.oob_check(pair(4, 1).server, oob) is OobOutcome.ALREADY_REGISTERED
    assert server.oob_check(pair(3, 1).server, oob) is OobOutcome.ALREADY_REGISTERED
    assert server.oob_receive(made.server, other, made.env, FACTS).state == made.server
    one_way = Pair(random=counted_random(b"other"))  # Dirp = 1
    one_way.talk()
    made.server, oob = server.oob_make(made.server, made.env, FACTS)
    assert device.oob_input(one_way.device, oob, one_way.device_facts).outcome is OobOutcome.WRONG_PEER_ID
    oob = replace(oob, peer_id=one_way.device.peer_id)
    assert device.oob_input(one_way.device, oob, one_way.device_facts).outcome is OobOutcome.NO_SUCH_DIRECTION
    assert not server.can_make_oob(one_way.server)
    with pytest.raises(UnexpectedMessage):
        server.oob_make(one_way.server, one_way.env, FACTS)
    reading = Pair(device_facts=replace(one_way.device_facts, dirp=2))
    reading.talk()
    with pytest.raises(UnexpectedMessage):
        device.oob_output(reading.device, reading.device_facts, reading.env)
    oob = Oob(reading.server.peer_id, bytes(16), bytes(16))
    assert server.oob_check(reading.server, oob) is OobOutcome.NO_SUCH_DIRECTION


def test_a_message_shown_to_its_own_sender_is_wrong():
    made = pair(1, 1)
    oob = from_device(made)
    assert device.oob_input(made.device, oob, made.device_facts).outcome is OobOutcome.WRONG
    made.server, oob = server.oob_make(made.server, made.env, FACTS)
    assert server.oob_check(made.server, oob) is OobOutcome.WRONG


def test_the_device_counts_wrong_messages_too():
    made = pair(1, 1)
    made.server, oob = server.oob_make(made.server, made.env, FACTS)
    for _ in range(4):
        result = device.oob_input(made.device, spoiled(oob), made.device_facts)
        assert result.outcome is OobOutcome.WRONG
        made.device = result.state
    result = device.oob_input(made.device, spoiled(oob), made.device_facts)
    assert (result.outcome, result.state) == (OobOutcome.WRONG_AND_RESET, device.initial_state())
    assert device.oob_input(result.state, oob, made.device_facts).outcome is OobOutcome.NOT_WAITING
    accepted = device.oob_input(made.device, oob, made.device_facts)
    assert accepted.outcome is OobOutcome.ACCEPTED
    again = device.oob_input(accepted.state, oob, made.device_facts)
    assert (again.outcome, again.state) == (OobOutcome.REDUNDANT, accepted.state)


def test_the_server_shows_one_noob_for_half_of_noob_timeout_and_keeps_the_last_two():
    made = pair(1, 1)
    made.server = replace(made.server, noobs=())
    made.server, first = server.oob_make(made.server, made.env, FACTS)
    made.later(seconds=1799)
    made.server, same = server.oob_make(made.server, made.env, FACTS)
    assert same == first
    made.later(seconds=1)
    made.server, second = server.oob_make(made.server, made.env, FACTS)
    assert second != first
    assert len(made.server.noobs) == 2
    assert server.oob_expires_at(made.server, first) == int(made.now.timestamp()) + 1800
    assert server.oob_expires_at(made.server, Oob("x", bytes(16), bytes(16))) is None
    made.later(seconds=1800)
    made.server, third = server.oob_make(made.server, made.env, FACTS)
    assert [noob for noob, _ in made.server.noobs] == [second.noob, third.noob]


@pytest.mark.parametrize(("seconds", "good"), [(3599, True), (3600, False)])
def test_a_noob_of_the_server_expires_strictly_and_the_peer_goes_back_to_waiting(seconds, good):
    made = pair(1, 2)
    made.later(seconds=seconds)
    log = made.talk()
    if good:
        assert made.states == (4, 4)
        return
    assert b'"ErrorCode":2003' in log.requests[-1]
    assert made.states == (1, 1)
    made.deliver_to_device()
    made.talk()
    assert made.states == (4, 4)


def test_a_noob_of_the_peer_lives_until_a_waiting_exchange_after_its_timeout():
    made = pair(1, 1)
    oob = from_device(made)
    made.later(hours=5)
    still = replace(made, server=server.oob_receive(made.server, oob, made.env, FACTS).state)
    still.talk()
    assert still.states == (4, 4)
    made.talk()
    assert made.device.noobs == ()
    made.server = server.oob_receive(made.server, oob, made.env, FACTS).state
    log = made.talk()
    assert b'"ErrorCode":2003' in log.responses[-1]
    assert "eap-noob.oob.rejected" in log.notes
    assert made.states == (1, 1)
    made.deliver_to_server()
    made.talk()
    assert made.states == (4, 4)


def test_noob_id_discovery_finds_the_one_that_was_delivered_among_several():
    made = pair(1, 1)
    made.server = replace(made.server, noobs=())
    shown = []
    for hours in (0, 1, 1):
        made.later(hours=hours)
        made.server, oob = server.oob_make(made.server, made.env, replace(FACTS, noob_timeout_seconds=7200))
        shown.append(oob)
    assert len(made.server.noobs) == 2
    made.device = device.oob_input(made.device, shown[1], made.device_facts).state
    log = made.talk()
    assert messages.decode_request(log.requests[2]).noob_id == crypto.noob_id(shown[1].noob)
    assert made.states == (4, 4)


def test_the_device_makes_a_url_of_the_server_url_and_none_without_one():
    made = pair(1, 1)
    _, oob, url = device.oob_output(made.device, made.device_facts, made.env)
    assert url.startswith("https://noob.example.org/c?P=")
    assert sticker.decode(url) == oob
    plain = Pair(facts=replace(FACTS, server_info="{}"))
    plain.talk()
    assert device.oob_output(plain.device, plain.device_facts, plain.env)[2] is None


@given(oobs)
def test_urls_and_queries_round_trip(oob):
    assert sticker.decode(sticker.encode(oob, "https://onward.example:8443/c")) == oob
    assert sticker.decode(sticker.encode_query(oob)) == oob
    assert sticker.decode("?" + sticker.encode_query(oob)) == oob


def test_the_example_of_appendix_d_is_read():
    oob = sticker.decode(RFC_EXAMPLE)
    assert oob.peer_id == "mcm5BSCDZ45cYPlAr1ghNw"
    assert sticker.encode(oob, "https://aaa.example.com/eapnoob")[:-1] == RFC_EXAMPLE[:-1]


def test_parameters_come_in_any_order_and_others_are_ignored():
    oob = Oob("peer", bytes(16), b"\xff" * 16)
    p, n, h = sticker.encode_query(oob).split("&")
    for text in (
        f"{h}&{n}&{p}",
        f"{n}&{p}&{h}&utm_source=x",
        f"https://h.example/?{h}&{p}&{n}#top",
        f" {p}&{n}&{h}\n",
    ):
        assert sticker.decode(text) == oob


GOOD_N, GOOD_H = "A" * 22, "A" * 22


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://noob.example.org/c",
        "https://",
        f"http://noob.example.org/c?P=x&N={GOOD_N}&H={GOOD_H}",
        f"ftp://noob.example.org/c?P=x&N={GOOD_N}&H={GOOD_H}",
        f"https://?P=x&N={GOOD_N}&H={GOOD_H}",
        f"https://h:99999/?P=x&N={GOOD_N}&H={GOOD_H}",
        f"P=x&N={GOOD_N}",
        f"P=x&P=y&N={GOOD_N}&H={GOOD_H}",
        f"P=&N={GOOD_N}&H={GOOD_H}",
        f"P=a b&N={GOOD_N}&H={GOOD_H}",
        f"P=%ff&N={GOOD_N}&H={GOOD_H}",
        f"P={'x' * 65}&N={GOOD_N}&H={GOOD_H}",
        f"P=x&N={GOOD_N}A&H={GOOD_H}",
        f"P=x&N={GOOD_N[1:]}B&H={GOOD_H}",
        f"P=x&N={GOOD_N[1:]}%2B&H={GOOD_H}",
        f"P=x&N={GOOD_N}&H={GOOD_H}==",
        f"P=x&N={GOOD_N}&H={GOOD_H[1:]}",
        f"P=x&N=é&H={GOOD_H}",
        "P=x&" * 1000,
    ],
)
def test_anything_else_is_malformed(text):
    with pytest.raises(MalformedMessage):
        sticker.decode(text)


@settings(max_examples=150)
@given(st.text(max_size=60) | st.text(alphabet="PNHA=&?#/:%", max_size=60).map("https://h.example/?".__add__))
def test_any_text_decodes_or_is_malformed(text):
    try:
        oob = sticker.decode(text)
    except MalformedMessage:
        return
    assert sticker.decode(sticker.encode_query(oob)) == oob


def test_plain_http_is_for_the_own_machine_only():
    assert sticker.is_server_url("http://127.0.0.1:8000/c")
    assert sticker.is_server_url("http://localhost:8000/c")
    assert not sticker.is_server_url("http://127.0.0.1.evil.example/c")
    assert not sticker.is_server_url("http://localhost@evil.example/c")
    for url in ("", "https:///c", "https://h/c?x=1", "https://h/c#x", "https://h/ c", "javascript:alert(1)"):
        assert not sticker.is_server_url(url)
    with pytest.raises(LocalError):
        sticker.encode(Oob("x", bytes(16), bytes(16)), "http://noob.example.org")
