"""Claims: a person saying "mine", in both directions, and who waits to be claimed."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.bindings import claims
from bootstrap.bindings.codes import CODE_MAX_LENGTH
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from devices.models import Claim, Device, DeviceState
from portal.api.base import ID_MAX, OrganizationViewSet, ReadViewSet, StrictSerializer
from portal.api.permissions import Right
from portal.deeds import device_change

HARMLESS = (ClaimProblem.ALREADY_MINE, ClaimProblem.ALREADY_RECEIVED)
"""The same person sent the same thing again: the claim it made is the answer."""


class ClaimedDevice(serializers.ModelSerializer[Device]):
    """The device of a claim, in short."""

    class Meta:
        model = Device
        fields = ("id", "name", "serial", "manufacturer", "model", "state", "step", "reason")
        read_only_fields = fields


CLAIM_FIELDS = ("id", "device", "session", "direction", "assurance", "state", "created_at", "expires_at")


class ClaimSerializer(serializers.ModelSerializer[Claim]):
    """A person saying "mine", with the assurance that the evidence gives."""

    device = ClaimedDevice(read_only=True)
    session = serializers.IntegerField(source="session_id", read_only=True)

    class Meta:
        model = Claim
        fields = CLAIM_FIELDS
        read_only_fields = fields


class ClaimMade(ClaimSerializer):
    """A claim just made; with ``code`` when the device is to read one."""

    code = serializers.CharField(
        required=False, read_only=True, help_text="The URL that the device reads; shown this once"
    )

    class Meta:
        model = Claim
        fields = (*CLAIM_FIELDS, "code")
        read_only_fields = fields


class CodeSerializer(StrictSerializer):
    """Whatever was scanned or typed."""

    code = serializers.CharField(max_length=CODE_MAX_LENGTH)


class ClaimNew(StrictSerializer):
    """Either ``code``, which the device showed; or ``serial`` or ``session``, to get a code it can read."""

    code = serializers.CharField(max_length=CODE_MAX_LENGTH, required=False, help_text="As scanned or typed")
    serial = serializers.CharField(max_length=120, required=False, help_text="As printed on the device")
    session = serializers.IntegerField(
        min_value=1, max_value=ID_MAX, required=False, help_text="Of a device in `/waiting`"
    )
    direction = serializers.ChoiceField(Claim.Direction.choices, required=False)
    merge = serializers.BooleanField(
        required=False,
        allow_null=True,
        help_text="After CLM-113: true when it is the same device after a reset, false to add it as another",
    )
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    room = serializers.CharField(max_length=80, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one piece of evidence, and a direction that goes with it."""
        given = [field for field in ("code", "serial", "session") if field in attrs]
        if len(given) != 1:
            raise serializers.ValidationError(_("Send one of code, serial and session."))
        fitting = Claim.Direction.DEVICE_TO_SERVER if "code" in attrs else Claim.Direction.SERVER_TO_DEVICE
        if attrs.setdefault("direction", fitting) != fitting:
            raise serializers.ValidationError({"direction": _("This goes with another direction.")})
        return attrs


class CandidateSerializer(serializers.Serializer[Any]):
    """A device before anybody says yes. Serial, manufacturer and model are its own word, or its voucher's."""

    session = serializers.IntegerField(source="session_id")
    method = serializers.CharField()
    serial = serializers.CharField(allow_blank=True)
    manufacturer = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    via = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    created_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField(allow_null=True, help_text="null: never switched on")
    next_at = serializers.DateTimeField(allow_null=True, help_text="When it checks in again")
    phase = serializers.CharField()
    own_way = serializers.BooleanField(help_text="Came through the organization's own access point or realm")
    expected = serializers.BooleanField(allow_null=True, help_text="On the serial list; null: no list")
    merge_with = serializers.IntegerField(allow_null=True, help_text="Your device with the same serial")
    shows_code = serializers.BooleanField()
    reads_code = serializers.BooleanField()
    state = serializers.ChoiceField(DeviceState.choices, help_text="Of the device")
    guid = serializers.CharField(allow_blank=True, help_text="Of an FDO device")


@extend_schema(tags=["claims"])
class ClaimViewSet(ReadViewSet):
    """The organization's claims."""

    queryset = Claim.objects.select_related("device")
    serializer_class = ClaimSerializer
    right_to_write = Right.CLAIM

    def permission_denied(self, request: Request, message: Any = None, code: Any = None) -> NoReturn:
        """A role that may not claim hears it in the words of a claim."""
        if getattr(request, "membership", None):
            raise ClaimRefused(ClaimProblem.NO_RIGHT)
        super().permission_denied(request, message, code)

    @extend_schema(request=ClaimNew, responses={200: ClaimMade, 201: ClaimMade})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Claim a device by its code, or get a code for it to read. Sending the same code again is answered
        with 200 and the claim that it made.
        """
        body = self.body(ClaimNew)
        if "code" not in body:
            return self._offer(body)
        extra = {field: body[field] for field in ("merge", "name", "room") if field in body}
        try:
            device = claims.confirm(body["code"], self.membership, **extra)
        except ClaimRefused as refused:
            known = self._known(refused)
            if known is None:
                raise
            return Response(ClaimSerializer(known).data)
        claim = self.get_queryset().filter(device=device).latest("id")
        return Response(ClaimSerializer(claim).data, status=201)

    def _known(self, refused: ClaimRefused) -> Claim | None:
        """The claim that the same code made before, when repeating it is harmless."""
        if refused.problem not in HARMLESS:
            return None
        return self.get_queryset().filter(device_id=refused.detail.get("device")).order_by("-id").first()

    @transaction.atomic
    def _offer(self, body: dict[str, Any]) -> Response:
        """Server-to-device: the code goes out in this answer and is kept nowhere in clear."""
        offer = claims.offer(
            self.membership,
            serial=body.get("serial", ""),
            session_id=body.get("session"),
            merge=body.get("merge"),
        )
        claim = self.get_queryset().get(pk=offer.claim_id)
        wanted = {field: body[field] for field in ("name", "room") if body.get(field)}
        if wanted:
            device_change(claim.device, self.membership, **wanted)
        return Response(ClaimSerializer(claim).data | {"code": offer.code}, status=201)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Withdraw a code that the device has not read yet; a claim that went further stays as it is."""
        claim = self.get_object()
        if claim.state != Claim.State.OPEN:
            raise ClaimRefused(ClaimProblem.ALREADY_RECEIVED, device=claim.device_id)
        claims.cancel(claim, self.membership)
        return Response(status=204)

    @extend_schema(operation_id="claims_look", request=CodeSerializer, responses={200: CandidateSerializer})
    @action(detail=False, methods=["post"])
    def look(self, request: Request) -> Response:
        """What this code would claim. Claims nothing and counts no try."""
        candidate = claims.look(self.body(CodeSerializer)["code"], self.membership)
        return Response(CandidateSerializer(candidate).data)


@extend_schema_serializer(many=False)
class WaitingSerializer(serializers.Serializer[Any]):
    """Those who wait, newest first, in one page."""

    results = CandidateSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Always null")


@extend_schema(tags=["claims"])
class WaitingViewSet(OrganizationViewSet):
    """Strangers that came the organization's own way and wait for a person."""

    queryset: QuerySet[Any] = Claim.objects.none()
    serializer_class = WaitingSerializer
    pagination_class = None

    @extend_schema(operation_id="waiting_list", responses=WaitingSerializer)
    def list(self, request: Request) -> Response:
        """At most 100 devices that came through the organization's own access points and realms."""
        found = claims.waiting(self.organization)
        return Response({"results": CandidateSerializer(found, many=True).data, "next": None})
