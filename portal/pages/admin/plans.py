"""Plans: what devices get. Everybody reads them, owners and admins write."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bootstrap.bindings.directory import PlanEntry
from bootstrap.bindings.provisioning import document
from devices.models import Plan, PlanVersion
from devices.selectors.devices import devices_query
from devices.services.plans import FIELDS, file_digest, plan_delete, plan_save
from portal.api.plans import SECRET_FIELDS
from portal.pages.access import member, membership_of
from portal.pages.admin.plan_rows import KIND_LABELS, LABELS, TITLES, WORDS, Row, rows_of, rows_read
from portal.pages.admin.tabs import action, actor_of, blame, confirm, managed

TEXT_SHOWN_MAX = 2000
OCTETS_SHOWN_MAX = 24
OFFERED_MAX = 50


class PlanForm(forms.ModelForm):
    """Name of a plan; its items are rows beside it."""

    class Meta:
        model = Plan
        fields = ("name",)
        labels = {"name": gettext_lazy("Name of the plan")}
        help_texts = {"name": gettext_lazy("What the devices have in common, like “Kitchen”.")}

    def clean_name(self) -> str:
        """One plan of a name."""
        name = str(self.cleaned_data["name"]).strip()
        others = Plan.objects.filter(organization_id=self.instance.organization_id).exclude(
            pk=self.instance.pk
        )
        if others.filter(name=name).exists():
            raise ValidationError(_("Another plan has this name."))
        return name


@dataclass(frozen=True, slots=True)
class Shown:
    """One item as a person reads it."""

    id: str
    title: Any
    facts: list[tuple[Any, str]]
    text: str


def _plan(request: HttpRequest, pk: int) -> Plan:
    plans = Plan.objects.select_related("current", "organization").annotate(device_count=Count("device"))
    return get_object_or_404(plans, pk=pk, organization=membership_of(request).organization)


@never_cache
@require_safe
@member
def index(request: HttpRequest) -> HttpResponse:
    """Every plan of the organization."""
    plans = (
        Plan.objects.filter(organization=membership_of(request).organization)
        .select_related("current")
        .annotate(device_count=Count("device"))
        .order_by("-is_default", "name")
    )
    rows = [(plan, [TITLES[kind] for kind in _kinds(plan)]) for plan in plans]
    return render(request, "admin/plans.html", {"rows": rows})


def _kinds(plan: Plan) -> list[str]:
    return [item["kind"] for item in plan.current.items] if plan.current else []


@never_cache
@require_safe
@member
def plan(request: HttpRequest, pk: int, number: int | None = None) -> HttpResponse:
    """One plan as its devices get it; an older version by its number."""
    found = _plan(request, pk)
    versions = PlanVersion.objects.filter(plan=found).select_related("author").order_by("-number")
    version = found.current if number is None else get_object_or_404(versions, number=number)
    items = version.items if version else []
    may_manage = membership_of(request).may_manage
    sent = document(PlanEntry(version.pk, tuple(items))).items if version else ()
    context = {
        "plan": found,
        "version": version,
        "versions": versions[:50],
        "items": [_shown(item, may_manage) for item in items],
        "offered": devices_query(found.organization, method="fdo")[:OFFERED_MAX],
        "octets": [_diagnostic(item.encode()) for item in sent] if may_manage else [],
    }
    return render(request, "admin/plan.html", context)


def _shown(item: dict[str, Any], may_manage: bool) -> Shown:
    """Secrets are for those who may change the plan, as in the API."""
    value, secret = item["value"], SECRET_FIELDS.get(item["kind"], frozenset())
    facts = [
        (
            KIND_LABELS.get((item["kind"], name), LABELS[name]),
            text if may_manage or name not in secret else _("only owners and admins see it"),
        )
        for name, text in value.items()
        if name != "content"
    ]
    text = ""
    if "content" in value:
        octets = base64.b64decode(value["content"])
        facts += [(_("Size"), _("%d octets") % len(octets)), ("SHA-256", file_digest(value["content"]))]
        text = _readable(octets)
    return Shown(item["id"], TITLES[item["kind"]], facts, text)


def _readable(octets: bytes) -> str:
    """The start of a text file; nothing of anything else."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return ""
    return text[:TEXT_SHOWN_MAX] if text.isprintable() or ("\n" in text and "\0" not in text) else ""


