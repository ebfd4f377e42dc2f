"""What is sealed opens in its own row, for its own purpose, and nowhere else."""

from __future__ import annotations

import pytest

from bootstrap.bindings.eap import Opening
from bootstrap.contract import Env, Reply
from bootstrap.engine import envelope
from bootstrap.engine.envelope import Envelope
from bootstrap.errors import LocalError, UnknownDevice
from bootstrap.simulator.device import system_env
from devices import vault

MINE = ("eap-noob", "peer-one")
ELSEWHERE = [
    ("eap-noob", "peer-two"),
    ("provisioning", "peer-one"),
    ("eap-noob", ""),
    ("eap-noob peer-one", ""),
]


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_state_moved_to_another_row_does_not_open(row):
    sealed = envelope.seal(Envelope(b"state", b"digest", Reply(b"answer", msk=b"k" * 64)), *MINE)
    assert envelope.unseal(sealed, *MINE).state == b"state"
    with pytest.raises(LocalError):
        envelope.unseal(sealed, *row)


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_key_moved_to_another_row_does_not_open(row):
    sealed = envelope.seal_material(b"key", *MINE)
    assert envelope.unseal_material(sealed, *MINE) == b"key"
    with pytest.raises(LocalError):
        envelope.unseal_material(sealed, *row)


def test_a_key_is_no_state_and_a_state_is_no_key():
    with pytest.raises(LocalError):
        envelope.unseal(envelope.seal_material(b"key", *MINE), *MINE)
    with pytest.raises(LocalError):
        envelope.unseal_material(envelope.seal(Envelope(b"state"), *MINE), *MINE)


def test_one_flipped_bit_anywhere_is_noticed():
    sealed = envelope.seal(Envelope(b"state"), *MINE)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LocalError):
            envelope.unseal(bytes(changed), *MINE)


def test_only_an_opening_of_ours_that_is_fresh_is_a_token():
    env = system_env()
    now = int(env.now.timestamp())
    assert Opening.unseal(Opening(now, 7, "noob@eap-noob.arpa", None).seal(), env).identifier == 7
    foreign = [
        vault.seal_text(b"\x80", b"eap opening"),
        vault.seal_text(b"\x85\x00\x00\x00\x00\x00", b"another purpose"),
        Opening(now - 301, 7, "noob@eap-noob.arpa", None).seal(),
        Opening(now + 3600, 7, "noob@eap-noob.arpa", None).seal(),
        "",
        "A" * 300,
        "ключ",
        "\ud800",
    ]
    for token in foreign:
        with pytest.raises(UnknownDevice):
            Opening.unseal(token, Env(env.now, env.random))
