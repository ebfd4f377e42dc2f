"""The owner in TO2, led through every message by a hand-made device."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from fdo_hand import (
    DEVMOD,
    NOW,
    OTHER_RVINFO,
    RVINFO,
    Device,
    Owner,
    device,
    done,
    factory,
    info,
    key,
    owner,
    public,
    ready,
    signers,
    to_60,
    to_62,
    to_64,
    to_66,
    to_68,
    to_70,
    world,
)

from bootstrap.contract import Env, Level, Milestone, NextSession, Verdict
from bootstrap.errors import (
    LocalError,
    MalformedMessage,
    NotAuthenticated,
    PeerError,
    Replayed,
    UnexpectedMessage,
)
from bootstrap.protocols.fdo.constants import (
    ErrorCode,
    KeyEncoding,
    MessageType,
    ResourceNotFound,
    error_code,
)
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, derive
from bootstrap.protocols.fdo.crypto.kex import KexSuite, device_answer, suites_for
from bootstrap.protocols.fdo.messages import (
    DeviceServiceInfo,
    DeviceServiceInfoReady,
    Done,
    Done2,
    ErrorMessage,
    GetOvNextEntry,
    OvNextEntry,
    OwnerServiceInfo,
)
from bootstrap.protocols.fdo.primitives import Hash, SigInfo
from bootstrap.protocols.fdo.server import (
    ANSWER,
    FOLLOWS,
    OwnerMaterial,
    OwnerMessage,
    OwnerState,
    results_of,
    step,
    unextended,
)
from bootstrap.protocols.fdo.server.session import DIALECTS
from bootstrap.protocols.fdo.service_info import Command, Download, Upload
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.protocols.fdo.voucher.checks import verify
from bootstrap.protocols.fdo.voucher.transfer import extend
from bootstrap.wire import cbor
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, SoftSigner

KINDS = [*((kind, False) for kind in KeyKind), (KeyKind.RSA2048, True), (KeyKind.RSA3072, True)]
EXCHANGES = [(kind, suite) for kind in KeyKind for suite in suites_for(kind)]
ENCODINGS = [KeyEncoding.X509, KeyEncoding.X5CHAIN, KeyEncoding.COSEKEY, KeyEncoding.CRYPTO]
REQUESTS = [60, 62, 64, 66, 68, 70]
NEAR = {KexSuite.ECDH256: 270, KexSuite.DHKEXID14: 145}
"""Seeds of a device whose shared secret with the owner of these tests begins with a zero."""
TO = {60: to_60, 62: to_62, 64: to_64, 66: to_66, 68: to_68, 70: to_70}


def refused(owner: Owner, number: int, body: bytes, error: type[PeerError] = PeerError) -> PeerError:
    """What one message raises; it must leave the state alone."""
    before = owner.state
    with pytest.raises(error) as caught:
        owner.send(number, body)
    assert owner.state == before
    return caught.value


def material(following: NextSession | None) -> OwnerMaterial:
    assert following is not None
    assert following.protocol == "fdo"
    return thaw(OwnerMaterial, following.material)


# Whole runs.


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: e.name)
@pytest.mark.parametrize(("kind", "pss"), KINDS)
def test_a_device_of_every_kind_gets_a_new_credential(
    kind: KeyKind, pss: bool, encoding: KeyEncoding
) -> None:
    new = (key(kind, "owner2"), public(kind, "owner2", encoding, pss))
    made, sells = world(kind, encoding=encoding, pss=pss, owner2=new)
    setup = to_70(made, sells)
    assert setup.owner2_key == new[1]
    assert setup.rvinfo == OTHER_RVINFO
    assert setup.guid != made.guid
    following = sells.last.next
    voucher = Voucher.decode(material(following).voucher)
    assert following is not None
    assert following.locator == setup.guid.hex() == voucher.guid.hex()
    verify(voucher, owner=key(kind, "owner2").public)
    assert voucher.header.encode() == made.new_header(setup).encode()
    assert voucher.hmac == made.hmac_of(voucher.header)
    assert len(voucher.raw_entries) == 1


@pytest.mark.parametrize("cipher", list(CipherSuite), ids=lambda c: c.name)
@pytest.mark.parametrize(("kind", "suite"), EXCHANGES)
def test_every_key_exchange_goes_with_every_cipher(
    kind: KeyKind, suite: KexSuite, cipher: CipherSuite
) -> None:
    made, sells = world(kind, reuse=True)
    made.suite, made.cipher = suite, cipher
    to_70(made, sells, reuse=True)
    assert sells.last.milestone is Milestone.PROVISIONED


@pytest.mark.parametrize("entries", [1, 3, 10, 255])
def test_a_device_reads_every_entry(entries: int) -> None:
    made, sells = world(entries=entries if entries < 255 else 1)
    if entries == 255:
        voucher = sells.facts.voucher()
        voucher = replace(voucher, raw_entries=voucher.raw_entries * 255)
        sells.facts = replace(sells.facts, voucher=lambda: voucher)
    to_62(made, sells)
    assert len(sells.outcomes) == 1 + entries
    assert sells.state.next_entry == entries
    assert OvNextEntry.decode(sells.last.reply.body).entry == sells.facts.voucher().raw_entries[-1]


def test_the_timeline_has_a_line_for_each_message_and_no_secret() -> None:
    made, sells = world()
    to_70(made, sells)
    notes = [note for outcome in sells.outcomes for note in outcome.notes]
    assert [note.code for note in notes] == [
        "fdo.hello-device",
        "fdo.get-ov-next-entry",
        "fdo.prove-device",
        "fdo.device-service-info-ready",
        "fdo.device-service-info",
        "fdo.done",
    ]
    assert [note.detail["message"] for note in notes] == REQUESTS
    shown = repr([(note.code, dict(note.detail)) for note in notes]) + repr(sells.outcomes)
    assert made.keys.sek.hex() not in shown
    assert repr(made.keys.sek)[2:-1] not in shown
    for note in notes:
        request, reply = cbor.decode(note.trace)
        assert isinstance(request, bytes)
        assert isinstance(reply, bytes)
    assert Done2.decode(cbor.decode(notes[-1].trace)[1]).nonce == made.setup_nonce


def test_milestones_and_verdicts_follow_the_messages() -> None:
    made, sells = world()
    to_70(made, sells)
    assert [o.milestone for o in sells.outcomes] == [
        None,
        None,
        Milestone.BOOTSTRAPPED,
        None,
        None,
        Milestone.PROVISIONED,
    ]
    assert [o.reply.verdict for o in sells.outcomes] == [Verdict.CONTINUE] * 5 + [Verdict.ACCEPT]
    assert sells.outcomes[4].labels == {"serial": "S-1", "model": "lamp"}


def test_a_finished_run_leaves_no_key_behind() -> None:
    made, sells = world()
    to_70(made, sells)
    left = freeze(sells.state)
    assert made.keys.sek not in left
    assert sells.state.sek == sells.state.svk == sells.state.kex_private == b""


def test_signatures_and_agreements_are_as_few_as_can_be() -> None:
    counted: list[str] = []

    class Counting:
        def __init__(self, signer: SoftSigner) -> None:
            self._signer = signer

        @property
        def public(self) -> Any:
            return self._signer.public

        def sign(self, algorithm: int, message: bytes) -> bytes:
            counted.append("sign")
            return self._signer.sign(algorithm, message)

        def decrypt_oaep(self, ciphertext: bytes) -> bytes:
            counted.append("decrypt")
            return self._signer.decrypt_oaep(ciphertext)

    held = Counting(key(KeyKind.P256))
    made, sells = world(reuse=True, signer=lambda der: held if der == held.public.der else None)
    to_70(made, sells, reuse=True)
    assert counted == ["sign", "sign"]


# Credential reuse and resale.


def test_reuse_repeats_guid_rendezvous_and_key_octet_for_octet() -> None:
    made, sells = world(reuse=True)
    setup = to_70(made, sells, reuse=True)
    voucher = sells.facts.voucher()
    assert (setup.guid, setup.rvinfo) == (made.guid, RVINFO)
    assert setup.owner2_key.encode() == voucher.owner_key.encode()
    assert sells.last.next is None
    assert sells.state.replaced_by == ""
    assert sells.last.notes[0].detail["credential"] == "reused"


def test_a_reused_credential_serves_again_and_again() -> None:
    made, sells = world(reuse=True)
    for run in (1, 2, 3):
        to_70(made, sells, reuse=True)
        assert sells.state.runs == run


def test_an_hmac_where_the_credential_stays_is_refused() -> None:
    made, sells = world(reuse=True)
    setup = to_64(made, sells)
    refused(sells, 66, ready(made, setup, reuse=False), UnexpectedMessage)


def test_a_device_that_forbids_reuse_is_stuck_and_says_so() -> None:
    made, sells = world(reuse=True)
    to_64(made, sells)
    body = ErrorMessage(ErrorCode.CRED_REUSE_ERROR, 65, "credential reuse is not enabled").encode()
    assert sells.send(255, body) == b""
    assert sells.last.milestone is Milestone.STUCK
    assert sells.last.notes[0].detail["forbids_reuse"] == 1


def test_a_device_that_cannot_be_sold_on_finishes_with_a_warning_and_no_voucher() -> None:
    made, sells = world()
    to_70(made, sells, reuse=True)
    assert sells.last.next is None
    assert sells.outcomes[-3].notes[0].level is Level.WARNING
    assert sells.last.notes[0].detail["credential"] == "lost"


def test_an_hmac_of_another_width_is_refused() -> None:
    made, sells = world()
    to_64(made, sells)
    wide = made.seal(DeviceServiceInfoReady(Hash(6, bytes(48)), 1300).encode())
    refused(sells, 66, wide, UnexpectedMessage)


def test_the_replacement_voucher_serves_the_next_run() -> None:
    made, sells = world()
    setup = to_70(made, sells)
    kept = material(sells.last.next)
    assert kept.replaces == sells.facts.guid.hex()
    made.guid = setup.guid
    again = owner(Voucher.decode(kept.voucher))
    to_70(made, again)
    assert material(again.last.next).replaces == setup.guid.hex()


def test_the_voucher_as_to2_left_it_can_be_had_from_the_extended_one() -> None:
    made, sells = world()
    to_70(made, sells)
    raw = Voucher.decode(unextended(material(sells.last.next).voucher))
    assert raw.raw_entries == ()
    assert raw.hmac == made.hmac_of(raw.header)
    assert raw.owner_key.handle() == key(KeyKind.P256, "owner2").public


def test_without_a_new_key_or_rendezvous_the_old_ones_stay() -> None:
    made, sells = world(owner2=None, rvinfo=None)
    setup = to_70(made, sells)
    assert setup.rvinfo == RVINFO
    assert setup.owner2_key.handle() == key(KeyKind.P256).public


def test_a_new_owner_key_of_another_kind_waits_for_devices_of_its_kind() -> None:
    made, sells = world(owner2=(key(KeyKind.P384, "owner2"), public(KeyKind.P384, "owner2")))
    assert to_70(made, sells).owner2_key.handle() == key(KeyKind.P256).public


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: e.name)
def test_a_new_owner_key_comes_in_the_form_that_the_device_knows(encoding: KeyEncoding) -> None:
    kind = KeyKind.RSA3072
    made, sells = world(
        kind, encoding=encoding, pss=True, owner2=(key(kind, "owner2"), public(kind, "owner2"))
    )
    found = to_70(made, sells).owner2_key
    assert found.is_pss
    assert found.encoding == (KeyEncoding.X509 if encoding is KeyEncoding.X5CHAIN else encoding)
    verify(Voucher.decode(material(sells.last.next).voucher), owner=key(kind, "owner2").public)


def test_a_new_owner_key_need_not_be_among_the_keys_for_vouchers() -> None:
    made, sells = world(signer=signers(KeyKind.P256, "owner"))
    to_70(made, sells)
    verify(Voucher.decode(material(sells.last.next).voucher), owner=key(KeyKind.P256, "owner2").public)


def test_a_key_that_is_taken_away_during_the_run_is_our_own_fault() -> None:
    made, sells = world()
    to_68(made, sells)
    sells.facts = replace(sells.facts, signer=lambda _der: None, owner2=None)
    with pytest.raises(LocalError):
        sells.send(70, done(made))


# A device that dies.


@pytest.mark.parametrize("died_after", REQUESTS)
def test_a_device_that_died_anywhere_begins_again_under_the_same_voucher(died_after: int) -> None:
    made, sells = world()
    TO[died_after](made, sells)
    voucher = sells.facts.voucher().encode()
    to_70(made, sells)
    assert sells.last.milestone is Milestone.PROVISIONED
    assert sells.facts.voucher().encode() == voucher


def test_a_device_that_missed_message_71_is_offered_the_same_replacement() -> None:
    made, sells = world()
    first = to_70(made, sells)
    voucher = Voucher.decode(material(sells.last.next).voucher)
    second = to_70(made, sells)
    assert second.guid == first.guid
    again = Voucher.decode(material(sells.last.next).voucher)
    assert (again.header.encode(), again.hmac) == (voucher.header.encode(), voucher.hmac)


def test_another_replacement_has_another_guid() -> None:
    made, sells = world()
    first = to_64(made, sells)
    sells.facts = replace(sells.facts, rvinfo=RVINFO)
    assert to_64(made, sells).guid != first.guid


def test_the_results_of_a_finished_run_outlast_a_run_that_fails() -> None:
    made, sells = world(actions=lambda _devmod: (Download("motd", "/etc/motd", b"hi"),))
    to_66(made, sells)
    assert info(made, sells, *DEVMOD).is_done
    sells.send(70, done(made))
    (result,) = results_of(sells.state.finished)
    assert (result.id, result.ok) == ("motd", False)
    to_64(made, sells)
    assert results_of(sells.state.finished) == (result,)
    assert sells.state.runs == 1


def test_the_devices_own_error_ends_the_run_and_is_kept() -> None:
    made, sells = world(actions=lambda _devmod: (Command("c", "/bin/true"), Download("d", "f", b"x")))
    to_66(made, sells)
    info(made, sells, *with_modules("fdo.command", "fdo.download"))
    sells.send(255, ErrorMessage(500, 69, "error reading args array length").encode())
    state = sells.state
    assert state.stage == MessageType.ERROR
    assert state.said == "error reading args array length"
    assert state.failed == ("c", "d")
    assert sells.last.milestone is Milestone.STUCK
    assert sells.last.reply.verdict is Verdict.REJECT
    refused(sells, 68, made.seal(DeviceServiceInfo(False).encode()), UnexpectedMessage)
    refused(sells, 255, ErrorMessage(500, 69, "again").encode(), UnexpectedMessage)


def test_what_a_device_complained_of_changes_how_it_is_spoken_to() -> None:
    actions = (Command("c", "/bin/echo", ("a",)),)
    forms = []
    made, sells = world(actions=lambda _devmod: actions)
    for _run in range(2):
        to_66(made, sells)
        forms.append(dict(info(made, sells, *with_modules("fdo.command")).service_info)["fdo.command:args"])
        sells.send(255, ErrorMessage(500, 69, "Failed to read fdo.command:args array length").encode())
    assert cbor.decode(forms[0]) == cbor.encode(["a"])
    assert cbor.decode(forms[1]) == ["a"]


def test_an_error_before_service_info_records_no_results() -> None:
    made, sells = world(actions=lambda _devmod: (Download("d", "f", b"x"),))
    to_60(made, sells)
    sells.send(255, ErrorMessage(101, 61, "bad\nheader").encode())
    assert sells.state.runs == 0
    assert sells.last.milestone is None
    assert sells.last.notes[0].detail["text"] == "bad header"


# What is refused.


@pytest.mark.parametrize("stage", [0, *REQUESTS])
@pytest.mark.parametrize("number", REQUESTS[1:])
def test_every_message_out_of_order_is_refused_and_changes_nothing(stage: int, number: int) -> None:
    if stage in FOLLOWS[number]:
        return
    made, sells = world()
    if stage:
        TO[stage](made, sells)
    bodies = {
        62: GetOvNextEntry(0).encode(),
        64: made.prove() if made.hdr else b"\x80",
        66: made.seal(DeviceServiceInfoReady(None, None).encode()) if made.keys.sek else b"\x80",
        68: made.seal(DeviceServiceInfo(False).encode()) if made.keys.sek else b"\x80",
        70: done(made) if made.keys.sek else b"\x80",
    }
    assert error_code(refused(sells, number, bodies[number], UnexpectedMessage)) == 101


@pytest.mark.parametrize("number", [0, 10, 12, 20, 30, 61, 63, 65, 67, 69, 71, 72, 254, 256])
def test_a_number_that_no_device_sends_is_refused(number: int) -> None:
    _made, sells = world()
    refused(sells, number, b"\x80", UnexpectedMessage)


def test_the_table_knows_every_message() -> None:
    assert set(ANSWER) == {*REQUESTS, 255}
    assert set(FOLLOWS) == set(REQUESTS[1:])


@pytest.mark.parametrize("number", [1, 2, 255])
def test_entries_are_read_once_and_in_order(number: int) -> None:
    made, sells = world(entries=2)
    to_60(made, sells)
    if number == 1:
        sells.send(62, GetOvNextEntry(0).encode())
        refused(sells, 62, GetOvNextEntry(0).encode(), UnexpectedMessage)
        sells.send(62, GetOvNextEntry(1).encode())
    refused(sells, 62, GetOvNextEntry(number).encode(), UnexpectedMessage)


def test_a_device_that_skips_entries_is_refused() -> None:
    made, sells = world(entries=2)
    to_60(made, sells)
    sells.send(62, GetOvNextEntry(0).encode())
    refused(sells, 64, made.prove(), UnexpectedMessage)


def test_a_voucher_that_grows_under_the_device_makes_it_begin_again() -> None:
    made, sells = world()
    to_60(made, sells)
    longer = extend(sells.facts.voucher(), key(KeyKind.P256), public(KeyKind.P256))
    sells.facts = replace(sells.facts, voucher=lambda: longer)
    refused(sells, 62, GetOvNextEntry(0).encode(), UnexpectedMessage)
    to_70(made, sells)


def test_service_info_and_done_keep_their_order() -> None:
    made, sells = world()
    to_66(made, sells)
    refused(sells, 70, done(made), UnexpectedMessage)
    info(made, sells, *DEVMOD[:3], is_more=True)
    refused(sells, 70, done(made), UnexpectedMessage)
    assert info(made, sells, *DEVMOD[3:]).is_done
    refused(sells, 68, made.seal(DeviceServiceInfo(False).encode()), UnexpectedMessage)


def test_an_encrypted_message_is_taken_once_however_it_is_framed() -> None:
    made, sells = world(actions=lambda _devmod: (Download("d", "f", b"x"),))
    to_66(made, sells)
    first = made.seal(DeviceServiceInfo(True, DEVMOD[:4]).encode())
    sells.send(68, first)
    sells.send(68, made.seal(DeviceServiceInfo(True, DEVMOD[4:6]).encode()))
    assert first[0] == 0xD0
    refused(sells, 68, first, Replayed)
    refused(sells, 68, first[1:], Replayed)
    protected, unprotected, ciphertext = cbor.decode(first[1:])
    refused(sells, 68, cbor.encode([protected, unprotected | {7: 1}, ciphertext]), Replayed)


@pytest.mark.parametrize("cipher", [CipherSuite.A256GCM, CipherSuite.AES128_CTR], ids=lambda c: c.name)
def test_our_own_messages_sent_back_are_refused(cipher: CipherSuite) -> None:
    made, sells = world()
    made.cipher = cipher
    setup = to_64(made, sells)
    refused(sells, 66, sells.last.reply.body)
    sells.send(66, ready(made, setup))
    for number in (68,):
        refused(sells, number, sells.last.reply.body)
    assert info(made, sells, *DEVMOD).is_done
    refused(sells, 70, sells.last.reply.body)


@pytest.mark.parametrize("field", ["nonce", "guid", "setup"])
def test_an_eat_of_another_run_or_device_is_refused(field: str) -> None:
    made, sells = world()
    to_62(made, sells)
    if field == "setup":
        body = bytearray(made.prove())
        body[-1] ^= 1
        refused(sells, 64, bytes(body), NotAuthenticated)
    else:
        refused(sells, 64, made.prove(**{field: bytes(16)}), NotAuthenticated)
    sells.send(64, made.prove())


def test_an_eat_of_an_earlier_run_is_refused() -> None:
    made, sells = world()
    to_62(made, sells)
    old = made.prove()
    to_62(made, sells)
    refused(sells, 64, old, NotAuthenticated)


def test_an_eat_by_another_key_is_refused() -> None:
    made, sells = world()
    to_62(made, sells)
    stranger = replace(made, signer=key(KeyKind.P256, "stranger"))
    refused(sells, 64, stranger.prove(), NotAuthenticated)
    sells.send(64, made.prove())


@pytest.mark.parametrize("kind", list(KeyKind), ids=lambda k: k.value)
def test_a_half_of_a_key_exchange_that_is_none_is_refused(kind: KeyKind) -> None:
    for suite in suites_for(kind):
        made, sells = world(kind)
        made.suite = suite
        to_62(made, sells)
        for x_b in (b"", b"\x01", bytes(300), b"\xff" * 384):
            refused(sells, 64, made.prove(x_b=x_b))
        sells.send(64, made.prove())


def test_done_with_another_nonce_is_refused() -> None:
    made, sells = world()
    to_68(made, sells)
    refused(sells, 70, made.seal(Done(bytes(16)).encode()), NotAuthenticated)
    sells.send(70, done(made))


@pytest.mark.parametrize(
    "other",
    [
        {"kex_suite": "ECDH384"},
        {"kex_suite": "DHKEXid14"},
        {"kex_suite": "ecdh256"},
        {"kex_suite": ""},
        {"cipher_suite": 0},
        {"cipher_suite": 4},
        {"cipher_suite": 34},
        {"sig_info": SigInfo(-35)},
        {"sig_info": SigInfo(90, b"group")},
    ],
    ids=str,
)
def test_suites_that_do_not_go_with_the_voucher_are_refused(other: dict[str, Any]) -> None:
    made, sells = world()
    refused(sells, 60, made.hello(**other), UnexpectedMessage)


def test_what_cannot_be_served_costs_no_signature_and_no_look_at_the_voucher() -> None:
    def never(*_: object) -> Any:
        raise AssertionError("asked for")

    made, sells = world()
    for facts in (
        replace(sells.facts, serves=False, voucher=never, signer=never),
        replace(sells.facts, guid=bytes(16), voucher=never, signer=never),
    ):
        sells.facts = facts
        assert error_code(refused(sells, 60, made.hello(), ResourceNotFound)) == 6


def test_a_voucher_of_someone_else_is_not_served() -> None:
    made, sells = world(signer=lambda _der: None)
    refused(sells, 60, made.hello(), ResourceNotFound)


def test_a_voucher_of_zero_entries_is_not_served() -> None:
    made = device()
    voucher = factory(extended=False).make(made)
    sells = owner(voucher, signer=signers(KeyKind.P256, "manufacturer"))
    refused(sells, 60, made.hello(), ResourceNotFound)


@pytest.mark.parametrize("stage", REQUESTS)
def test_a_message_cut_short_anywhere_is_refused_and_changes_nothing(stage: int) -> None:
    _made, sells, body = before(stage)
    for length in range(0, len(body), 1 + len(body) // 40):
        refused(sells, stage, body[:length])
    refused(sells, stage, body + b"\x00")
    sells.send(stage, body)


@pytest.mark.parametrize("cipher", [CipherSuite.A128GCM, CipherSuite.CCM_64_128_128, CipherSuite.AES128_CBC])
@pytest.mark.parametrize("stage", [64, 66, 68, 70])
def test_one_flipped_bit_anywhere_in_a_protected_message_is_refused(stage: int, cipher: CipherSuite) -> None:
    _made, sells, body = before(stage, cipher)
    passed = []
    for position in range(len(body)):
        flipped = bytearray(body)
        flipped[position] ^= 1 << (position % 8)
        state = sells.state
        try:
            step(
                state, OwnerMessage(stage, bytes(flipped)), sells.facts, Env(NOW, random.Random(1).randbytes)
            )
        except PeerError:
            continue
        passed.append((position, flipped[position]))
    assert [position for position, _ in passed if not unprotected(stage, body, position)] == []
    sells.send(stage, body)


def unprotected(stage: int, body: bytes, position: int) -> bool:
    """Whether an octet is one that nothing protects: the EAT's own nonce, labels and tags of a COSE frame."""
    if stage == 64:
        start = body.index(b"S" * 16)
        return start <= position < start + 16
    return False


