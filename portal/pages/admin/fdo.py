"""FIDO Device Onboard: what the organization does in it, each switch with what it means, and the DI address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from bootstrap.bindings.fdo.policy import own_url
from devices.models import FdoSettings, Organization, OwnerKey
from devices.models.keys import KIND_CHOICES
from devices.services.fdo import FIELDS, di_token_renew, fdo_settings_save, fdo_setup
from portal.pages.access import membership_of
from portal.pages.admin.tabs import action, actor_of, blame, confirm, managed, page, show
from portal.pages.simulator import fdo_line

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
LEASES = (HOUR_SECONDS, DAY_SECONDS, 7 * DAY_SECONDS, 30 * DAY_SECONDS, 365 * DAY_SECONDS)
NEARBY = ("localhost", "127.0.0.1", "::1")
LABELS = {
    "manufacturer_on": gettext_lazy("Manufacturer: make vouchers here (DI)"),
    "rendezvous_on": gettext_lazy("Rendezvous: tell devices who owns them (TO0, TO1)"),
    "owner_on": gettext_lazy("Owner: onboard devices (TO2)"),
    "di_key_kind": gettext_lazy("Type of the manufacturer's key"),
    "di_networks": gettext_lazy("Networks that may initialize devices"),
    "di_default": gettext_lazy("Devices that name no organization are ours"),
    "rendezvous_urls": gettext_lazy("Rendezvous servers"),
    "to0_wait_seconds": gettext_lazy("Ask a rendezvous server to remember us for"),
    "rv_admission": gettext_lazy("Our rendezvous remembers"),
    "rv_max_wait_seconds": gettext_lazy("Our rendezvous remembers for at most"),
    "reuse_credentials": gettext_lazy("Devices keep their credential"),
    "service_info_max": gettext_lazy("Largest message of settings from a device, in octets"),
}
HELP = {
    "manufacturer_on": gettext_lazy(
        "On: a device at the address of your line gets its first credential, and its voucher is here at once, "
        "extended to your owner key. Off: such a device is turned away; vouchers of other makers still come in."
    ),
    "rendezvous_on": gettext_lazy(
        "On: this portal is a place where devices ask for their owner. Off: nobody can register here, and "
        "devices that ask are told that nobody is known; they find you through other rendezvous servers only."
    ),
    "owner_on": gettext_lazy(
        "On: devices whose voucher is here prove themselves and get their plan. Off: they are turned away and "
        "try again later; what is onboarded stays as it is."
    ),
    "di_key_kind": gettext_lazy(
        "Vouchers that are made here begin with a key of this type. P-256 suits most."
    ),
    "di_networks": gettext_lazy(
        "One a line, like 192.0.2.0/24. Empty: from anywhere that knows the address."
    ),
    "di_default": gettext_lazy(
        "For devices that only know this portal, not the address of a line. One organization of a portal can have it."
    ),
    "rendezvous_urls": gettext_lazy(
        "One a line, like http://rv.example.com:8041. New credentials send devices there, in this order. "
        "Empty: this portal itself."
    ),
    "to0_wait_seconds": gettext_lazy(
        "We register again before it is over, as long as the device has not come."
    ),
    "rv_admission": gettext_lazy("Whose registrations are taken by the rendezvous of this portal."),
    "rv_max_wait_seconds": gettext_lazy("Who asks for longer gets this much."),
    "reuse_credentials": gettext_lazy(
        "On: a device keeps its GUID and its voucher when it onboards, so it can onboard again the same way. "
        "Off: it gets a new credential, and its old voucher opens nothing any more. Off is safer."
    ),
    "service_info_max": gettext_lazy("Larger is quicker. A device that cannot do it sends less by itself."),
}
GROUPS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (gettext_lazy("What this organization does"), ("manufacturer_on", "rendezvous_on", "owner_on")),
    (gettext_lazy("Initializing devices"), ("di_key_kind", "di_networks", "di_default")),
    (
        gettext_lazy("How devices find you"),
        ("rendezvous_urls", "to0_wait_seconds", "rv_admission", "rv_max_wait_seconds"),
    ),
    (gettext_lazy("Onboarding"), ("reuse_credentials", "service_info_max")),
)


class LinesField(forms.Field):
    """A list of short texts, one a line."""

    widget = forms.Textarea(attrs={"rows": "3", "spellcheck": "false", "autocapitalize": "none"})

    def to_python(self, value: Any) -> list[str]:
        """Without empty lines."""
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> str:
        """As it is edited."""
        return "\n".join(value) if isinstance(value, list) else str(value or "")


def lease_words(seconds: int) -> str:
    """So many seconds as people count them."""
    if seconds % DAY_SECONDS == 0:
        days = seconds // DAY_SECONDS
        return ngettext("%d day", "%d days", days) % days
    if seconds % HOUR_SECONDS == 0:
        hours = seconds // HOUR_SECONDS
        return ngettext("%d hour", "%d hours", hours) % hours
    return ngettext("%d second", "%d seconds", seconds) % seconds


class LeaseField(forms.TypedChoiceField):
    """A few usual durations, and the one that is set."""

    def __init__(self, now: int) -> None:
        known = sorted({*LEASES, now})
        super().__init__(coerce=int, choices=[(seconds, lease_words(seconds)) for seconds in known])


class FdoForm(forms.ModelForm):
    """Everything of it that is one value."""

    di_networks = LinesField(required=False)
    rendezvous_urls = LinesField(required=False)

    class Meta:
        model = FdoSettings
        fields = FIELDS

    def __init__(self, data: QueryDict | None, row: FdoSettings) -> None:
        super().__init__(data, instance=row, label_suffix="")
        for name in ("to0_wait_seconds", "rv_max_wait_seconds"):
            self.fields[name] = LeaseField(getattr(row, name))
        for name, field in self.fields.items():
            field.label, field.help_text = LABELS[name], HELP[name]

    def _post_clean(self) -> None:
        """The service has the last word, by field; asking the model too would say everything twice."""


class SetupForm(forms.Form):
    """The one question before everything is set up."""

    key_kind = forms.ChoiceField(
        label=gettext_lazy("Type of the keys"),
        choices=KIND_CHOICES,
        help_text=gettext_lazy("P-256 suits most devices; others can be added under Keys."),
    )


@page
def index(request: HttpRequest) -> HttpResponse:
    """Read by every member, changed by owners and admins."""
    organization = membership_of(request).organization
    row = _row(organization)
    form = FdoForm(request.POST or None, row)
    if request.method == "POST" and form.is_valid():
        try:
            fdo_settings_save(organization, actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            blame(form, error)
        else:
            messages.success(request, _("Saved. Devices notice within a second."))
            return redirect("settings-fdo")
    groups = [(title, [form[name] for name in names]) for title, names in GROUPS]
    context = {"form": form, "groups": groups, "row": row, "setup": SetupForm(label_suffix="")}
    return show(request, "settings-fdo", "admin/fdo.html", context | _around(request, organization, row))


def _row(organization: Organization) -> FdoSettings:
    """As it is. Who never set anything does nothing in FDO, and looking does not change that."""
    row = FdoSettings.objects.filter(organization=organization).first()
    return row or FdoSettings(organization=organization, rendezvous_on=False, owner_on=False)


def _around(request: HttpRequest, organization: Organization, row: FdoSettings) -> dict[str, Any]:
    """What stands beside the switches: address, what is missing."""
    token = row.di_token if membership_of(request).may_claim else ""
    address = f"{own_url()}/di/{token}" if token else ""
    return {
        "has_line": bool(row.di_token_sealed),
        "di_address": address,
        "portal_address": own_url(),
        "nearby": urlsplit(own_url()).hostname in NEARBY,
        "simulator_line": fdo_line(own_url() if row.di_default else address),
        "keyless": row.owner_on and not _has_owner_key(organization),
        "roles": [
            (_("Manufacturer"), row.manufacturer_on),
            (_("Rendezvous"), row.rendezvous_on),
            (_("Owner"), row.owner_on),
        ],
        "values": _values(row),
    }


def _has_owner_key(organization: Organization) -> bool:
    wanted = {"purpose": OwnerKey.Purpose.OWNER, "state": OwnerKey.State.ACTIVE}
    return OwnerKey.objects.filter(organization=organization, **wanted).exists()


def _values(row: FdoSettings) -> list[tuple[Any, list[tuple[Any, Any]]]]:
    """Everything in words, for whoever only reads."""
    return [(title, [(LABELS[name], _shown(row, name)) for name in names]) for title, names in GROUPS]


def _shown(row: FdoSettings, name: str) -> Any:
    value = getattr(row, name)
    if isinstance(value, bool):
        return _("on") if value else _("off")
    if isinstance(value, list):
        return ", ".join(value) or (_("this portal") if name == "rendezvous_urls" else _("anywhere"))
    if name.endswith("_wait_seconds"):
        return lease_words(value)
    return row.get_rv_admission_display() if name == "rv_admission" else value


@action
def setup(request: HttpRequest) -> HttpResponse:
    """Manufacturer, rendezvous and owner in one press; rendezvous servers that were chosen stay."""
    form = SetupForm(request.POST)
    if not form.is_valid():
        return redirect("settings-fdo")
    organization = membership_of(request).organization
    chosen = _row(organization).rendezvous_urls
    fdo_setup(organization, actor_of(request), key_kind=form.cleaned_data["key_kind"])
    if chosen:
        fdo_settings_save(organization, actor_of(request), rendezvous_urls=chosen)
    messages.success(request, _("Everything is set up. Initialize a device at your DI address."))
    return redirect("settings-fdo")


@managed
def renew(request: HttpRequest) -> HttpResponse:
    """Another DI address."""
    if request.method == "POST":
        di_token_renew(membership_of(request).organization, actor_of(request))
        messages.success(request, _("The line has a new address. The old one is nobody's."))
        return redirect("settings-fdo")
    return confirm(
        request,
        title=_("A new DI address?"),
        text=_(
            "The old address stops working at once: change it wherever devices are initialized. "
            "Devices that are initialized already notice nothing."
        ),
        label=_("Make a new address"),
        back=reverse("settings-fdo"),
    )


urlpatterns = [
    path("settings/fdo", index, name="settings-fdo"),
    path("settings/fdo/setup", setup, name="settings-fdo-setup"),
    path("settings/fdo/renew", renew, name="settings-fdo-renew"),
]
