"""The audit log: a hash chain per organization, written by services."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.utils import timezone

from devices.models import AuditEntry, Organization, User

GENESIS = "0" * 64


def audit_write(
    organization: Organization, actor: User | None, action: str, target: object = "", **detail: Any
) -> AuditEntry:
    """Append one deed; call inside the transaction of the deed itself. ``detail`` holds no secrets."""
    last = AuditEntry.objects.select_for_update().filter(organization=organization).order_by("-id").first()
    entry = AuditEntry(
        organization=organization,
        at=timezone.now(),
        actor=actor,
        actor_name=str(actor.email) if actor else "Onward",
        action=action,
        target=str(target)[:160],
        detail=detail,
        previous=last.digest if last else GENESIS,
    )
    entry.digest = digest(entry)
    entry.save()
    return entry


def digest(entry: AuditEntry) -> str:
    """SHA-256 over the previous digest and the canonical JSON of the deed."""
    deed = [
        entry.previous,
        entry.organization_id,
        entry.at.isoformat(),
        entry.actor_name,
        entry.action,
        entry.target,
        entry.detail,
    ]
    return hashlib.sha256(json.dumps(deed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def audit_verify(organization: Organization) -> int | None:
    """The id of the first entry that breaks the chain, or None when the whole chain holds."""
    previous = GENESIS
    for entry in AuditEntry.objects.filter(organization=organization).order_by("id").iterator():
        if entry.previous != previous or entry.digest != digest(entry):
            return entry.pk
        previous = entry.digest
    return None
