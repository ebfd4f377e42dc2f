"""A voucher is sold on, deleted and brought back; its history stays whole and downloadable."""

from __future__ import annotations

import os

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from voucher_world import Maker, maker, pem

from bootstrap.bindings.vouchers import jobs, sessions
from bootstrap.bindings.vouchers.hand_over import voucher_delete, voucher_extend, voucher_restore
from bootstrap.bindings.vouchers.problems import PROBLEMS, AdmitProblem, VoucherRefused
from bootstrap.bindings.vouchers.undo import import_undo
from bootstrap.engine.models import Event, Session
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.wire.keys import KeyKind, SoftSigner
from devices.keys import public_of
from devices.models import AuditEntry, Job, JobRow, Organization, OwnerKey, Voucher
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make, owner_key_pem, public_pem
from devices.services.people import organization_create, user_ensure

__all__ = ["maker"]
pytestmark = pytest.mark.django_db


def organization(name: str, maker: Maker) -> tuple[Organization, OwnerKey]:
    made = organization_create(name, user_ensure(f"owner@{name.lower()}.example.com"))
    manufacturer_trust(made, None, maker.signer.public.der, "Acme")
    return made, owner_key_make(made, None, maker.kind.value)


def bring(owner: Organization, content: bytes) -> Job:
    job = jobs.import_create(owner, None, [pem(content)])
    jobs.import_run(job.pk)
    job.refresh_from_db()
    return job


@pytest.fixture
def stock(maker: Maker) -> tuple[Organization, OwnerKey, Voucher]:
    """An organization with one voucher of two entries."""
    mine, key = organization("Mine", maker)
    assert bring(mine, maker.made_for(public_of(key), 2)).added == 1
    return mine, key, Voucher.objects.get()


def test_a_voucher_sold_on_is_the_next_owners_and_its_history_stays(
    stock: tuple[Organization, OwnerKey, Voucher], maker: Maker
) -> None:
    _mine, _key, voucher = stock
    buyer, buyers_key = organization("Buyer", maker)
    sold = voucher_extend(voucher, None, owner_key_pem(buyers_key).encode())
    voucher.refresh_from_db()
    assert (sold.state, sold.current, sold.entries, sold.previous) == ("extended-away", True, 3, voucher)
    assert (voucher.state, voucher.current) == ("superseded", False)
    assert sold.owner_fingerprint == buyers_key.fingerprint
    fresh = vouchers.Voucher.decode(bytes(sold.content))
    vouchers.verify(fresh, owner=public_of(buyers_key), trusted=None)
    assert bytes(sold.content)[:200] == bytes(voucher.content)[:200]
    assert not Session.objects.filter(locator=voucher.guid).exists()
    assert set(voucher.registrations.values_list("state", flat=True)) == {"off"}
    device = sold.device
    assert device is not None
    assert device.state == "retired"
    assert list(device.events.order_by("pk").values_list("code", flat=True)) == [
        "voucher.admitted",
        "voucher.extended",
    ]
    assert AuditEntry.objects.get(action="voucher.extended").detail["owner"] == buyers_key.fingerprint
    # The buyer is here too: what was sold comes in with them, and with nobody else.
    assert bring(buyer, bytes(sold.content)).added == 1
    assert Session.objects.get(locator=voucher.guid).organization == buyer


def test_bought_back_it_continues_where_it_was(
    stock: tuple[Organization, OwnerKey, Voucher], maker: Maker
) -> None:
    mine, key, voucher = stock
    buyer, buyers_key = organization("Buyer", maker)
    sold = voucher_extend(voucher, None, owner_key_pem(buyers_key).encode())
    bring(buyer, bytes(sold.content))
    theirs = Voucher.objects.get(organization=buyer)
    back = voucher_extend(theirs, None, public_pem(bytes(key.public)).encode())
    assert bring(mine, bytes(back.content)).added == 1
    device = voucher.device
    assert device is not None
    device.refresh_from_db()
    assert device.state == "known"
    assert [(v.entries, v.current) for v in device.vouchers.order_by("pk")] == [
        (2, False),
        (3, False),
        (4, True),
    ]


def test_undoing_what_was_bought_back_leaves_it_sold(
    stock: tuple[Organization, OwnerKey, Voucher], maker: Maker
) -> None:
    mine, key, voucher = stock
    buyer, buyers_key = organization("Buyer", maker)
    sold = voucher_extend(voucher, None, owner_key_pem(buyers_key).encode())
    bring(buyer, bytes(sold.content))
    theirs = Voucher.objects.get(organization=buyer)
    back = voucher_extend(theirs, None, public_pem(bytes(key.public)).encode())
    import_undo(bring(mine, bytes(back.content)), None)
    device = voucher.device
    assert device is not None
    device.refresh_from_db()
    assert device.state == "retired"
    assert device.vouchers.get(current=True) == sold
    assert device.vouchers.count() == 2


