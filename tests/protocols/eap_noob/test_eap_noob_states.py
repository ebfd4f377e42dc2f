"""The table of exchanges (RFC 9140 Appendix A), budgets, and what every error does to both sides."""

from dataclasses import replace

import pytest
from noob_pair import DEVICE_FACTS, FACTS, START, Pair, counted_random, pair

from bootstrap.contract import Env, Milestone
from bootstrap.errors import NotAuthorized, TooManyRequests
from bootstrap.protocols.eap_noob import NoobError, constants, crypto, device, messages, server
from bootstrap.protocols.eap_noob.constants import Exchange, OobOutcome
from bootstrap.wire.eap import EAP_MTU

ENV = Env(START, counted_random())
# (server, peer) -> request types, states afterwards; Table 14 written out again
TABLE = {
    (0, 0): ([1, 2, 3], (1, 1)),
    (0, 1): ([1, 2, 3], (1, 1)),
    (0, 2): ([1, 2, 3], (1, 1)),
    (1, 0): ([1, 2, 3], (1, 1)),
    (1, 1): ([1, 4], (1, 1)),
    (1, 2): ([1, 5, 6], (4, 4)),
    (2, 0): ([1, 2, 3], (1, 1)),
    (2, 1): ([1, 6], (4, 4)),
    (2, 2): ([1, 5, 6], (4, 4)),
    (3, 3): ([1, 7, 8, 9], (4, 4)),
    (4, 3): ([1, 7, 8, 9], (4, 4)),
}
PAIRS = [(s, p) for s in range(5) for p in range(4)]


def identified(made: Pair, peer_state: int) -> messages.DiscoveryResponse:
    return messages.DiscoveryResponse(peer_state=peer_state, peer_id=made.server.peer_id)


@pytest.mark.parametrize(("server_state", "peer_state"), PAIRS)
def test_every_pair_of_states_leads_to_its_exchange_within_its_budget(server_state, peer_state):
    made = pair(server_state, peer_state)
    # A device that was reset leaves out its PeerId; the engine may still find the row, so both are tried.
    log = made.talk()
    if (server_state, peer_state) in TABLE:
        types, states = TABLE[server_state, peer_state]
        assert (log.types, made.states) == (types, states)
        success = states == (4, 4)
        assert log.last.result is (server.Result.SUCCESS if success else server.Result.FAILURE)
        assert (log.last.keys is not None) is success
        if success:
            assert log.last.keys.msk == log.device_steps[-1].keys.msk
            assert len(log.last.keys.msk) == len(log.last.keys.emsk) == len(log.last.keys.amsk) == 64
            assert log.last.keys.session_id == log.device_steps[-1].keys.session_id
            assert made.server.kz == made.device.kz
    else:
        assert log.types == [1, 0]
        assert b'"ErrorCode":2002' in log.requests[1]
        assert made.states == (server_state, peer_state)
        assert log.steps[0].milestone is Milestone.STUCK
        assert log.last.result is server.Result.FAILURE
    assert all(len(octets) + 5 <= EAP_MTU for octets in log.requests + log.responses)


def test_the_table_of_the_code_is_the_table_of_the_rfc():
    exchange = {(1, 2, 3): Exchange.INITIAL, (1, 4): Exchange.WAITING, (1, 7, 8, 9): Exchange.RECONNECT}
    expected = {
        states: exchange.get(tuple(types), Exchange.COMPLETION) for states, (types, _) in TABLE.items()
    }
    assert expected == server.EXCHANGE


@pytest.mark.parametrize("server_state", [1, 2])
def test_a_registered_peer_of_a_server_that_missed_its_last_response_is_flagged(server_state):
    assert "eap-noob.last-response-lost" in pair(server_state, 3).talk().notes


