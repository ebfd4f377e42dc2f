"""What devices did becomes rows: DI a device with a voucher, TO2 a new voucher, results and files."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from voucher_world import Maker, maker, pem

from bootstrap.bindings.vouchers import jobs, sessions, settle
from bootstrap.engine import envelope, onboarding
from bootstrap.engine.envelope import Envelope
from bootstrap.engine.models import Event, Session
from bootstrap.protocols.fdo.server import OwnerMaterial, OwnerState
from bootstrap.protocols.fdo.server.di import DiState
from bootstrap.protocols.fdo.server.state import PHASES
from bootstrap.wire.frozen import freeze
from devices.keys import public_of
from devices.models import Device, DeviceFile, Organization, OwnerKey, Voucher
from devices.services.fdo import fdo_setup, manufacturer_trust
from devices.services.owner_keys import owner_key_active, owner_key_make
from devices.services.people import organization_create, user_ensure
from devices.services.plans import plan_save

__all__ = ["maker"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Organization:
    return organization_create("Mine", user_ensure("owner@example.com"))


def di_session(organization: Organization, content: bytes, guid: str, serial: str = "SN-7") -> Session:
    """As the door leaves it after message 12."""
    state = freeze(DiState(voucher=content, guid=bytes.fromhex(guid), serial=serial))
    now = timezone.now()
    row = Session.objects.create(
        protocol="fdo-di",
        locator=guid,
        organization=organization,
        phase="initialized",
        milestone="",
        state=envelope.seal(Envelope(state), "fdo-di", guid),
        version=1,
        messages=2,
        created_at=now,
        seen_at=now,
    )
    Event.objects.create(
        session=row,
        organization=organization,
        at=now,
        code="fdo.di-set-hmac",
        level="success",
        detail={},
        via="https",
    )
    return row


def made_here(mine: Organization) -> tuple[Maker, OwnerKey]:
    fdo_setup(mine, None)
    key = owner_key_active(mine)
    assert key is not None
    return Maker(), key


def test_a_finished_di_is_a_device_with_a_voucher_to_register(mine: Organization) -> None:
    maker, key = made_here(mine)
    guid = os.urandom(16)
    session = di_session(mine, maker.made_for(public_of(key), guid=guid, serial="other"), guid.hex())
    assert settle.settle_di(timezone.now()) == 1
    device = Device.objects.get()
    assert (device.serial, device.state, device.method) == ("SN-7", "known", "fdo")
    voucher = Voucher.objects.get()
    assert (voucher.origin, voucher.current, voucher.device) == ("di", True, device)
    assert voucher.registrations.get().state == "due"
    assert Session.objects.get(protocol="fdo", locator=guid.hex()).device == device
    assert list(device.events.order_by("pk").values_list("code", flat=True)) == [
        "fdo.di-set-hmac",
        "voucher.admitted",
    ]
    session.refresh_from_db()
    assert session.device == device
    # Again and later: nothing twice, and the session goes while its history stays.
    assert settle.settle_di(timezone.now()) == 0
    assert settle.di_expire(timezone.now()) == 0
    assert settle.di_expire(timezone.now() + settle.KEPT + timedelta(minutes=1)) == 1
    assert device.events.count() == 2
    assert not Session.objects.filter(protocol="fdo-di").exists()


def test_a_di_that_was_settled_half_is_settled_whole(
    mine: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed inside: nothing of it is there, and the next round does it."""

    class Killed(BaseException):
        pass

    maker, key = made_here(mine)
    guid = os.urandom(16)
    di_session(mine, maker.made_for(public_of(key), guid=guid), guid.hex())
    real = settle.admit

    def dies(*args: object, **words: object) -> object:
        real(*args, **words)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(settle, "admit", dies)
    with pytest.raises(Killed):
        settle.settle_di(timezone.now())
    assert not Voucher.objects.exists()
    assert not Device.objects.exists()
    monkeypatch.undo()
    assert settle.settle_di(timezone.now()) == 1
    assert Voucher.objects.count() == 1


