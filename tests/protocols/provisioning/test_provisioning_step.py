"""Server and device in memory: the whole way, loss, repetition, replay, re-keying, flipped bits."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.contract import Env, Level, Milestone
from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated, UnexpectedMessage
from bootstrap.protocols.provisioning import (
    Ack,
    Facts,
    ItemResult,
    Material,
    PlanDocument,
    PlanItem,
    ProvisioningState,
    Refusal,
    RefusalCode,
    crypto,
    derive,
    device,
    key_id,
    step,
)
from bootstrap.protocols.provisioning.constants import Direction
from bootstrap.wire import cose
from bootstrap.wire.frozen import freeze, thaw

AMSK = bytes(range(64))
LOCATOR = "07KRU6OgqX0HIeRFldnbSW"
PLAN = PlanDocument(
    4,
    (
        PlanItem.build("tz", "config", {"key": "timezone", "value": "UTC"}),
        PlanItem.build("mqtt", "server", {"name": "telemetry", "url": "mqtts://broker.example"}),
    ),
)
ALL_OK = (ItemResult("tz", True), ItemResult("mqtt", True))


class Pair:
    """A device and a server that keep their states; every answer the server gives can be looked at."""

    def __init__(self, plan=PLAN, amsk=AMSK):
        counter = itertools.count(1)
        self.env = Env(
            datetime(2026, 1, 1, tzinfo=UTC),
            lambda n: next(counter).to_bytes(n, "big"),
        )
        self.facts = Facts(LOCATOR, Material(derive(amsk)), plan, 300)
        self.server = ProvisioningState()
        self.device = device.DeviceState(LOCATOR, derive(amsk))
        self.last = None

    def serve(self, body):
        self.last = step(self.server, body, self.facts, self.env)
        self.server = thaw(ProvisioningState, freeze(self.last.state))
        return self.last.reply.body

    def say(self, build, *args, **kwargs):
        state, body = build(self.device, *args, env=self.env, **kwargs)
        self.device = thaw(device.DeviceState, freeze(state))
        self.device, answer = device.read_answer(self.device, self.serve(body))
        return answer

    def fetch(self, **kwargs):
        return self.say(device.fetch, **kwargs)

    def report(self, results=ALL_OK, version=4):
        return self.say(device.report, version, results)

    def check_in(self, version=4, uptime=60):
        return self.say(device.check_in, version, uptime, firmware="1.0")


def codes(outcome):
    return [note.code for note in outcome.notes]


def test_fetch_report_and_check_in_take_three_round_trips():
    pair = Pair()
    plan = pair.fetch()
    assert (plan.plan_version, plan.items) == (4, PLAN.items)
    assert (codes(pair.last), pair.last.milestone, pair.last.phase) == (
        ["provisioning.fetched"],
        None,
        "delivered",
    )
    assert pair.report() == Ack(300, pair.server.challenge)
    assert (codes(pair.last), pair.last.milestone) == (["provisioning.reported"], Milestone.PROVISIONED)
    assert pair.check_in() == Ack(300, pair.server.challenge)
    assert (codes(pair.last), pair.last.milestone) == (["provisioning.online"], Milestone.ONLINE)
    assert pair.last.labels == {"firmware": "1.0"}
    assert pair.last.reply.media_type == 'application/cose; cose-type="cose-encrypt0"'
    pair.check_in()
    assert (codes(pair.last), pair.last.milestone) == ([], Milestone.ONLINE)


def test_a_failed_item_makes_the_device_stuck_until_a_later_report_is_good():
    pair = Pair()
    pair.fetch()
    pair.report((ItemResult("tz", False, "read-only file system"),))
    assert pair.last.milestone is Milestone.STUCK
    assert [(n.code, n.level, n.detail.get("item"), n.detail.get("detail")) for n in pair.last.notes[1:]] == [
        ("provisioning.item-failed", Level.ERROR, "tz", "read-only file system"),
        ("provisioning.item-failed", Level.ERROR, "mqtt", "not reported"),
    ]
    pair.check_in()
    assert (pair.last.milestone, pair.server.online) == (None, False)
    pair.report()
    assert pair.last.milestone is Milestone.PROVISIONED


def test_without_a_plan_the_device_is_told_when_to_come_back():
    pair = Pair(plan=None)
    assert pair.fetch() == Refusal(RefusalCode.NO_PLAN, pair.server.challenge, 300)
    assert pair.check_in(version=0).code is RefusalCode.NO_PLAN
    assert pair.report(()).code is RefusalCode.NO_PLAN
    assert (pair.last.milestone, codes(pair.last)) == (None, [])


def test_a_newer_plan_refuses_the_old_report_and_check_in_and_is_fetched():
    pair = Pair()
    pair.fetch()
    pair.facts = replace(pair.facts, plan=replace(PLAN, plan_version=5))
    assert pair.report(version=4).code is RefusalCode.STALE_VERSION
    assert pair.report(version=5).code is RefusalCode.STALE_VERSION, "5 was never delivered"
    assert pair.fetch(have_version=4).plan_version == 5
    pair.report(version=5)
    assert pair.last.milestone is Milestone.PROVISIONED
    assert pair.check_in(version=4).code is RefusalCode.STALE_VERSION


def test_a_device_that_has_the_plan_gets_an_ack_and_can_still_report():
    pair = Pair()
    assert isinstance(pair.fetch(have_version=4), Ack)
    pair.report()
    assert pair.last.milestone is Milestone.PROVISIONED


def test_an_empty_plan_is_provisioned_by_an_empty_report():
    pair = Pair(plan=PlanDocument(4))
    pair.fetch()
    pair.report(())
    assert pair.last.milestone is Milestone.PROVISIONED


def test_requests_played_again_change_nothing():
    pair = Pair()
    recorded = []
    for build, args in (
        (device.fetch, ()),
        (device.report, (4, (ItemResult("tz", True),))),
        (device.report, (4, ALL_OK)),
        (device.check_in, (4, 60)),
    ):
        state, body = build(pair.device, *args, env=pair.env)
        pair.device, _ = device.read_answer(state, pair.serve(body))
        recorded.append(body)
    for body in recorded * 2:
        before = pair.server
        answer = pair.serve(body)
        assert pair.server == before
        assert (pair.last.notes, pair.last.milestone) == ((), None)
        with pytest.raises(UnexpectedMessage):
            device.read_answer(pair.device, answer)
    pair.check_in()
    assert pair.last.milestone is Milestone.ONLINE, "the device itself is not thrown out of step"


def test_a_device_that_missed_an_answer_is_helped_by_the_refusal():
    pair = Pair()
    pair.fetch()
    _, lost = device.report(pair.device, 4, ALL_OK, pair.env)
    pair.serve(lost)
    assert pair.report().code is RefusalCode.STALE_CHALLENGE
    assert isinstance(pair.report(), Ack)


def test_an_answer_belongs_to_one_request_of_one_device():
    pair = Pair()
    first, body = device.fetch(pair.device, pair.env)
    answer = pair.serve(body)
    second, _ = device.fetch(pair.device, pair.env)
    elsewhere = replace(first, locator="somebody-else")
    for state in (second, elsewhere, replace(first, material=derive(bytes(64)))):
        with pytest.raises(NotAuthenticated):
            device.read_answer(state, answer)
    assert device.read_answer(first, answer)[1].plan_version == 4


def test_a_request_for_another_locator_or_reflected_as_a_reply_is_refused():
    pair = Pair()
    state, body = device.fetch(pair.device, pair.env)
    with pytest.raises(NotAuthenticated):
        step(pair.server, body, replace(pair.facts, locator="somebody-else"), pair.env)
    with pytest.raises(NotAuthenticated):
        device.read_answer(state, body)
    with pytest.raises(NotAuthenticated):
        pair.serve(pair.serve(body))


@pytest.mark.parametrize("which", ["request", "reply"])
def test_one_flipped_bit_anywhere_is_refused(which):
    pair = Pair(plan=PlanDocument(1))
    state, body = device.fetch(pair.device, pair.env)
    good = body if which == "request" else pair.serve(body)
    take = pair.serve if which == "request" else partial(device.read_answer, state)
    kid = good.index(LOCATOR.encode())
    for bit in range(len(good) * 8):
        if kid <= bit // 8 < kid + len(LOCATOR):
            continue  # kid is a hint in the unprotected header; the locator itself is in external_aad
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedMessage, NotAuthenticated)):
            take(bytes(flipped))


@given(st.binary(max_size=128))
def test_any_bytes_are_answered_or_refused_in_our_errors(octets):
    pair = Pair()
    for body in (octets, b"\xd0" + octets):
        with pytest.raises((MalformedMessage, NotAuthenticated)):
            pair.serve(body)
        with pytest.raises((MalformedMessage, NotAuthenticated)):
            device.read_answer(replace(pair.device, nonce=bytes(16)), body)


def test_a_reply_sealed_as_a_request_is_unexpected():
    pair = Pair()
    body = crypto.seal(Direction.REQUEST, derive(AMSK), LOCATOR, b"", Ack(1, bytes(16)).encode(), pair.env)
    with pytest.raises(UnexpectedMessage):
        pair.serve(body)


def test_a_report_on_items_the_plan_does_not_have_is_unexpected():
    pair = Pair()
    pair.fetch()
    for results in ((ItemResult("other", True),), (ALL_OK[0], ALL_OK[0])):
        with pytest.raises(UnexpectedMessage):
            pair.report(results)


def test_report_before_fetch_is_refused_on_the_device():
    pair = Pair()
    with pytest.raises(UnexpectedMessage):
        pair.report()
    with pytest.raises(UnexpectedMessage):
        pair.check_in()


def test_the_previous_key_is_good_until_the_new_one_is_first_used():
    pair = Pair()
    pair.fetch()
    new = derive(AMSK[::-1])
    pair.facts = replace(pair.facts, material=pair.facts.material.rekeyed(new, pair.server.key_id))
    pair.report()
    assert pair.last.milestone is Milestone.PROVISIONED, "the device has not heard of the new key"
    old, pair.device = pair.device, replace(pair.device, material=new)
    pair.check_in()
    assert pair.last.milestone is Milestone.ONLINE
    pair.device = old
    with pytest.raises(NotAuthenticated):
        pair.fetch()


def test_rekeying_twice_keeps_the_key_that_the_device_used_last():
    used, lost, newest = (derive(bytes([n]) * 64) for n in range(3))
    material = Material(used).rekeyed(lost, key_id(used)).rekeyed(newest, key_id(used))
    assert (material.current, material.previous) == (newest, used)
    assert Material(used).rekeyed(lost, key_id(used)).rekeyed(newest, key_id(lost)).previous == lost
    assert material.rekeyed(newest) == material
    assert thaw(Material, freeze(material)) == material


def test_keys_are_hkdf_and_bodies_are_encrypt0_by_independent_computation():
    """RFC 5869 and RFC 9052 section 5.3 spelled out with hmac, AES-GCM and CBOR only."""
    import hashlib
    import hmac

    prk = hmac.digest(bytes(32), AMSK, hashlib.sha256)
    first = hmac.digest(prk, b"Onward provisioning v1\x01", hashlib.sha256)
    second = hmac.digest(prk, first + b"Onward provisioning v1\x02", hashlib.sha256)
    assert derive(AMSK) == first + second

    pair = Pair()
    _, body = device.fetch(pair.device, pair.env)
    for octets, key, aad in (
        (body, first, ["Onward provisioning v1", 0, LOCATOR, b""]),
        (pair.serve(body), second, ["Onward provisioning v1", 1, LOCATOR, (1).to_bytes(16, "big")]),
    ):
        tag = cbor2.loads(octets)
        protected, unprotected, ciphertext = tag.value
        assert (tag.tag, protected, set(unprotected)) == (16, b"\xa1\x01\x03", {4, 5})
        enc_structure = cbor2.dumps(["Encrypt0", protected, cbor2.dumps(aad)])
        plaintext = AESGCM(key).decrypt(unprotected[5], ciphertext, enc_structure)
        assert cbor2.loads(plaintext)[0] in (1, 2)


def test_an_amsk_of_another_length_is_our_own_fault():
    with pytest.raises(LocalError):
        derive(AMSK[:32])


def test_no_key_is_in_a_repr_or_in_the_text_of_an_error():
    pair = Pair()
    material = derive(AMSK)
    texts = [repr(pair.facts), repr(pair.device), repr(pair.facts.material)]
    try:
        pair.serve(cose.seal(b"", bytes(32), bytes(12)))
    except NotAuthenticated as error:
        texts.append(str(error) + repr(error))
    for part in (material[:8], material[32:40], AMSK[:8]):
        assert not any(repr(part)[2:-1] in text or part.hex() in text for text in texts)
