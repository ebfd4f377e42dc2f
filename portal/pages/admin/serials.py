"""Serial numbers that the organization expects (RFC 9140 section 7.6: misbinding)."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from devices.models import ExpectedSerial
from devices.services.access import expected_serials_add, expected_serials_remove
from portal.pages.access import membership_of
from portal.pages.admin.tabs import action, actor_of, keyset, page, show

SERIAL_MAX_LENGTH = 120


class SerialsForm(forms.Form):
    """Many at once, as they stand in a delivery note."""

    serials = forms.CharField(
        label=gettext_lazy("Serial numbers"),
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocapitalize": "none"}),
        help_text=gettext_lazy(
            "One in a line, exactly as printed. What is on the list already is left alone."
        ),
    )
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=120,
        help_text=gettext_lazy("Like the number of the order."),
    )

    def clean_serials(self) -> list[str]:
        """Lines without blanks around; a line that is too long is named."""
        lines = [line.strip() for line in self.cleaned_data["serials"].splitlines() if line.strip()]
        for number, line in enumerate(lines, 1):
            if len(line) > SERIAL_MAX_LENGTH:
                raise forms.ValidationError(_("Serial number %d is longer than 120 characters.") % number)
        return lines


@page
def index(request: HttpRequest) -> HttpResponse:
    """The list, newest first, and a form that adds many."""
    organization = membership_of(request).organization
    form = SerialsForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data["serials"]
        added = expected_serials_add(organization, actor_of(request), given, form.cleaned_data["note"])
        messages.success(
            request,
            _("%(added)d added, %(known)d were there already.")
            % {"added": added, "known": len(given) - added},
        )
        return redirect("settings-serials")
    rows, more = keyset(ExpectedSerial.objects.filter(organization=organization), request)
    context = {"form": form, "rows": rows, "more": more, "only": organization.expected_serials_only}
    return show(request, "settings-serials", "admin/serials.html", context)


@action
def remove(request: HttpRequest) -> HttpResponse:
    """Take those that are ticked off the list."""
    wanted = request.POST.getlist("serial")
    removed = expected_serials_remove(membership_of(request).organization, actor_of(request), wanted)
    if removed:
        said = ngettext("%d serial number removed.", "%d serial numbers removed.", removed) % removed
        messages.success(request, said)
    else:
        messages.warning(request, _("Tick those that shall go."))
    return redirect("settings-serials")


urlpatterns = [
    path("settings/serials", index, name="settings-serials"),
    path("settings/serials/remove", remove, name="settings-serials-remove"),
]
