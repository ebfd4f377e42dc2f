"""Name and policies of the organization, one sentence each."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from devices.models import Organization
from devices.services.access import POLICY_FIELDS, organization_update
from portal.pages.access import membership_of
from portal.pages.admin.tabs import actor_of, blame, page, show

REMINDER_MAX_SECONDS = 31 * 24 * 3600

LABELS = {
    "name": gettext_lazy("Name"),
    "sleep_attended_seconds": gettext_lazy("While somebody stands there, ask every … seconds"),
    "sleep_hour_seconds": gettext_lazy("During the first hours, ask every … seconds"),
    "sleep_idle_seconds": gettext_lazy("After that, ask every … seconds"),
    "noob_timeout_seconds": gettext_lazy("A code that the portal shows lives for … seconds"),
    "oob_retries": gettext_lazy("Wrong codes before a device starts over"),
    "forward_secrecy": gettext_lazy("Fresh keys at every reconnect"),
    "expected_serials_only": gettext_lazy("Only devices whose serial number is expected"),
    "silence_reminder_seconds": gettext_lazy("Remind after … seconds of silence"),
}
HELP = {
    "name": gettext_lazy("Devices read it, and colleagues."),
    "sleep_attended_seconds": gettext_lazy(
        "How quickly a device notices that you confirmed it; 5 feels instant."
    ),
    "sleep_hour_seconds": gettext_lazy("For devices that were unpacked but not claimed yet."),
    "sleep_idle_seconds": gettext_lazy("For devices that nobody claims for long; at most 3600."),
    "noob_timeout_seconds": gettext_lazy(
        "The device must read the code in this time; a fresh one is made at half of it."
    ),
    "oob_retries": gettext_lazy("Protects against guessing; RFC 9140 recommends 5."),
    "forward_secrecy": gettext_lazy(
        "A key that leaks later does not open earlier sessions; costs the device some work."
    ),
    "expected_serials_only": gettext_lazy(
        "Anything that is not on your list of expected serials is refused."
    ),
    "silence_reminder_seconds": gettext_lazy(
        "When a confirmed device says nothing for so long, its page says what to do."
    ),
}
GROUPS = (
    (gettext_lazy("Organization"), ("name",)),
    (
        gettext_lazy("How often a waiting device asks"),
        ("sleep_attended_seconds", "sleep_hour_seconds", "sleep_idle_seconds"),
    ),
    (gettext_lazy("Codes"), ("noob_timeout_seconds", "oob_retries")),
    (gettext_lazy("Safety"), ("expected_serials_only", "forward_secrecy")),
    (gettext_lazy("Reminders"), ("silence_reminder_seconds",)),
)


class PolicyForm(forms.ModelForm):
    """Everything about the organization that is one value."""

    silence_reminder_seconds = forms.IntegerField(min_value=10, max_value=REMINDER_MAX_SECONDS)

    class Meta:
        model = Organization
        fields = POLICY_FIELDS

    def __init__(self, data: QueryDict | None, organization: Organization) -> None:
        super().__init__(data, instance=organization, label_suffix="")
        for name, field in self.fields.items():
            field.label, field.help_text = LABELS[name], HELP[name]


@page
def index(request: HttpRequest) -> HttpResponse:
    """Read by every member, changed by owners and admins."""
    # A row of its own: a form that refuses has already written into the one it was given.
    organization = Organization.objects.get(pk=membership_of(request).organization_id)
    form = PolicyForm(request.POST or None, organization)
    if request.method == "POST" and form.is_valid():
        try:
            organization_update(organization, actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            blame(form, error)
        else:
            messages.success(request, _("Saved. Devices hear of it when they ask next."))
            return redirect("settings")
    groups = [(title, [form[name] for name in names]) for title, names in GROUPS]
    return show(request, "settings", "admin/organization.html", {"form": form, "groups": groups})


urlpatterns = [path("settings", index, name="settings")]
