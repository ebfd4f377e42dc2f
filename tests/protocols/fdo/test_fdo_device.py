"""The device against owners, manufacturers and rendezvous servers that are not what they say: each of its checks
is broken by somebody who could sign everything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from fdo_hand import OTHER_RVINFO, RVINFO, key, public, request
from fdo_pair import ADDRESS, Portal, Thing, factory, initialize, pair, redirected, registered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage, NotAuthenticated, PeerError, UnexpectedMessage
from bootstrap.protocols.fdo.constants import ErrorCode, InvalidVoucher, MessageType
from bootstrap.protocols.fdo.crypto.hashes import HashType, digest, hmac
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, SessionKeys
from bootstrap.protocols.fdo.crypto.kex import KexSuite, suites_for
from bootstrap.protocols.fdo.crypto.session import seal
from bootstrap.protocols.fdo.device import (
    DeviceCredential,
    DiDevice,
    Finished,
    To1Device,
    To2Device,
    To2Options,
    error_for,
)
from bootstrap.protocols.fdo.device.credential import hash_type
from bootstrap.protocols.fdo.messages import (
    AcceptOwner,
    DeviceMfgInfo,
    Done2,
    ErrorMessage,
    HelloRvAck,
    OvNextEntry,
    OwnerServiceInfo,
    OwnerSign,
    ProveOvHdr,
    ProveToRv,
    SetCredentials,
    SetHmac,
    SetupDevice,
    To0d,
    To0HelloAck,
    To1d,
)
from bootstrap.protocols.fdo.owner_client import Accepted, To0Client
from bootstrap.protocols.fdo.primitives import Hash, SigInfo
from bootstrap.protocols.fdo.reported import Reported
from bootstrap.protocols.fdo.voucher import OvHeader, Voucher
from bootstrap.protocols.fdo.voucher.transfer import extend, new_header
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, default_algorithm

P256 = KeyKind.P256
Answer = tuple[int, bytes]
Bend = Callable[[bytes], bytes]
ANSWERS = (61, 63, 65, 67, 69, 71)
"""Of one TO2 with one entry and nothing to do."""
CLEAR = (61, 63)


class Stage:
    """One TO2, led to the point where the device waits for a certain answer, and holds it."""

    def __init__(self, thing: Thing, portal: Portal, number: int, to1d: To1d | None = None) -> None:
        self.thing, self.portal = thing, portal
        self.device: To2Device = thing.run(to1d)
        self.answer: Answer = portal.receive(*self.device.begin())
        while self.answer[0] != number:
            said = self.device.receive(*self.answer)
            assert isinstance(said, tuple)
            self.answer = portal.receive(*said)

    def seal(self, plaintext: bytes) -> bytes:
        """As the owner would."""
        state = self.portal.state(self.thing.credential.guid)
        keys = SessionKeys(state.sek, state.svk)
        return seal(CipherSuite(state.cipher_suite), keys, plaintext, random.randbytes, Dialect(state.dialect))


def world(**options: object) -> tuple[Thing, Portal]:
    """A device and an owner; ``options`` are the device's."""
    return pair(options=options)


def refused(bent: Bend, at: int, wanted: type[PeerError], to1d: bool = False) -> PeerError:
    """The device refuses a bent answer, changes nothing, and takes the straight one in the next run."""
    thing, portal = pair()
    way = redirected(thing, registered(portal.voucher(thing.credential.guid), P256)) if to1d else None
    stage = Stage(thing, portal, at, way)
    with pytest.raises(wanted) as caught:
        stage.device.receive(at, bent(stage.answer[1]))
    before = thing.credential
    thing.onboard(portal)
    assert thing.credential.guid != before.guid
    return caught.value


# 61, TO2.ProveOVHdr: every change is signed again with the true owner key unless it says otherwise.


def again(message: ProveOvHdr, name: str = "owner") -> bytes:
    return message.sign(key(P256, name), -7).encode()


