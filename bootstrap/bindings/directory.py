"""What the doors keep in memory: organizations, realms, access points, plans and keys, by one revision number.

A device message reads its own session row and nothing else; everything that changes slowly is here. A
thread looks at the revision twice a second and loads again when it has moved.
"""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import DatabaseError, close_old_connections

from bootstrap.bindings.fdo.policy import NOTHING, FdoPolicy, load_policies
from bootstrap.errors import LocalError
from devices.models import AccessPoint, Organization, Plan, Realm, Revision
from devices.services.access import access_point_secret

POLL_SECONDS = 0.5
log = structlog.get_logger(__name__)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class OrganizationPolicy:
    """What EAP-NOOB steps of an organization's devices follow."""

    id: int
    name: str
    sleep_attended_seconds: int = 5
    sleep_hour_seconds: int = 60
    sleep_idle_seconds: int = 600
    noob_timeout_seconds: int = 3600
    oob_retries: int = 5
    forward_secrecy: bool = True
    assigned_realm: str = ""


DEFAULT_POLICY = OrganizationPolicy(0, "")
"""For strangers that nobody vouches for."""


@dataclass(frozen=True, slots=True)
class RealmPolicy:
    """A realm's owner and the readings its devices follow."""

    organization_id: int
    kdf_datalength: bool
    mac_nai: bool


@dataclass(frozen=True, slots=True)
class AccessPointEntry:
    """A RADIUS client."""

    id: int
    organization_id: int
    network: IPNetwork
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class PlanEntry:
    """One plan version, ready to be handed to a binding. Made once per snapshot and equal only to itself, so
    that what is derived from it can be cached by it."""

    version_id: int
    items: tuple[dict[str, Any], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one revision. Replaced whole, never changed."""

    revision: int = -1
    organizations: dict[int, OrganizationPolicy] = field(default_factory=dict)
    realms: dict[str, RealmPolicy] = field(default_factory=dict)
    access_points: tuple[AccessPointEntry, ...] = ()
    plans: dict[int, PlanEntry] = field(default_factory=dict)
    default_plans: dict[int, PlanEntry] = field(default_factory=dict)
    """By organization."""
    fdo: dict[int, FdoPolicy] = field(default_factory=dict)
    """By organization."""
    di_stations: dict[str, int] = field(default_factory=dict, repr=False)
    """Organization by the name of its DI path."""
    di_default: int | None = None
    """Whose devices are that use no station's path."""

    def policy(self, organization_id: int | None) -> OrganizationPolicy:
        """The organization's policy, or everybody's."""
        return self.organizations.get(organization_id or 0, DEFAULT_POLICY)

    def realm(self, nai: str) -> RealmPolicy | None:
        """Who owns the realm of this NAI."""
        return self.realms.get(nai.rpartition("@")[2].lower())

    def access_point(self, address: IPAddress) -> AccessPointEntry | None:
        """The RADIUS client at this address; the narrowest network wins."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return next((point for point in self.access_points if address in point.network), None)

    def plan(self, organization_id: int | None, plan_id: int | None) -> PlanEntry | None:
        """The plan of a device or its group, else the organization's default one."""
        own = self.plans.get(plan_id) if plan_id else None
        return own or self.default_plans.get(organization_id or 0)

    def fdo_policy(self, organization_id: int | None) -> FdoPolicy:
        """What the organization does in FDO."""
        return self.fdo.get(organization_id or 0, NOTHING)

    def di_policy(self, station: str) -> FdoPolicy | None:
        """Whose devices are initialized at this station; the empty name is the default's."""
        owner = self.di_stations.get(station) if station else self.di_default
        return self.fdo.get(owner) if owner is not None else None


def load_snapshot(revision: int) -> Snapshot:
    """Read everything through the ORM; a handful of queries."""
    plans = {
        plan.pk: PlanEntry(plan.current.pk, tuple(plan.current.items))
        for plan in Plan.objects.select_related("current").exclude(current=None)
        if plan.current
    }
    defaults = dict(Plan.objects.filter(is_default=True).values_list("organization_id", "pk"))
    points = [entry for point in AccessPoint.objects.all() if (entry := _access_point(point)) is not None]
    realms = {
        realm.name: RealmPolicy(
            realm.organization_id,
            realm.kdf_datalength == Realm.Reading.RFC,
            realm.reconnect_nai == Realm.Reading.RFC,
        )
        for realm in Realm.objects.all()
    }
    assigned = dict(Realm.objects.filter(assign_to_new_devices=True).values_list("organization_id", "name"))
    organizations = {
        organization.pk: OrganizationPolicy(
            organization.pk,
            organization.name,
            organization.sleep_attended_seconds,
            organization.sleep_hour_seconds,
            organization.sleep_idle_seconds,
            organization.noob_timeout_seconds,
            organization.oob_retries,
            organization.forward_secrecy,
            assigned.get(organization.pk, ""),
        )
        for organization in Organization.objects.all()
    }
    return Snapshot(
        revision,
        organizations,
        realms,
        tuple(sorted(points, key=lambda point: point.network.prefixlen, reverse=True)),
        plans,
        {organization: plans[plan] for organization, plan in defaults.items() if plan in plans},
        *load_policies(),
    )


def _access_point(point: AccessPoint) -> AccessPointEntry | None:
    """None when its secret does not open any more: it stays silent, and every other door stays open."""
    try:
        secret = access_point_secret(point)
    except LocalError as error:
        log.error("directory.secret-lost", access_point=point.pk, address=point.address, error=str(error))
        return None
    return AccessPointEntry(point.pk, point.organization_id, ipaddress.ip_network(point.address), secret)


class Directory:
    """Holds the newest snapshot; ``start`` keeps it so."""

    def __init__(self) -> None:
        self.current = Snapshot()
        self._stop = threading.Event()

    def refresh(self) -> None:
        """Load again if anything has changed."""
        revision = Revision.objects.values_list("number", flat=True).first() or 0
        if revision != self.current.revision:
            self.current = load_snapshot(revision)

    def start(self) -> None:
        """Load now, then follow in a thread."""
        self.refresh()
        threading.Thread(target=self._follow, name="directory", daemon=True).start()

    def stop(self) -> None:
        """End the thread at its next look."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.refresh()
            except (DatabaseError, LocalError) as error:
                log.warning("directory.refresh-failed", error=str(error))
                close_old_connections()
