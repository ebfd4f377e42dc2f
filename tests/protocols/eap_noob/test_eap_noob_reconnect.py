"""The Reconnect Exchange: keying modes, roll-back (section 3.4.2), and learning the peer's convention."""

from dataclasses import astuple, replace
from itertools import product

import pytest
from noob_pair import DEVICE_FACTS, FACTS, Pair, counted_random, pair

from bootstrap.errors import LocalError
from bootstrap.protocols.eap_noob import Convention, crypto, device, messages, server
from bootstrap.protocols.eap_noob.constants import KeyingMode

SUCCESS = server.Result.SUCCESS
CONVENTIONS = [Convention(*bits) for bits in product((True, False), repeat=3)]


def keying_mode(log) -> int:
    return messages.decode_request(log.requests[2]).keying_mode


@pytest.mark.parametrize(
    ("first", "second", "secrecy", "mode"),
    [(1, 1, False, 1), (1, 1, True, 2), (2, 2, True, 2), (2, 2, False, 1), (1, 2, True, 3), (2, 1, False, 3)],
)
def test_the_suite_decides_between_the_keying_modes(first, second, secrecy, mode):
    made = Pair(device_facts=replace(DEVICE_FACTS, cryptosuites=(first,)))
    made.bootstrap()
    before = made.server.kz
    made.device_facts = replace(DEVICE_FACTS, cryptosuites=(second,))
    made.facts = replace(FACTS, forward_secrecy=secrecy)
    log = made.reconnect()
    assert keying_mode(log) == mode
    assert made.states == (4, 4)
    assert (made.server.kz == before) is (mode != 3)
    assert made.server.kz == made.device.kz
    assert made.server.cryptosuitep == made.device.cryptosuitep == second
    assert (made.device.kz_prev, made.device.cryptosuitep_prev) == (
        (before, first) if mode == 3 else (b"", 0)
    )
    assert log.last.keys.msk == log.device_steps[-1].keys.msk
    made.reconnect()
    assert (made.states, made.device.kz_prev) == ((4, 4), b"")


def test_every_reconnection_gives_fresh_keys_and_keys_of_the_server():
    made = pair(4, 3)
    made.facts = replace(FACTS, forward_secrecy=True)
    logs = [made.reconnect() for _ in range(3)]
    assert len({log.last.keys.msk for log in logs}) == 3
    assert len({messages.decode_request(log.requests[2]).pks2 for log in logs}) == 3


def test_the_roll_back_after_a_lost_last_response_of_a_suite_change():
    made = Pair(facts=replace(FACTS, cryptosuites=(1,)))
    made.bootstrap()
    old = made.server.kz
    made.facts = replace(FACTS, cryptosuites=(2, 1))
    made.device = device.rekey(made.device)
    made.talk(lose_response=3)
    assert (made.server.kz, made.server.cryptosuitep) == (old, 1)
    assert made.device.kz != old
    assert (made.device.kz_prev, made.device.cryptosuitep_prev) == (old, 1)
    made.facts = replace(FACTS, cryptosuites=(1,))
    log = made.talk()
    assert (log.last.result, keying_mode(log)) == (SUCCESS, 2)
    assert "eap-noob.suite.rolled-back" in [n.code for s in log.device_steps for n in s.notes]
    assert (made.device.kz, made.device.cryptosuitep) == (old, 1)
    assert (made.device.kz_prev, made.device.cryptosuitep_prev) == (b"", 0)


def test_the_suite_change_may_be_tried_again_and_again_until_its_last_response_arrives():
    made = Pair(facts=replace(FACTS, cryptosuites=(1,)))
    made.bootstrap()
    old = made.server.kz
    made.facts = replace(FACTS, cryptosuites=(2, 1))
    made.device = device.rekey(made.device)
    for _ in range(4):
        made.talk(lose_response=3)
        assert (made.device.kz_prev, made.device.cryptosuitep_prev) == (old, 1)
    log = made.talk()
    assert (log.last.result, keying_mode(log)) == (SUCCESS, 3)
    assert made.server.kz == made.device.kz != old
    assert made.device.cryptosuitep == 2
    made.reconnect()
    assert (made.states, made.device.kz_prev) == ((4, 4), b"")


def test_the_previous_key_is_dead_once_the_new_one_was_confirmed():
    made = Pair(facts=replace(FACTS, cryptosuites=(1,)))
    made.bootstrap()
    stale = made.server
    made.facts = replace(FACTS, cryptosuites=(2, 1))
    made.reconnect()
    made.reconnect()
    made.server = stale
    log = made.reconnect()
    assert b"4001" in log.responses[-1]
    assert made.states == (3, 3)


def test_nothing_weaker_is_offered_or_accepted(monkeypatch):
    strengths = {1: 128, 2: 256}
    monkeypatch.setattr("bootstrap.protocols.eap_noob.server.reconnect.STRENGTH_BITS", strengths)
    made = Pair(facts=replace(FACTS, cryptosuites=(2, 1)))
    made.bootstrap()
    assert made.server.cryptosuitep == 2
    assert messages.decode_request(made.reconnect().requests[1]).cryptosuites == (2,)
    made.facts = replace(FACTS, cryptosuites=(1,))
    assert messages.decode_request(made.reconnect().requests[1]).cryptosuites == (2,)
    monkeypatch.setattr("bootstrap.protocols.eap_noob.device.reconnect.STRENGTH_BITS", strengths)
    strengths[2] = 128
    made.server = server.to_reconnecting(made.server)
    made.device = device.rekey(made.device)

    def weaken(at, octets):
        strengths[2] = 256 if at == 1 else 128
        return octets

    log = made.talk(to_device=weaken)
    assert b"3002" in log.responses[-1]
    assert made.states == (3, 3)


