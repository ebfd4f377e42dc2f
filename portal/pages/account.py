"""My account, and what allauth asks of the portal: codes, second factors, where people go after signing in."""

from __future__ import annotations

import secrets
import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.internal.flows.login import record_authentication
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from django.views.generic.base import RedirectView

from bootstrap.errors import LocalError
from devices import vault
from devices.models import Membership, Organization, User
from devices.services.people import organization_create
from portal.pages.pending import pending_url
from portal.pages.shown import invitation_url

CODE_DIGITS = 6
FACTOR_CONTEXT = b"second factor"
NAME_MAX_LENGTH = 40
FRESH_SECONDS = 300
"""How long a sign-in counts as "it is really you" for changes of how one signs in."""


class AccountAdapter(DefaultAccountAdapter):
    """Where people go after signing in, and what a new person starts with."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "incorrect_code": gettext_lazy("That is not the code of the newest mail. Compare it once more."),
        "too_many_login_attempts": gettext_lazy(
            "Too many tries. Wait five minutes, then ask for a new code."
        ),
        "email_password_mismatch": gettext_lazy("Mail address and password do not fit together."),
        "rate_limited": gettext_lazy("A mail was just sent. Wait a minute before asking for another one."),
    }

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Back to what the person came for: a device, an invitation, else the start page."""
        return pending_url(request) or invitation_url(request) or reverse("home")

    get_signup_redirect_url = get_login_redirect_url

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to the account page."""
        return reverse("me")

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Under the portal's own address: what a request says about its host is anybody's word."""
        path, _mark, token = reverse(
            "account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "key"}
        ).partition("UID-key")
        return f"{portal_url(self.request)}{path}{key}{token}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Links and signature name the portal's own address."""
        super().send_mail(template_prefix, email, context | {"portal": portal_url(self.request)})

    def generate_login_code(self) -> str:
        """Six digits: easy to read from a notification, and only three tries count."""
        return "".join(secrets.choice("0123456789") for _digit in range(CODE_DIGITS))

    generate_email_verification_code = generate_login_code
    generate_password_reset_code = generate_login_code

    def pre_login(self, request: HttpRequest, user: User, *, email: str | None, **rest: Any) -> Any:
        """A mail code proves the address: whoever was made by a command needs no second one."""
        records = get_authentication_records(request, user)
        mine = bool(email) and str(email).lower() == user.email
        if mine and any(record["method"] == "code" and record.get("email") == email for record in records):
            proved = {"verified": True, "primary": True}
            EmailAddress.objects.get_or_create(user=user, email=user.email, defaults=proved)
        return super().pre_login(request, user, email=email, **rest)

    def is_reauthentication_required(self, *, app: str, **rest: Any) -> bool:
        """Whoever signed in a moment ago has just shown who they are."""
        records = get_authentication_records(self.request, self.request.user)
        fresh = bool(records) and time.time() - records[-1]["at"] < FRESH_SECONDS
        return not fresh and bool(super().is_reauthentication_required(app=app, **rest))

    def post_login(self, request: HttpRequest, user: User, *, signup: bool, **rest: Any) -> HttpResponse:
        """A new person whom nobody invited starts with an organization of their own."""
        if signup:
            # allauth records sign-ins, not this; without a record the next page would ask "Is it you?".
            record_authentication(request, user, method="signup")
            if not invitation_url(request):
                organization_ensure(user)
        answer: HttpResponse = super().post_login(request, user, signup=signup, **rest)
        return answer


def portal_url(request: HttpRequest) -> str:
    """Where people reach the portal, without a slash at the end."""
    return str(settings.PORTAL_URL or request.build_absolute_uri("/").rstrip("/"))


def organization_ensure(user: User) -> None:
    """An organization for somebody who has none, named after them."""
    if Membership.objects.filter(user=user).exists():
        return
    whose = user.email.partition("@")[0][:NAME_MAX_LENGTH]
    wanted = _("%s's devices") % whose
    taken = set(Organization.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    name = next(name for name in _names(wanted) if name not in taken)
    try:
        organization_create(name, user)
    except ValidationError:
        # Somebody took the name in between; the person is asked for one instead.
        return


def _names(wanted: str) -> Any:
    yield wanted
    number = 2
    while True:
        yield f"{wanted} {number}"
        number += 1


class MFAAdapter(DefaultMFAAdapter):
    """Passkeys are another way in, an authenticator app is a second step; both are sealed at rest."""

    def is_mfa_enabled(self, user: User | AnonymousUser, types: list[str] | None = None) -> bool:
        """Whether a sign-in by mail code needs a second step: only with an authenticator app.

        A passkey belongs to one host name and needs HTTPS. Whoever made one on the laptop must still get in
        from a phone over the portal's plain LAN address.
        """
        if types and set(types) == {Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN}:
            types = [Authenticator.Type.TOTP]
        return bool(super().is_mfa_enabled(user, types))

    def encrypt(self, text: str) -> str:
        """Keys of authenticator apps and recovery codes, sealed."""
        return vault.seal_text(text.encode(), FACTOR_CONTEXT)

    def decrypt(self, encrypted_text: str) -> str:
        """The inverse; what was stored in clear by an older version stays readable."""
        try:
            return vault.unseal_text(encrypted_text, FACTOR_CONTEXT).decode()
        except LocalError:
            return encrypted_text

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:
        """A name to start with."""
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return _("Passkey") if number == 1 else _("Passkey %d") % number

    def get_totp_issuer(self) -> str:
        """What the app shows above the code."""
        return "Onward"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The host name is the relying party; people read "Onward"."""
        return dict(super().get_public_key_credential_rp_entity()) | {"name": "Onward"}


class LoginForm(AllauthLoginForm):
    """Mail address alone asks for a code; with a password it signs in at once."""

    def _setup_password_field(self) -> None:
        self.fields["password"].required = False
        self.fields["password"].help_text = ""
        self.fields["login"].label = _("Mail address")
        # Lets the browser offer a passkey while the person types (conditional mediation).
        self.fields["login"].widget.attrs |= {"autocomplete": "username webauthn", "placeholder": ""}


class NameForm(forms.ModelForm):
    """What colleagues see."""

    class Meta:
        model = User
        fields = ("name",)
        labels = {"name": gettext_lazy("Your name")}
        help_texts = {"name": gettext_lazy("Colleagues see it instead of your mail address.")}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def me(request: HttpRequest) -> HttpResponse:
    """Name, mail, passkeys, other ways to sign in, colours, sign out."""
    user = request.user
    assert isinstance(user, User)
    form = NameForm(request.POST or None, instance=user, label_suffix="")
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return redirect("me")
    factors = list(Authenticator.objects.filter(user=user).order_by("created_at"))
    by_type = {factor.type: factor for factor in factors}
    recovery = by_type.get(Authenticator.Type.RECOVERY_CODES)
    context = {
        "form": form,
        "passkeys": [factor for factor in factors if factor.type == Authenticator.Type.WEBAUTHN],
        "app": by_type.get(Authenticator.Type.TOTP),
        "recovery_left": len(recovery.wrap().get_unused_codes()) if recovery else None,
        "addresses": EmailAddress.objects.filter(user=user).order_by("-primary", "email"),
        "memberships": user.memberships.select_related("organization").order_by("organization__name"),
    }
    return render(request, "account/me.html", context)


urlpatterns = [
    path("me", me, name="me"),
    # One page instead of allauth's two lists. These come before its own, and win.
    path("account/2fa/", RedirectView.as_view(pattern_name="me")),
    path("account/2fa/webauthn/", RedirectView.as_view(pattern_name="me")),
]
