"""Server and device over a bad network: loss, repetition, reordering, and one flipped bit."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noob_pair import DEVICE_FACTS, FACTS, Pair, counted_random, pair

from bootstrap.protocols.eap_noob import device, messages, server
from bootstrap.protocols.eap_noob.constants import OobOutcome

SUCCESS = server.Result.SUCCESS
losses = st.lists(
    st.tuples(st.sampled_from(["stop_before", "lose_response"]), st.integers(0, 3), st.booleans()), max_size=7
)


def deliver(made: Pair) -> None:
    """A person does what can be done now."""
    if made.states == (1, 1) and made.device.dirp & 1:
        made.deliver_to_server()
    elif made.states == (1, 1):
        made.deliver_to_device()


@settings(max_examples=60, deadline=None)
@given(losses, st.integers(1, 3), st.sampled_from([(1, 2), (2, 1)]), st.sampled_from([(1,), (2,), (1, 2)]))
def test_whatever_is_lost_both_sides_end_registered_with_the_same_key(cuts, dirp, suites, later_suites):
    made = Pair(facts=replace(FACTS, cryptosuites=suites), device_facts=replace(DEVICE_FACTS, dirp=dirp))
    for how, index, person in cuts:
        made.talk(**{how: index})
        if person:
            deliver(made)
        if made.states == (4, 4):
            made.facts = replace(made.facts, cryptosuites=later_suites)
            made.device = device.rekey(made.device)
    for _ in range(5):
        if made.device.state != 4:
            log = made.talk()
            if "eap-noob.last-response-lost" in log.notes:
                made.device = device.reset(made.device)  # section 6.9: a person's work
            deliver(made)
    assert made.states == (4, 4)
    assert made.server.kz == made.device.kz
    assert made.server.cryptosuitep == made.device.cryptosuitep
    assert made.server.nai == made.device.nai


@pytest.mark.parametrize("states", [(0, 0), (1, 1), (2, 1), (1, 2), (2, 2), (4, 3)])
def test_a_repeated_message_never_leads_to_success_twice(states):
    made = pair(*states)
    request = server.start()
    while request is not None:
        response = made.ask(request).response
        step = made.answer(response)
        repeated = replace(made).answer(response)
        assert repeated.keys is None
        request = step.request


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_genuine_messages_in_the_wrong_order_never_register_or_reveal_keys(data):
    soup = soup_of_messages()
    made = pair(*data.draw(st.sampled_from([(0, 0), (1, 1), (2, 1), (1, 2), (2, 2), (3, 3), (4, 3)])))
    order = data.draw(st.lists(st.sampled_from(soup), min_size=1, max_size=12))
    for response in order:
        step = made.answer(response)
        assert step.keys is None
        assert step.result is not SUCCESS
        assert step.state.kz == pair(made.server.state, 1).server.kz or not step.state.kz


_SOUP: list[bytes] = []


def soup_of_messages() -> list[bytes]:
    """Responses of real conversations of the same association with other nonces."""
    if not _SOUP:
        for states in ((0, 0), (1, 1), (2, 1), (1, 2), (2, 2), (4, 3)):
            made = pair(*states)
            made.random = counted_random(b"other nonces")
            _SOUP.extend(made.talk().responses)
        # MACp of the Completion Exchange is genuine for ever: nothing in it is fresh after the Initial
        # Exchange. The server takes it once, because the association is persistent from then on.
        _SOUP[:] = [r for r in _SOUP if b"MACp" not in r or b"MACp2" in r]
    return _SOUP


def flipped(octets: bytes, bit: int) -> bytes:
    at = bit // 8 % len(octets)
    return octets[:at] + bytes([octets[at] ^ 1 << bit % 8]) + octets[at + 1 :]


def harmless(genuine: bytes, changed: bytes) -> bool:
    """SleepTime is the one member that nothing protects."""
    try:
        one, other = messages.decode_request(genuine), messages.decode_request(changed)
    except messages.NoobError:
        return False
    return (
        isinstance(one, messages.KeyExchangeRequest | messages.WaitingRequest)
        and isinstance(other, type(one))
        and replace(other, sleep_time=one.sleep_time) == one
    )


@settings(max_examples=120, deadline=None)
@given(st.booleans(), st.integers(1, 2), st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_one_flipped_bit_of_the_initial_exchange_is_found_at_the_oob_step_or_before(
    to_device, index, bit, dirp
):
    made = Pair(
        device_facts=replace(DEVICE_FACTS, dirp=dirp), facts=replace(FACTS, new_nai="noob@home.example")
    )
    skipped = False

    def flip(at, octets):
        nonlocal skipped
        if at != index:
            return octets
        changed = flipped(octets, bit)
        skipped = to_device and harmless(octets, changed)
        return changed

    made.talk(**{"to_device" if to_device else "to_server": flip})
    if skipped or made.states != (1, 1):
        return
    if not made.server.dirp & made.device.dirp:
        return
    if dirp == 1:
        made.device, oob, _ = device.oob_output(made.device, made.device_facts, made.env)
        outcome = server.oob_check(made.server, oob)
    elif server.can_make_oob(made.server):
        made.server, oob = server.oob_make(made.server, made.env, made.facts)
        outcome = device.oob_input(made.device, oob, made.device_facts).outcome
    else:
        return
    assert outcome in (OobOutcome.WRONG, OobOutcome.WRONG_PEER_ID, OobOutcome.NO_SUCH_DIRECTION)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([((2, 1), 1), ((1, 2), 1), ((1, 2), 2), ((4, 3), 1), ((4, 3), 2), ((4, 3), 3)]),
    st.booleans(),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_one_flipped_bit_of_completion_or_reconnect_is_refused(spot, to_device, bit, secrecy):
    (states, index) = spot
    made = pair(*states)
    made.facts = replace(
        FACTS, forward_secrecy=secrecy, reconnect_nai="noob@new.example", reconnect_server_info='{"a":"b"}'
    )
    made.device_facts = replace(made.device_facts, reconnect_peer_info='{"c":1}')

    def flip(at, octets):
        return flipped(octets, bit) if at == index else octets

    log = made.talk(**{"to_device" if to_device else "to_server": flip})
    assert log.last.result is not SUCCESS
    assert all(step.keys is None for step in log.steps)
    assert made.server.state == (3 if states[0] == 4 else log.steps[-1].state.state)
    assert made.server.state != 4
    # and nothing is broken for good
    if made.device.state == 4:
        made.device = device.rekey(made.device)
    if made.states not in {(1, 3), (2, 3)}:
        for _ in range(6):  # a flipped bit looks like the other convention: the server goes round once
            if made.states != (4, 4):
                made.talk()
                deliver(made)
        assert made.states == (4, 4)
