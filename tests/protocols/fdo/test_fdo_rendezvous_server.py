"""The rendezvous server: TO0 from an owner, TO1 from a device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fdo_hand import Device, device, env, factory, key, public

from bootstrap.errors import MalformedMessage, NotAuthenticated, NotAuthorized, PeerError, UnexpectedMessage
from bootstrap.protocols.fdo.constants import InvalidOwnerSign, InvalidVoucher, ResourceNotFound
from bootstrap.protocols.fdo.crypto.hashes import digest
from bootstrap.protocols.fdo.messages import (
    AcceptOwner,
    HelloRv,
    HelloRvAck,
    OwnerSign,
    ProveToRv,
    RvRedirect,
    RvTo2Addr,
    To0d,
    To0Hello,
    To0HelloAck,
    To1d,
)
from bootstrap.protocols.fdo.primitives import Hash, SigInfo
from bootstrap.protocols.fdo.server import rendezvous
from bootstrap.protocols.fdo.server.rendezvous import (
    MAX_WAIT_SECONDS,
    RvFacts,
    RvState,
    To0Pending,
    To1Pending,
)
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.protocols.fdo.voucher.transfer import extend
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, SoftSigner

FACTS = RvFacts(admission=lambda voucher: True)
ADDRESS = RvTo2Addr(b"\x7f\x00\x00\x01", "owner.example", 8043, 3)


def owner_sign(
    voucher: Voucher,
    nonce: bytes,
    signer: SoftSigner | None = None,
    wait: int = 3600,
    name: str = "owner.example",
    hashed: bytes | None = None,
    pss: bool = False,
) -> OwnerSign:
    to0d = To0d(voucher.encode(), wait, nonce).encode()
    found = digest(voucher.hash_type, to0d if hashed is None else hashed)
    to1d = To1d((replace(ADDRESS, dns=name),), Hash(voucher.hash_type, found))
    signer = signer or key(voucher.owner_key.handle().kind)
    algorithm = voucher.owner_key.algorithm()
    return OwnerSign(to0d, to1d.sign(signer, algorithm).encode())


def register(
    voucher: Voucher, state: RvState | None = None, facts: RvFacts = FACTS, at: int = 0, **other: object
) -> RvState:
    body, pending = rendezvous.to0_hello(To0Hello(), facts, env(at))
    assert To0HelloAck.decode(body).nonce == pending.nonce
    message = owner_sign(voucher, pending.nonce, **other)  # type: ignore[arg-type]
    outcome = rendezvous.to0_owner_sign(
        state, thaw(To0Pending, freeze(pending)), OwnerSign.decode(message.encode()), facts, env(at + 1)
    )
    assert outcome.locator == voucher.guid.hex()
    accepted = AcceptOwner.decode(outcome.reply.body).wait_seconds
    assert outcome.state.expires_at == int(env(at + 1).now.timestamp()) + accepted
    return thaw(RvState, freeze(outcome.state))


def find(made: Device, state: RvState | None, at: int = 10, **eat: object) -> To1d:
    hello = HelloRv.decode(HelloRv(made.guid, SigInfo(made.algorithm)).encode())
    body, pending = rendezvous.to1_hello(state, hello, FACTS, env(at))
    ack = HelloRvAck.decode(body)
    assert ack.sig_info == hello.sig_info
    proof = replace(ProveToRv(ack.nonce, made.guid), **eat).sign(made.signer, made.algorithm)  # type: ignore[arg-type]
    outcome = rendezvous.to1_prove(
        state, thaw(To1Pending, freeze(pending)), ProveToRv.decode(proof.encode()), FACTS, env(at + 1)
    )
    assert outcome.state == state
    return To1d.decode(RvRedirect.decode(outcome.reply.body).to1d)


@pytest.mark.parametrize(
    ("kind", "pss"),
    [*((kind, False) for kind in KeyKind), (KeyKind.RSA2048, True), (KeyKind.RSA3072, True)],
)
def test_a_device_is_sent_to_its_owner(kind: KeyKind, pss: bool) -> None:
    made = device(kind, pss)
    voucher = factory(kind, pss=pss).make(made)
    to1d = find(made, register(voucher))
    assert to1d.addresses == (ADDRESS,)
    to1d.verify(key(kind).public)


@pytest.mark.parametrize("entries", [1, 3, 10])
def test_a_voucher_may_have_been_sold_often(entries: int) -> None:
    made = device()
    voucher = factory().make(made)
    for _number in range(entries - 1):
        voucher = extend(voucher, key(KeyKind.P256), public(KeyKind.P256))
    assert register(voucher).entries == entries


def test_the_lease_is_no_longer_than_the_servers_limit() -> None:
    voucher = factory().make(device())
    state = register(voucher, wait=0xFFFFFFFF)
    assert state.expires_at == int(env(1).now.timestamp()) + MAX_WAIT_SECONDS


def test_a_lease_of_nothing_is_refused() -> None:
    with pytest.raises(NotAuthorized):
        register(factory().make(device()), wait=0)


def test_after_the_lease_the_device_is_unknown() -> None:
    made = device()
    state = register(factory().make(made), wait=100)
    assert find(made, state, at=90)
    with pytest.raises(ResourceNotFound):
        find(made, state, at=101)


def test_a_device_that_nobody_registered_is_unknown_and_costs_nothing() -> None:
    made = device()
    factory().make(made)
    with pytest.raises(ResourceNotFound):
        find(made, None)


def test_a_refused_voucher_leaves_no_registration() -> None:
    with pytest.raises(NotAuthorized):
        register(factory().make(device()), facts=RvFacts(admission=lambda voucher: False))


def test_a_role_that_is_off_answers_nobody() -> None:
    off = replace(FACTS, serves=False)
    made = device()
    state = register(factory().make(made))
    with pytest.raises(ResourceNotFound):
        rendezvous.to0_hello(To0Hello(), off, env())
    with pytest.raises(ResourceNotFound):
        rendezvous.to1_hello(state, HelloRv(made.guid, SigInfo(-7)), off, env())


def test_a_voucher_of_zero_entries_is_refused() -> None:
    voucher = factory(extended=False).make(device())
    with pytest.raises(InvalidVoucher):
        register(voucher, signer=key(KeyKind.P256, "manufacturer"))


def test_another_owners_signature_is_refused() -> None:
    with pytest.raises(InvalidOwnerSign):
        register(factory().make(device()), signer=key(KeyKind.P256, "stranger"))


def test_a_to1d_for_another_to0d_is_refused() -> None:
    with pytest.raises(InvalidOwnerSign):
        register(factory().make(device()), hashed=b"another")


def test_a_broken_voucher_is_refused() -> None:
    voucher = factory().make(device())
    forged = extend(voucher, key(KeyKind.P256), public(KeyKind.P256))
    last = bytearray(forged.raw_entries[-1])
    last[-1] ^= 1
    forged = replace(forged, raw_entries=(*forged.raw_entries[:-1], bytes(last)))
    with pytest.raises(InvalidVoucher):
        register(forged)


def test_a_nonce_serves_one_conversation_and_not_for_long() -> None:
    voucher = factory().make(device())
    _body, pending = rendezvous.to0_hello(To0Hello(), FACTS, env())
    message = owner_sign(voucher, pending.nonce)
    with pytest.raises(NotAuthenticated):
        rendezvous.to0_owner_sign(None, replace(pending, nonce=bytes(16)), message, FACTS, env(1))
    with pytest.raises(UnexpectedMessage):
        rendezvous.to0_owner_sign(None, pending, message, FACTS, env(1000))


def test_a_later_owner_takes_the_place_of_an_earlier_one_but_not_the_other_way_round() -> None:
    made = device()
    first = factory().make(made)
    later = extend(first, key(KeyKind.P256), public(KeyKind.P256, "next"))
    state = register(first)
    state = register(later, state, signer=key(KeyKind.P256, "next"), name="next.example")
    assert find(made, state).addresses[0].dns == "next.example"
    with pytest.raises(NotAuthorized):
        register(first, state)
    assert register(later, state, signer=key(KeyKind.P256, "next")).registrations == 3


def test_a_former_owner_may_come_back_when_the_lease_is_over() -> None:
    first = factory().make(device())
    later = extend(first, key(KeyKind.P256), public(KeyKind.P256, "next"))
    state = register(later, wait=100, signer=key(KeyKind.P256, "next"))
    assert register(first, state, at=200).entries == 1


def test_nobody_takes_a_registered_guid_with_a_header_of_its_own() -> None:
    made = device()
    mine = factory().make(made)
    state = register(mine)
    foreign = factory().make(device(), seed=1)
    stolen = replace(foreign.header, guid=mine.guid, raw=b"")
    forged = extend(
        replace(foreign, header=stolen, raw_entries=()),
        key(KeyKind.P256, "manufacturer"),
        public(KeyKind.P256),
    )
    with pytest.raises(NotAuthorized):
        register(forged, state)


@pytest.mark.parametrize("eat", [{"nonce": bytes(16)}, {"guid": bytes(16)}], ids=str)
def test_an_eat_of_another_conversation_is_refused(eat: dict[str, bytes]) -> None:
    made = device()
    state = register(factory().make(made))
    with pytest.raises(NotAuthenticated):
        find(made, state, **eat)


def test_an_eat_by_another_key_is_refused() -> None:
    made = device()
    state = register(factory().make(made))
    with pytest.raises(NotAuthenticated):
        find(replace(made, signer=key(KeyKind.P256, "stranger")), state)


def test_an_algorithm_that_is_not_served_is_refused() -> None:
    made = device()
    state = register(factory().make(made))
    with pytest.raises(UnexpectedMessage):
        rendezvous.to1_hello(state, HelloRv(made.guid, SigInfo(90)), FACTS, env(5))


def test_one_flipped_bit_anywhere_in_an_owners_message_is_refused() -> None:
    voucher = factory().make(device())
    _body, pending = rendezvous.to0_hello(To0Hello(), FACTS, env())
    octets = owner_sign(voucher, pending.nonce).encode()
    passed = []
    for position in range(0, len(octets), 3):
        flipped = bytearray(octets)
        flipped[position] ^= 1 << (position % 8)
        try:
            message = OwnerSign.decode(bytes(flipped))
            rendezvous.to0_owner_sign(None, pending, message, FACTS, env(1))
        except PeerError:
            continue
        passed.append(position)
    assert passed == []


def test_a_message_cut_short_anywhere_is_malformed() -> None:
    voucher = factory().make(device())
    _body, pending = rendezvous.to0_hello(To0Hello(), FACTS, env())
    octets = owner_sign(voucher, pending.nonce).encode()
    for length in range(0, len(octets), 7):
        with pytest.raises(MalformedMessage):
            OwnerSign.decode(octets[:length])
