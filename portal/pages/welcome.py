"""The first owner's welcome, invitations, and new organizations."""

from __future__ import annotations

from allauth.account.internal.flows.login import record_authentication
from allauth.account.models import EmailAddress
from allauth.account.utils import has_verified_email
from allauth.mfa.webauthn.internal.auth import begin_registration
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from devices.models import Membership, OneTimeLink, Organization, Role, User
from devices.services.people import first_owner_welcome, invitation_accept, link_find, organization_create
from portal.middleware import SESSION_KEY
from portal.pages.shown import invitation_drop, invitation_keep

BACKEND = settings.AUTHENTICATION_BACKENDS[-1]
PAGE = require_http_methods(["GET", "HEAD", "POST"])


class OrganizationForm(forms.ModelForm):
    """A name that nobody has yet."""

    class Meta:
        model = Organization
        fields = ("name",)
        labels = {"name": gettext_lazy("Name of your organization")}
        help_texts = {"name": gettext_lazy("A team, a company, a household. You can change it later.")}


class WelcomeForm(OrganizationForm):
    """Who the first owner is."""

    email = forms.EmailField(
        label=gettext_lazy("Your mail address"),
        max_length=254,
        help_text=gettext_lazy("You sign in with it."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ("email", "name")


@never_cache
@PAGE
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """The link that ``up`` prints. Opening it changes nothing; the form uses it up."""
    if link_find(token, OneTimeLink.Purpose.FIRST_OWNER) is None:
        return _dead(request, "welcome")
    form = WelcomeForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        try:
            user = first_owner_welcome(token, form.cleaned_data["email"], form.cleaned_data["name"])
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _welcomed(request, user) if user else _dead(request, "welcome")
    return render(request, "welcome/welcome.html", {"form": form})


def _welcomed(request: HttpRequest, user: User) -> HttpResponse:
    """Signed in. Whoever holds the link runs the portal: their address needs no code."""
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    login(request, user, backend=BACKEND)
    record_authentication(request, user, method="welcome")
    return redirect("welcome-passkey")


def _dead(request: HttpRequest, purpose: str) -> HttpResponse:
    """The link was used, is too old, or never was."""
    return render(request, "welcome/dead.html", {"purpose": purpose}, status=410)


@never_cache
@login_required
@require_safe
def passkey(request: HttpRequest) -> HttpResponse:
    """Offer a passkey, once, when nothing else is being done."""
    user = request.user
    assert isinstance(user, User)
    if not has_verified_email(user) or request.method == "HEAD":
        return redirect("devices")
    options = {"creation_options": begin_registration(user, passwordless=True)}
    return render(request, "welcome/passkey.html", {"options": options})


@never_cache
@PAGE
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invitation: signed out it is remembered, signed in it can be accepted."""
    link = link_find(token, OneTimeLink.Purpose.INVITATION)
    if link is None or link.organization is None:
        invitation_drop(request)
        return _dead(request, "join")
    context = {"link": link, "role": Role(link.role).label, "token": token}
    if not isinstance(request.user, User):
        if request.method != "HEAD":
            invitation_keep(request, token)
        return render(request, "welcome/join_signed_out.html", context)
    already = Membership.objects.filter(user=request.user, organization=link.organization).first()
    if request.method == "POST":
        return _join(request, request.user, token, already)
    return render(request, "welcome/join.html", context | {"already": already})


def _join(request: HttpRequest, user: User, token: str, already: Membership | None) -> HttpResponse:
    """Accept, unless the person is in already: then the link stays good for somebody else."""
    membership = already or invitation_accept(token, user)
    invitation_drop(request)
    if membership is None:
        return _dead(request, "join")
    request.session[SESSION_KEY] = membership.organization_id
    if not already:
        messages.success(request, _("You belong to %s now.") % membership.organization)
    return redirect("devices")


@login_required
@PAGE
def organization_new(request: HttpRequest) -> HttpResponse:
    """Found an organization; it becomes the current one."""
    form = OrganizationForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        try:
            organization = organization_create(form.cleaned_data["name"], request.user)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            request.session[SESSION_KEY] = organization.pk
            messages.success(request, _("%s is ready.") % organization)
            return redirect("devices")
    return render(request, "welcome/organization_new.html", {"form": form})


urlpatterns = [
    path("welcome/passkey", passkey, name="welcome-passkey"),
    path("welcome/<str:token>", welcome, name="welcome"),
    path("join/<str:token>", join, name="join"),
    path("organizations/new", organization_new, name="organization-new"),
]
