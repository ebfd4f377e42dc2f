"""A dry run of a plan: what one device would get, item by item, without asking it anything."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bootstrap.bindings.fdo.plan import PlanProblem, actions_of, values_of
from bootstrap.engine.envelope import unseal_trace
from bootstrap.engine.models import Event
from bootstrap.errors import OnwardError
from bootstrap.protocols.fdo.messages import DeviceServiceInfo
from bootstrap.protocols.fdo.service_info import Action, Command, Download, Upload, Wget
from bootstrap.protocols.fdo.service_info.devmod import Devmod, collect
from bootstrap.protocols.fdo.voucher import Voucher as Octets
from bootstrap.wire import cbor
from devices.models import Device, Organization, Plan
from devices.selectors.devices import devices_query, plan_of
from portal.api.plans import SECRET_FIELDS
from portal.pages.access import member, membership_of
from portal.pages.admin.plan_rows import TITLES

FDO = "fdo"
SERVICE_INFO_CODE = "fdo.device-service-info"
ROUNDS_READ = 200
OFFERED_MAX = 50
TYPED_MAX_LENGTH = 120
TEXT_SHOWN_MAX = 2000
MASKED = "••••••••"
TYPICAL = {
    "serial": "SN-0001",
    "guid": "0" * 32,
    "voucher.guid": "0" * 32,
    "voucher.device_info": "Onward T2",
    "voucher.entries": "1",
}


@dataclass(frozen=True, slots=True)
class Did:
    """One action in words."""

    verb: Any
    what: str
    facts: tuple[tuple[Any, str], ...] = ()
    text: str = field(default="", repr=False)
    """What a file holds, if that can be read."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One item and what comes of it."""

    id: str
    title: Any
    did: tuple[Did, ...]
    missing: str = ""
    """The name that this device does not have."""

    @property
    def asked(self) -> str:
        """As the plan spells it."""
        return "${" + self.missing + "}"


@never_cache
@require_safe
@member
def trial(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose a device, and see."""
    organization, may_manage = membership_of(request).organization, membership_of(request).may_manage
    plan = get_object_or_404(Plan.objects.select_related("current"), pk=pk, organization=organization)
    typed = request.GET.get("device", "").replace("\0", "").strip()[:TYPED_MAX_LENGTH]
    found = _matching(organization, typed) if typed else []
    device = found[0] if len(found) == 1 else None
    context: dict[str, Any] = {
        "plan": plan,
        "typed": typed,
        "offered": devices_query(organization, method=FDO)[:OFFERED_MAX],
        "several": found if len(found) > 1 else [],
        "device": device,
        "none": bool(typed) and not found,
    }
    if device is not None:
        items = plan.current.items if plan.current else []
        values, said = device_values(device)
        context |= {"tried": [_tried(item, values, may_manage) for item in items], "devmod_unknown": not said}
        context |= {"voucherless": not _octets(device), "other": _other(device, plan)}
    return render(request, "admin/plan_trial.html", context)


def _matching(organization: Organization, typed: str) -> list[Device]:
    """By number after #, by serial number, by name, else whatever fits the words."""
    rows = devices_query(organization, method=FDO).select_related("group__plan", "organization")
    number = typed.removeprefix("#")
    if typed.startswith("#") and number.isascii() and number.isdigit() and len(number) < 19:
        return list(rows.filter(pk=int(number)))
    for exact in ({"serial": typed}, {"name": typed}):
        if found := list(rows.filter(**exact)[:10]):
            return found
    fitting = devices_query(organization, q=typed, method=FDO)
    return list(fitting.select_related("group__plan", "organization")[:10])


def _other(device: Device, plan: Plan) -> Plan | None:
    """The plan that it really has, if that is another one."""
    own = plan_of(device)
    return own if own is not None and own.pk != plan.pk else None


def _octets(device: Device) -> bytes:
    row = device.vouchers.filter(current=True).first()
    return bytes(row.content) if row else b""


def device_values(device: Device) -> tuple[dict[str, str], bool]:
    """What its texts are filled with, and whether the device's own words (devmod) are among them: those come when it
    onboards. Until then they stand for themselves in brackets."""
    devmod = devmod_of(device)
    octets = _octets(device)
    if octets:
        values = values_of(Octets.decode(octets), devmod or Devmod(), serial=device.serial, tags=device.tags)
    else:
        tags = {f"tag.{name}": str(text) for name, text in device.tags.items()}
        values = TYPICAL | {"serial": device.serial} | (devmod or Devmod()).values() | tags
    if devmod is None:
        values |= {name: f"‹{name}›" for name in Devmod().values()}
    return values, devmod is not None


def devmod_of(device: Device) -> Devmod | None:
    """What it said of itself when it onboarded last, from its history; None when that is not kept any more."""
    lines = Event.objects.filter(device=device, code=SERVICE_INFO_CODE, trace__isnull=False).order_by("-pk")
    found: Devmod | None = None
    for event in reversed(lines[:ROUNDS_READ]):
        for key, value in _pairs(event):
            module, _colon, message = key.partition(":")
            if module == "devmod":
                # A new run begins anew.
                found = collect(Devmod() if found is None or message == "active" else found, message, value)
    return found


def _pairs(event: Event) -> list[tuple[str, Any]]:
    """The key-values in the device's half of this line."""
    if "devmod:" not in str(event.detail.get("device", "")):
        return []
    try:
        assert event.trace is not None
        request, _reply = cbor.decode(unseal_trace(bytes(event.trace), event.code))
        return [(key, cbor.decode(value)) for key, value in DeviceServiceInfo.decode(request).service_info]
    except (OnwardError, ValueError, TypeError):
        return []


def _tried(item: dict[str, Any], values: Mapping[str, str], may_manage: bool) -> Tried:
    """One item alone: what is wrong with one says nothing of the others."""
    title = TITLES[item["kind"]]
    secret = () if may_manage else SECRET_FIELDS.get(item["kind"], frozenset())
    shown = item | {"value": {k: MASKED if k in secret and v else v for k, v in item["value"].items()}}
    try:
        actions_of([item], values)
        return Tried(item["id"], title, tuple(_did(action) for action in actions_of([shown], values)))
    except PlanProblem as problem:
        return Tried(item["id"], title, (), problem.name)


def _did(action: Action) -> Did:
    if isinstance(action, Download):
        return _download(action)
    if isinstance(action, Command):
        line = shlex.join([action.command, *action.args])
        keeps = _("kept, and shown on the device's page") if action.return_stdout else _("not kept")
        fails = _("the device goes on") if action.may_fail else _("onboarding ends there")
        return Did(_("Runs"), line, ((_("What it prints"), keeps), (_("If it fails"), fails)))
    if isinstance(action, Upload):
        return Did(_("Sends us"), action.name)
    if isinstance(action, Wget):
        facts = ((_("Saved as"), action.name),) if action.name else ()
        return Did(_("Downloads"), action.url, facts)
    return Did(_("Asks for a certificate"), _("if it wants one"))


def _download(action: Download) -> Did:
    size = (_("Size"), _("%d octets") % len(action.content))
    try:
        text = action.content.decode()
    except UnicodeDecodeError:
        text = ""
    readable = text if "\0" not in text else ""
    return Did(_("Writes the file"), action.name, (size,), readable[:TEXT_SHOWN_MAX])


urlpatterns = [path("plans/<int:pk>/try", trial, name="plan-try")]