def header_of(octets: bytes, **other: object) -> bytes:
    """The same header with something else in it."""
    header = OvHeader.decode(octets)
    values = {
        "guid": header.guid,
        "rvinfo": header.rvinfo,
        "device_info": header.device_info,
        "key": header.manufacturer_key,
        "chain_hash": header.chain_hash,
    }
    return new_header(**(values | other)).encode()  # type: ignore[arg-type]


def test_an_owner_that_signs_with_another_key_than_it_shows() -> None:
    refused(lambda body: again(ProveOvHdr.decode(body), "thief"), 61, NotAuthenticated)


def test_an_owner_that_answers_another_hello() -> None:
    def bent(body: bytes) -> bytes:
        message = ProveOvHdr.decode(body)
        other = Hash(message.hello_hash.type, digest(message.hello_hash.type, b"another hello"))
        return again(replace(message, hello_hash=other))

    assert "another hello" in str(refused(bent, 61, NotAuthenticated))


def test_an_hmac_in_place_of_the_hash_of_the_hello() -> None:
    def bent(body: bytes) -> bytes:
        message = ProveOvHdr.decode(body)
        return again(replace(message, hello_hash=Hash(HashType.HMAC_SHA256, bytes(32))))

    refused(bent, 61, MalformedMessage)


def test_an_owner_that_answers_with_another_nonce() -> None:
    def bent(body: bytes) -> bytes:
        return again(replace(ProveOvHdr.decode(body), nonce=bytes(16)))

    assert "nonce" in str(refused(bent, 61, NotAuthenticated))


