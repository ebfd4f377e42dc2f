"""People, organizations, memberships, tokens and one-time links."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import transaction
from django.utils import timezone

from devices.models import ApiToken, Membership, OneTimeLink, Organization, Role, User
from devices.services.audit import audit_write
from devices.services.revision import revision_bump

TOKEN_PREFIX = "onw_"  # noqa: S105 (a mark that secret scanners can look for)
EMAIL_MAX_LENGTH = 254
FIRST_OWNER_LIFETIME = timedelta(hours=24)
INVITATION_LIFETIME = timedelta(days=7)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def organization_create(name: str, owner: User) -> Organization:
    """A new organization whose first owner is ``owner``, with an empty default plan."""
    organization = Organization(name=name.strip())
    organization.full_clean()
    organization.save()
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    audit_write(organization, owner, "organization.created", organization)
    revision_bump()
    return organization


def _email_check(email: str) -> None:
    validate_email(email)
    MaxLengthValidator(EMAIL_MAX_LENGTH)(email)


def user_ensure(email: str) -> User:
    """The person with this mail address, made if need be."""
    _email_check(email)
    found = User.objects.filter(email=email.lower()).first()
    return found or User.objects.create_user(email)


@transaction.atomic
def membership_ensure(
    organization: Organization, user: User, role: str, actor: User | None = None
) -> Membership:
    """Make ``user`` a member; an existing role stays as it is."""
    membership, created = Membership.objects.get_or_create(
        organization=organization, user=user, defaults={"role": role}
    )
    if created:
        audit_write(organization, actor, "member.added", user, role=role)
    return membership


@transaction.atomic
def token_create(
    user: User,
    organization: Organization,
    name: str = "",
    lifetime: timedelta | None = None,
    scope: str = ApiToken.Scope.ALL,
) -> tuple[ApiToken, str]:
    """A new API token and its text, which is shown once and kept nowhere. ``scope`` narrows what it opens."""
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        organization=organization,
        name=name,
        digest=_digest(text),
        hint=text[:8],
        scope=ApiToken.Scope(scope).value,
        expires_at=timezone.now() + lifetime if lifetime else None,
    )
    audit_write(organization, user, "token.created", token.hint, name=name, scope=token.scope)
    return token, text


@transaction.atomic
def token_revoke(token: ApiToken, actor: User) -> None:
    """End a token at once."""
    audit_write(token.organization, actor, "token.revoked", token.hint, name=token.name)
    token.delete()


def token_find(text: str) -> ApiToken | None:
    """The living token with this text. Looked up by digest, so timing says nothing about others."""
    token = (
        ApiToken.objects.select_related("user", "organization")
        .filter(digest=_digest(text), user__is_active=True)
        .first()
    )
    now = timezone.now()
    if token is None or (token.expires_at and token.expires_at < now):
        return None
    if token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def first_owner_link() -> str | None:
    """A fresh welcome token while nobody owns anything; older ones die. None once there is an owner."""
    if Membership.objects.filter(role=Role.OWNER).exists():
        return None
    text = secrets.token_urlsafe(24)
    with transaction.atomic():
        OneTimeLink.objects.filter(purpose=OneTimeLink.Purpose.FIRST_OWNER, used_at=None).delete()
        OneTimeLink.objects.create(
            purpose=OneTimeLink.Purpose.FIRST_OWNER,
            digest=_digest(text),
            expires_at=timezone.now() + FIRST_OWNER_LIFETIME,
        )
    return text


@transaction.atomic
def invitation_create(
    organization: Organization, actor: User, email: str, role: str
) -> tuple[OneTimeLink, str]:
    """Invite a person into the organization; the text goes into the link ``/join/<text>``."""
    _email_check(email)
    if role not in Role.values:
        raise ValidationError(f"unknown role {role}")
    text = secrets.token_urlsafe(24)
    link = OneTimeLink.objects.create(
        purpose=OneTimeLink.Purpose.INVITATION,
        digest=_digest(text),
        organization=organization,
        role=role,
        email=email.lower(),
        expires_at=timezone.now() + INVITATION_LIFETIME,
    )
    audit_write(organization, actor, "member.invited", email, role=role)
    return link, text


def link_find(text: str, purpose: str) -> OneTimeLink | None:
    """An unused, living link; looking does not use it."""
    return OneTimeLink.objects.filter(
        digest=_digest(text), purpose=purpose, used_at=None, expires_at__gt=timezone.now()
    ).first()


@transaction.atomic
def first_owner_welcome(text: str, email: str, organization_name: str) -> User | None:
    """Use the welcome link: the first person, owner of the first organization. None when the link is dead."""
    link = (
        OneTimeLink.objects.select_for_update()
        .filter(
            digest=_digest(text),
            purpose=OneTimeLink.Purpose.FIRST_OWNER,
            used_at=None,
            expires_at__gt=timezone.now(),
        )
        .first()
    )
    if link is None or Membership.objects.filter(role=Role.OWNER).exists():
        return None
    user = user_ensure(email)
    organization_create(organization_name, user)
    link.used_at = timezone.now()
    link.save(update_fields=["used_at"])
    return user


@transaction.atomic
def invitation_withdraw(link: OneTimeLink, actor: User) -> None:
    """Make an open invitation worthless."""
    if link.organization is not None:
        audit_write(link.organization, actor, "member.invitation-withdrawn", link.email, role=link.role)
    link.delete()


@transaction.atomic
def invitation_accept(text: str, user: User) -> Membership | None:
    """Use an invitation as the signed-in person. None when the link is dead."""
    link = (
        OneTimeLink.objects.select_for_update()
        .filter(
            digest=_digest(text),
            purpose=OneTimeLink.Purpose.INVITATION,
            used_at=None,
            expires_at__gt=timezone.now(),
        )
        .first()
    )
    if link is None or link.organization is None:
        return None
    link.used_at = timezone.now()
    link.save(update_fields=["used_at"])
    return membership_ensure(link.organization, user, link.role, actor=user)