def before(stage: int, cipher: CipherSuite = CipherSuite.A128GCM) -> tuple[Device, Owner, bytes]:
    """A device and its owner on the brink of a message, and that message."""
    made, sells = world()
    made.cipher = cipher
    if stage == 60:
        return made, sells, made.hello()
    if stage == 62:
        to_60(made, sells)
        return made, sells, GetOvNextEntry(0).encode()
    if stage == 64:
        to_62(made, sells)
        return made, sells, made.prove()
    if stage == 66:
        return made, sells, ready(made, to_64(made, sells))
    if stage == 68:
        to_66(made, sells)
        return made, sells, made.seal(DeviceServiceInfo(False, DEVMOD).encode())
    to_68(made, sells)
    return made, sells, done(made)


# Sizes.


def test_what_the_owner_sends_fits_what_the_device_takes() -> None:
    made, sells = world()
    size = len(sells.send(60, made.hello()))
    sells.send(60, made.hello(max_device_message_size=size + 8))
    refused(sells, 60, made.hello(max_device_message_size=size - 8), UnexpectedMessage)


def test_a_size_of_zero_is_no_limit() -> None:
    made, sells = world()
    to_60(made, sells, max_device_message_size=0)
    assert sells.state.max_message == 65535


@pytest.mark.parametrize(
    ("message", "announced"), [(65535, 1300), (2000, 64000), (2000, 300), (65535, 60000)]
)
def test_service_info_keeps_to_both_sizes_of_the_device(message: int, announced: int) -> None:
    made, sells = world(actions=lambda _devmod: (Download("d", "f", bytes(5000)),))
    setup = to_64(made, sells, max_device_message_size=message)
    sells.send(66, ready(made, setup, size=announced))
    content, reply = 0, info(made, sells, *with_modules("fdo.download"))
    for _round in range(100):
        assert len(sells.last.reply.body) <= message
        assert len(reply.encode()) <= announced
        content += sum(
            len(cbor.decode(value)) for name, value in reply.service_info if name.endswith(":data")
        )
        if content == 5000:
            break
        reply = info(made, sells)
    assert content == 5000