def test_one_that_cannot_be_settled_does_not_hold_up_the_others(mine: Organization) -> None:
    maker, key = made_here(mine)
    bad, good = os.urandom(16), os.urandom(16)
    di_session(mine, b"no voucher", bad.hex())
    di_session(mine, maker.made_for(public_of(key), guid=good), good.hex())
    assert settle.settle_di(timezone.now()) == 2
    assert Voucher.objects.get().guid == good.hex()
    assert settle.settle_di(timezone.now()) == 0
    assert Session.objects.filter(protocol="fdo-di", locator=bad.hex()).exists()


# TO2


@pytest.fixture
def known(mine: Organization, maker: Maker) -> Voucher:
    """A device that has a voucher and was never seen."""
    manufacturer_trust(mine, None, maker.signer.public.der, "Acme")
    key = owner_key_make(mine, None)
    job = jobs.import_create(mine, None, [pem(maker.made_for(public_of(key)))])
    jobs.import_run(job.pk)
    return Voucher.objects.get()


def finish(voucher: Voucher, rows: tuple[object, ...] = (), runs: int = 1, **session: object) -> Session:
    """As the door leaves the session after message 70."""
    row = Session.objects.get(protocol="fdo", locator=voucher.guid)
    state = OwnerState(stage=70, runs=runs, finished_at=1_790_000_000 + runs, finished=rows)  # type: ignore[arg-type]
    row.state = envelope.seal(Envelope(freeze(state)), "fdo", row.locator)
    row.milestone, row.phase = "provisioned", PHASES[70]
    for name, value in session.items():
        setattr(row, name, value)
    row.seen_at = timezone.now()
    row.save()
    Device.objects.filter(pk=voucher.device_id).update(state="onboarding")
    return row


def next_session(old: Session, content: bytes, guid: str) -> Session:
    """What NextSession of message 70 wrote beside it."""
    now = timezone.now()
    return Session.objects.create(
        protocol="fdo",
        locator=guid,
        organization=old.organization,
        device=old.device,
        state=envelope.seal(Envelope(freeze(OwnerState())), "fdo", guid),
        material=envelope.seal_material(
            freeze(OwnerMaterial(voucher=content, replaces=old.locator)), "fdo", guid
        ),
        version=1,
        messages=0,
        created_at=now,
        seen_at=old.seen_at,
    )


def look_after(voucher: Voucher) -> None:
    """What the sweep does with a device that is due."""
    assert voucher.device is not None
    voucher.device.onboarding.due_at = timezone.now()
    voucher.device.onboarding.save()
    onboarding.sweep(timezone.now(), settle.settle_to2)


def test_a_new_credential_supersedes_the_old_voucher_and_the_device_is_onboarded(
    known: Voucher, maker: Maker
) -> None:
    old = finish(known)
    guid = os.urandom(16)
    content = maker.made_for(public_of(OwnerKey.objects.get()), guid=guid)
    next_session(old, content, guid.hex())
    look_after(known)
    look_after(known)
    known.refresh_from_db()
    fresh = Voucher.objects.get(current=True)
    assert (known.state, known.current, known.registrations.get().state) == ("superseded", False, "off")
    assert (fresh.state, fresh.previous, fresh.origin, fresh.guid) == ("onboarded", known, "to2", guid.hex())
    assert fresh.serial == known.serial
    assert fresh.registrations.get().state == "due"
    device = fresh.device
    assert device is not None
    assert device == known.device
    assert device.state == "onboarded"
    assert device.onboarding.step == "done"
    assert device.identifiers.filter(kind="fdo-guid").count() == 2


def test_the_old_credential_is_good_until_the_new_one_has_proven_itself(known: Voucher, maker: Maker) -> None:
    old = finish(known)
    guid = os.urandom(16)
    content = maker.made_for(public_of(OwnerKey.objects.get()), guid=guid)
    fresh = next_session(old, content, guid.hex())
    look_after(known)
    assert Session.objects.filter(pk=old.pk).exists(), "the device may have missed our last message"
    Session.objects.filter(pk=fresh.pk).update(milestone="bootstrapped")
    look_after(known)
    assert not Session.objects.filter(pk=old.pk).exists()
    assert Session.objects.filter(pk=fresh.pk).exists()
    assert Voucher.objects.get(current=True).guid == guid.hex()


