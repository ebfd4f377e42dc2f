"""Manufacturers whose vouchers are believed. Trust is given after a look at the fingerprint."""

from __future__ import annotations

import base64

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bootstrap.errors import PeerError
from bootstrap.wire.keys import PublicKeyHandle
from devices.keys import fingerprint_of
from devices.models import OwnerKey, TrustedManufacturer, Voucher
from devices.services.fdo import manufacturer_distrust, manufacturer_trust
from devices.services.owner_keys import PEM_MAX_LENGTH, public_in
from portal.pages.access import membership_of
from portal.pages.admin.tabs import action, actor_of, blame, confirm, keyset, managed, page, show


class MakerForm(forms.Form):
    """A manufacturer's public key, as the manufacturer hands it out."""

    pem = forms.CharField(
        label=gettext_lazy("Public key or certificate, PEM"),
        required=False,
        max_length=PEM_MAX_LENGTH,
        widget=forms.Textarea(
            attrs={
                "rows": "5",
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "-----BEGIN PUBLIC KEY-----",
            }
        ),
    )
    file = forms.FileField(
        label=gettext_lazy("or its file"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".pem,.crt,.cer,.der,.pub"}),
    )


class TrustForm(forms.Form):
    """The look at it: ``public`` is what is trusted."""

    public = forms.CharField(max_length=4096, widget=forms.HiddenInput)
    name = forms.CharField(
        label=gettext_lazy("What you call this manufacturer"),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_public(self) -> PublicKeyHandle:
        """The key."""
        try:
            return PublicKeyHandle.from_spki(base64.b64decode(self.cleaned_data["public"], validate=True))
        except (ValueError, PeerError) as error:
            raise ValidationError(_("This is not a public key.")) from error


class NameForm(forms.Form):
    """Another name."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)


@page
def index(request: HttpRequest) -> HttpResponse:
    """The list, and a form that leads to a look at the fingerprint."""
    form = MakerForm(request.POST or None, request.FILES or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        upload, text = form.cleaned_data["file"], form.cleaned_data["pem"]
        pem = upload.read(PEM_MAX_LENGTH + 1) if upload else text.encode()
        try:
            handle, chain = public_in(_something(pem))
        except ValidationError as error:
            blame(form, ValidationError({"pem": error.messages}))
        else:
            return _look(request, handle, certified=bool(chain))
    rows, more = keyset(_makers(request), request)
    own = OwnerKey.objects.filter(
        organization=membership_of(request).organization, purpose=OwnerKey.Purpose.MANUFACTURER
    )
    ours = set(own.values_list("fingerprint", flat=True))
    context = {"form": form, "rows": rows, "more": more, "ours": ours}
    return show(request, "settings-makers", "admin/makers.html", context)


def _something(pem: bytes) -> bytes:
    if not pem.strip():
        raise ValidationError(_("Paste the key, or choose its file."))
    return pem


def _makers(request: HttpRequest) -> QuerySet[TrustedManufacturer]:
    vouchers = (
        Voucher.objects.filter(
            organization=OuterRef("organization"),
            manufacturer_fingerprint=OuterRef("fingerprint"),
            current=True,
        )
        .order_by()
        .values("manufacturer_fingerprint")
        .annotate(many=Count("pk"))
        .values("many")
    )
    return TrustedManufacturer.objects.filter(organization=membership_of(request).organization).annotate(
        vouchers=Coalesce(Subquery(vouchers, output_field=IntegerField()), 0)
    )


def _look(request: HttpRequest, handle: PublicKeyHandle, *, certified: bool) -> HttpResponse:
    """Show what would be trusted, so that it can be compared."""
    fingerprint = fingerprint_of(handle)
    known = TrustedManufacturer.objects.filter(
        organization=membership_of(request).organization, fingerprint=fingerprint
    ).first()
    initial = {"public": base64.b64encode(handle.der).decode(), "name": known.name if known else ""}
    context = {
        "form": TrustForm(initial=initial, label_suffix=""),
        "kind": handle.kind.value,
        "fingerprint": fingerprint,
        "certified": certified,
        "known": known,
    }
    return show(request, "settings-makers", "admin/maker_trust.html", context)


@action
def trust(request: HttpRequest) -> HttpResponse:
    """It was compared: believe it."""
    form = TrustForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("This is not a public key. Begin again."))
        return redirect("settings-makers")
    handle: PublicKeyHandle = form.cleaned_data["public"]
    row = manufacturer_trust(
        membership_of(request).organization, actor_of(request), handle.der, form.cleaned_data["name"]
    )
    messages.success(request, _("Vouchers of %s are taken from now on.") % row)
    return redirect("settings-makers")


def _maker(request: HttpRequest, pk: int) -> TrustedManufacturer:
    return get_object_or_404(_makers(request), pk=pk)


@managed
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """What it is called."""
    row = _maker(request, pk)
    form = NameForm(request.POST or None, initial={"name": row.name}, label_suffix="")
    if request.method == "POST" and form.is_valid():
        manufacturer_trust(row.organization, actor_of(request), bytes(row.public), form.cleaned_data["name"])
        messages.success(request, _("Saved."))
        return redirect("settings-makers")
    return show(request, "settings-makers", "admin/maker.html", {"form": form, "maker": row})


@managed
def distrust(request: HttpRequest, pk: int) -> HttpResponse:
    """Its vouchers are refused from now on."""
    row = _maker(request, pk)
    if request.method == "POST":
        manufacturer_distrust(row, actor_of(request))
        messages.success(request, _("Vouchers of %s are refused from now on.") % row)
        return redirect("settings-makers")
    return confirm(
        request,
        title=_("Distrust %s?") % row,
        text=_(
            "New vouchers that begin with this key are refused. Those that are here stay and onboard (%d)."
        )
        % row.vouchers,  # type: ignore[attr-defined]
        label=_("Distrust"),
        back=reverse("settings-makers"),
    )


urlpatterns = [
    path("settings/manufacturers", index, name="settings-makers"),
    path("settings/manufacturers/trust", trust, name="settings-maker-trust"),
    path("settings/manufacturers/<int:pk>", change, name="settings-maker"),
    path("settings/manufacturers/<int:pk>/distrust", distrust, name="settings-maker-distrust"),
]
