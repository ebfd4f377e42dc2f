"""Ownership vouchers: handed in as files, shown with their history and registrations, handed on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.bindings.vouchers.hand_over import voucher_delete, voucher_extend, voucher_restore
from bootstrap.bindings.vouchers.jobs import import_create
from bootstrap.bindings.vouchers.register import register_now
from devices.models import Registration, Voucher
from portal.api.base import ReadViewSet, StrictSerializer
from portal.api.jobs import JobSerializer
from portal.api.parsers import StrictJSONParser
from portal.api.permissions import Right
from portal.api.uploads import BareParser, upload_of
from portal.ring import ring_after_commit
from portal.voucher_view import VoucherView, voucher_file

OWNER_MAX_LENGTH = 64 * 1024


class RegistrationSerializer(serializers.ModelSerializer[Registration]):
    """Where the owner is registered for a voucher (TO0), until when, and what went wrong."""

    class Meta:
        model = Registration
        fields = (
            "id", "url", "state", "lease_until", "next_at", "attempts", "last_error_code", "last_error",
            "registered_at",
        )  # fmt: skip
        read_only_fields = fields


VOUCHER_FIELDS = (
    "id", "guid", "serial", "device_info", "state", "origin", "current", "entries", "device", "job",
    "previous", "manufacturer_fingerprint", "owner_fingerprint", "digest", "created_at", "deleted_at",
    "registrations",
)  # fmt: skip


class VoucherSerializer(serializers.ModelSerializer[Voucher]):
    """One ownership voucher. ``digest`` is the SHA-256 of its octets."""

    registrations = RegistrationSerializer(many=True, read_only=True)

    class Meta:
        model = Voucher
        fields = VOUCHER_FIELDS
        read_only_fields = fields


class KeyShown(serializers.Serializer[Any]):
    """A public key in a voucher."""

    role = serializers.CharField(help_text="`manufacturer`, or the number of the entry that names it")
    kind = serializers.CharField()
    encoding = serializers.CharField()
    fingerprint = serializers.CharField(help_text="SHA-256 of the SubjectPublicKeyInfo")
    name = serializers.CharField(allow_blank=True, help_text="Of a key that this organization knows")
    ours = serializers.BooleanField()


class FindingShown(serializers.Serializer[Any]):
    """Something in the voucher that will not work, or may not."""

    code = serializers.CharField()
    sentence = serializers.CharField()
    fix = serializers.CharField()
    where = serializers.CharField(allow_blank=True)


class VoucherWhole(VoucherSerializer):
    """One voucher as it reads: its chain of owners, its rendezvous directives in words, and what is odd."""

    owners = KeyShown(many=True, source="view.owners")
    rendezvous = serializers.ListField(child=serializers.CharField(), source="view.rendezvous")
    certificates = serializers.ListField(child=serializers.CharField(), source="view.certificates")
    findings = FindingShown(many=True, source="view.findings")

    class Meta:
        model = Voucher
        fields = (*VOUCHER_FIELDS, "owners", "rendezvous", "certificates", "findings")
        read_only_fields = fields


class VoucherFilter(serializers.Serializer[Any]):
    """What ``GET /vouchers`` takes."""

    q = serializers.CharField(
        required=False, allow_blank=True, max_length=120, help_text="Start of a GUID, serial or device info"
    )
    state = serializers.ChoiceField(Voucher.State.choices, required=False, allow_blank=True)
    job = serializers.IntegerField(required=False, min_value=1, max_value=10**18 - 1)
    device = serializers.IntegerField(required=False, min_value=1, max_value=10**18 - 1)


class FileFormat(serializers.Serializer[Any]):
    """PEM to send on, CBOR for programs."""

    type = serializers.ChoiceField(("pem", "cbor"), required=False, default="pem")


class ExtendNew(StrictSerializer):
    """The next owner."""

    owner = serializers.CharField(
        max_length=OWNER_MAX_LENGTH,
        trim_whitespace=False,
        help_text="PEM: a public key, a certificate, or a chain with the owner's certificate first",
    )


class Registered(serializers.Serializer[Any]):
    """How many registrations will be tried at once."""

    due = serializers.IntegerField()


FORM = {
    "multipart/form-data": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, "label": {"type": "string"}},
    },
    "application/octet-stream": OpenApiTypes.BINARY,
}


@extend_schema(tags=["vouchers"])
class VoucherViewSet(ReadViewSet):
    """The organization's ownership vouchers."""

    queryset = Voucher.objects.defer("content").prefetch_related(
        Prefetch("registrations", Registration.objects.order_by("pk"))
    )
    serializer_class = VoucherSerializer
    parser_classes = [StrictJSONParser, MultiPartParser, BareParser]
    right_to_write = Right.CLAIM
    open_to_vouchers_tokens = frozenset({"list", "retrieve", "create", "files"})

    @extend_schema(parameters=[VoucherFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first."""
        return self.page(
            vouchers_found(self.get_queryset(), **self.filters(VoucherFilter)), VoucherSerializer
        )

    @extend_schema(responses=VoucherWhole)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One, taken apart."""
        voucher = self.get_object()
        voucher.view = VoucherView.of(voucher)
        return Response(VoucherWhole(voucher, context=self.get_serializer_context()).data)

    @extend_schema(request=FORM, responses={202: JobSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Hand in vouchers: PEM (any number of blocks), CBOR, zip or tar.gz, in a form's field `file` or as the
        bare body. Answers a job at once; `GET /jobs/{id}` says how it goes. The same file twice adds nothing.
        """
        chunks, name = upload_of(request)
        return self._queued(chunks, name, str(request.POST.get("label", "")))

    @extend_schema(
        operation_id="vouchers_files_put",
        parameters=[OpenApiParameter("name", str, OpenApiParameter.PATH, description="What to call it")],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={202: JobSerializer},
    )
    @action(detail=False, methods=["put"], url_path="files/(?P<name>[^/]+)", parser_classes=[BareParser])
    def files(self, request: Request, name: str) -> Response:
        """The same as `curl -T lot.pem https://…/api/v1/vouchers/files/` sends it."""
        chunks, _name = upload_of(request)
        return self._queued(chunks, name, "")

    def _queued(self, chunks: Iterable[bytes], name: str, label: str) -> Response:
        if "\0" in name + label:
            raise ParseError
        job = import_create(self.organization, self.person, chunks, name, label=label)
        ring_after_commit()
        shown = JobSerializer(job, context=self.get_serializer_context())
        return Response(shown.data, status=202, headers={"Location": f"/api/v1/jobs/{job.pk}"})

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take it out of use. `restore` brings it back."""
        voucher_delete(self.get_object(), self.person)
        return Response(status=204)

    @extend_schema(operation_id="vouchers_restore", request=None, responses=VoucherSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Back into use, as it was."""
        row = voucher_restore(self.get_object(), self.person)
        ring_after_commit()
        return self._shown(row)

    @extend_schema(operation_id="vouchers_extend", request=ExtendNew, responses={201: VoucherSerializer})
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, pk: str) -> Response:
        """Sell the device on: a new voucher that ends in the next owner's key. Download it with `file`."""
        sold = voucher_extend(self.get_object(), self.person, self.body(ExtendNew)["owner"].encode())
        return self._shown(sold, status=201)

    @extend_schema(operation_id="vouchers_register", request=None, responses=Registered)
    @action(detail=True, methods=["post"])
    def register(self, request: Request, pk: str) -> Response:
        """Register at every rendezvous server of the voucher now, whatever the schedule says."""
        due = register_now(self.get_object(), self.person)
        ring_after_commit()
        return Response({"due": due})

    @extend_schema(
        operation_id="vouchers_file",
        parameters=[FileFormat],
        responses={
            (200, "application/x-pem-file"): OpenApiTypes.BINARY,
            (200, "application/cbor"): OpenApiTypes.BINARY,
        },
    )
    @action(detail=True)
    def file(self, request: Request, pk: str) -> HttpResponse:
        """The voucher itself: `?type=pem` or `?type=cbor`."""
        return voucher_file(self.get_object(), self.filters(FileFormat)["type"])

    @extend_schema(operation_id="vouchers_history", responses=VoucherSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def history(self, request: Request, pk: str) -> Response:
        """Every voucher that the device ever had here, newest first."""
        voucher = self.get_object()
        rows = self.get_queryset().filter(
            Q(pk=voucher.pk) | Q(device=voucher.device_id, device__isnull=False)
        )
        return Response(VoucherSerializer(rows.order_by("-pk")[:500], many=True).data)

    def _shown(self, row: Voucher, status: int = 200) -> Response:
        return Response(self.get_serializer(row).data, status=status)


def vouchers_found(rows: QuerySet[Voucher], **wanted: Any) -> QuerySet[Voucher]:
    """Those that fit; pages use it too. Prefixes only, so that an index serves them."""
    q = str(wanted.pop("q", "")).strip()
    rows = rows.filter(**wanted)
    if not q:
        return rows
    guid = q.replace("-", "").lower()
    return rows.filter(Q(guid__startswith=guid) | Q(serial__istartswith=q) | Q(device_info__istartswith=q))