def test_versions_below_the_stored_one_are_neither_offered_nor_accepted():
    both = {"versions": (1, 2)}
    made = Pair(facts=replace(FACTS, **both), device_facts=replace(DEVICE_FACTS, **both))
    made.bootstrap()
    assert made.server.verp == 2
    log = made.reconnect()
    assert messages.decode_request(log.requests[1]).vers == (2,)

    def older(at, octets):
        return octets.replace(b'"Vers":[2]', b'"Vers":[1]')

    made.device = device.rekey(made.device)
    assert b"3001" in made.talk(to_device=older).responses[-1]


def test_a_keying_mode_without_ecdhe_is_refused_when_the_suite_changes():
    made = pair(4, 3)
    made.facts = replace(FACTS, cryptosuites=(2,))

    def lower(at, octets):
        return octets.replace(b'"KeyingMode":3', b'"KeyingMode":2')

    assert b"1003" in made.talk(to_device=lower).responses[-1]
    assert made.states == (3, 3)


def test_a_peer_key_that_does_not_fit_the_keying_mode_is_1002():
    for secrecy, change in ((True, None), (False, '{"kty":"OKP"}')):
        made = pair(4, 3)
        made.facts = replace(FACTS, forward_secrecy=secrecy)

        def changed(at, octets, change=change):
            if at != 2:
                return octets
            return replace(messages.decode_response(octets), received={}, pkp2=change).encode()

        assert b"1002" in made.talk(to_server=changed).requests[-1]
        assert made.server.state == 3


def test_what_has_changed_is_sent_anew_hashed_and_kept():
    made = pair(4, 3)
    made.facts = replace(
        FACTS, reconnect_nai="noob@new.example", reconnect_server_info='{"ServerName":"é", "x" : 1.0}'
    )
    made.device_facts = replace(made.device_facts, reconnect_peer_info='{"Model":"S2"}')
    log = made.talk()
    assert made.states == (4, 4)
    assert log.last.labels == {"model": "S2"}
    assert made.server.nai == made.device.nai == "noob@new.example"
    assert made.device.server_info == '{"ServerName":"é", "x" : 1.0}'
    assert b"NewNAI" not in made.reconnect().requests[1]


def test_a_new_identity_counts_only_when_the_exchange_succeeds():
    made = pair(4, 3)
    nai = made.server.nai
    made.facts = replace(FACTS, reconnect_nai="noob@new.example")
    made.talk(lose_response=2)
    assert (made.server.nai, made.device.nai) == (nai, nai)


@pytest.mark.parametrize("default", CONVENTIONS, ids=lambda c: str(astuple(c)))
@pytest.mark.parametrize("peer", CONVENTIONS, ids=lambda c: str(astuple(c)))
def test_the_server_learns_every_convention_and_then_never_misses(default, peer):
    made = Pair(
        facts=replace(FACTS, convention=default, forward_secrecy=False),
        device_facts=replace(DEVICE_FACTS, convention=peer),
    )
    made.talk()
    made.deliver_to_server()
    notes, tries = [], 0
    while made.states != (4, 4):
        notes += made.talk().notes
        tries += 1
        assert tries <= 2
    assert tries == (1 if default.kdf_datalength == peer.kdf_datalength else 2)
    assert ("eap-noob.convention.other" in notes) is (tries == 2)
    tries, made.device = 0, device.rekey(made.device)
    while tries == 0 or made.states != (4, 4):
        log = made.talk()
        tries += 1
        assert tries <= 4
    same = default.mac_nai == peer.mac_nai and (
        not peer.kdf_datalength or default.null_datalength == peer.null_datalength
    )
    assert (tries == 1) is same
    assert ("eap-noob.convention.other" in log.notes) is not same
    assert (made.server.kdf_datalength, made.server.mac_nai) == (peer.kdf_datalength, peer.mac_nai)
    again = made.reconnect()
    assert again.last.result is SUCCESS
    assert "eap-noob.convention.other" not in again.notes


def test_the_nai_is_learned_in_mode_2_and_the_null_counter_only_in_mode_1():
    peer = Convention(kdf_datalength=True, null_datalength=False, mac_nai=False)
    made = Pair(device_facts=replace(DEVICE_FACTS, convention=peer))
    made.bootstrap()
    assert made.reconnect().last.result is not SUCCESS
    assert made.reconnect().last.result is SUCCESS
    assert (made.server.mac_nai, made.server.null_datalength) == (False, None)
    made.facts = replace(FACTS, forward_secrecy=False)
    assert made.reconnect().last.result is not SUCCESS
    assert made.reconnect().last.result is SUCCESS
    assert astuple(peer) == (made.server.kdf_datalength, made.server.null_datalength, made.server.mac_nai)


def test_candidates_are_few_different_and_begin_with_the_default():
    for default in CONVENTIONS:
        for mode, most in (
            (KeyingMode.COMPLETION, 2),
            (KeyingMode.RECONNECT, 6),
            (KeyingMode.RECONNECT_ECDHE, 4),
        ):
            found = crypto.candidates(default, crypto.Pins(), mode)
            assert found[0] == default
            assert len(set(found)) == len(found) <= most
    pinned = crypto.Pins(True, False, True)
    assert crypto.candidates(Convention(), pinned, KeyingMode.RECONNECT) == (Convention(True, False, True),)


def test_random_numbers_that_are_none_do_not_hang_the_key_generation():
    with pytest.raises(LocalError):
        crypto.key_pair(2, bytes)
    with pytest.raises(LocalError):
        crypto.key_pair(3, counted_random())
