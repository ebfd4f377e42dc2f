"""Our device against our servers, in memory: every kind of key and cipher, and every way a road can be bad."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from fdo_hand import RVINFO, key
from fdo_pair import Lost, Portal, Road, Thing, pair, redirected, registered

from bootstrap.contract import Level
from bootstrap.errors import NotAuthenticated, PeerError
from bootstrap.protocols.fdo.constants import CredentialReuse, KeyEncoding, MessageType
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect
from bootstrap.protocols.fdo.crypto.kex import KexSuite, suites_for
from bootstrap.protocols.fdo.device import Finished
from bootstrap.protocols.fdo.messages import ErrorMessage
from bootstrap.protocols.fdo.server import results_of
from bootstrap.protocols.fdo.service_info import Command, Download, Upload
from bootstrap.protocols.fdo.service_info.device import Ran
from bootstrap.protocols.fdo.voucher.checks import verify
from bootstrap.protocols.fdo.voucher.transfer import extend
from bootstrap.wire.keys import KeyKind

KINDS = [*((kind, False) for kind in KeyKind), (KeyKind.RSA2048, True), (KeyKind.RSA3072, True)]
ENCODINGS = [KeyEncoding.X509, KeyEncoding.X5CHAIN, KeyEncoding.COSEKEY, KeyEncoding.CRYPTO]
EXCHANGES = [(kind, suite) for kind in KeyKind for suite in suites_for(kind)]
MESSAGES = 6
"""Of one TO2 with one entry and nothing to do: 60, 62, 64, 66, 68, 70."""


def can_onboard(thing: Thing, portal: Portal) -> Finished:
    """Whatever was before, on a good road the device gets in, with the credential that it has now."""
    guid = thing.credential.guid
    done = thing.onboard(portal)
    assert guid.hex() in portal.sessions
    return done


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: e.name)
@pytest.mark.parametrize(("kind", "pss"), KINDS)
def test_from_the_factory_to_the_second_owner_key(kind: KeyKind, pss: bool, encoding: KeyEncoding) -> None:
    thing, portal = pair(kind, encoding=encoding, pss=pss)
    for _run in range(2):
        voucher = portal.voucher(thing.credential.guid)
        to1d = redirected(thing, registered(voucher, kind))
        done = thing.onboard(portal, to1d=to1d)
        assert not done.reused
        verify(portal.voucher(thing.credential.guid), owner=key(kind, "owner2").public)
    assert len(portal.sessions) == 3
    assert portal.finished == 2


@pytest.mark.parametrize("cipher", list(CipherSuite), ids=lambda c: c.name)
@pytest.mark.parametrize(("kind", "suite"), EXCHANGES)
def test_every_key_exchange_with_every_cipher(kind: KeyKind, suite: KexSuite, cipher: CipherSuite) -> None:
    thing, portal = pair(kind, options={"kex": suite, "cipher": cipher}, reuse=True, rvinfo=None)
    assert thing.onboard(portal).reused
    assert len(portal.sessions) == 1


@pytest.mark.parametrize(
    ("owner", "device"),
    [
        (KeyKind.P256, KeyKind.P384),
        (KeyKind.P384, KeyKind.P256),
        (KeyKind.RSA3072, KeyKind.P256),
        (KeyKind.RSA2048, KeyKind.P384),
        (KeyKind.P384, KeyKind.RSA2048),
    ],
)
def test_device_and_owner_may_have_keys_of_different_kinds(owner: KeyKind, device: KeyKind) -> None:
    thing, portal = pair(owner, device_kind=device)
    for _run in range(2):
        thing.onboard(
            portal, to1d=redirected(thing, registered(portal.voucher(thing.credential.guid), owner))
        )


@pytest.mark.parametrize("dialects", [(Dialect.GO,), (Dialect.SPEC,)], ids=str)
@pytest.mark.parametrize("cipher", [c for c in CipherSuite if not c.is_aead], ids=lambda c: c.name)
def test_a_device_of_one_dialect_gets_in_at_its_second_try_at_the_latest(
    cipher: CipherSuite, dialects: tuple[Dialect, ...]
) -> None:
    thing, portal = pair(options={"cipher": cipher, "dialects": dialects}, reuse=True, rvinfo=None)
    try:
        thing.onboard(portal)
    except NotAuthenticated:
        assert dialects == (Dialect.SPEC,)
        thing.onboard(portal)
    thing.onboard(portal)
    assert portal.state(thing.credential.guid).known_dialect == dialects[0]


@pytest.mark.parametrize("entries", [1, 3, 10])
def test_a_voucher_of_many_owners_costs_one_message_each_and_no_more(entries: int) -> None:
    thing, portal = pair()
    voucher = portal.voucher(thing.credential.guid)
    for _number in range(entries - 1):
        voucher = extend(voucher, key(KeyKind.P256), voucher.owner_key)
    portal.add(voucher)
    road = Road()
    thing.onboard(portal, road)
    assert road.messages == portal.steps == MESSAGES - 1 + entries


def test_reuse_leaves_one_voucher_however_often() -> None:
    thing, portal = pair(reuse=True)
    before = thing.credential
    for _run in range(5):
        assert thing.onboard(portal).reused
    assert thing.credential == before
    assert list(portal.sessions) == [before.guid.hex()]


def test_a_device_that_forbids_reuse_keeps_its_credential_and_is_heard() -> None:
    thing, portal = pair(reuse=True, options={"allow_reuse": False})
    before = thing.credential
    with pytest.raises(CredentialReuse):
        thing.onboard(portal)
    assert thing.credential == before
    assert portal.notes[-1].detail["forbids_reuse"] == 1
    portal.facts["reuse"] = False
    assert not can_onboard(thing, portal).reused


def test_files_and_commands_reach_the_device_and_results_come_back() -> None:
    actions = (
        Download("motd", "/etc/motd", bytes(range(256)) * 20),
        Command("hi", "/bin/echo", ("hi",), return_stdout=True),
        Upload("log", "/var/log/boot"),
    )
    thing, portal = pair(
        actions=lambda _devmod: actions, max_service_info=4000, options={"max_service_info": 600}
    )
    thing.bench.files["/var/log/boot"] = b"booted\n" * 900
    thing.bench.programs["/bin/echo"] = lambda args: Ran(0, " ".join(args).encode(), b"")
    guid = thing.credential.guid
    thing.onboard(portal)
    assert thing.bench.files["/etc/motd"] == actions[0].content
    results = {result.id: result for result in results_of(portal.state(guid).finished)}
    assert [result.ok for result in results.values()] == [True, True, True]
    assert results["hi"].output == b"hi"
    assert results["log"].output == b"booted\n" * 900


def test_a_program_that_must_work_and_does_not_ends_the_run_and_leaves_the_old_voucher() -> None:
    thing, portal = pair(actions=lambda _devmod: (Command("boom", "/bin/false"),))
    thing.bench.programs["/bin/false"] = lambda _args: Ran(1, b"", b"no")
    before = thing.credential
    with pytest.raises(PeerError):
        thing.onboard(portal)
    assert thing.credential == before
    assert portal.state(before.guid).failed == ("boom",)
    thing.bench.programs["/bin/false"] = lambda _args: Ran(0, b"", b"")
    can_onboard(thing, portal)


def test_a_stranger_with_the_guid_gets_no_further_than_the_voucher() -> None:
    thing, portal = pair()
    stranger = replace(thing, signer=key(KeyKind.P256, "stranger"))
    with pytest.raises(PeerError):
        stranger.onboard(portal)
    assert portal.finished == 0
    can_onboard(thing, portal)


def test_another_portal_with_a_copy_of_the_voucher_is_refused_by_the_device() -> None:
    thing, portal = pair()
    thief = Portal(KeyKind.P256, {"signer": lambda _der: key(KeyKind.P256, "thief")})
    thief.add(portal.voucher(thing.credential.guid))
    before = thing.credential
    with pytest.raises(PeerError):
        thing.onboard(thief)
    assert thing.credential == before
    assert thief.finished == 0


# Bad roads.


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("answered", range(MESSAGES))
@pytest.mark.parametrize("arrives", [False, True])
def test_a_device_that_dies_at_any_message_starts_again(answered: int, arrives: bool, reuse: bool) -> None:
    thing, portal = pair(reuse=reuse)

    class Dies(Road):
        def carry(self, number: int, body: bytes, portal: Portal) -> tuple[int, bytes]:
            if self.messages == answered:
                if arrives:
                    portal.receive(number, body)
                raise ZeroDivisionError
            return super().carry(number, body, portal)

    before = thing.credential
    with pytest.raises(ZeroDivisionError):
        thing.onboard(portal, Dies())
    assert thing.credential == before
    done = can_onboard(thing, portal)
    assert done.reused is reuse
    assert portal.notes[-1].level is Level.SUCCESS
    assert len(portal.sessions) == (1 if reuse else 2)
    can_onboard(thing, portal)


@pytest.mark.parametrize("seed", range(12))
def test_messages_that_are_lost_or_come_twice_change_nothing(seed: int) -> None:
    actions = (Download("f", "f", bytes(5000)), Upload("u", "u"))
    thing, portal = pair(actions=lambda _devmod: actions)
    thing.bench.files["u"] = b"u" * 3000
    road = Road(random.Random(seed), lose=0.2, repeat=0.3)
    guid = thing.credential.guid
    thing.onboard(portal, road)
    assert thing.bench.files["f"] == bytes(5000)
    assert [r.output for r in results_of(portal.state(guid).finished)] == [b"", b"u" * 3000]
    assert portal.finished == 1
    assert len(portal.sessions) == 2
    can_onboard(thing, portal)


@pytest.mark.parametrize("seed", range(12))
def test_old_messages_that_come_again_are_refused_and_the_run_goes_on(seed: int) -> None:
    actions = (Download("f", "f", bytes(5000)), Upload("u", "u"))
    thing, portal = pair(actions=lambda _devmod: actions)
    thing.bench.files["u"] = b"u" * 3000
    guid = thing.credential.guid

    class Late(Road):
        """Everything but message 60: that one begins a run, whoever repeats it."""

        def carry(self, number: int, body: bytes, portal: Portal) -> tuple[int, bytes]:
            self.old = [message for message in self.old if message[0] != MessageType.TO2_HELLO_DEVICE]
            return super().carry(number, body, portal)

    thing.onboard(portal, Late(random.Random(seed), delay=0.5))
    assert [r.output for r in results_of(portal.state(guid).finished)] == [b"", b"u" * 3000]
    assert portal.finished == 1


@pytest.mark.parametrize("cipher", [CipherSuite.A128GCM, CipherSuite.CCM_64_128_256, CipherSuite.AES256_CTR])
@pytest.mark.parametrize("seed", range(15))
def test_flipped_bits_end_a_run_and_never_the_device(seed: int, cipher: CipherSuite) -> None:
    thing, portal = pair(options={"cipher": cipher})
    chance = random.Random(seed)
    for _run in range(8):
        before = thing.credential
        try:
            thing.onboard(portal, Road(chance, flip=0.25, lose=0.1, repeat=0.1, delay=0.1))
        except (PeerError, Lost):
            assert thing.credential == before
    can_onboard(thing, portal)
    can_onboard(thing, portal)


class Flips(Road):
    """One bit of one answer."""

    broken: int
    position: int

    def carry(self, number: int, body: bytes, portal: Portal) -> tuple[int, bytes]:
        at = self.messages
        reply, answer = super().carry(number, body, portal)
        if at != self.broken or self.position >= len(answer):
            return reply, answer
        octets = bytearray(answer)
        octets[self.position] ^= 0x10
        return reply, bytes(octets)


@pytest.mark.parametrize("position", range(0, 700, 9))
@pytest.mark.thorough
def test_one_flipped_bit_in_any_answer_ends_the_run_or_harms_nothing(position: int) -> None:
    for broken in range(MESSAGES):
        thing, portal = pair()
        road = Flips()
        road.broken, road.position = broken, position
        before = thing.credential
        try:
            thing.onboard(portal, road)
        except PeerError:
            assert thing.credential == before
        can_onboard(thing, portal)


def test_errors_travel_both_ways() -> None:
    thing, portal = pair(serves=False)
    with pytest.raises(PeerError) as caught:
        thing.onboard(portal)
    assert getattr(caught.value, "code", None) == 6
    number, body = portal.receive(64, b"\x80")
    assert number == MessageType.ERROR
    assert ErrorMessage.decode(body).code == 6


def test_the_rendezvous_in_the_credential_is_what_the_owner_set() -> None:
    thing, portal = pair()
    assert thing.credential.rvinfo == RVINFO
    portal.facts["rvinfo"] = None
    thing.onboard(portal)
    assert thing.credential.rvinfo == RVINFO
