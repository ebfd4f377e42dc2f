"""RADIUS clients: who may relay devices to us. Secrets go in and never come out."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from devices.models import AccessPoint
from devices.services.access import access_point_delete, access_point_save, access_point_secret
from portal.pages.access import membership_of
from portal.pages.admin.tabs import actor_of, blame, confirm, managed, page, show

SECRET = {"autocomplete": "off", "spellcheck": "false", "data-secret": "", "maxlength": "128"}


class AccessPointForm(forms.Form):
    """Name, address and shared secret of one access point."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("Where it hangs, like “Hall”."),
    )
    address = forms.CharField(
        label=gettext_lazy("Address or network"),
        max_length=64,
        help_text=gettext_lazy("What it sends from: 192.0.2.7, or 192.0.2.0/24 for all of a network."),
    )
    secret = forms.CharField(
        label=gettext_lazy("Shared secret"),
        strip=False,
        help_text=gettext_lazy("The same in the access point. It is kept sealed and never shown again."),
        widget=forms.PasswordInput(attrs=SECRET),
    )


class ChangeForm(AccessPointForm):
    """Another name, or another secret."""

    address = None  # type: ignore[assignment]
    secret = forms.CharField(
        label=gettext_lazy("New shared secret"),
        strip=False,
        required=False,
        help_text=gettext_lazy("Empty keeps the one it has."),
        widget=forms.PasswordInput(attrs=SECRET),
    )


@page
def index(request: HttpRequest) -> HttpResponse:
    """The list, and a form that adds one."""
    organization = membership_of(request).organization
    form = AccessPointForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        try:
            _new(request, form)
        except ValidationError as error:
            blame(form, error)
        else:
            return redirect("settings-access-points")
    context = {
        "form": form,
        "points": AccessPoint.objects.filter(organization=organization).order_by("name", "address"),
        "host": request.get_host().rpartition(":")[0] or request.get_host(),
    }
    return show(request, "settings-access-points", "admin/access_points.html", context)


def _new(request: HttpRequest, form: AccessPointForm) -> None:
    """Add it. One of our own at this address gets the new secret: that is what the form says."""
    point = access_point_save(membership_of(request).organization, actor_of(request), **form.cleaned_data)
    messages.success(request, _("%s may bring devices now.") % point)


def _point(request: HttpRequest, pk: int) -> AccessPoint:
    return get_object_or_404(AccessPoint, pk=pk, organization=membership_of(request).organization)


@managed
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Another name or secret; the address is what it is known by."""
    point = _point(request, pk)
    form = ChangeForm(request.POST or None, initial={"name": point.name}, label_suffix="")
    if request.method == "POST" and form.is_valid():
        secret = form.cleaned_data["secret"] or access_point_secret(point).decode()
        try:
            access_point_save(
                point.organization,
                actor_of(request),
                address=point.address,
                secret=secret,
                name=form.cleaned_data["name"],
            )
        except ValidationError as error:
            blame(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("settings-access-points")
    return show(request, "settings-access-points", "admin/access_point.html", {"form": form, "point": point})


@managed
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop listening to it."""
    point = _point(request, pk)
    if request.method == "POST":
        access_point_delete(point, actor_of(request))
        messages.success(request, _("%s is met with silence from now on.") % point)
        return redirect("settings-access-points")
    return confirm(
        request,
        title=_("Remove %s?") % point,
        text=_("Devices that come in through it are not heard any more. Their associations stay."),
        label=_("Remove"),
        back=reverse("settings-access-points"),
    )


urlpatterns = [
    path("settings/access-points", index, name="settings-access-points"),
    path("settings/access-points/<int:pk>", change, name="settings-access-point"),
    path("settings/access-points/<int:pk>/delete", delete, name="settings-access-point-delete"),
]
