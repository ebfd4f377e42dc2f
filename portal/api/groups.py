"""Groups: devices that get the same things."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import Group, Plan
from devices.services.groups import group_delete, group_save
from portal.api.base import ReadViewSet, StrictSerializer
from portal.api.fields import OwnField


class GroupSerializer(serializers.ModelSerializer[Group]):
    """Devices that share a plan. `GET /devices?group=` lists them."""

    class Meta:
        model = Group
        fields = ("id", "name", "plan", "created_at")
        read_only_fields = fields


class GroupChange(StrictSerializer):
    """What a group is made of."""

    name = serializers.CharField(max_length=80)
    plan = OwnField(
        queryset=Plan.objects.none(),
        allow_null=True,
        required=False,
        help_text="For its devices without one of their own; null: the organization's default plan",
    )


@extend_schema(tags=["groups"])
class GroupViewSet(ReadViewSet):
    """The organization's groups."""

    queryset = Group.objects.all()
    serializer_class = GroupSerializer

    @extend_schema(request=GroupChange, responses={201: GroupSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A new group."""
        group = group_save(self.organization, self.person, **self.body(GroupChange))
        return Response(self.get_serializer(group).data, status=201)

    @extend_schema(request=GroupChange, responses=GroupSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Another name or plan; what is not sent stays."""
        group = self.get_object()
        given = {"name": group.name, "plan": group.plan} | self.body(GroupChange, partial=True)
        group = group_save(self.organization, self.person, group=group, **given)
        return Response(self.get_serializer(group).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Its devices stay, without a group."""
        group_delete(self.get_object(), self.person)
        return Response(status=204)