@pytest.mark.parametrize(
    "other",
    [
        {"guid": bytes(16)},
        {"rvinfo": OTHER_RVINFO},
        {"device_info": "toaster"},
        {"key": public(P256, "thief")},
        {"chain_hash": None},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_header_that_the_device_did_not_confirm(other: dict[str, object]) -> None:
    def bent(body: bytes) -> bytes:
        message = ProveOvHdr.decode(body)
        return again(replace(message, header=header_of(message.header, **other)))

    assert "HMAC" in str(refused(bent, 61, InvalidVoucher))


def test_a_header_whose_hmac_somebody_guessed() -> None:
    def bent(body: bytes) -> bytes:
        message = ProveOvHdr.decode(body)
        header = header_of(message.header, key=public(P256, "thief"))
        made = Hash(HashType.HMAC_SHA256, hmac(HashType.HMAC_SHA256, b"a guess", header))
        return again(replace(message, header=header, hmac=made))

    assert "HMAC" in str(refused(bent, 61, InvalidVoucher))


@pytest.mark.parametrize("changed", [{"guid": bytes(16)}, {"key_hash": bytes(32)}], ids=["guid", "maker"])
def test_a_voucher_that_does_not_fit_the_credential(changed: dict[str, bytes]) -> None:
    """Whoever had the HMAC secret could still not put the device under another name or manufacturer."""
    thing, portal = pair()
    hello = thing.run()
    body = portal.receive(*hello.begin())[1]
    other = To2Device(
        replace(thing.credential, **changed),
        thing.signer,
        None,
        lambda _limit: pytest.fail("service info"),
        random.Random(12).randbytes,
        thing.options,
    )
    _number, said = other.begin()
    # The same octets of randomness: but for the GUID it is the same hello.
    message = ProveOvHdr.decode(body)
    answer = replace(message, hello_hash=Hash(message.hello_hash.type, digest(-16, said)), nonce=said[22:38])
    thing.random = random.Random(12).randbytes
    with pytest.raises(InvalidVoucher, match="another device or manufacturer"):
        other.receive(61, again(replace(answer, nonce=_nonce(said))))


def _nonce(hello: bytes) -> bytes:
    from bootstrap.protocols.fdo.messages import HelloDevice

    return HelloDevice.decode(hello).nonce


def test_an_owner_other_than_the_one_that_registered() -> None:
    thing, portal = pair()
    voucher = portal.voucher(thing.credential.guid)
    to1d = redirected(thing, registered(voucher, P256))
    stolen = To1d(to1d.addresses, to1d.to0d_hash).sign(key(P256, "thief"), -7)
    stage = Stage(thing, portal, 61)
    device = thing.run(stolen)
    answer = portal.receive(*device.begin())
    with pytest.raises(NotAuthenticated):
        device.receive(*answer)
    assert stage.device.receive(61, stage.answer[1])[0] == 62, "without rendezvous there is nothing to compare"
    thing.onboard(portal, to1d=to1d)


def test_a_voucher_that_was_never_extended() -> None:
    def bent(body: bytes) -> bytes:
        return again(replace(ProveOvHdr.decode(body), num_entries=0))

    assert "never extended" in str(refused(bent, 61, InvalidVoucher))


def test_a_key_exchange_that_does_not_go_with_the_owners_key() -> None:
    thing, portal = pair(KeyKind.P256)
    device = replace(thing, options=replace(thing.options, kex=KexSuite.ECDH384)).run()
    hello = device.begin()
    straight = ProveOvHdr.decode(portal.receive(*thing.run().begin())[1])
    answer = replace(straight, nonce=_nonce(hello[1]), hello_hash=Hash(-16, digest(-16, hello[1])))
    with pytest.raises(UnexpectedMessage, match="key exchange"):
        device.receive(61, again(answer))


@pytest.mark.parametrize("x_a", [b"", b"\x00" * 80, b"\x00\x20" + b"\x01" * 32 + b"\x00\x20" + b"\x01" * 32])
def test_a_key_exchange_that_is_none(x_a: bytes) -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, 61)
    said = stage.device.receive(61, again(replace(ProveOvHdr.decode(stage.answer[1]), x_a=x_a)))
    assert isinstance(said, tuple)
    with pytest.raises((MalformedMessage, NotAuthenticated)):
        stage.device.receive(*portal.receive(*said))


# 63, TO2.OVNextEntry.


def travelled(entries: int = 3) -> tuple[Thing, Portal]:
    thing, portal = pair()
    voucher = portal.voucher(thing.credential.guid)
    for _number in range(entries - 1):
        voucher = extend(voucher, key(P256), voucher.owner_key)
    portal.add(voucher)
    return thing, portal


def entries(thing: Thing, portal: Portal, shown: list[bytes]) -> Answer | Finished:
    """A TO2 in which the owner shows these entries."""
    device = thing.run()
    message = ProveOvHdr.decode(portal.receive(*device.begin())[1])
    said = device.receive(61, again(replace(message, num_entries=len(shown))))
    for number, entry in enumerate(shown):
        assert said[0] == 62  # type: ignore[index]
        said = device.receive(63, OvNextEntry(number, entry).encode())
    return said


def test_entries_are_followed_one_by_one_and_none_may_be_missing_twice_or_moved() -> None:
    thing, portal = travelled()
    one, two, three = portal.voucher(thing.credential.guid).raw_entries
    assert entries(thing, portal, [one, two, three])[0] == 64  # type: ignore[index]
    for shown in ([two, three], [one, three], [one, one], [one, three, two], [three]):
        with pytest.raises(InvalidVoucher):
            entries(thing, portal, shown)


def test_an_entry_of_another_devices_voucher() -> None:
    thing, portal = pair()
    _other, voucher = initialize(factory(P256), P256, To2Options(suites_for(P256)[0]))
    with pytest.raises(InvalidVoucher):
        entries(thing, portal, [voucher.raw_entries[0]])


def test_an_entry_that_the_owner_before_did_not_sign() -> None:
    thing, portal = pair()
    voucher = portal.voucher(thing.credential.guid)
    bare = Voucher(voucher.header, voucher.hmac, voucher.chain)
    stolen = extend(bare, key(P256, "manufacturer"), public(P256, "owner"))
    entry = stolen.entries[0].envelope
    forged = replace(entry, signature=bytes(reversed(entry.signature))).encode()
    with pytest.raises(InvalidVoucher, match="did not sign"):
        entries(thing, portal, [forged])


def test_a_voucher_that_ends_in_another_key_than_the_one_that_answered() -> None:
    thing, portal = pair()
    voucher = portal.voucher(thing.credential.guid)
    passed_on = extend(voucher, key(P256), public(P256, "next"))
    with pytest.raises(InvalidVoucher, match="ends in another key"):
        entries(thing, portal, list(passed_on.raw_entries))


def test_an_entry_that_was_not_asked_for() -> None:
    thing, portal = travelled()
    voucher = portal.voucher(thing.credential.guid)
    stage = Stage(thing, portal, 63)
    with pytest.raises(UnexpectedMessage, match="entry 1 where 0"):
        stage.device.receive(63, OvNextEntry(1, voucher.raw_entries[1]).encode())


# 65 to 71: in the tunnel.


def opened(stage: Stage) -> tuple[SessionKeys, CipherSuite]:
    state = stage.portal.state(stage.thing.credential.guid)
    return SessionKeys(state.sek, state.svk), CipherSuite(state.cipher_suite)


def setup(stage: Stage, name: str = "owner2", **other: object) -> bytes:
    """Message 65 in clear, made by hand: the server's is sealed, and only the device's nonce is needed."""
    nonce = stage.portal.state(stage.thing.credential.guid).nonce_setup_dv
    message = SetupDevice(OTHER_RVINFO, b"N" * 16, nonce, public(P256, "owner2"))
    return replace(message, **other).sign(key(P256, name), -7).encode()  # type: ignore[arg-type]


def test_the_hand_made_setup_is_taken_when_nothing_is_wrong_with_it() -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, 65)
    assert stage.device.receive(65, stage.seal(setup(stage)))[0] == 66


