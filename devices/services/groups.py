"""Groups: devices of an organization that get the same things."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from devices.models import Group, Organization, Plan, User
from devices.services.audit import audit_write
from devices.services.revision import revision_bump


@transaction.atomic
def group_save(
    organization: Organization,
    actor: User | None,
    *,
    name: str,
    plan: Plan | None = None,
    group: Group | None = None,
) -> Group:
    """Make a group, or give one another name or plan. Raises ValidationError by field."""
    if plan is not None and plan.organization_id != organization.pk:
        raise ValidationError({"plan": _("This plan does not exist.")})
    row = group or Group(organization=organization)
    before = (row.name, row.plan_id)
    row.name, row.plan = name.strip(), plan
    row.clean_fields(exclude=["organization"])
    if Group.objects.filter(organization=organization, name=row.name).exclude(pk=row.pk).exists():
        raise ValidationError({"name": _("Another group has this name.")})
    if row.pk is None or before != (row.name, row.plan_id):
        row.save()
        audit_write(organization, actor, "group.saved", row, plan=str(plan or ""))
        revision_bump()
    return row


@transaction.atomic
def group_delete(group: Group, actor: User | None) -> None:
    """Its devices stay, without a group."""
    audit_write(group.organization, actor, "group.deleted", group)
    group.delete()
    revision_bump()
