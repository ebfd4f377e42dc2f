"""The drafts' generator replayed: codecs, hashes, keys, and both machines with the generator's randomness."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from noob_pair import scripted

from bootstrap.contract import Env
from bootstrap.protocols.eap_noob import Convention, crypto, device, messages, server, sticker
from bootstrap.protocols.eap_noob.constants import KeyingMode, OobOutcome
from bootstrap.protocols.eap_noob.messages.transcript import hash_input, opened, recorded, without_nai

FILE = Path(__file__).parents[2] / "vectors/eap_noob/drafts-generator.json"
DATA = json.loads(FILE.read_text())
CASES = {case["name"]: case for case in DATA["cases"]}
CURVES = {1: "X25519", 2: "P-256"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# (name of the reading, name of its reconnect block) -> what we call it
READINGS = {
    ("script", "reconnect"): Convention(kdf_datalength=False, mac_nai=False),
    ("rfc_mac", "reconnect"): Convention(kdf_datalength=False, mac_nai=True),
    ("rfc_text", "reconnect"): Convention(kdf_datalength=True, null_datalength=False, mac_nai=True),
    ("rfc_text", "reconnect_null_datalength"): Convention(True, True, True),
}
REPLAYS = [
    pytest.param(case, reading, block, convention, id=f"{name}-{reading}-{block}")
    for name, case in CASES.items()
    for (reading, block), convention in READINGS.items()
    if block in case["derived"][reading]
]


def wire(case, exchange, direction, number):
    (found,) = [
        m["json"].encode()
        for m in case["messages"]
        if (m["exchange"].split()[0], m["dir"], m["type"]) == (exchange, direction, number)
    ]
    return found


def private(case, suite, side):
    return bytes.fromhex(DATA["ecdh_keys"][CURVES[suite]][f"{side}_private"])


def env(*randoms):
    return Env(NOW, scripted(*randoms))


def initial_transcript(case):
    transcript = opened(case["identity_first"], keying_mode="0")
    for number in (2, 3):
        for direction, read in (("request", messages.decode_request), ("response", messages.decode_response)):
            transcript = recorded(transcript, read(wire(case, "Initial", direction, number)))
    return transcript


def reconnect_transcript(case):
    transcript = opened(case["NAI"])
    for number in (7, 8):
        for direction, read in (("request", messages.decode_request), ("response", messages.decode_response)):
            transcript = recorded(transcript, read(wire(case, "Reconnect", direction, number)))
    return transcript


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_message_decodes_and_encodes_to_the_same_octets(case):
    for m in case["messages"]:
        read = messages.decode_request if m["dir"] == "request" else messages.decode_response
        octets = m["json"].encode()
        message = read(octets)
        assert m["type"] == message.TYPE
        assert message.encode() == octets
        ours = replace(message, received={})
        assert read(ours.encode()) == message


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_hash_inputs_are_those_of_the_generator_octet_by_octet(case):
    oob = sticker.decode(case["oob_query"])
    initial, printed = initial_transcript(case), case["inputs_printed"]
    assert hash_input(2, initial, oob.noob) == printed["HOOB"].encode() == printed["MACs"].encode()
    assert hash_input(1, initial, oob.noob) == printed["MACp"].encode()
    assert crypto.hoob(hash_input(2, initial, oob.noob)) == oob.hoob
    reconnect = reconnect_transcript(case)
    for reading, blank in (("script", True), ("rfc_mac", False), ("rfc_text", False)):
        transcript = without_nai(reconnect) if blank else reconnect
        derived = case["derived"][reading]
        assert hash_input(2, transcript, None) == derived["MACs2_input"].encode()
        assert hash_input(1, transcript, None) == derived["MACp2_input"].encode()


@pytest.mark.parametrize("suite", [1, 2])
def test_ecdh_gives_the_published_secret_both_ways(suite):
    keys = DATA["ecdh_keys"][CURVES[suite]]
    ours, theirs = bytes.fromhex(keys["server_private"]), bytes.fromhex(keys["peer_private"])
    assert crypto.shared_secret(suite, ours, crypto.public_jwk(suite, theirs)).hex() == keys["Z"]
    assert crypto.shared_secret(suite, theirs, crypto.public_jwk(suite, ours)).hex() == keys["Z"]


def assert_keys(keys, wanted, names):
    found = {
        "MSK": keys.msk,
        "EMSK": keys.emsk,
        "AMSK": keys.amsk,
        "MethodId": keys.method_id,
        names[0]: keys.kms,
        names[1]: keys.kmp,
        "SessionId": crypto.session_id(keys.method_id),
    }
    if "Kz" in wanted:
        found["Kz"] = keys.kz
    else:
        assert keys.kz == b""
    expected = {name: bytes.fromhex(v) for name, v in wanted.items() if not name.startswith("MAC")}
    assert found == expected


@pytest.mark.parametrize(("case", "reading", "block", "convention"), REPLAYS)
def test_the_whole_kdf_output_is_that_of_the_vectors(case, reading, block, convention):
    derived = case["derived"][reading]
    request = messages.decode_request(wire(case, "Initial", "request", 3))
    response = messages.decode_response(wire(case, "Initial", "response", 3))
    z = bytes.fromhex(DATA["ecdh_keys"][CURVES[case["cryptosuite_initial"]]]["Z"])
    noob = sticker.decode(case["oob_query"]).noob
    keys = crypto.derive(KeyingMode.COMPLETION, z, response.np, request.ns, noob, convention)
    assert_keys(keys, derived["completion"], ("Kms", "Kmp"))

    mode = KeyingMode(case["keying_mode_reconnect"])
    request = messages.decode_request(wire(case, "Reconnect", "request", 8))
    response = messages.decode_response(wire(case, "Reconnect", "response", 8))
    z2 = bytes.fromhex(DATA["ecdh_keys"][CURVES[case["cryptosuite_reconnect"]]]["Z"])
    z2, secret = (keys.kz, b"") if mode is KeyingMode.RECONNECT else (z2, keys.kz)
    keys2 = crypto.derive(mode, z2, response.np2, request.ns2, secret, convention)
    assert_keys(keys2, derived[block], ("Kms2", "Kmp2"))


def mac_of(wanted, name):
    return f'"{name}":"{wanted[name]}"'.encode()


def with_mac(octets, name, wanted):
    """The recorded message with the MAC that this reading gives."""
    start = octets.index(f'"{name}"'.encode())
    return octets[:start] + mac_of(wanted, name) + b"}"


def proved(keys, wanted):
    names = ("MSK", "EMSK", "AMSK", "SessionId")
    assert [v.hex() for v in (keys.msk, keys.emsk, keys.amsk, keys.session_id)] == [wanted[n] for n in names]


@pytest.mark.parametrize(("case", "reading", "block", "convention"), REPLAYS)
def test_the_device_answers_the_generators_server_octet_by_octet(case, reading, block, convention):
    derived = case["derived"][reading]
    first, second = case["cryptosuite_initial"], case["cryptosuite_reconnect"]
    peer_info = messages.decode_response(wire(case, "Initial", "response", 2)).peer_info
    facts = device.DeviceFacts(peer_info=peer_info, cryptosuites=(first,), dirp=2, convention=convention)
    np = messages.decode_response(wire(case, "Initial", "response", 3)).np
    state = device.initial_state()

    def ask(exchange, number, randoms=(), octets=None):
        nonlocal state
        octets = octets or wire(case, exchange, "request", number)
        step = device.step(state, octets, facts, env(*randoms))
        state = step.state
        return step

    def answers(exchange, *numbers):
        for number in numbers:
            assert ask(exchange, number).response == wire(case, exchange, "response", number)

    answers("Initial", 1, 2)
    step = ask("Initial", 3, (private(case, first, "peer"), np))
    assert (step.response, step.sleep_time) == (wire(case, "Initial", "response", 3), 60)
    state = device.on_failure(state)
    answers("Waiting", 1, 4)
    state = device.on_failure(state)
    received = device.oob_input(state, sticker.decode(case["oob_query"]), facts)
    assert received.outcome is OobOutcome.ACCEPTED
    state = received.state
    answers("Completion", 1, 5)
    completion = derived["completion"]
    step = ask("Completion", 6, octets=with_mac(wire(case, "Completion", "request", 6), "MACs", completion))
    assert mac_of(completion, "MACp") in step.response
    proved(step.keys, completion)
    state = device.rekey(device.on_success(state))
    assert device.identity(state, facts) == case["NAI"]
    facts = replace(facts, cryptosuites=(second,))
    answers("Reconnect", 1, 7)
    np2 = messages.decode_response(wire(case, "Reconnect", "response", 8)).np2
    ecdh = case["keying_mode_reconnect"] > 1
    step = ask("Reconnect", 8, ((private(case, second, "peer"),) if ecdh else ()) + (np2,))
    recorded_response = wire(case, "Reconnect", "response", 8)
    assert messages.decode_response(step.response) == messages.decode_response(recorded_response)
    assert step.response == recorded_response or not ecdh  # the generator adds "PKp2":"" in mode 1
    if not ecdh:  # element 13 and 15 are "" either way
        assert b"PKp2" not in step.response
    wanted = derived[block]
    step = ask("Reconnect", 9, octets=with_mac(wire(case, "Reconnect", "request", 9), "MACs2", wanted))
    assert mac_of(wanted, "MACp2") in step.response
    proved(step.keys, wanted)
    assert (state.state, state.cryptosuitep) == (4, second)
    assert state.kz.hex() == wanted.get("Kz", completion["Kz"])


@pytest.mark.parametrize(("case", "reading", "block", "convention"), REPLAYS)
def test_the_server_asks_the_generators_device_octet_by_octet(case, reading, block, convention):
    derived = case["derived"][reading]
    first, second = case["cryptosuite_initial"], case["cryptosuite_reconnect"]
    offer = messages.decode_request(wire(case, "Initial", "request", 2))
    facts = server.Facts(
        server_info=offer.server_info,
        new_nai=case["NAI"],
        convention=convention,
        sleep_time_seconds=60,
        forward_secrecy=case["name"].endswith("1"),
    )
    state = server.initial_state()

    def answer(exchange, number, randoms=(), octets=None):
        nonlocal state
        message = server.decode(octets or wire(case, exchange, "response", number))
        step = server.step(state, message, case["identity_first"], facts, env(*randoms))
        state = step.state
        return step

    step = answer("Initial", 1, (bytes(16),))
    # The generator's PeerId is no base64url of 16 octets; put it in place of ours, everywhere.
    ours, theirs = f'"{state.peer_id}"', f'"{offer.peer_id}"'
    assert step.request.decode().replace(ours, theirs).encode() == offer.encode()
    transcript = tuple(e.replace(ours, theirs) for e in state.initial)
    state = replace(state, peer_id=offer.peer_id, initial=transcript)
    ns = messages.decode_request(wire(case, "Initial", "request", 3)).ns
    step = answer("Initial", 2, (private(case, first, "server"), ns))
    assert step.request == wire(case, "Initial", "request", 3)
    assert answer("Initial", 3).result is server.Result.FAILURE
    assert answer("Waiting", 1).request == wire(case, "Waiting", "request", 4)
    assert answer("Waiting", 4).result is server.Result.FAILURE
    noob = sticker.decode(case["oob_query"]).noob
    state, oob = server.oob_make(state, env(noob), facts)
    assert sticker.encode_query(oob) == case["oob_query"]
    assert answer("Completion", 1).request == wire(case, "Completion", "request", 5)
    completion = derived["completion"]
    request = answer("Completion", 5).request
    assert request == with_mac(wire(case, "Completion", "request", 6), "MACs", completion)
    step = answer(
        "Completion", 6, octets=with_mac(wire(case, "Completion", "response", 6), "MACp", completion)
    )
    assert (step.result, state.kz.hex()) == (server.Result.SUCCESS, completion["Kz"])
    proved(step.keys, completion)
    assert answer("Reconnect", 1).request == wire(case, "Reconnect", "request", 7)
    ecdh = case["keying_mode_reconnect"] > 1
    request8 = messages.decode_request(wire(case, "Reconnect", "request", 8))
    key = (private(case, second, "server"),) if ecdh else ()
    assert messages.decode_request(answer("Reconnect", 7, (*key, request8.ns2)).request) == request8
    wanted = derived[block]
    request = answer("Reconnect", 8).request
    assert request == with_mac(wire(case, "Reconnect", "request", 9), "MACs2", wanted)
    step = answer("Reconnect", 9, octets=with_mac(wire(case, "Reconnect", "response", 9), "MACp2", wanted))
    assert (step.result, state.cryptosuitep) == (server.Result.SUCCESS, second)
    assert state.kz.hex() == wanted.get("Kz", completion["Kz"])
    proved(step.keys, wanted)


def test_the_printed_kz_and_the_printed_macs_are_the_script_reading():
    for case in CASES.values():
        script = case["derived"]["script"]
        assert mac_of(script["completion"], "MACs") in wire(case, "Completion", "request", 6)
        assert mac_of(script["reconnect"], "MACp2") in wire(case, "Reconnect", "response", 9)
        if case["Kz_printed"]:
            assert case["Kz_printed"] == [script["completion"]["Kz"], script["reconnect"]["Kz"]]