@pytest.mark.parametrize(("server_state", "peer_state"), [(0, 3), (3, 0), (4, 1), (4, 2)])
def test_other_mismatches_are_only_mismatches(server_state, peer_state):
    notes = pair(server_state, peer_state).talk().notes
    assert "eap-noob.state-mismatch" in notes
    assert "eap-noob.last-response-lost" not in notes


def test_a_stranger_that_is_refused_leaves_nothing_behind():
    message = messages.DiscoveryResponse(peer_state=3, peer_id="unknown")
    step = server.step(server.initial_state(), message, "noob@eap-noob.arpa", FACTS, ENV)
    assert b"2002" in step.request
    assert (step.keep, step.milestone) == (False, None)
    unwanted = server.step(
        server.initial_state(),
        messages.DiscoveryResponse(peer_state=0),
        "noob@eap-noob.arpa",
        replace(FACTS, wanted=False),
        ENV,
    )
    assert b"2001" in unwanted.request
    assert not unwanted.keep


@pytest.mark.parametrize("nai", ["noob@eap-noob.arpa", "@noob.eap.arpa", "noob@realm.example.com"])
def test_the_identity_of_the_initial_exchange_is_hashed_unless_a_new_one_was_given(nai):
    made = Pair(device_facts=replace(DEVICE_FACTS, nai=nai))
    made.bootstrap()
    assert made.server.nai == made.device.nai == nai
    assert made.reconnect().last.result is server.Result.SUCCESS
    given = Pair(
        device_facts=replace(DEVICE_FACTS, nai=nai), facts=replace(FACTS, new_nai="noob@home.example")
    )
    given.bootstrap()
    assert given.server.nai == given.device.nai == device.identity(given.device, given.device_facts)
    assert given.server.nai == "noob@home.example"


def test_an_invalid_identity_is_1001_and_changes_nothing():
    made = pair(1, 1)
    step = server.step(made.server, identified(made, 1), "not an nai", FACTS, ENV)
    assert b"1001" in step.request
    assert step.state.state == 1


def test_a_new_peer_id_is_given_in_every_initial_exchange_and_announced():
    made = Pair()
    first = made.talk().steps[0].locator
    made.device = device.reset(made.device)
    second = made.talk().steps[0].locator
    assert first != second == made.server.peer_id == made.device.peer_id
    assert len(second) == 22


def test_phases_and_milestones_follow_the_device():
    made = Pair()
    log = made.talk()
    assert (log.last.phase, log.last.milestone) == ("Waiting for OOB", Milestone.WAITING)
    assert log.steps[1].labels == {"serial": "DU-9999", "manufacturer": "Acme", "model": "S1"}
    assert made.talk().last.milestone is None
    made.deliver_to_server()
    log = made.talk()
    assert (log.last.phase, log.last.milestone) == ("Registered", Milestone.BOOTSTRAPPED)
    assert made.reconnect().last.milestone is Milestone.RECONNECTED


def test_labels_are_bounded_printable_strings_and_nothing_else():
    info = '{"SerialNumber":7,"Model":"' + "m" * 200 + r'","PeerName":"a\u0000\u001b[2Jb","Manufacturer":""}'
    made = Pair(device_facts=replace(DEVICE_FACTS, peer_info=info))
    assert made.talk().steps[1].labels == {"model": "m" * 64, "name": "a[2Jb"}


def test_sleep_time_is_sent_within_its_bounds():
    for seconds, sent in ((5, 5), (-1, 0), (99999, 3600)):
        made = Pair(facts=replace(FACTS, sleep_time_seconds=seconds))
        assert made.talk().device_steps[-1].sleep_time == sent
        assert made.talk().device_steps[-1].sleep_time == sent


# What an error does: in which conversation, before which message of ours, and the states afterwards.
CONVERSATIONS = {
    "initial": ((0, 0), (0, 0)),
    "waiting": ((1, 1), (1, 1)),
    "completion from peer": ((2, 1), (2, 1)),
    "completion from server": ((1, 2), (1, 2)),
    "reconnect": ((4, 3), (3, 3)),
}
SPOTS = [
    (name, index) for name, (states, _) in CONVERSATIONS.items() for index in range(len(TABLE[states][0]))
]
ERRORS = [*sorted(constants.NoobErrorCode), 6001]


