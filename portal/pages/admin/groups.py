"""Groups of devices that get the same plan."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from devices.models import Group, Organization, Plan
from devices.services.groups import group_delete, group_save
from portal.pages.access import membership_of
from portal.pages.admin.tabs import actor_of, blame, confirm, keyset, managed, page, show


class GroupForm(forms.Form):
    """Name and plan."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        help_text=gettext_lazy("What the devices share, like “Turku plant”."),
    )
    plan = forms.ModelChoiceField(
        label=gettext_lazy("Plan"),
        queryset=Plan.objects.none(),
        required=False,
        empty_label=gettext_lazy("The organization's default"),
        help_text=gettext_lazy("A device that has a plan of its own keeps to that."),
    )

    def __init__(
        self, data: QueryDict | None, organization: Organization, group: Group | None = None
    ) -> None:
        initial = {"name": group.name, "plan": group.plan} if group else {}
        super().__init__(data, initial=initial, label_suffix="")
        self.fields["plan"].queryset = organization.plans.order_by("name")  # type: ignore[attr-defined]


@page
def index(request: HttpRequest) -> HttpResponse:
    """The list, and a form that adds one."""
    organization = membership_of(request).organization
    form = GroupForm(request.POST or None, organization)
    if request.method == "POST" and form.is_valid() and _save(request, form, None):
        return redirect("settings-groups")
    rows, more = keyset(_groups(request), request)
    return show(request, "settings-groups", "admin/groups.html", {"form": form, "rows": rows, "more": more})


def _groups(request: HttpRequest) -> QuerySet[Group]:
    groups = Group.objects.filter(organization=membership_of(request).organization)
    return groups.select_related("plan", "organization").annotate(device_count=Count("devices"))


def _save(request: HttpRequest, form: GroupForm, group: Group | None) -> bool:
    try:
        group_save(membership_of(request).organization, actor_of(request), group=group, **form.cleaned_data)
    except ValidationError as error:
        blame(form, error)
        return False
    messages.success(request, _("Saved."))
    return True


def _group(request: HttpRequest, pk: int) -> Group:
    return get_object_or_404(_groups(request), pk=pk)


@managed
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Another name, another plan."""
    group = _group(request, pk)
    form = GroupForm(request.POST or None, group.organization, group)
    if request.method == "POST" and form.is_valid() and _save(request, form, _group(request, pk)):
        return redirect("settings-groups")
    return show(request, "settings-groups", "admin/group.html", {"form": form, "group": group})


@managed
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The devices stay."""
    group = _group(request, pk)
    if request.method == "POST":
        group_delete(group, actor_of(request))
        messages.success(request, _("%s is gone.") % group)
        return redirect("settings-groups")
    count = group.device_count  # type: ignore[attr-defined]
    said = ngettext(
        "Its %d device stays, without a group, and gets the organization's default plan unless it has its own.",
        "Its %d devices stay, without a group, and get the organization's default plan unless they have their own.",
        count,
    )
    return confirm(
        request,
        title=_("Delete %s?") % group,
        text=said % count if count else _("No device is in it."),
        label=_("Delete"),
        back=reverse("settings-groups"),
    )


urlpatterns = [
    path("settings/groups", index, name="settings-groups"),
    path("settings/groups/<int:pk>", change, name="settings-group"),
    path("settings/groups/<int:pk>/delete", delete, name="settings-group-delete"),
]
