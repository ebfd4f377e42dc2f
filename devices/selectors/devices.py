"""Devices of one organization, newest first, with what their rows and pages show."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from devices.models import Device, Organization, Plan

SEARCHED = ("name", "room", "serial", "manufacturer", "model")


def devices_query(
    organization: Organization, *, q: str = "", state: str = "", serial: str = "", method: str = ""
) -> QuerySet[Device]:
    """The devices that fit every filter given, with plan, group, onboarding and identifiers: two statements in all.

    ``q`` finds a part of a name, room, serial, manufacturer or model; ``serial`` is exact.
    """
    found = (
        Device.objects.filter(organization=organization)
        .select_related("plan", "group__plan", "onboarding__plan_version")
        .prefetch_related("identifiers")
        .order_by("-id")
    )
    exact = {"state": state, "serial": serial, "method": method}
    found = found.filter(**{field: value for field, value in exact.items() if value})
    for word in q.split()[:8]:
        # The ORM escapes % and _ of what a person typed.
        either = Q()
        for field in SEARCHED:
            either |= Q(**{f"{field}__icontains": word})
        found = found.filter(either)
    return found


def devices_list(
    organization: Organization,
    *,
    q: str = "",
    state: str = "",
    serial: str = "",
    method: str = "",
    before_id: int | None = None,
    limit: int = 50,
) -> list[Device]:
    """One page of ``devices_query``: those older than ``before_id``, at most ``limit``."""
    found = devices_query(organization, q=q, state=state, serial=serial, method=method)
    if before_id is not None:
        found = found.filter(pk__lt=before_id)
    return list(found[:limit])


def device_get(organization: Organization, device_id: int) -> Device | None:
    """One device of the organization, or None: another organization's looks like one that never was."""
    return devices_query(organization).filter(pk=device_id).first()


def plan_of(device: Device) -> Plan | None:
    """What it should get: its own plan, else its group's, else the organization's default one."""
    grouped = device.group.plan if device.group else None
    return device.plan or grouped or device.organization.plans.filter(is_default=True).first()