@pytest.mark.parametrize(("name", "index"), SPOTS)
def test_an_error_of_the_peer_has_the_consequence_of_section_3_6(name, index):
    states, after = CONVERSATIONS[name]
    for code in ERRORS:
        made = pair(*states)
        notification = messages.ErrorNotification(error_code=code, error_info="why")

        def broken(at, octets, notification=notification):
            return notification.encode() if at == index else octets

        log = made.talk(to_server=broken)
        assert log.last.result is server.Result.FAILURE
        assert "eap-noob.error.received" in log.notes
        expected = after[0] if index else states[0]
        if code == 2003 and name == "completion from peer" and index == 1:
            expected = 1
        assert made.server.state == expected
        assert (log.last.milestone is Milestone.STUCK) is (code in constants.NEEDS_A_PERSON)


@pytest.mark.parametrize(("name", "index"), SPOTS)
def test_an_error_of_the_server_is_echoed_and_has_the_same_consequence(name, index):
    states, after = CONVERSATIONS[name]
    for code in ERRORS:
        made = pair(*states)
        notification = messages.ErrorNotification(error_code=code).encode()
        request = server.start()
        for _ in range(index):
            answered = made.ask(request)
            request = made.answer(answered.response).request
        answered = made.ask(notification)
        assert f'"ErrorCode":{int(code)}'.encode() in answered.response
        assert answered.expects is device.Expectation.FAILURE
        assert answered.error_code == code
        # error in the common handshake or after Type 1 only: no exchange is known to the peer yet
        expected = after[1] if index > 1 or name == "reconnect" else states[1]
        if code == 2003 and name == "completion from server" and index == 2:
            expected = 1
        assert made.device.state == expected


def test_a_refused_completion_takes_the_peer_back_to_where_it_was():
    made = pair(2, 1)
    before = made.device
    request = made.answer(made.ask(server.start()).response).request
    assert made.ask(request).expects is device.Expectation.SUCCESS
    assert made.device.state == 4
    made.ask(messages.ErrorNotification(error_code=4001).encode())
    assert replace(made.device, expected=()) == before


SPOILED = {
    "no json": (b"\xff", 1002),
    "unknown member": (b'{"Type":1,"PeerState":0,"X":1}', 1002),
    "bad value": (b'{"Type":1,"PeerState":9}', 1003),
    "other type": (b'{"Type":5,"PeerId":"x","NoobId":"AAAAAAAAAAAAAAAAAAAAAA"}', 1004),
    "bad peer info": (b'{"Type":2,"Verp":1,"PeerId":"x","Cryptosuitep":1,"Dirp":1,"PeerInfo":1}', 5004),
}


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize(("name", "index"), [spot for spot in SPOTS if spot != ("completion from server", 1)])
def test_a_bad_response_is_answered_in_band_and_the_next_message_ends_it(name, index, kind):
    octets, code = SPOILED[kind]
    states, after = CONVERSATIONS[name]
    made = pair(*states)
    log = made.talk(to_server=lambda at, good: octets if at == index else good)
    assert f'"ErrorCode":{code}'.encode() in log.requests[index + 1]
    assert log.types[-1] == 0
    assert len(log.requests) == index + 2
    assert log.last.result is server.Result.FAILURE
    assert made.server.state == (after[0] if index else states[0])


def test_a_peer_that_missed_its_new_peer_id_starts_anew_under_the_old_one():
    made = pair(1, 1)
    made.server = server.reset(made.server)
    made.talk(stop_before=1)
    assert made.server.peer_id != made.device.peer_id
    assert made.talk().types == [1, 2, 3]
    assert made.states == (1, 1)


