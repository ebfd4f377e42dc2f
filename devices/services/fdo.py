"""What an organization does in FDO: roles, addresses, and whom it believes."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from bootstrap.wire.keys import PublicKeyHandle
from devices.keys import fingerprint_of
from devices.models import FdoSettings, Organization, OwnerKey, TrustedManufacturer, User
from devices.services.audit import audit_write
from devices.services.owner_keys import owner_key_ensure
from devices.services.revision import revision_bump

FIELDS = (
    "manufacturer_on",
    "rendezvous_on",
    "owner_on",
    "di_default",
    "di_networks",
    "di_key_kind",
    "rendezvous_urls",
    "to0_wait_seconds",
    "reuse_credentials",
    "rv_max_wait_seconds",
    "rv_admission",
    "service_info_max",
)
LIST_MAX = 8
URL_MAX_LENGTH = 200


def fdo_settings(organization: Organization) -> FdoSettings:
    """The organization's settings; defaults are written at the first look."""
    row = FdoSettings.objects.filter(organization=organization).first()
    if row is None:
        row, created = FdoSettings.objects.get_or_create(organization=organization)
        if created:
            # Doors know no organization without its settings.
            revision_bump()
    return row


@transaction.atomic
def fdo_settings_save(organization: Organization, actor: User | None, **fields: Any) -> FdoSettings:
    """Change some; raises ValidationError by field. Manufacturer on makes the keys that it needs."""
    if unknown := set(fields) - set(FIELDS):
        raise TypeError(f"not editable: {', '.join(sorted(unknown))}")
    row = FdoSettings.objects.select_for_update().get(pk=fdo_settings(organization).pk)
    if "rendezvous_urls" in fields:
        fields["rendezvous_urls"] = [_url_clean(url) for url in _list_clean(fields, "rendezvous_urls")]
    if "di_networks" in fields:
        fields["di_networks"] = [_network_clean(text) for text in _list_clean(fields, "di_networks")]
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    row.clean_fields(exclude=["organization", "di_token_sealed"])
    if row.di_default and FdoSettings.objects.exclude(pk=row.pk).filter(di_default=True).exists():
        raise ValidationError({"di_default": _("Another organization is the default one already.")})
    if row.manufacturer_on:
        _manufacture(row, actor)
    row.save()
    if changed:
        audit_write(organization, actor, "fdo.changed", organization, fields=sorted(changed))
        revision_bump()
    return row


def _manufacture(row: FdoSettings, actor: User | None) -> None:
    """A manufacturer key, a device CA, an owner key to extend to, and an address of its own."""
    for purpose in OwnerKey.Purpose.values:
        key = owner_key_ensure(row.organization, actor, purpose, row.di_key_kind)
        if purpose == OwnerKey.Purpose.MANUFACTURER:
            manufacturer_trust(row.organization, actor, bytes(key.public), str(row.organization))
    if not row.di_token:
        row.di_token = secrets.token_urlsafe(12)


@transaction.atomic
def fdo_setup(
    organization: Organization, actor: User | None, *, rendezvous: str = "", key_kind: str = "P-256"
) -> FdoSettings:
    """One step to a working manufacturer and owner: DI here makes vouchers that are extended to the
    organization's own owner key and registered at ``rendezvous`` (empty: the portal's own) at once.
    The first organization to do so also serves devices that name no line."""
    free = not FdoSettings.objects.filter(di_default=True).exclude(organization=organization).exists()
    return fdo_settings_save(
        organization,
        actor,
        manufacturer_on=True,
        rendezvous_on=True,
        owner_on=True,
        di_default=free,
        di_key_kind=key_kind,
        rendezvous_urls=[rendezvous] if rendezvous else [],
    )


@transaction.atomic
def di_token_renew(organization: Organization, actor: User | None) -> FdoSettings:
    """A new DI address; the old one is nobody's from now on."""
    row = FdoSettings.objects.select_for_update().get(pk=fdo_settings(organization).pk)
    row.di_token = secrets.token_urlsafe(12)
    row.save(update_fields=["di_token_sealed"])
    audit_write(organization, actor, "fdo.di-address-renewed", organization)
    revision_bump()
    return row


@transaction.atomic
def manufacturer_trust(
    organization: Organization, actor: User | None, public: bytes, name: str = ""
) -> TrustedManufacturer:
    """Accept vouchers that begin with this key (SPKI, DER). Twice is once; a name may be added."""
    fingerprint = fingerprint_of(PublicKeyHandle.from_spki(public))
    row = TrustedManufacturer.objects.filter(organization=organization, fingerprint=fingerprint).first()
    if row is None:
        row = TrustedManufacturer.objects.create(
            organization=organization, fingerprint=fingerprint, public=public, name=name.strip()[:80]
        )
        audit_write(organization, actor, "manufacturer.trusted", fingerprint[:32], name=row.name)
        revision_bump()
    elif name.strip() and row.name != name.strip()[:80]:
        row.name = name.strip()[:80]
        row.save(update_fields=["name"])
        audit_write(organization, actor, "manufacturer.named", fingerprint[:32], name=row.name)
    return row


@transaction.atomic
def manufacturer_distrust(row: TrustedManufacturer, actor: User | None) -> None:
    """Accept no more of its vouchers; those that are here stay."""
    audit_write(row.organization, actor, "manufacturer.distrusted", row.fingerprint[:32], name=row.name)
    row.delete()
    revision_bump()


def _list_clean(fields: dict[str, Any], name: str) -> list[str]:
    value = fields[name]
    if not isinstance(value, list) or len(value) > LIST_MAX or not all(isinstance(x, str) for x in value):
        raise ValidationError({name: _("At most %d, each a text.") % LIST_MAX})
    return [text.strip() for text in value if text.strip()]


def _url_clean(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.path.strip("/") or parts.query or parts.fragment or len(text) > URL_MAX_LENGTH:
        raise ValidationError({"rendezvous_urls": _("Write an address like http://rv.example.com:8041.")})
    return f"{parts.scheme}://{parts.netloc}"


def _network_clean(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise ValidationError({"di_networks": _("Write a network like 192.0.2.0/24.")}) from error
