"""Device Initialization, manufacturer's side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from fdo_hand import (
    NOW,
    RVINFO,
    Device,
    ca,
    device,
    env,
    factory,
    key,
    public,
    request,
)
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    PeerError,
    Replayed,
    UnexpectedMessage,
)
from bootstrap.protocols.fdo.constants import KeyEncoding, ResourceNotFound
from bootstrap.protocols.fdo.messages import AppStart, DeviceMfgInfo, DiDone, SetCredentials, SetHmac
from bootstrap.protocols.fdo.primitives import Hash
from bootstrap.protocols.fdo.server import di
from bootstrap.protocols.fdo.voucher import OvHeader
from bootstrap.protocols.fdo.voucher.checks import verify
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind

KINDS = list(KeyKind)
ENCODINGS = [KeyEncoding.X509, KeyEncoding.X5CHAIN, KeyEncoding.COSEKEY, KeyEncoding.CRYPTO]


def started(made: Device, facts: di.DiFacts) -> tuple[OvHeader, di.DiPending]:
    info = DeviceMfgInfo(10, 1, "S-1", "lamp", request(made.signer))
    body, pending = di.open_(AppStart(info), facts, env(seed=3))
    return OvHeader.decode(SetCredentials.decode(body).header), pending


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: e.name)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.value)
def test_a_device_leaves_the_factory_with_a_voucher_that_verifies(
    kind: KeyKind, encoding: KeyEncoding
) -> None:
    made = device(kind)
    voucher = factory(kind, encoding).make(made)
    verify(voucher, owner=key(kind).public, trusted=lambda k: k.handle() == key(kind, "manufacturer").public)
    assert voucher.device_key == made.signer.public
    assert voucher.guid == made.guid
    assert voucher.header.device_info == "lamp"
    assert voucher.rvinfo == RVINFO
    assert len(voucher.raw_entries) == 1


def test_pss_keys_sign_pss() -> None:
    voucher = factory(KeyKind.RSA2048, pss=True).make(device(KeyKind.RSA2048, pss=True))
    verify(voucher, owner=key(KeyKind.RSA2048).public)
    assert voucher.entries[0].envelope.algorithm == -37


@pytest.mark.parametrize(("owner", "dev"), [(KeyKind.P256, KeyKind.P384), (KeyKind.P384, KeyKind.P256)])
def test_hashes_are_as_wide_as_the_smaller_key(owner: KeyKind, dev: KeyKind) -> None:
    voucher = factory(owner, device_kind=dev).make(device(dev))
    verify(voucher)
    assert voucher.header.chain_hash is not None
    assert voucher.header.chain_hash.type == -16


def test_without_a_next_owner_the_voucher_stays_the_manufacturers() -> None:
    voucher = factory(extended=False).make(device())
    assert voucher.raw_entries == ()
    verify(voucher, owner=key(KeyKind.P256, "manufacturer").public)


def test_the_device_certificate_is_for_the_devices_key_and_lasts() -> None:
    voucher = factory().make(device())
    certificate = x509.load_der_x509_certificate(voucher.chain[0])
    assert voucher.chain[1] == ca(KeyKind.P256)[1]
    assert (certificate.not_valid_after_utc - NOW).days == 365 * 30
    assert certificate.not_valid_before_utc < NOW


def test_the_outcome_names_the_device() -> None:
    made, facts = device(), factory().facts
    header, pending = started(made, facts)
    outcome = di.finish(pending, SetHmac(made.hmac_of(header)), facts, env(5))
    assert outcome.locator == header.guid.hex()
    assert outcome.labels == {"serial": "S-1", "model": "lamp"}
    assert DiDone.decode(outcome.reply.body) == DiDone()
    assert thaw(di.DiState, freeze(outcome.state)) == outcome.state
    assert outcome.state.device_key == made.signer.public.der
    (note,) = outcome.notes
    assert note.code == "fdo.set-hmac"
    assert note.detail["guid"] == header.guid.hex()


@pytest.mark.thorough
def test_what_waits_for_the_hmac_fits_into_a_bearer_token() -> None:
    for kind in KINDS:
        _header, pending = started(device(kind), factory(kind).facts)
        assert len(freeze(pending)) < 1600
        assert thaw(di.DiPending, freeze(pending)) == pending


def test_two_devices_never_share_a_guid_or_a_certificate_number() -> None:
    made, facts = device(), factory().facts
    info = DeviceMfgInfo(10, 1, "S-1", "lamp", request(made.signer))
    first, second = (di.open_(AppStart(info), facts, env(seed=n))[1] for n in (1, 2))
    assert first.guid != second.guid
    numbers = {x509.load_der_x509_certificate(p.certificate).serial_number for p in (first, second)}
    assert len(numbers) == 2


def test_no_certificate_request_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        di.open_(AppStart(None), factory().facts, env())


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    csr = bytearray(request(device().signer))
    csr[-1] ^= 1
    with pytest.raises((NotAuthenticated, MalformedMessage)):
        di.open_(AppStart(DeviceMfgInfo(10, 1, "S", "lamp", bytes(csr))), factory().facts, env())


def test_a_station_that_is_off_does_nothing() -> None:
    made, facts = device(), factory().facts
    header, pending = started(made, facts)
    off = replace(facts, serves=False)
    with pytest.raises(ResourceNotFound):
        started(made, off)
    with pytest.raises(ResourceNotFound):
        di.finish(pending, SetHmac(made.hmac_of(header)), off, env())


@pytest.mark.parametrize(("kind", "length"), [(6, 48), (-16, 32), (-43, 48)])
def test_an_hmac_of_another_type_is_refused(kind: int, length: int) -> None:
    _header, pending = started(device(), factory().facts)
    with pytest.raises(UnexpectedMessage):
        di.finish(pending, SetHmac(Hash(kind, bytes(length))), factory().facts, env())


def test_a_second_hmac_for_the_same_device_is_a_replay() -> None:
    made, facts = device(), factory().facts
    header, pending = started(made, facts)
    state = di.finish(pending, SetHmac(made.hmac_of(header)), facts, env()).state
    with pytest.raises(Replayed):
        di.finish(pending, SetHmac(Hash(5, bytes(32))), facts, env(), state)


@pytest.mark.parametrize("at", [-1, di.PENDING_SECONDS + 1])
def test_an_hmac_that_comes_too_late_is_refused(at: int) -> None:
    made, facts = device(), factory().facts
    header, pending = started(made, facts)
    with pytest.raises(UnexpectedMessage):
        di.finish(pending, SetHmac(made.hmac_of(header)), facts, env(at))


def test_a_station_that_changed_its_key_meanwhile_makes_the_device_begin_again() -> None:
    made, facts = device(), factory().facts
    header, pending = started(made, facts)
    changed = replace(facts, signer=key(KeyKind.P256, "m2"), manufacturer_key=public(KeyKind.P256, "m2"))
    with pytest.raises(UnexpectedMessage):
        di.finish(pending, SetHmac(made.hmac_of(header)), changed, env())


def test_the_manufacturer_signs_one_transfer_only() -> None:
    facts = factory().facts
    made = device()
    header, pending = started(made, facts)
    twice = replace(facts, extend_to=facts.extend_to * 2)
    with pytest.raises(LocalError):
        di.finish(pending, SetHmac(made.hmac_of(header)), twice, env())


@given(st.binary(max_size=200))
def test_any_certificate_request_is_answered_or_refused(octets: bytes) -> None:
    with pytest.raises(PeerError):
        di.open_(AppStart(DeviceMfgInfo(10, 1, "S", "lamp", octets)), factory().facts, env())


def test_nothing_secret_is_shown() -> None:
    voucher = factory().make(device())
    state = di.DiState(voucher=voucher.encode(), guid=voucher.guid)
    assert voucher.hmac.value.hex() not in repr(state)
    assert repr(voucher.hmac.value)[2:-1] not in repr(state)