def test_a_device_that_died_in_its_last_message_has_one_voucher_in_the_end(
    known: Voucher, maker: Maker
) -> None:
    """The same GUID again with another HMac: the session holds the newer one, and so does the table."""
    old = finish(known)
    guid = os.urandom(16)
    key = public_of(OwnerKey.objects.get())
    first, second = maker.made_for(key, guid=guid), maker.made_for(key, guid=guid)
    session = next_session(old, first, guid.hex())
    look_after(known)
    session.material = sessions.material_of(guid.hex(), second)
    session.save()
    look_after(known)
    assert bytes(Voucher.objects.get(current=True).content) == second
    assert Voucher.objects.filter(current=True).count() == 1
    assert Voucher.objects.count() == 3


def test_credential_reuse_keeps_the_voucher(known: Voucher) -> None:
    finish(known)
    look_after(known)
    known.refresh_from_db()
    assert (known.state, known.current, Voucher.objects.count()) == ("onboarded", True, 1)


def test_results_and_files_are_kept_once_per_run(mine: Organization, known: Voucher) -> None:
    plan_save(
        mine,
        None,
        name="p",
        items=[
            {"kind": "collect", "id": "log", "value": {"name": "/var/log/boot"}},
            {"kind": "command", "id": "who", "value": {"command": "id"}},
        ],
    )
    rows = (
        ("log", True, "9 octets", b"boot done", b"", None),
        ("who", True, "exit 0", b"root", b"warning", 0),
    )
    finish(known, rows)
    look_after(known)
    look_after(known)
    device = known.device
    assert device is not None
    device.onboarding.refresh_from_db()
    assert device.onboarding.results == [
        {"id": "log", "ok": True, "detail": "9 octets"},
        {"id": "who", "ok": True, "detail": "exit 0", "exit_code": 0},
    ]
    files = {file.name: file.content for file in DeviceFile.objects.all()}
    assert files == {"/var/log/boot": b"boot done", "who.out": b"root", "who.err": b"warning"}
    one = DeviceFile.objects.get(name="who.out")
    assert one.received_at == datetime.fromtimestamp(1_790_000_001, UTC)
    assert b"root" not in bytes(one.sealed)
    finish(known, rows, runs=2)
    look_after(known)
    assert DeviceFile.objects.count() == 6


def test_an_item_that_had_to_work_and_did_not_leaves_the_device_stuck(known: Voucher) -> None:
    finish(known, (("who", False, "exit 1", b"", b"", 1),), milestone="stuck")
    look_after(known)
    device = known.device
    assert device is not None
    device.refresh_from_db()
    assert (device.state, device.reason) == ("stuck", "fdo.item-failed")
    finish(known, (("who", True, "exit 0", b"", b"", 0),), runs=2)
    look_after(known)
    device.refresh_from_db()
    assert (device.state, device.reason) == ("onboarded", "")


def test_a_device_that_nobody_has_switched_on_is_not_missed(known: Voucher) -> None:
    device = known.device
    assert device is not None
    for _day in range(10):
        look_after(known)
    device.refresh_from_db()
    assert device.state == "known"
    assert set(device.events.values_list("code", flat=True)) == {"voucher.admitted"}


def test_while_a_run_is_under_way_the_last_ones_end_is_not_shown(known: Voucher) -> None:
    finish(known)
    look_after(known)
    row = finish(known, phase=PHASES[60])
    look_after(known)
    device = known.device
    assert device is not None
    device.refresh_from_db()
    assert device.state == "onboarding"
    row.phase = PHASES[70]
    row.save()
    look_after(known)
    device.refresh_from_db()
    assert device.state == "onboarded"