def test_a_voucher_from_before_the_sale_does_not_come_back(
    stock: tuple[Organization, OwnerKey, Voucher], maker: Maker
) -> None:
    mine, key, voucher = stock
    voucher_extend(voucher, None, public_pem(SoftSigner.generate(KeyKind.P256).public.der).encode())
    old = bytes(voucher.content)
    assert bring(mine, old).already_here == 1
    again = maker.made_for(public_of(key), 2, guid=bytes.fromhex(voucher.guid))
    assert bring(mine, again).rejected == 1
    assert JobRow.objects.filter(outcome="rejected").get().code == AdmitProblem.SOLD


def test_a_voucher_of_certificates_takes_the_next_owners_certificate() -> None:
    maker = Maker(KeyKind.P384, KeyEncoding.X509)
    mine, key = organization("Mine", maker)
    bring(mine, maker.made_for(public_of(key)))
    buyer = organization_create("Buyer", user_ensure("b@example.com"))
    certificate = owner_key_pem(owner_key_make(buyer, None, "P-384", encoding="x5chain"))
    assert "CERTIFICATE" in certificate
    sold = voucher_extend(Voucher.objects.get(), None, certificate.encode())
    assert sold.entries == 2


@pytest.mark.parametrize(
    ("kind", "code"), [(KeyKind.P384, "VCH-302"), (KeyKind.RSA2048, "VCH-302"), (None, "VCH-301")]
)
def test_what_cannot_be_the_next_key_changes_nothing(
    stock: tuple[Organization, OwnerKey, Voucher], kind: KeyKind | None, code: str
) -> None:
    _mine, key, voucher = stock
    der = SoftSigner.generate(kind).public.der if kind else bytes(key.public)
    with pytest.raises(VoucherRefused) as caught:
        voucher_extend(voucher, None, public_pem(der).encode())
    assert caught.value.code == code
    assert code in PROBLEMS
    with pytest.raises(ValidationError):
        voucher_extend(voucher, None, b"no key")
    voucher.refresh_from_db()
    assert (voucher.state, voucher.current, Voucher.objects.count()) == ("stored", True, 1)
    assert Session.objects.filter(locator=voucher.guid).exists()


def test_a_voucher_is_sold_once(stock: tuple[Organization, OwnerKey, Voucher]) -> None:
    _mine, _key, voucher = stock
    pem_of = lambda: public_pem(SoftSigner.generate(KeyKind.P256).public.der).encode()  # noqa: E731
    sold = voucher_extend(voucher, None, pem_of())
    for row in (voucher, sold):
        with pytest.raises(VoucherRefused):
            voucher_extend(row, None, pem_of())
        with pytest.raises(VoucherRefused):
            voucher_delete(row, None)


def test_a_deleted_voucher_serves_nobody_and_comes_back_whole(
    stock: tuple[Organization, OwnerKey, Voucher],
) -> None:
    _mine, _key, voucher = stock
    voucher_delete(voucher, None)
    voucher_delete(voucher, None)
    voucher.refresh_from_db()
    assert (voucher.state, voucher.current) == ("deleted", False)
    assert not Session.objects.filter(locator=voucher.guid).exists()
    assert voucher.registrations.get().state == "off"
    assert voucher.device is not None
    assert voucher.device.state == "retired"
    voucher_restore(voucher, None)
    voucher_restore(voucher, None)
    voucher.refresh_from_db()
    voucher.device.refresh_from_db()
    assert (voucher.state, voucher.current, voucher.deleted_at) == ("stored", True, None)
    assert voucher.device.state == "known"
    session = Session.objects.get(locator=voucher.guid)
    assert sessions.voucher_in(session) == bytes(voucher.content)
    assert voucher.registrations.get().state == "due"
    said = AuditEntry.objects.filter(action__startswith="voucher.").values_list("action", flat=True)
    assert list(said.order_by("pk")) == ["voucher.deleted", "voucher.restored"]
    assert Event.objects.filter(device=voucher.device).count() == 3


def test_a_deleted_voucher_makes_room_for_another_and_then_stays_away(
    stock: tuple[Organization, OwnerKey, Voucher], maker: Maker
) -> None:
    mine, key, voucher = stock
    voucher_delete(voucher, None)
    other = maker.made_for(public_of(key), 1, guid=bytes.fromhex(voucher.guid))
    assert bring(mine, other).added == 1
    with pytest.raises(VoucherRefused):
        voucher_restore(voucher, None)
    assert Voucher.objects.get(current=True).entries == 1


def test_a_device_has_one_current_voucher_by_the_database_itself(
    stock: tuple[Organization, OwnerKey, Voucher], maker: Maker
) -> None:
    _mine, _key, voucher = stock
    with pytest.raises(IntegrityError), transaction.atomic():
        Voucher.objects.create(
            organization=voucher.organization,
            device=voucher.device,
            guid=os.urandom(16).hex(),
            digest="00" * 32,
            content=b"x",
            manufacturer_fingerprint="",
            owner_fingerprint="",
        )