def test_service_info_larger_than_announced_is_refused() -> None:
    made, sells = world(max_service_info=300)
    to_66(made, sells)
    body = made.seal(DeviceServiceInfo(False, (("devmod:os", cbor.encode("x" * 400)),)).encode())
    refused(sells, 68, body, MalformedMessage)
    assert info(made, sells, *DEVMOD).is_done


def test_a_message_larger_than_announced_is_refused() -> None:
    made, sells = world(max_message=500)
    refused(sells, 60, made.hello() + bytes(500), MalformedMessage)


def test_rounds_of_nothing_but_content_leave_no_line() -> None:
    made, sells = world(actions=lambda _devmod: (Download("d", "f", bytes(20_000)),))
    to_66(made, sells)
    reply = info(made, sells, *with_modules("fdo.download"))
    while reply.is_more or any(name.endswith(":data") for name, _ in reply.service_info):
        reply = info(made, sells)
    quiet = [outcome for outcome in sells.outcomes if not outcome.notes]
    assert len(quiet) >= 15


def with_modules(*names: str) -> tuple[tuple[str, bytes], ...]:
    """devmod of a device that has more modules."""
    lists = {
        "devmod:nummodules": cbor.encode(1 + len(names)),
        "devmod:modules": cbor.encode([0, 1 + len(names), "devmod", *names]),
    }
    return tuple((name, lists.get(name, value)) for name, value in DEVMOD)


