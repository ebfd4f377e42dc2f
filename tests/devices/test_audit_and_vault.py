"""The audit chain notices any change; the vault opens only what it sealed, there, and survives rotation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.contract import Reply, Verdict
from bootstrap.engine import envelope
from bootstrap.engine.envelope import Envelope
from bootstrap.errors import LocalError
from devices import vault
from devices.models import AuditEntry, Organization, PlanVersion
from devices.services.audit import GENESIS, audit_verify, audit_write, digest
from devices.services.devices import device_retire, device_update
from devices.services.people import organization_create, user_ensure
from devices.services.plans import plan_save

# Audit.


@pytest.fixture
def organization(db: None) -> Organization:
    user = user_ensure("owner@example.com")
    organization = organization_create("Mine", user)
    for number in range(6):
        audit_write(
            organization, user, "device.changed", number, name="Lämp", count=number, on=True, none=None
        )
    audit_write(organization, None, "sweep", "x" * 300)
    return organization


def test_an_untouched_chain_holds_and_starts_from_nothing(organization: Organization) -> None:
    assert audit_verify(organization) is None
    first = AuditEntry.objects.order_by("id").first()
    assert first is not None
    assert first.previous == GENESIS
    last = AuditEntry.objects.order_by("id").last()
    assert last is not None
    assert (last.actor_name, len(last.target)) == ("Onward", 160)


CHANGES: dict[str, dict[str, Any]] = {
    "at": {"at": F("at") + timedelta(microseconds=1)},
    "actor_name": {"actor_name": "somebody@example.com"},
    "action": {"action": "device.retired"},
    "target": {"target": "9"},
    "detail": {"detail": {"name": "Lamp"}},
    "detail type": {"detail": {"name": "Lämp", "count": "3", "on": True, "none": None}},
    "previous": {"previous": "1" * 64},
    "digest": {"digest": "1" * 64},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_an_entry_is_noticed(organization: Organization, change: dict[str, Any]) -> None:
    victim = AuditEntry.objects.order_by("id")[4]
    AuditEntry.objects.filter(pk=victim.pk).update(**change)
    assert audit_verify(organization) == victim.pk


def test_an_entry_that_was_removed_is_noticed(organization: Organization) -> None:
    entries = list(AuditEntry.objects.order_by("id"))
    entries[3].delete()
    assert audit_verify(organization) == entries[4].pk


def test_a_change_with_a_fitting_digest_is_noticed_by_the_next(organization: Organization) -> None:
    entries = list(AuditEntry.objects.order_by("id"))
    forged = entries[3]
    forged.target = "9"
    forged.digest = digest(forged)
    forged.save()
    assert audit_verify(organization) == entries[4].pk


def test_entries_that_change_places_are_noticed(organization: Organization) -> None:
    first, second = AuditEntry.objects.order_by("id")[3:5]
    AuditEntry.objects.filter(pk=first.pk).update(target=second.target, detail=second.detail)
    AuditEntry.objects.filter(pk=second.pk).update(target=first.target, detail=first.detail)
    assert audit_verify(organization) == first.pk


def test_chains_of_two_organizations_do_not_mix(organization: Organization) -> None:
    user = user_ensure("other@example.com")
    other = organization_create("Other", user)
    audit_write(organization, user, "a")
    audit_write(other, user, "b")
    assert audit_verify(organization) is None
    assert audit_verify(other) is None
    moved = AuditEntry.objects.filter(organization=other).first()
    assert moved is not None
    AuditEntry.objects.filter(pk=moved.pk).update(organization=organization)
    assert audit_verify(organization) == moved.pk


def test_every_service_leaves_its_line(organization: Organization) -> None:
    user = user_ensure("owner@example.com")
    found = organization.devices.create(method="eap-noob", serial="SN")
    device_update(found, user, name=" Desk ", room="")
    device_update(found, user, name="Desk")
    device_retire(found, user)
    device_retire(found, user)
    lines = AuditEntry.objects.filter(target=str(found.pk)).order_by("id")
    assert [line.action for line in lines][-2:] == ["device.changed", "device.retired"]
    assert lines.filter(action="device.retired").count() == 1
    assert found.state == "retired"
    assert audit_verify(organization) is None


def test_secrets_of_a_plan_are_in_no_row_and_no_audit_line(organization: Organization) -> None:
    items = [
        {"kind": "network", "value": {"ssid": "H", "security": "wpa2-psk", "passphrase": "hush-hush-hush"}}
    ]
    saved = plan_save(organization, None, name="P", items=items)
    row = PlanVersion.objects.values().get()
    assert b"hush" not in bytes(row["content"])
    assert "hush" not in str(list(AuditEntry.objects.values()))
    assert saved.current is not None
    assert saved.current.items[0]["value"]["passphrase"] == "hush-hush-hush"
    assert plan_save(organization, None, name="P", items=items, plan=saved).current.number == 1  # type: ignore[union-attr]


# Vault.


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_is_sealed_opens(plaintext: bytes, context: bytes) -> None:
    sealed = vault.seal(plaintext, context)
    assert len(sealed) == len(plaintext) + vault.OVERHEAD
    assert vault.unseal(sealed, context) == plaintext
    assert vault.unseal_text(vault.seal_text(plaintext, context), context) == plaintext


def test_the_same_twice_looks_different() -> None:
    assert vault.seal(b"x", b"c") != vault.seal(b"x", b"c")


def test_one_flipped_bit_anywhere_does_not_open() -> None:
    sealed = vault.seal(b"secret", b"context")
    for position in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(LocalError) as caught:
            vault.unseal(bytes(changed), b"context")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("sealed", [b"", b"x", bytes(31), bytes(32), bytes(100)])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(LocalError):
        vault.unseal(sealed, b"context")


@pytest.mark.parametrize("text", ["", "x", "====", "ä", "AAAA", "A" * 401, "\n"])
def test_text_that_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(LocalError):
        vault.unseal_text(text, b"context")


def test_it_opens_in_its_own_place_only() -> None:
    sealed = vault.seal(b"secret", b"session a")
    with pytest.raises(LocalError):
        vault.unseal(sealed, b"session b")


def test_keys_rotate_the_new_one_seals_and_both_open(settings: Any) -> None:
    settings.VAULT_KEYS = ["old"]
    before = vault.seal(b"secret", b"c")
    settings.VAULT_KEYS = ["new", "old"]
    after = vault.seal(b"secret", b"c")
    assert before[: vault.KEY_ID_LENGTH] != after[: vault.KEY_ID_LENGTH]
    assert vault.unseal(before, b"c") == vault.unseal(after, b"c") == b"secret"
    settings.VAULT_KEYS = ["new"]
    assert vault.unseal(after, b"c") == b"secret"
    with pytest.raises(LocalError):
        vault.unseal(before, b"c")


def test_a_sessions_envelope_keeps_state_and_last_answer() -> None:
    reply = Reply(b"body", Verdict.ACCEPT, msk=bytes(64), media_type="x/y")
    kept = Envelope(b"state", b"d" * 32, reply)
    sealed = envelope.seal(kept, "p", "a")
    assert envelope.unseal(sealed, "p", "a") == kept
    assert b"state" not in sealed
    assert "state" not in repr(kept).replace("Envelope", "")
    bare = Envelope(b"state")
    assert envelope.unseal(envelope.seal(bare, "p", "a"), "p", "a") == bare


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: envelope.unseal(s, "p", "b"),
        lambda s: envelope.unseal(s, "q", "a"),
        lambda s: envelope.unseal_material(s, "p", "a"),
        lambda s: envelope.unseal(b"", "p", "a"),
        lambda s: envelope.unseal(vault.seal(b"\xff", b"session p a"), "p", "a"),
        lambda s: envelope.unseal(vault.seal(b"\x01", b"session p a"), "p", "a"),
    ],
)
def test_a_blob_moved_to_another_row_does_not_open(wrong: Callable[[bytes], object]) -> None:
    with pytest.raises(LocalError):
        wrong(envelope.seal(Envelope(b"state"), "p", "a"))
