"""Key exchange, key derivation and protected messages, against a second implementation where there is one."""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.protocols.fdo.crypto.groups import GENERATOR, PRIME_14, PRIME_15
from bootstrap.protocols.fdo.crypto.hashes import HashType, digest, hash_type_of, hmac, hmac_type_of
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, SessionKeys, derive
from bootstrap.protocols.fdo.crypto.kex import (
    KexSuite,
    Shared,
    device_answer,
    owner_begin,
    owner_finish,
    suites_for,
)
from bootstrap.protocols.fdo.crypto.session import open_, open_first, seal
from bootstrap.wire.keys import KeyKind, SoftSigner

OWNERS = {kind: SoftSigner.generate(kind) for kind in KeyKind}
PAIRS = [(kind, suite) for kind in KeyKind for suite in suites_for(kind)]
EVERY = [(suite, dialect) for suite in CipherSuite for dialect in Dialect]


class Random:
    """The same octets for the same seed."""

    def __init__(self, seed: bytes) -> None:
        self._state, self._count = seed, 0

    def __call__(self, n: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._state + bytes([self._count])).digest(n)


def exchange(kind: KeyKind, suite: KexSuite, seed: bytes = b"x") -> tuple[Shared, Shared]:
    private, x_a = owner_begin(suite, Random(b"owner" + seed))
    x_b, device = device_answer(suite, x_a, Random(b"device" + seed), OWNERS[kind].public)
    return owner_finish(suite, private, x_b, OWNERS[kind]), device


def test_every_suite_of_the_specification_has_an_owner_key():
    assert {suite for _kind, suite in PAIRS} == set(KexSuite)


QUICK = settings(max_examples=8, deadline=None)
"""An exchange in the larger groups takes a tenth of a second."""


@pytest.mark.parametrize(("kind", "suite"), PAIRS)
@given(seed=st.binary(min_size=1, max_size=4))
@QUICK
def test_both_sides_agree(kind: KeyKind, suite: KexSuite, seed: bytes):
    owner, device = exchange(kind, suite, seed)
    assert owner == device


def test_a_secret_with_leading_zeros_comes_in_both_spellings():
    for number in range(4000):
        owner, device = exchange(KeyKind.P256, KexSuite.ECDH256, number.to_bytes(2, "big"))
        if owner.alternatives:
            break
    assert owner.secret[0] == 0
    assert owner.alternatives == (owner.secret.lstrip(b"\x00"),) == device.alternatives


def test_the_groups_are_safe_primes_of_the_stated_form():
    """RFC 3526: p = 2^n - 2^(n-64) - 1 + 2^64 * (…), and p, (p-1)/2 pass a base-2 Fermat test."""
    for prime, bits in ((PRIME_14, 2048), (PRIME_15, 3072)):
        assert prime.bit_length() == bits
        assert prime >> (bits - 64) == 2**64 - 1 == prime & (2**64 - 1)
        half = (prime - 1) // 2
        assert pow(GENERATOR, half, prime) == 1
        assert pow(3, half - 1, half) == 1


@pytest.mark.parametrize("suite", [KexSuite.DHKEXID14, KexSuite.DHKEXID15])
def test_degenerate_group_elements_are_refused(suite: KexSuite):
    prime = PRIME_14 if suite is KexSuite.DHKEXID14 else PRIME_15
    private, _x_a = owner_begin(suite, Random(b"a"))
    for element in (0, 1, prime - 1, prime, prime + 1):
        octets = element.to_bytes(512, "big").lstrip(b"\x00")
        with pytest.raises(MalformedMessage):
            owner_finish(suite, private, octets, OWNERS[KeyKind.RSA2048])


@given(st.binary(max_size=160))
def test_any_parameter_is_refused_cleanly(octets: bytes):
    for kind, suite in PAIRS:
        private, _x_a = (
            owner_begin(suite, Random(b"a")) if suite is not KexSuite.DHKEXID15 else (b"\x05", b"")
        )
        if suite in (KexSuite.DHKEXID14, KexSuite.DHKEXID15):
            continue  # any number in range is a parameter
        with pytest.raises((MalformedMessage, NotAuthenticated)):
            owner_finish(suite, private, octets, OWNERS[kind])


def test_asymkex_needs_an_rsa_owner_and_the_right_length():
    with pytest.raises(LocalError):
        device_answer(KexSuite.ASYMKEX2048, bytes(32), Random(b"d"), OWNERS[KeyKind.P256].public)
    with pytest.raises(MalformedMessage):
        device_answer(KexSuite.ASYMKEX2048, bytes(31), Random(b"d"), OWNERS[KeyKind.RSA2048].public)
    short = OWNERS[KeyKind.RSA2048].public.encrypt_oaep(bytes(16))
    with pytest.raises(NotAuthenticated):
        owner_finish(KexSuite.ASYMKEX2048, bytes(32), short, OWNERS[KeyKind.RSA2048])