def test_the_wrong_peer_id_is_2004():
    made = pair(1, 1)
    made.answer(made.ask(server.start()).response)
    step = made.answer(messages.WaitingResponse(peer_id="somebody-else").encode())
    assert b"2004" in step.request
    other = messages.DiscoveryResponse(peer_state=1, peer_id="somebody-else").encode()
    assert b"2004" in made.answer(other).request
    made.ask(server.start())
    assert b"2004" in made.ask(messages.WaitingRequest(peer_id="somebody-else").encode()).response
    assert made.states == (1, 1)


@pytest.mark.parametrize(
    ("facts", "code"),
    [({"versions": (2,)}, 3001), ({"cryptosuites": (2,)}, 3002), ({"dirs": 2, "dirp": 2}, 3003)],
)
def test_a_failed_negotiation_takes_both_to_unregistered(facts, code):
    made = Pair(facts=replace(FACTS, cryptosuites=(1,), dirs=1), device_facts=replace(DEVICE_FACTS, **facts))
    log = made.talk()
    assert f'"ErrorCode":{code}'.encode() in log.responses[-1]
    assert made.states == (0, 0)
    assert log.last.milestone is Milestone.STUCK


def test_a_peer_that_chooses_what_was_not_offered_is_1003():
    for changes in ({"verp": 2}, {"cryptosuitep": 2}, {"dirp": 3}):
        made = Pair(facts=replace(FACTS, cryptosuites=(1,), dirs=1))

        def chosen(at, octets, changes=changes):
            if at != 1:
                return octets
            return replace(messages.decode_response(octets), received={}, **changes).encode()

        assert b"1003" in made.talk(to_server=chosen).requests[-1]
        assert made.server.state == 0


BAD_KEYS = {
    "wrong curve": '{"kty":"OKP","crv":"X448","x":"%s"}' % ("A" * 43),
    "all zero": '{"kty":"OKP","crv":"X25519","x":"%s"}' % ("A" * 43),
    "small order": '{"kty":"OKP","crv":"X25519","x":"4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA"}',
    "short": '{"kty":"OKP","crv":"X25519","x":"AAAA"}',
    "no coordinate": '{"kty":"OKP","crv":"X25519"}',
    "number": '{"kty":"OKP","crv":"X25519","x":1}',
    "private curve name": '{"kty":"EC","crv":"Curve25519","x":"%s"}' % ("A" * 43),
}