def test_a_setup_that_the_new_owner_key_did_not_sign() -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, 65)
    with pytest.raises(NotAuthenticated):
        stage.device.receive(65, stage.seal(setup(stage, "owner")))


def test_a_setup_with_the_nonce_of_another_run() -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, 65)
    with pytest.raises(NotAuthenticated, match="another nonce"):
        stage.device.receive(65, stage.seal(setup(stage, nonce=bytes(16))))


@pytest.mark.parametrize("number", [65, 67, 69, 71])
def test_the_answers_of_an_earlier_run_do_not_open(number: int) -> None:
    thing, portal = pair()
    old = Stage(thing, portal, number).answer[1]
    stage = Stage(thing, portal, number)
    with pytest.raises(NotAuthenticated):
        stage.device.receive(number, old)


def test_an_answer_in_clear_where_a_sealed_one_belongs() -> None:
    for number in (65, 67, 69, 71):
        thing, portal = pair()
        stage = Stage(thing, portal, number)
        for clear in (setup(stage), Done2(bytes(16)).encode(), b"\x80", b""):
            with pytest.raises(PeerError):
                stage.device.receive(number, clear)


def test_a_farewell_with_another_nonce() -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, 71)
    with pytest.raises(NotAuthenticated, match="good-bye"):
        stage.device.receive(71, stage.seal(Done2(bytes(16)).encode()))


def test_what_an_owner_repeats_is_reuse_only_when_nothing_differs() -> None:
    for other, reuse in (
        ({}, True),
        ({"guid": b"N" * 16}, False),
        ({"rvinfo": OTHER_RVINFO}, False),
        ({"owner2_key": public(P256, "owner2")}, False),
    ):
        thing, portal = pair(reuse=True, rvinfo=None)
        stage = Stage(thing, portal, 65)
        same = {"guid": thing.credential.guid, "rvinfo": RVINFO, "owner2_key": public(P256, "owner")}
        name = "owner2" if "owner2_key" in other else "owner"
        stage.device.receive(65, stage.seal(setup(stage, name, **(same | other))))
        assert stage.device._run.reused is reuse, other


