"""Realms, access points, expected serials and policies: what an admin edits about the ways in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from devices import vault
from devices.models import AccessPoint, ExpectedSerial, Organization, Realm, User
from devices.services.audit import audit_write
from devices.services.revision import revision_bump

SECRET_MAX_LENGTH = 128
_REALM = re.compile(r"^(?=.{1,120}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")
SHARED_REALMS = frozenset({"eap-noob.arpa", "noob.eap.arpa"})
"""Everybody's realms (RFC 9140 section 3.3.1 and the eap.arpa registry); nobody may own them."""


def address_clean(text: str) -> str:
    """``192.0.2.7`` or ``192.0.2.0/24`` in one spelling; raises ValidationError."""
    try:
        return str(_unmapped(ipaddress.ip_network(text.strip(), strict=False)))
    except ValueError as error:
        raise ValidationError(
            {"address": _("Write an address like 192.0.2.7 or a network like 192.0.2.0/24.")}
        ) from error


def _unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The IPv4 network that an IPv4-mapped one means: doors look addresses up as IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return ipaddress.ip_network((mapped, network.prefixlen - 96)) if mapped else network


def _secret_clean(secret: str) -> bytes:
    raw = secret.encode()
    if not 6 <= len(raw) <= SECRET_MAX_LENGTH:
        raise ValidationError({"secret": _("Use 6 to 128 characters; 16 random ones are good.")})
    return raw


@transaction.atomic
def access_point_save(
    organization: Organization, actor: User | None, *, address: str, secret: str, name: str = ""
) -> AccessPoint:
    """Register a RADIUS client, or give the one with this address a new secret."""
    network = address_clean(address)
    sealed = vault.seal(_secret_clean(secret), b"access-point " + network.encode())
    known = AccessPoint.objects.filter(address=network).first()
    if known is not None and known.organization_id != organization.pk:
        raise ValidationError({"address": _("This address is already registered.")})
    point = known or AccessPoint(organization=organization, address=network)
    point.secret, point.name = sealed, name or point.name
    point.save()
    audit_write(organization, actor, "access-point.saved", network, name=name)
    revision_bump()
    return point


def access_point_secret(point: AccessPoint) -> bytes:
    """The shared secret in clear, for the RADIUS door only."""
    return vault.unseal(bytes(point.secret), b"access-point " + point.address.encode())


@transaction.atomic
def access_point_delete(point: AccessPoint, actor: User | None) -> None:
    """Stop listening to this client."""
    audit_write(point.organization, actor, "access-point.deleted", point.address, name=point.name)
    point.delete()
    revision_bump()


@transaction.atomic
def realm_save(organization: Organization, actor: User | None, *, name: str, **fields: object) -> Realm:
    """Add or change a realm of the organization."""
    name = name.strip().lower()
    if not _REALM.match(name) or name in SHARED_REALMS:
        raise ValidationError({"name": _("Write a domain name of your own, like devices.example.com.")})
    realm = Realm.objects.filter(name=name).first() or Realm(organization=organization, name=name)
    if realm.organization_id != organization.pk:
        raise ValidationError({"name": _("This realm is already taken.")})
    for field in ("kdf_datalength", "reconnect_nai", "assign_to_new_devices"):
        if field in fields:
            setattr(realm, field, fields[field])
    realm.full_clean(exclude=["organization"])
    if realm.assign_to_new_devices:
        Realm.objects.filter(organization=organization).update(assign_to_new_devices=False)
    realm.save()
    audit_write(organization, actor, "realm.saved", name)
    revision_bump()
    return realm


@transaction.atomic
def realm_delete(realm: Realm, actor: User | None) -> None:
    """Give a realm up."""
    audit_write(realm.organization, actor, "realm.deleted", realm.name)
    realm.delete()
    revision_bump()


@transaction.atomic
def expected_serials_add(
    organization: Organization, actor: User | None, serials: Iterable[str], note: str = ""
) -> int:
    """Pre-load serial numbers; returns how many were new."""
    wanted = {serial.strip()[:120] for serial in serials if serial.strip()}
    known = set(
        ExpectedSerial.objects.filter(organization=organization, serial__in=wanted).values_list(
            "serial", flat=True
        )
    )
    fresh = sorted(wanted - known)
    ExpectedSerial.objects.bulk_create(
        [ExpectedSerial(organization=organization, serial=serial, note=note) for serial in fresh],
        batch_size=500,
    )
    if fresh:
        audit_write(organization, actor, "expected-serials.added", len(fresh))
    return len(fresh)


@transaction.atomic
def expected_serials_remove(organization: Organization, actor: User | None, serials: Iterable[str]) -> int:
    """Take serial numbers off the list; returns how many were on it."""
    removed, _rows = ExpectedSerial.objects.filter(
        organization=organization, serial__in=list(serials)
    ).delete()
    if removed:
        audit_write(organization, actor, "expected-serials.removed", removed)
    return removed


POLICY_FIELDS = (
    "name",
    "sleep_attended_seconds",
    "sleep_hour_seconds",
    "sleep_idle_seconds",
    "noob_timeout_seconds",
    "oob_retries",
    "forward_secrecy",
    "expected_serials_only",
    "silence_reminder_seconds",
)


@transaction.atomic
def organization_update(organization: Organization, actor: User | None, **fields: object) -> Organization:
    """Change name and policies; raises ValidationError by field."""
    for field in POLICY_FIELDS:
        if field in fields:
            setattr(organization, field, fields[field])
    organization.full_clean()
    organization.save()
    audit_write(organization, actor, "organization.changed", organization, fields=sorted(fields))
    revision_bump()
    return organization