# Actions.


def test_a_file_reaches_the_device_and_the_result_the_timeline() -> None:
    made, sells = world(actions=lambda _devmod: (Download("motd", "motd", b"hello"),))
    to_66(made, sells)
    reply = info(made, sells, *with_modules("fdo.download"))
    sent = dict(reply.service_info)
    assert cbor.decode(sent["fdo.download:name"]) == "motd"
    while "fdo.download:data" not in sent or reply.is_more:
        reply = info(made, sells)
        sent |= dict(reply.service_info)
    reply = info(made, sells, ("fdo.download:active", b"\xf5"), ("fdo.download:done", cbor.encode(5)))
    while not reply.is_done:
        reply = info(made, sells)
    codes = [note.code for outcome in sells.outcomes for note in outcome.notes]
    assert "fdo.action-done" in codes
    sells.send(70, done(made))
    assert [(r.id, r.ok) for r in results_of(sells.state.finished)] == [("motd", True)]
    assert sells.last.milestone is Milestone.PROVISIONED


@pytest.mark.parametrize(("may_fail", "milestone"), [(True, Milestone.PROVISIONED), (False, Milestone.STUCK)])
def test_an_action_that_must_succeed_and_does_not_leaves_the_device_stuck(
    may_fail: bool, milestone: Milestone
) -> None:
    made, sells = world(actions=lambda _devmod: (Upload("log", "/var/log/x", may_fail=may_fail),))
    to_66(made, sells)
    reply = info(made, sells, *DEVMOD)
    while not reply.is_done:
        reply = info(made, sells)
    sells.send(70, done(made))
    assert sells.last.milestone is milestone
    assert sells.state.failed == ("log",)
    assert any(note.code == "fdo.action-failed" for outcome in sells.outcomes for note in outcome.notes)


