"""Plans: what devices should get."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import Plan, PlanVersion
from devices.services.plans import FIELDS, plan_delete, plan_save
from portal.api.base import ReadViewSet, StrictSerializer
from portal.api.permissions import membership_of

SECRET_FIELDS: dict[str, frozenset[str]] = {"network": frozenset({"passphrase"})}
"""Of an item's value, by kind: only those who may change a plan see them."""


class ItemSerializer(StrictSerializer):
    """One thing a device should get. Which fields ``value`` has depends on ``kind``; all are texts."""

    id = serializers.CharField(max_length=64, required=False, help_text="Given when left out")
    kind = serializers.ChoiceField(sorted(FIELDS))
    value = serializers.DictField(child=serializers.CharField(allow_blank=True, trim_whitespace=False))


class ItemsSerializer(serializers.Serializer[Any]):
    """Anything with items; those who may not change plans see no passphrases."""

    items = serializers.SerializerMethodField(help_text="Passphrases are shown to owners and admins only")

    @extend_schema_field(ItemSerializer(many=True))
    def get_items(self, row: Any) -> list[dict[str, Any]]:
        """The items as this reader may see them."""
        version = row if isinstance(row, PlanVersion) else row.current
        items: list[dict[str, Any]] = version.items if version else []
        membership = membership_of(self.context["request"])
        if membership is not None and membership.may_manage:
            return items
        return [
            item
            | {
                "value": {
                    k: v for k, v in item["value"].items() if k not in SECRET_FIELDS.get(item["kind"], ())
                }
            }
            for item in items
        ]


class PlanVersionSerializer(ItemsSerializer, serializers.ModelSerializer[PlanVersion]):
    """One unchangeable version of a plan."""

    class Meta:
        model = PlanVersion
        fields = ("number", "items", "created_at")
        read_only_fields = fields


class PlanSerializer(ItemsSerializer, serializers.ModelSerializer[Plan]):
    """A plan with its current items."""

    version = serializers.IntegerField(source="current.number", default=0, read_only=True)

    class Meta:
        model = Plan
        fields = ("id", "name", "is_default", "version", "items", "created_at")
        read_only_fields = fields


class PlanChange(StrictSerializer):
    """What a plan is made of."""

    name = serializers.CharField(max_length=80)
    items = ItemSerializer(many=True)
    is_default = serializers.BooleanField(required=False, help_text="Of devices without a plan of their own")


@extend_schema(tags=["plans"])
class PlanViewSet(ReadViewSet):
    """The organization's plans."""

    queryset = Plan.objects.select_related("current")
    serializer_class = PlanSerializer

    @extend_schema(request=PlanChange, responses={201: PlanSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A new plan; the first one becomes the default."""
        plan = plan_save(self.organization, self.person, **self.body(PlanChange))
        return Response(self.get_serializer(plan).data, status=201)

    @extend_schema(request=PlanChange, responses=PlanSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Other items make a new version; devices that have the old one keep it."""
        plan = self.get_object()
        given = {"name": plan.name, "items": plan.current.items if plan.current else []}
        plan_save(self.organization, self.person, plan=plan, **given | self.body(PlanChange, partial=True))
        return Response(self.get_serializer(plan).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete it with its versions; its devices fall back to the default plan."""
        plan_delete(self.get_object(), self.person)
        return Response(status=204)

    @extend_schema(operation_id="plans_versions_list", responses=PlanVersionSerializer(many=True))
    @action(detail=True)
    def versions(self, request: Request, pk: str) -> Response:
        """Every version, newest first."""
        return self.page(PlanVersion.objects.filter(plan=self.get_object()), PlanVersionSerializer)
