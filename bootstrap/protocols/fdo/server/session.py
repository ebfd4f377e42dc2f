"""The encrypted part of TO2 as the owner keeps it: keys in the state, dialects tried, replays refused."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from bootstrap.contract import Env
from bootstrap.errors import MalformedMessage, Replayed
from bootstrap.wire import cbor
from bootstrap.wire.keys import Signer

from ..crypto.kdf import SessionKeys, derive
from ..crypto.kex import KexSuite, owner_finish
from ..crypto.session import CipherSuite, Dialect, open_first, seal
from .state import OwnerState

DIALECTS: tuple[Dialect, ...] = (Dialect.GO, Dialect.SPEC)
"""In the order in which a device that we do not know is taken for one or the other."""

_TAGS = (b"\xd0", b"\xd1")
"""CBOR tags 16 and 17."""
_SEEN_LENGTH = 8
_SEEN_MAX = 4096
"""Encrypted messages of a run that are remembered; FDO numbers none of them."""


def key_agreed(state: OwnerState, x_b: bytes, signer: Signer) -> OwnerState:
    """The state with the session keys, from the device's half of the key exchange.

    Implementations differ in leading zeros of the shared secret and, for the encrypt-then-MAC suites, in the
    sizes of keys. Message 65 is sealed by the likeliest reading, the others wait for message 66. A device
    that could not open 65 begins again, and is then met in the other dialect.
    Raises MalformedMessage and NotAuthenticated for a half that is none.
    """
    cipher = CipherSuite(state.cipher_suite)
    shared = owner_finish(KexSuite(state.kex_suite), state.kex_private, x_b, signer)
    readings = [
        (derive(cipher, secret, shared.context_rand, dialect), dialect)
        for dialect in _dialects(state, cipher)
        for secret in (shared.secret, *shared.alternatives)
    ]
    keys, dialect = readings[0]
    return replace(
        state,
        kex_private=b"",
        sek=keys.sek,
        svk=keys.svk,
        dialect=dialect.value,
        others=tuple((k.sek, k.svk, d.value) for k, d in readings[1:]),
    )


def _dialects(state: OwnerState, cipher: CipherSuite) -> tuple[Dialect, ...]:
    if cipher.is_aead:
        return DIALECTS[:1]
    if state.known_dialect and not state.unopened:
        first = Dialect(state.known_dialect)
    else:
        first = DIALECTS[state.unopened % len(DIALECTS)]
    return (first, *(dialect for dialect in DIALECTS if dialect is not first))


def sealed(state: OwnerState, plaintext: bytes, env: Env) -> bytes:
    """A reply, encrypted."""
    keys = SessionKeys(state.sek, state.svk)
    return seal(CipherSuite(state.cipher_suite), keys, plaintext, env.random, Dialect(state.dialect))


def opened(state: OwnerState, body: bytes) -> tuple[bytes, dict[str, Any]]:
    """The plaintext of a request, and the fields of a state that remembers it (one copy per message is enough).

    Raises MalformedMessage, NotAuthenticated, and Replayed for octets that this run has had before.
    """
    mark = _mark(body)
    if _has(state.seen, mark):
        raise Replayed("an encrypted message came a second time")
    readings = ((state.sek, state.svk, state.dialect), *state.others)
    candidates = [(SessionKeys(sek, svk), Dialect(dialect)) for sek, svk, dialect in readings]
    plaintext, keys, dialect = open_first(CipherSuite(state.cipher_suite), candidates, body)
    seen = (state.seen + mark)[-_SEEN_LENGTH * _SEEN_MAX :]
    if not state.others and not state.unopened and state.known_dialect == dialect:
        return plaintext, {"seen": seen}
    return plaintext, {
        "sek": keys.sek,
        "svk": keys.svk,
        "dialect": dialect.value,
        "known_dialect": dialect.value,
        "others": (),
        "unopened": 0,
        "seen": seen,
    }


def _mark(body: bytes) -> bytes:
    """Names an encrypted message by what its key protects, the third element of COSE_Encrypt0 and of COSE_Mac0
    alike: the frame around that can be written in many ways."""
    frame = cbor.decode(body[1:] if body[:1] in _TAGS else body)
    if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[2], bytes):
        raise MalformedMessage("not an encrypted message")
    return sha256(frame[2]).digest()[:_SEEN_LENGTH]


def _has(seen: bytes, mark: bytes) -> bool:
    at = seen.find(mark)
    while at >= 0 and at % _SEEN_LENGTH:
        at = seen.find(mark, at + 1)
    return at >= 0
