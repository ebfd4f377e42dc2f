"""Who belongs to an organization, and in which role."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from devices.models import ApiToken, Membership, Role
from devices.services.audit import audit_write


def role_grant_check(actor: Membership, role: str) -> None:
    """Only an owner makes owners; raises PermissionDenied."""
    if role == Role.OWNER and actor.role != Role.OWNER:
        raise PermissionDenied(_("Only an owner can do this to an owner."))


def _last_owner_check(membership: Membership) -> None:
    """Raises ValidationError when nobody else owns the organization. Locks the owners meanwhile."""
    owners = Membership.objects.select_for_update().filter(
        organization_id=membership.organization_id, role=Role.OWNER
    )
    if membership.role == Role.OWNER and len(owners) < 2:
        raise ValidationError({"role": _("An organization needs at least one owner.")})


@transaction.atomic
def membership_role_change(membership: Membership, actor: Membership, role: str) -> Membership:
    """Give a member another role. The last owner stays owner."""
    if role not in Role.values:
        raise ValidationError({"role": _("There is no such role.")})
    if role == membership.role:
        return membership
    role_grant_check(actor, role)
    role_grant_check(actor, membership.role)
    _last_owner_check(membership)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    audit_write(
        membership.organization,
        actor.user,
        "member.role-changed",
        membership.user.email,
        role=role,
        before=before,
    )
    return membership


@transaction.atomic
def membership_remove(membership: Membership, actor: Membership) -> None:
    """Take a person, and their tokens, out of the organization. The last owner stays."""
    if membership.pk != actor.pk:
        role_grant_check(actor, membership.role)
    _last_owner_check(membership)
    ApiToken.objects.filter(organization_id=membership.organization_id, user_id=membership.user_id).delete()
    audit_write(
        membership.organization, actor.user, "member.removed", membership.user.email, role=membership.role
    )
    membership.delete()
