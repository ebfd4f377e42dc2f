"""Fields that several nouns share."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from rest_framework import serializers

from portal.api.permissions import membership_of


class OwnField(serializers.PrimaryKeyRelatedField[Any]):
    """A row of the organization, by id; give it the model's empty ``queryset``. Another organization's row does
    not exist."""

    def get_queryset(self) -> QuerySet[Any]:
        """The organization's own."""
        membership = membership_of(self.context["request"])
        rows: QuerySet[Any] = cast(Any, self).queryset.model._default_manager.all()
        return rows.filter(organization=membership.organization) if membership else rows.none()
