"""What a person does with a voucher: sell it on, delete it, bring it back. The history stays whole."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.utils import timezone

from bootstrap.bindings.vouchers.problems import AdmitProblem, VoucherRefused
from bootstrap.bindings.vouchers.sessions import PROTOCOL, session_close, session_of
from bootstrap.contract import Level
from bootstrap.engine.events import event_write
from bootstrap.engine.models import Session
from bootstrap.errors import LocalError
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.wire.keys import PublicKeyHandle, Signer
from devices.examine import owner_urls
from devices.keys import fingerprint_of, signer_of
from devices.models import DeviceState, OwnerKey, Registration, User, Voucher
from devices.services.audit import audit_write
from devices.services.owner_keys import public_in
from devices.services.progress import Progress, device_progress

_HERE = (Voucher.State.STORED, Voucher.State.REGISTERED, Voucher.State.ONBOARDED)


def owner_signer(voucher: Voucher) -> tuple[OwnerKey, Signer]:
    """The key that the voucher ends in. Raises LocalError when it is not here (any more)."""
    key = (
        OwnerKey.objects.filter(
            organization_id=voucher.organization_id, fingerprint=voucher.owner_fingerprint
        )
        .exclude(purpose=OwnerKey.Purpose.DEVICE_CA)
        .first()
    )
    if key is None:
        raise LocalError(f"no key {voucher.owner_fingerprint[:16]} here")
    return key, signer_of(key)


@transaction.atomic
def voucher_extend(voucher: Voucher, actor: User | None, next_owner: bytes) -> Voucher:
    """Sell on: extend the voucher to the next owner's key (PEM or DER: key, certificate or chain). The device is
    theirs from now on. Raises ValidationError for what is no key, VoucherRefused for what cannot be sold."""
    row = _current(voucher)
    public, chain = public_in(next_owner)
    if fingerprint_of(public) == row.owner_fingerprint:
        raise VoucherRefused("VCH-301", key=row.owner_fingerprint)
    old = vouchers.Voucher.decode(bytes(row.content))
    try:
        _key, signer = owner_signer(row)
    except LocalError as error:
        raise VoucherRefused("VCH-306") from error
    fresh = vouchers.extend(old, signer, next_key(old, public, chain)).encode()
    now = timezone.now()
    _withdraw(row, now)
    row.state, row.current = Voucher.State.SUPERSEDED, False
    row.save(update_fields=["state", "current"])
    sold = Voucher.objects.create(
        organization_id=row.organization_id,
        device=row.device,
        guid=row.guid,
        digest=sha256(fresh).hexdigest(),
        content=fresh,
        device_info=row.device_info,
        serial=row.serial,
        manufacturer_fingerprint=row.manufacturer_fingerprint,
        owner_fingerprint=fingerprint_of(public),
        entries=row.entries + 1,
        origin=Voucher.Origin.EXTENSION,
        state=Voucher.State.EXTENDED_AWAY,
        previous=row,
    )
    _show(row, DeviceState.RETIRED, "voucher.extended", now, owner=sold.owner_fingerprint)
    audit_write(
        row.organization, actor, "voucher.extended", row.guid, serial=row.serial, owner=sold.owner_fingerprint
    )
    return sold


def next_key(old: vouchers.Voucher, public: PublicKeyHandle, chain: tuple[bytes, ...]) -> PublicKey:
    """The next owner's key in the encoding of the voucher's others; all have one type, size and encoding
    (FDO 1.1 section 3.4.2). Raises VoucherRefused."""
    maker = old.header.manufacturer_key
    wanted = maker.handle().kind
    if public.kind != wanted:
        raise VoucherRefused("VCH-302", wanted=wanted.value, given=public.kind.value)
    if maker.encoding is KeyEncoding.X5CHAIN and not chain:
        raise VoucherRefused("VCH-305")
    return PublicKey.of(public, maker.encoding, maker.is_pss, chain, maker.type)


@transaction.atomic
def voucher_delete(voucher: Voucher, actor: User | None) -> Voucher:
    """Take it out of use; ``voucher_restore`` brings it back. Twice is once."""
    row = _locked(voucher)
    if row.state == Voucher.State.DELETED:
        return row
    if row.state not in _HERE:
        raise VoucherRefused("VCH-303", state=row.state)
    now = timezone.now()
    _withdraw(row, now)
    row.state_before, row.state = row.state, Voucher.State.DELETED
    row.current, row.deleted_at = False, now
    row.save(update_fields=["state", "state_before", "current", "deleted_at"])
    if row.device is not None and row.device.state == DeviceState.KNOWN:
        _show(row, DeviceState.RETIRED, "voucher.deleted", now)
    audit_write(row.organization, actor, "voucher.deleted", row.guid, serial=row.serial)
    return row


@transaction.atomic
def voucher_restore(voucher: Voucher, actor: User | None) -> Voucher:
    """Back into use, as it was. Raises VoucherRefused when something has taken its place."""
    row = _locked(voucher)
    if row.state != Voucher.State.DELETED:
        return row
    if Session.objects.filter(protocol=PROTOCOL, locator=row.guid).exists():
        raise VoucherRefused(AdmitProblem.TAKEN)
    if row.device is None or row.device.vouchers.filter(current=True).exists():
        raise VoucherRefused("VCH-304")
    now = timezone.now()
    row.state, row.state_before = row.state_before or Voucher.State.STORED, ""
    row.current, row.deleted_at = True, None
    row.save(update_fields=["state", "state_before", "current", "deleted_at"])
    session_of(row.guid, bytes(row.content), row.device, now).save()
    registrations_due(row, now)
    if row.device.state == DeviceState.RETIRED and row.device.step == "voucher.deleted":
        _show(row, DeviceState.KNOWN, "voucher.restored", now)
    audit_write(row.organization, actor, "voucher.restored", row.guid, serial=row.serial)
    return row


def registrations_due(row: Voucher, now: datetime) -> None:
    """Every rendezvous of the voucher, from now; those that were off too."""
    urls = owner_urls(vouchers.Voucher.decode(bytes(row.content)))
    Registration.objects.bulk_create(
        [Registration(voucher=row, url=url[:300], next_at=now) for url in urls], ignore_conflicts=True
    )
    Registration.objects.filter(voucher=row).update(state=Registration.State.DUE, next_at=now, attempts=0)


def registrations_off(row: Voucher) -> None:
    """No more renewals. The rendezvous forgets when the lease ends: FDO 1.1 has no way to take one back."""
    Registration.objects.filter(voucher=row).update(state=Registration.State.OFF, next_at=None)


def _withdraw(row: Voucher, now: datetime) -> None:
    registrations_off(row)
    for session in Session.objects.filter(protocol=PROTOCOL, locator=row.guid, device=row.device):
        session_close(session)


def _locked(voucher: Voucher) -> Voucher:
    return Voucher.objects.select_for_update(of=("self",)).select_related("organization").get(pk=voucher.pk)


def _current(voucher: Voucher) -> Voucher:
    row = _locked(voucher)
    if row.state not in _HERE or not row.current:
        raise VoucherRefused("VCH-303", state=row.state)
    return row


def _show(row: Voucher, state: DeviceState, step: str, now: datetime, **detail: Any) -> None:
    if row.device is None:
        return
    device_progress(Progress(row.device.pk, now, seen=False, state=state.value, step=step, by_person=True))
    row.device.refresh_from_db()
    event_write(row.device, step, Level.INFO, voucher=row.pk, **detail)