def test_the_new_credential_is_the_new_vouchers_and_nothing_else_changes() -> None:
    thing, portal = pair()
    before = thing.credential
    done = thing.onboard(portal)
    voucher = portal.voucher(done.credential.guid)
    assert done.credential.hmac(voucher.header.encode()) == voucher.hmac
    assert done.credential.key_hash == digest(-16, public(P256, "owner2").encode())
    assert done.credential.rvinfo == OTHER_RVINFO
    kept = ("device_info", "key_type", "hmac_secret", "active")
    assert [getattr(done.credential, name) for name in kept] == [getattr(before, name) for name in kept]


# What comes at the wrong time, or is nothing at all.


@pytest.mark.parametrize("awaited", ANSWERS)
def test_any_other_message_than_the_awaited_one_is_refused(awaited: int) -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, awaited)
    for number in {int(kind) for kind in MessageType} - {awaited, MessageType.ERROR}:
        with pytest.raises(UnexpectedMessage):
            stage.device.receive(number, stage.answer[1])
    assert stage.device.receive(*stage.answer), "and the right one is still welcome"


@pytest.mark.parametrize("awaited", ANSWERS)
def test_an_error_of_the_owner_ends_every_stage_with_its_code(awaited: int) -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, awaited)
    message = ErrorMessage(int(ErrorCode.INVALID_GUID), awaited - 1, "no")
    with pytest.raises(Reported) as caught:
        stage.device.receive(255, message.encode())
    error = caught.value
    assert (error.code, error.previous, error.text) == (ErrorCode.INVALID_GUID, awaited - 1, "no")
    assert error_for(error, awaited) is None, "nobody answers an error with an error"


def test_errors_of_our_own_name_the_message_and_say_nothing_of_why() -> None:
    octets = error_for(NotAuthenticated("the third octet of the key is 7"), 61)
    assert octets is not None
    message = ErrorMessage.decode(octets)
    assert message.previous == 61
    assert "octet" not in message.text


def test_an_answer_larger_than_the_device_takes() -> None:
    thing, portal = world(max_message=65535)
    stage = Stage(thing, portal, 61)
    device = replace(thing, options=replace(thing.options, max_message=300)).run()
    device.begin()
    with pytest.raises(MalformedMessage, match="maxDeviceMessageSize"):
        device.receive(61, stage.answer[1])


@pytest.mark.parametrize("awaited", ANSWERS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data())
def test_any_bytes_are_refused_as_the_peers_fault(awaited: int, data: st.DataObject) -> None:
    stage = _stage(awaited)
    octets = data.draw(st.binary(max_size=200) | _bent(stage.answer[1]))
    if octets == stage.answer[1]:
        return
    with pytest.raises(PeerError):
        stage.device.receive(awaited, octets)
        # A change that leaves the meaning as it was (the unprotected header, another encoding) is no forgery;
        # it must still lead nowhere but to the next message.
        raise MalformedMessage("taken")


@pytest.mark.parametrize("awaited", [65, 67, 69, 71])
@settings(max_examples=30, deadline=None)
@given(plaintext=st.binary(max_size=80))
def test_any_bytes_in_the_tunnel_are_refused_or_understood(awaited: int, plaintext: bytes) -> None:
    thing, portal = pair()
    stage = Stage(thing, portal, awaited)
    try:
        stage.device.receive(awaited, stage.seal(plaintext))
    except PeerError:
        return
    assert awaited in (67, 69)


def _stage(number: int) -> Stage:
    thing, portal = pair()
    return Stage(thing, portal, number)


def _bent(octets: bytes) -> st.SearchStrategy[bytes]:
    flips = st.tuples(st.integers(0, len(octets) - 1), st.integers(1, 255))
    return flips.map(lambda flip: octets[: flip[0]] + bytes([octets[flip[0]] ^ flip[1]]) + octets[flip[0] + 1 :])
