"""What the organization does in FIDO Device Onboard: one object with its settings."""

from __future__ import annotations

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.bindings.fdo.policy import own_url
from devices.models import FdoSettings
from devices.models.keys import KIND_CHOICES
from devices.services.fdo import (
    FIELDS,
    LIST_MAX,
    URL_MAX_LENGTH,
    di_token_renew,
    fdo_settings,
    fdo_settings_save,
    fdo_setup,
)
from portal.api.base import OrganizationViewSet, StrictSerializer
from portal.api.permissions import membership_of

LEASE_MAX_SECONDS = 2**32 - 1


@extend_schema_serializer(many=False)
class FdoSerializer(serializers.ModelSerializer[FdoSettings]):
    """Roles, addresses and policies."""

    di_networks = serializers.ListField(child=serializers.CharField(), read_only=True)
    rendezvous_urls = serializers.ListField(child=serializers.CharField(), read_only=True)
    di_address = serializers.SerializerMethodField(
        help_text="Where devices are initialized; empty while there is none, and for viewers"
    )

    class Meta:
        model = FdoSettings
        fields = (*FIELDS, "di_address")
        read_only_fields = fields

    def get_di_address(self, row: FdoSettings) -> str:
        """Whoever knows it can make devices of this organization."""
        membership = membership_of(self.context["request"])
        token = row.di_token if membership is not None and membership.may_claim else ""
        return f"{own_url()}/di/{token}" if token else ""


class FdoChange(StrictSerializer):
    """What an admin may change."""

    manufacturer_on = serializers.BooleanField(help_text="Make vouchers here (DI)")
    rendezvous_on = serializers.BooleanField(help_text="Tell devices who owns them (TO0, TO1)")
    owner_on = serializers.BooleanField(help_text="Onboard devices (TO2)")
    di_default = serializers.BooleanField(help_text="Devices that name no organization are ours")
    di_networks = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=LIST_MAX, help_text="Empty: from anywhere"
    )
    di_key_kind = serializers.ChoiceField(KIND_CHOICES)
    rendezvous_urls = serializers.ListField(
        child=serializers.CharField(max_length=URL_MAX_LENGTH),
        max_length=LIST_MAX,
        help_text="For new credentials; empty: the portal itself",
    )
    to0_wait_seconds = serializers.IntegerField(min_value=60, max_value=LEASE_MAX_SECONDS)
    reuse_credentials = serializers.BooleanField(help_text="Devices keep GUID and voucher")
    rv_max_wait_seconds = serializers.IntegerField(min_value=60, max_value=LEASE_MAX_SECONDS)
    rv_admission = serializers.ChoiceField(FdoSettings.Admission.choices)
    service_info_max = serializers.IntegerField(min_value=256, max_value=64_000)


class FdoSetup(StrictSerializer):
    """How to begin."""

    rendezvous = serializers.CharField(
        max_length=URL_MAX_LENGTH, required=False, help_text="Left out: what is set, else the portal itself"
    )
    key_kind = serializers.ChoiceField(KIND_CHOICES, required=False, help_text="P-256 if left out")


@extend_schema(tags=["fdo"])
class FdoViewSet(OrganizationViewSet):
    """The organization's FDO settings: one object, always there."""

    queryset = FdoSettings.objects.all()
    serializer_class = FdoSerializer
    pagination_class = None

    @extend_schema(operation_id="fdo", responses=FdoSerializer)
    def list(self, request: Request) -> Response:
        """The settings."""
        return self._shown(fdo_settings(self.organization))

    @extend_schema(operation_id="fdo_change", request=FdoChange, responses=FdoSerializer)
    def change(self, request: Request) -> Response:
        """Change some; what is not sent stays. `manufacturer_on` makes the keys that it needs."""
        body = self.body(FdoChange, partial=True)
        return self._shown(fdo_settings_save(self.organization, self.person, **body))

    @extend_schema(operation_id="fdo_setup", request=FdoSetup, responses=FdoSerializer)
    @action(detail=False, methods=["post"], url_path="setup")
    @transaction.atomic
    def set_up(self, request: Request) -> Response:
        """Manufacturer, rendezvous and owner in one step, with their keys. Twice is once."""
        body = self.body(FdoSetup)
        chosen = fdo_settings(self.organization).rendezvous_urls
        kind, rendezvous = body.get("key_kind", "P-256"), body.get("rendezvous", "")
        row = fdo_setup(self.organization, self.person, rendezvous=rendezvous, key_kind=kind)
        if chosen and not rendezvous:
            row = fdo_settings_save(self.organization, self.person, rendezvous_urls=chosen)
        return self._shown(row)

    @extend_schema(operation_id="fdo_renew", request=None, responses=FdoSerializer)
    @action(detail=False, methods=["post"])
    def renew(self, request: Request) -> Response:
        """Another DI address; the old one is nobody's from now on."""
        return self._shown(di_token_renew(self.organization, self.person))

    def _shown(self, row: FdoSettings) -> Response:
        return Response(self.get_serializer(row).data)
