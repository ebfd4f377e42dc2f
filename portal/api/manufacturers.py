"""Manufacturers whose vouchers are accepted."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from devices.keys import fingerprint_of
from devices.models import TrustedManufacturer
from devices.services.fdo import manufacturer_distrust, manufacturer_trust
from devices.services.owner_keys import PEM_MAX_LENGTH, public_in, public_pem
from portal.api.base import ReadViewSet, StrictSerializer


class ManufacturerSerializer(serializers.ModelSerializer[TrustedManufacturer]):
    """A key that vouchers may begin with. ``fingerprint`` is the SHA-256 of the SubjectPublicKeyInfo."""

    pem = serializers.SerializerMethodField(help_text="The public key")

    class Meta:
        model = TrustedManufacturer
        fields = ("id", "name", "fingerprint", "pem", "created_at")
        read_only_fields = fields

    def get_pem(self, row: TrustedManufacturer) -> str:
        """As text."""
        return public_pem(bytes(row.public))


class ManufacturerNew(StrictSerializer):
    """Whom to trust. By fingerprint alone: `POST /jobs/{id}/trust`."""

    pem = serializers.CharField(
        max_length=PEM_MAX_LENGTH, trim_whitespace=False, help_text="A public key, or a certificate"
    )
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)


@extend_schema(tags=["manufacturers"])
class ManufacturerViewSet(ReadViewSet):
    """Manufacturers that the organization trusts."""

    queryset = TrustedManufacturer.objects.all()
    serializer_class = ManufacturerSerializer

    @extend_schema(
        request=ManufacturerNew, responses={200: ManufacturerSerializer, 201: ManufacturerSerializer}
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Accept vouchers that begin with this key. A known one may get another name and is answered with 200."""
        body = self.body(ManufacturerNew)
        public, _chain = public_in(body["pem"].encode())
        known = self.get_queryset().filter(fingerprint=fingerprint_of(public)).exists()
        row = manufacturer_trust(self.organization, self.person, public.der, body.get("name", ""))
        return Response(self.get_serializer(row).data, status=200 if known else 201)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Accept no more of its vouchers; those that are here stay."""
        manufacturer_distrust(self.get_object(), self.person)
        return Response(status=204)