def _diagnostic(value: Any) -> str:
    """CBOR diagnostic notation (RFC 8949 section 8), long octets shortened."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_diagnostic(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, bytes):
        return f"h'{value[:OCTETS_SHOWN_MAX].hex()}{'…' if len(value) > OCTETS_SHOWN_MAX else ''}'"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@managed
def new(request: HttpRequest) -> HttpResponse:
    """A plan from nothing."""
    return _edit(request, None)


@managed
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Other items make a new version."""
    return _edit(request, _plan(request, pk))


def _edit(request: HttpRequest, found: Plan | None) -> HttpResponse:
    organization = membership_of(request).organization
    stored = found.current.items if found and found.current else []
    instance = Plan.objects.get(pk=found.pk) if found else Plan(organization=organization)
    form = PlanForm(request.POST or None, instance=instance, label_suffix="")
    rows = rows_of(stored)
    if request.method == "POST":
        rows = rows_read(request.POST, request.POST.getlist("row")[:200], request.FILES, stored)
        named = form.is_valid()
        saved = _save(request, form, rows, found) if named and not any(row.errors for row in rows) else None
        if saved:
            messages.success(request, _("Saved. Devices take it at their next check-in."))
            return redirect("plan", saved.pk)
    blanks = [Row(f"new{number}", kind) for number, kind in enumerate(FIELDS)]
    templates = [Row("ROWKEY", kind) for kind in FIELDS]
    context = {
        "plan": found,
        "form": form,
        "rows": rows,
        "blanks": blanks,
        "templates": templates,
        "words": [("${" + name + "}", what) for name, what in WORDS],
    }
    return render(request, "admin/plan_edit.html", context)


def _save(request: HttpRequest, form: PlanForm, rows: list[Row], found: Plan | None) -> Plan | None:
    try:
        return plan_save(
            membership_of(request).organization,
            actor_of(request),
            name=form.cleaned_data["name"],
            items=[row.item for row in rows],
            plan=found,
        )
    except ValidationError as error:
        blame(form, error)
        return None


@action
def make_default(request: HttpRequest, pk: int) -> HttpResponse:
    """For devices without a plan of their own."""
    found = _plan(request, pk)
    items = found.current.items if found.current else []
    plan_save(
        found.organization, actor_of(request), name=found.name, items=items, plan=found, is_default=True
    )
    messages.success(request, _("Devices without a plan of their own get %s now.") % found)
    return redirect("plan", pk)


@managed
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Gone with its versions."""
    found = _plan(request, pk)
    if request.method == "POST":
        plan_delete(found, actor_of(request))
        messages.success(request, _("%s is gone.") % found)
        return redirect("plans")
    text = _("Its versions go with it. Devices that have this plan (%d) fall back to the default one.")
    if found.is_default:
        text = _("It is the default plan: %d devices have it by name, all others without a plan get nothing.")
    return confirm(
        request,
        title=_("Delete %s?") % found,
        text=text % found.device_count,  # type: ignore[attr-defined]
        label=_("Delete"),
        back=reverse("plan", args=[pk]),
    )


urlpatterns = [
    path("plans", index, name="plans"),
    path("plans/new", new, name="plan-new"),
    path("plans/<int:pk>", plan, name="plan"),
    path("plans/<int:pk>/versions/<int:number>", plan, name="plan-version"),
    path("plans/<int:pk>/edit", edit, name="plan-edit"),
    path("plans/<int:pk>/default", make_default, name="plan-default"),
    path("plans/<int:pk>/delete", delete, name="plan-delete"),
]
