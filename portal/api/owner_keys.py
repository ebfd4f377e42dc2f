"""Keys of the organization. Private halves come in and never go out."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import OwnerKey
from devices.models.keys import KIND_CHOICES
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import (
    PEM_MAX_LENGTH,
    certificate_pem,
    owner_key_import,
    owner_key_make,
    owner_key_pem,
    owner_key_retire,
    owner_key_rotate,
    public_key_pem,
)
from portal.api.base import ReadViewSet, StrictSerializer


class OwnerKeySerializer(serializers.ModelSerializer[OwnerKey]):
    """A key pair: what is public about it. ``fingerprint`` is the SHA-256 of the SubjectPublicKeyInfo."""

    certified = serializers.SerializerMethodField(help_text="Whether it has a certificate")

    class Meta:
        model = OwnerKey
        fields = (
            "id", "name", "kind", "encoding", "pss", "purpose", "fingerprint", "backend", "certified", "state",
            "created_at", "retired_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_certified(self, key: OwnerKey) -> bool:
        """Of the device CA, and of a key that vouchers carry as X5CHAIN."""
        return bool(key.certificate)


class OwnerKeyNew(StrictSerializer):
    """A key to make; with ``pem`` one to bring along."""

    kind = serializers.ChoiceField(
        KIND_CHOICES, required=False, help_text="Of a key that is made here; P-256 if left out"
    )
    encoding = serializers.ChoiceField(
        OwnerKey.Encoding.choices, required=False, help_text="How vouchers carry it"
    )
    pss = serializers.BooleanField(required=False, help_text="RSA signatures are PSS")
    purpose = serializers.ChoiceField(OwnerKey.Purpose.choices, required=False)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    pem = serializers.CharField(
        max_length=PEM_MAX_LENGTH,
        required=False,
        write_only=True,
        trim_whitespace=False,
        help_text="A private key of your own, with its certificate after it if it has one",
    )
    password = serializers.CharField(
        max_length=1024, required=False, write_only=True, trim_whitespace=False, help_text="Of `pem`"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A key that is brought along has its kind, and only such a one has a password."""
        for field in ("kind",) if "pem" in attrs else ("password",):
            if field in attrs:
                raise serializers.ValidationError({field: _("This does not go with the rest.")})
        return attrs


class PemFormat(serializers.Serializer[Any]):
    """Which public half."""

    type = serializers.ChoiceField(
        ("key", "certificate"),
        required=False,
        help_text="Left out: what whoever extends vouchers to you needs, which with X5CHAIN is the certificate",
    )


@extend_schema(tags=["owner keys"])
class OwnerKeyViewSet(ReadViewSet):
    """Owner keys, manufacturer keys and device CAs of the organization."""

    queryset = OwnerKey.objects.defer("sealed")
    serializer_class = OwnerKeySerializer

    @extend_schema(request=OwnerKeyNew, responses={201: OwnerKeySerializer})
    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one, or bring one along. A manufacturer key of your own is trusted from the start."""
        body = self.body(OwnerKeyNew)
        if "pem" in body:
            pem, password = body.pop("pem").encode(), body.pop("password", "")
            key = owner_key_import(self.organization, self.person, pem, password, **body)
        else:
            key = owner_key_make(self.organization, self.person, body.pop("kind", "P-256"), **body)
        return self._made(key)

    @extend_schema(operation_id="owner_keys_rotate", request=None, responses={201: OwnerKeySerializer})
    @action(detail=True, methods=["post"])
    @transaction.atomic
    def rotate(self, request: Request, pk: str) -> Response:
        """Make a key like this one, which retires. Answers the new one."""
        return self._made(owner_key_rotate(self.get_object(), self.person))

    @extend_schema(operation_id="owner_keys_retire", request=None, responses=OwnerKeySerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """Nothing new is done with it; the vouchers that it holds it still serves."""
        return Response(self.get_serializer(owner_key_retire(self.get_object(), self.person)).data)

    @extend_schema(
        operation_id="owner_keys_pem",
        parameters=[PemFormat],
        responses={(200, "application/x-pem-file"): OpenApiTypes.BINARY},
    )
    @action(detail=True)
    def pem(self, request: Request, pk: str) -> HttpResponse:
        """The public half: the key, or its certificate."""
        key = self.get_object()
        kind = self.filters(PemFormat).get("type", "")
        if kind == "certificate" and not key.certificate:
            raise NotFound
        texts = {"key": public_key_pem, "certificate": certificate_pem, "": owner_key_pem}
        answer = HttpResponse(texts[kind](key), content_type="application/x-pem-file")
        answer["Content-Disposition"] = f'attachment; filename="{key.purpose}-{key.fingerprint[:16]}.pem"'
        return answer

    def _made(self, key: OwnerKey) -> Response:
        if key.purpose == OwnerKey.Purpose.MANUFACTURER:
            manufacturer_trust(self.organization, self.person, bytes(key.public), str(self.organization))
        return Response(self.get_serializer(key).data, status=201)
