"""The audit log: who did what to which."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import AuditEntry
from devices.services.audit import audit_verify
from portal.api.base import OrganizationViewSet


class AuditSerializer(serializers.ModelSerializer[AuditEntry]):
    """One deed. ``digest`` covers it and ``previous``, the digest of the one before."""

    detail = serializers.DictField()

    class Meta:
        model = AuditEntry
        fields = ("id", "at", "actor_name", "action", "target", "detail", "previous", "digest")
        read_only_fields = fields


class AuditVerdict(serializers.Serializer[Any]):
    """Whether the whole chain holds."""

    ok = serializers.BooleanField()
    broken_at = serializers.IntegerField(allow_null=True, help_text="id of the first entry that does not fit")


@extend_schema(tags=["audit"])
class AuditViewSet(mixins.ListModelMixin, OrganizationViewSet):
    """The organization's audit log, newest first."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditSerializer

    @extend_schema(operation_id="audit_verify", responses=AuditVerdict)
    @action(detail=False, pagination_class=None)
    def verify(self, request: Request) -> Response:
        """Compute the chain again from its first entry."""
        broken = audit_verify(self.organization)
        return Response({"ok": broken is None, "broken_at": broken})
