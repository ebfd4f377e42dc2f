"""Realms that belong to the organization, with the readings that their devices follow."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from devices.models import Realm
from devices.services.access import realm_delete, realm_save
from portal.pages.access import membership_of
from portal.pages.admin.tabs import actor_of, blame, confirm, managed, page, show


class ReadingForm(forms.Form):
    """What can be changed of a realm."""

    assign_to_new_devices = forms.BooleanField(
        label=gettext_lazy("Give it to new devices"),
        required=False,
        help_text=gettext_lazy("They come back as noob@this-realm, so access points can send them here."),
    )
    kdf_datalength = forms.ChoiceField(
        label=gettext_lazy("Length octets in the key derivation"),
        choices=Realm.Reading.choices,
        help_text=gettext_lazy(
            "Whether SuppPrivInfo carries its length (RFC 9140, section 3.5); older devices leave it out."
        ),
    )
    reconnect_nai = forms.ChoiceField(
        label=gettext_lazy("Identity in the reconnect MAC"),
        choices=Realm.Reading.choices,
        help_text=gettext_lazy(
            "Whether the MAC covers the NAI (RFC 9140, section 3.3.2); older devices leave it empty."
        ),
    )


class RealmForm(ReadingForm):
    """A new realm."""

    name = forms.CharField(
        label=gettext_lazy("Realm"),
        max_length=120,
        help_text=gettext_lazy("A domain name of your own, like devices.example.com."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    field_order = ("name",)


@page
def index(request: HttpRequest) -> HttpResponse:
    """The list, and a form that adds one."""
    organization = membership_of(request).organization
    form = RealmForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid() and _save(request, form, form.cleaned_data["name"]):
        return redirect("settings-realms")
    realms = Realm.objects.filter(organization=organization).order_by("name")
    return show(request, "settings-realms", "admin/realms.html", {"form": form, "realms": realms})


def _save(request: HttpRequest, form: forms.Form, name: str) -> bool:
    try:
        realm_save(
            membership_of(request).organization, actor_of(request), **form.cleaned_data | {"name": name}
        )
    except ValidationError as error:
        blame(form, error)
        return False
    messages.success(request, _("Saved."))
    return True


def _realm(request: HttpRequest, pk: int) -> Realm:
    return get_object_or_404(Realm, pk=pk, organization=membership_of(request).organization)


@managed
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Other readings."""
    realm = _realm(request, pk)
    initial = {name: getattr(realm, name) for name in ReadingForm.base_fields}
    form = ReadingForm(request.POST or None, initial=initial, label_suffix="")
    if request.method == "POST" and form.is_valid() and _save(request, form, realm.name):
        return redirect("settings-realms")
    return show(request, "settings-realms", "admin/realm.html", {"form": form, "realm": realm})


@managed
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Give it up."""
    realm = _realm(request, pk)
    if request.method == "POST":
        realm_delete(realm, actor_of(request))
        messages.success(request, _("%s is given up.") % realm)
        return redirect("settings-realms")
    return confirm(
        request,
        title=_("Give %s up?") % realm,
        text=_("Devices that use it still reconnect, but new ones that come with it are strangers."),
        label=_("Give it up"),
        back=reverse("settings-realms"),
    )


urlpatterns = [
    path("settings/realms", index, name="settings-realms"),
    path("settings/realms/<int:pk>", change, name="settings-realm"),
    path("settings/realms/<int:pk>/delete", delete, name="settings-realm-delete"),
]