@pytest.mark.parametrize(("suite", "dialect"), EVERY)
@pytest.mark.parametrize("rand", [b"", b"r" * 96])
def test_the_kdf_is_the_one_of_sp_800_108(suite: CipherSuite, dialect: Dialect, rand: bytes):
    keys = derive(suite, b"shared secret", rand, dialect)
    both = keys.sek + keys.svk
    algorithm = hashes.SHA384() if suite.prf == "sha384" else hashes.SHA256()
    second = KBKDFHMAC(
        algorithm,
        Mode.CounterMode,
        len(both),
        1,
        2,
        CounterLocation.BeforeFixed,
        b"FIDO-KDF",
        b"AutomaticOnboardTunnel" + rand,
        None,
    )
    assert second.derive(b"shared secret") == both
    assert len(keys.sek) == suite.key_length
    assert len(keys.svk) == (0 if suite.is_aead else suite.key_length * (1 if dialect is Dialect.GO else 2))


@pytest.mark.parametrize(("suite", "dialect"), EVERY)
@given(plaintext=st.binary(max_size=100), bit=st.integers(0, 10_000))
def test_messages_open_whole_or_not_at_all(suite: CipherSuite, dialect: Dialect, plaintext: bytes, bit: int):
    keys = derive(suite, b"secret", dialect=dialect)
    sealed = seal(suite, keys, plaintext, Random(b"iv"), dialect)
    assert open_(suite, keys, sealed, dialect) == plaintext
    assert open_(suite, keys, sealed[1:], dialect) == plaintext, "without its tag"
    changed = bytearray(sealed[1:])
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    try:
        opened = open_(suite, keys, bytes(changed), dialect)
    except (MalformedMessage, NotAuthenticated):
        return
    assert opened == plaintext, "only an unprotected label of the outer message may have changed"


def test_the_owner_learns_the_dialect_from_the_first_message():
    suite = CipherSuite.AES256_CTR
    candidates = [(derive(suite, b"s", dialect=dialect), dialect) for dialect in Dialect]
    for keys, dialect in candidates:
        sealed = seal(suite, keys, b"hello", Random(b"iv"), dialect)
        assert open_first(suite, candidates, sealed) == (b"hello", keys, dialect)
    stranger = SessionKeys(bytes(32), bytes(32))
    with pytest.raises(NotAuthenticated):
        open_first(suite, candidates, seal(suite, stranger, b"x", Random(b"iv")))


def test_the_wire_forms_are_the_ones_peers_send():
    gcm = cbor2.loads(seal(CipherSuite.A128GCM, SessionKeys(bytes(16)), b"x", Random(b"")))
    assert (gcm.tag, gcm.value[0], len(gcm.value[1][5])) == (16, bytes.fromhex("a10101"), 12)
    ccm = cbor2.loads(seal(CipherSuite.CCM_64_128_128, SessionKeys(bytes(16)), b"x", Random(b"")))
    assert (len(ccm.value[1][5]), len(ccm.value[2])) == (7, 17)
    keys = SessionKeys(bytes(16), bytes(16))
    mac = cbor2.loads(seal(CipherSuite.AES128_CTR, keys, b"x", Random(b"")))
    assert (mac.tag, mac.value[0], len(mac.value[3])) == (17, bytes.fromhex("a10105"), 32)
    inner = cbor2.loads(mac.value[2])
    assert (inner[0], inner[1][1], len(inner[1][5])) == (b"", -65534, 16)
    spelt = cbor2.loads(seal(CipherSuite.AES128_CTR, keys, b"x", Random(b""), Dialect.SPEC))
    assert cbor2.loads(cbor2.loads(spelt.value[2])[0]) == {1: -17760704}


@given(st.binary(max_size=120))
def test_any_octets_are_refused_cleanly(octets: bytes):
    for suite, dialect in EVERY:
        keys = derive(suite, b"secret", dialect=dialect)
        for form in (octets, b"\xd0\x83" + octets, b"\xd1\x84" + octets):
            with pytest.raises((MalformedMessage, NotAuthenticated)):
                open_(suite, keys, form, dialect)


def test_hashes_go_with_keys():
    assert [hash_type_of(kind) for kind in KeyKind] == [
        HashType.SHA256,
        HashType.SHA384,
        HashType.SHA256,
        HashType.SHA384,
    ]
    assert hmac_type_of(HashType.SHA384) is HashType.HMAC_SHA384
    assert digest(HashType.SHA384, b"a", b"b") == hashlib.sha384(b"ab").digest()
    assert len(hmac(HashType.HMAC_SHA256, b"k", b"d")) == 32
