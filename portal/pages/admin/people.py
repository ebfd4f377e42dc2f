"""Who belongs to the organization: roles, invitations."""

from __future__ import annotations

from smtplib import SMTPException

import structlog
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.mail import send_mail
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from devices.models import Membership, OneTimeLink, Role
from devices.services.members import membership_remove, membership_role_change, role_grant_check
from devices.services.people import invitation_create, invitation_withdraw
from portal.pages.access import member, membership_of
from portal.pages.account import portal_url
from portal.pages.admin.tabs import action, actor_of, blame, confirm, page, show
from portal.pages.shown import once_put, once_take
from portal.templatetags.signin import mails_are_files

log = structlog.get_logger()


class InviteForm(forms.Form):
    """Whom, and what they may do."""

    email = forms.EmailField(label=gettext_lazy("Mail address"), max_length=254)
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        initial=Role.OPERATOR,
        help_text=gettext_lazy(
            "Viewers read, operators add devices, admins change settings and plans, owners also make owners."
        ),
    )

    def __init__(self, data: object, actor: Membership) -> None:
        super().__init__(data, label_suffix="")  # type: ignore[arg-type]
        self.fields["role"].choices = roles_for(actor)  # type: ignore[attr-defined]


def roles_for(actor: Membership) -> list[tuple[str, str]]:
    """The roles that this person may give: only owners make owners."""
    return [(one.value, str(one.label)) for one in Role if actor.role == Role.OWNER or one != Role.OWNER]


@page
def index(request: HttpRequest) -> HttpResponse:
    """Members, open invitations, and a form that invites."""
    actor = membership_of(request)
    form = InviteForm(request.POST or None, actor)
    if request.method == "POST" and form.is_valid():
        try:
            return _invite(request, actor, form)
        except ValidationError as error:
            blame(form, error)
    members = Membership.objects.filter(organization=actor.organization).select_related("user")
    context = {
        "form": form,
        "members": members.order_by("user__email"),
        "roles": roles_for(actor),
        "invitations": _open(actor).order_by("expires_at"),
        "link": once_take(request, "invitation") if request.method == "GET" else None,
    }
    return show(request, "settings-people", "admin/people.html", context)


def _open(actor: Membership) -> QuerySet[OneTimeLink]:
    return OneTimeLink.objects.filter(
        organization=actor.organization,
        purpose=OneTimeLink.Purpose.INVITATION,
        used_at=None,
        expires_at__gt=timezone.now(),
    )


def _invite(request: HttpRequest, actor: Membership, form: InviteForm) -> HttpResponse:
    """Make the link, mail it if there is a mail server, and show it once."""
    email, role = form.cleaned_data["email"], form.cleaned_data["role"]
    role_grant_check(actor, role)
    _link, token = invitation_create(actor.organization, actor_of(request), email, role)
    url = portal_url(request) + reverse("join", args=[token])
    once_put(request, "invitation", url)
    if _mail(actor, email, role, url):
        messages.success(request, _("The invitation was mailed to %s.") % email)
    return redirect("settings-people")


def _mail(actor: Membership, email: str, role: str, url: str) -> bool:
    """Whether the invitation went out. Without a mail server the link on the page is all there is."""
    if mails_are_files():
        return False
    text = render_to_string(
        "admin/invitation.txt",
        {"organization": actor.organization, "person": actor.user, "role": Role(role).label, "url": url},
    )
    subject = _("Join %s on Onward") % actor.organization
    try:
        return bool(send_mail(" ".join(subject.split()), text, None, [email]))
    except (SMTPException, OSError) as error:
        log.error("mail", event_kind="invitation", error=type(error).__name__)
        return False


def _member(request: HttpRequest, pk: int) -> Membership:
    members = Membership.objects.select_related("user", "organization")
    return get_object_or_404(members, pk=pk, organization=membership_of(request).organization)


@action
def role(request: HttpRequest, pk: int) -> HttpResponse:
    """Give somebody another role."""
    found = _member(request, pk)
    try:
        membership_role_change(found, membership_of(request), request.POST.get("role", ""))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    except PermissionDenied as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(person)s: %(role)s.") % _who(found))
    return redirect("settings-people")


def _who(found: Membership) -> dict[str, str]:
    return {"person": str(found.user), "role": found.get_role_display()}


@require_http_methods(["GET", "HEAD", "POST"])
@member
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take somebody out; anybody may leave."""
    actor, found = membership_of(request), _member(request, pk)
    leaving = found.pk == actor.pk
    if not (leaving or actor.may_manage):
        raise PermissionDenied("manager")
    if request.method == "POST":
        try:
            membership_remove(found, actor)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except PermissionDenied as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _("%(person)s does not belong to it any more.") % _who(found))
            return redirect("me" if leaving else "settings-people")
        return redirect("settings-people")
    return confirm(
        request,
        title=_("Leave %s?") % found.organization if leaving else _("Remove %s?") % found.user,
        text=_("Tokens end at once. Devices, plans and the audit log stay with the organization."),
        label=_("Leave") if leaving else _("Remove"),
        back=reverse("settings-people"),
    )


@action
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Make an open invitation worthless."""
    invitation_withdraw(get_object_or_404(_open(membership_of(request)), pk=pk), actor_of(request))
    messages.success(request, _("The invitation does not work any more."))
    return redirect("settings-people")


urlpatterns = [
    path("settings/people", index, name="settings-people"),
    path("settings/people/<int:pk>/role", role, name="settings-role"),
    path("settings/people/<int:pk>/remove", remove, name="settings-person-remove"),
    path("settings/invitations/<int:pk>/withdraw", withdraw, name="settings-invitation-withdraw"),
]