@pytest.mark.parametrize("jwk", BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_x25519_keys_are_1005_on_both_sides(jwk):
    made = Pair()
    log = made.talk(
        to_server=lambda at, o: (
            o if at != 2 else replace(messages.decode_response(o), received={}, pkp=jwk).encode()
        )
    )
    assert b"1005" in log.requests[-1]
    assert made.states == (0, 0)
    log = Pair().talk(
        to_device=lambda at, o: (
            o if at != 2 else replace(messages.decode_request(o), received={}, pks=jwk).encode()
        )
    )
    assert b"1005" in log.responses[-1]


def test_bad_p256_keys_are_1005():
    good = crypto.key_pair(2, counted_random())
    x, y = good.jwk.split('"x":"')[1][:43], good.jwk.split('"y":"')[1][:43]
    for jwk in (
        good.jwk.replace(x, y),
        good.jwk.replace(y, "A" * 43),
        good.jwk.replace("P-256", "P-384"),
        good.jwk.replace("EC", "OKP"),
        good.jwk.replace(f',"y":"{y}"', ""),
        good.jwk.replace(x, "_" * 42 + "8"),
    ):
        with pytest.raises(NoobError, match="1005"):
            crypto.shared_secret(2, good.private, jwk)


def test_an_unusable_server_url_is_5003_when_the_peer_needs_it():
    made = Pair(facts=replace(FACTS, server_info='{"ServerURL":"http://evil.example/"}'))
    assert b"5003" in made.talk().responses[-1]
    reading = replace(made, device_facts=replace(DEVICE_FACTS, dirp=2), server=server.initial_state())
    assert reading.talk().types == [1, 2, 3]


def test_errors_from_around_the_protocol_have_a_code_too():
    made = pair(1, 1)
    assert b"2001" in server.refuse(made.server, NotAuthorized("no")).request
    assert b"2001" in server.refuse(made.server, TooManyRequests("slow down")).request


def test_why_a_check_failed_stays_with_us():
    made = pair(1, 1)
    made.answer(made.ask(server.start()).response)
    step = made.answer(b'{"Type":4,"PeerId":"x","Wat":1}')
    assert messages.decode_request(step.request).error_info == "Invalid message structure"


def test_both_directions_at_once_use_the_message_of_the_server():
    made = pair(2, 2)
    assert made.server.oob_noob
    assert made.server.oob_noob != made.device.oob_noob
    log = made.talk()
    assert log.types == [1, 5, 6]
    assert (
        messages.decode_request(log.requests[2]).noob_id == messages.decode_response(log.responses[1]).noob_id
    )
    assert made.states == (4, 4)


def test_2003_for_the_servers_own_message_leaves_the_one_it_received_alone():
    made = pair(2, 2)
    unknown = messages.ErrorNotification(error_code=2003).encode()
    log = made.talk(to_server=lambda at, octets: unknown if at == 2 else octets)
    assert log.types == [1, 5, 6]
    assert made.server.state == 2
    assert made.server.oob_noob


def test_a_device_that_is_asked_again_while_registered_reconnects():
    made = Pair()
    made.bootstrap()
    assert made.talk().types == [1, 7, 8, 9]


def test_local_events_follow_table_15():
    for state in range(5):
        made = pair(state, min(state, 3))
        assert server.reset(made.server).state == 0
        assert server.to_reconnecting(made.server).state == (3 if state >= 3 else state)
        assert server.recovered(made.server).state == (3 if state >= 3 else state)
        assert device.timeout(made.device).state == (3 if state >= 3 else 0)
        assert device.reset(made.device) == device.initial_state()
    made.later(days=1)
    assert server.expire(made.server, made.env).state == 4
    waiting = pair(1, 1)
    waiting.later(hours=23)
    assert server.expire(waiting.server, waiting.env).state == 1
    waiting.later(hours=1)
    assert server.expire(waiting.server, waiting.env) == server.reset(waiting.server)


def test_a_restored_association_reconnects():
    made = Pair()
    made.bootstrap()
    made.server = server.recovered(made.server)
    assert made.reconnect().last.result is server.Result.SUCCESS


def test_no_secret_is_in_any_repr():
    made = pair(2, 2)
    secrets = [
        made.server.z,
        made.server.oob_noob,
        made.device.oob_noob,
        made.device.z,
        made.server.noobs[0][0],
    ]
    texts = [repr(made.server), repr(made.device)]
    made.server, oob = made.server, server.oob_make(pair(1, 1).server, ENV, FACTS)[1]
    secrets.append(oob.noob)
    texts.append(repr(oob))
    log = made.talk()
    secrets += [made.server.kz, log.last.keys.msk, log.last.keys.emsk, log.last.keys.amsk]
    texts += [repr(s) for s in log.steps] + [repr(s) for s in log.device_steps] + [repr(log.last.keys)]
    pair_of_keys = crypto.key_pair(1, counted_random())
    secrets.append(pair_of_keys.private)
    texts.append(repr(pair_of_keys))
    everything = "\n".join(texts)
    for secret in secrets:
        assert secret
        for spelling in (repr(secret)[2:-1], secret.hex(), messages.members.base64url(secret)):
            assert spelling not in everything


def test_an_accepted_message_is_reported_as_such():
    made = Pair()
    made.talk()
    assert made.deliver_to_server().outcome is OobOutcome.ACCEPTED