# Dialects.


@pytest.mark.parametrize("cipher", [c for c in CipherSuite if not c.is_aead], ids=lambda c: c.name)
def test_a_device_of_the_other_dialect_gets_through_at_its_second_try(cipher: CipherSuite) -> None:
    made, sells = world(reuse=True)
    made.cipher, made.dialect = cipher, DIALECTS[1]
    to_62(made, sells)
    reply = sells.send(64, made.prove())
    with pytest.raises(NotAuthenticated):
        made.open(reply)
    to_70(made, sells, reuse=True)
    to_70(made, sells, reuse=True)
    assert sells.state.known_dialect == DIALECTS[1]
    assert sells.state.unopened == 0


def test_a_device_that_says_it_could_not_open_message_65_is_met_in_the_other_dialect() -> None:
    made, sells = world(reuse=True)
    made.cipher, made.dialect = CipherSuite.AES128_CTR, Dialect.SPEC
    to_62(made, sells)
    sells.send(64, made.prove())
    sells.send(255, ErrorMessage(500, 65, "cannot decrypt").encode())
    to_70(made, sells, reuse=True)


@pytest.mark.parametrize(
    ("kind", "suite"), [(KeyKind.P256, KexSuite.ECDH256), (KeyKind.RSA2048, KexSuite.DHKEXID14)]
)
def test_a_device_that_drops_leading_zeros_is_understood_from_message_66_on(
    kind: KeyKind, suite: KexSuite
) -> None:
    """One secret in 256 begins with a zero. The owner's randomness is seeded, so the search may begin near."""
    made, sells = world(kind, reuse=True)
    made.suite = suite
    to_62(made, sells)
    assert made.hdr is not None
    for seed in range(NEAR[suite], NEAR[suite] + 3000):
        _x_b, shared = device_answer(suite, made.hdr.x_a, random.Random(seed).randbytes, key(kind).public)
        if shared.alternatives:
            break
    made.random = random.Random(seed).randbytes
    body = made.prove()
    assert made.shared is not None
    assert made.shared.alternatives
    sells.send(64, body)
    assert sells.state.others
    made.keys = derive(made.cipher, made.shared.alternatives[0], made.shared.context_rand)
    reply = sells.send(66, made.seal(DeviceServiceInfoReady(None, 1300).encode()))
    made.open(reply)
    assert sells.state.others == ()
    assert info(made, sells, *DEVMOD).is_done
    assert OwnerServiceInfo.decode(made.open(sells.last.reply.body)).is_done


def test_nothing_secret_is_in_repr() -> None:
    made, sells = world()
    to_66(made, sells)
    state = repr(sells.state)
    assert repr(sells.state.sek)[2:-1] not in state
    assert repr(sells.state.modules)[2:-1] not in state
    assert repr(OwnerMaterial(b"voucher octets")) == "OwnerMaterial(replaces='')"
    assert "body" not in repr(OwnerMessage(68, b"body"))
    assert OwnerState().phase.startswith("waiting")
