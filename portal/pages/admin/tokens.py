"""A person's own keys to the API. The text of a token is shown once."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from devices.models import ApiToken
from devices.services.people import token_create, token_revoke
from portal.pages.access import member, membership_of
from portal.pages.admin.tabs import actor_of, show
from portal.pages.shown import once_put, once_take


class TokenForm(forms.Form):
    """What it is for, and how long."""

    name = forms.CharField(
        label=gettext_lazy("What is it for?"),
        max_length=80,
        help_text=gettext_lazy("Like “nightly report” or “line 4”."),
    )
    scope = forms.ChoiceField(
        label=gettext_lazy("What may it do?"),
        required=False,
        initial=ApiToken.Scope.ALL,
        choices=[
            (ApiToken.Scope.ALL.value, gettext_lazy("Everything I may do")),
            (ApiToken.Scope.VOUCHERS.value, gettext_lazy("Hand in vouchers only")),
        ],
        help_text=gettext_lazy(
            "For a factory line choose vouchers only: it cannot see or change anything else."
        ),
    )
    lifetime_days = forms.TypedChoiceField(
        label=gettext_lazy("Works for"),
        coerce=int,
        initial=365,
        choices=[
            (30, gettext_lazy("30 days")),
            (365, gettext_lazy("a year")),
            (0, gettext_lazy("until it is revoked")),
        ],
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@member
def index(request: HttpRequest) -> HttpResponse:
    """One's own tokens here, and a form that makes one."""
    organization, person = membership_of(request).organization, actor_of(request)
    form = TokenForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["lifetime_days"]
        lifetime = timedelta(days=days) if days else None
        _token, text = token_create(
            person, organization, form.cleaned_data["name"], lifetime, form.cleaned_data["scope"]
        )
        once_put(request, "token", text)
        return redirect("settings-tokens")
    context = {
        "form": form,
        "tokens": ApiToken.objects.filter(organization=organization, user=person).order_by("-pk"),
        "text": once_take(request, "token") if request.method == "GET" else None,
        "now": timezone.now(),
    }
    return show(request, "settings-tokens", "admin/tokens.html", context)


@require_POST
@member
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End one at once."""
    mine = ApiToken.objects.filter(organization=membership_of(request).organization, user=actor_of(request))
    token_revoke(get_object_or_404(mine, pk=pk), actor_of(request))
    messages.success(request, _("The token does not work any more."))
    return redirect("settings-tokens")


urlpatterns = [
    path("settings/tokens", index, name="settings-tokens"),
    path("settings/tokens/<int:pk>/revoke", revoke, name="settings-token-revoke"),
]
