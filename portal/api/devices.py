"""Devices: what the organization has, and what a person changes about it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.engine.models import Event, Session
from devices.models import Device, DeviceFile, DeviceState, Group, Identifier, Onboarding, Plan
from devices.selectors.devices import devices_query
from devices.services.devices import TAG_MAX_LENGTH
from portal import catalogue
from portal.api.base import ID_MAX, ID_PATTERN, ReadViewSet, StrictSerializer
from portal.api.fields import OwnField
from portal.api.pagination import NewestFirst, OldestFirst
from portal.api.permissions import Right
from portal.api.sessions import SHOWN, EventSerializer, SessionSerializer
from portal.deeds import device_change, device_remove
from portal.downloads import file_answer


class IdentifierSerializer(serializers.ModelSerializer[Identifier]):
    """A name that finds the device."""

    class Meta:
        model = Identifier
        fields = ("kind", "value")
        read_only_fields = fields


class ItemResultSerializer(serializers.Serializer[Any]):
    """What became of one item of the plan, as the device reported."""

    id = serializers.CharField()
    ok = serializers.BooleanField()
    detail = serializers.CharField(required=False, allow_blank=True)


class OnboardingSerializer(serializers.ModelSerializer[Onboarding]):
    """How far the device is on its way to operational."""

    plan_version = serializers.IntegerField(
        source="plan_version.number", default=None, allow_null=True, read_only=True
    )
    results = ItemResultSerializer(many=True)

    class Meta:
        model = Onboarding
        fields = ("step", "started_at", "step_since", "finished_at", "reminders", "plan_version", "results")
        read_only_fields = fields


class DeviceSerializer(serializers.ModelSerializer[Device]):
    """One physical thing. ``reason`` is a code of the catalogue and says why it is stuck."""

    sentence = serializers.SerializerMethodField(help_text="`reason` for people; empty unless there is one")
    fix = serializers.SerializerMethodField(help_text="What to do about it")
    onboarding = OnboardingSerializer(read_only=True, allow_null=True)
    identifiers = IdentifierSerializer(many=True, read_only=True)
    tags = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Device
        fields = (
            "id",
            "name",
            "room",
            "serial",
            "serial_confirmed",
            "manufacturer",
            "model",
            "method",
            "via",
            "plan",
            "group",
            "tags",
            "state",
            "step",
            "reason",
            "sentence",
            "fix",
            "seen_at",
            "state_since",
            "created_at",
            "onboarding",
            "identifiers",
        )
        read_only_fields = fields

    def get_sentence(self, device: Device) -> str:
        """From the catalogue, in the language of the request."""
        return catalogue.reason(device.reason).sentence if device.reason else ""

    def get_fix(self, device: Device) -> str:
        """From the same entry."""
        return catalogue.reason(device.reason).fix if device.reason else ""


class DeviceFileSerializer(serializers.ModelSerializer[DeviceFile]):
    """A file that the device sent. Its name is the device's own word."""

    class Meta:
        model = DeviceFile
        fields = ("id", "name", "length", "sha384", "received_at")
        read_only_fields = fields


class DeviceChange(StrictSerializer):
    """What a person may change."""

    name = serializers.CharField(max_length=80, allow_blank=True)
    room = serializers.CharField(max_length=80, allow_blank=True)
    plan = OwnField(
        queryset=Plan.objects.none(),
        allow_null=True,
        help_text="null: the group's plan, else the organization's default one",
    )
    group = OwnField(queryset=Group.objects.none(), allow_null=True)
    tags = serializers.DictField(
        child=serializers.CharField(max_length=TAG_MAX_LENGTH, trim_whitespace=False),
        help_text="All of them: short texts by name",
    )


class DeviceFilter(serializers.Serializer[Any]):
    """What ``GET /devices`` takes."""

    q = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=120,
        help_text="Part of a name, room, serial, maker, model",
    )
    state = serializers.ChoiceField(DeviceState.choices, required=False, allow_blank=True)
    serial = serializers.CharField(
        required=False, allow_blank=True, max_length=120, help_text="Exactly this serial"
    )
    method = serializers.CharField(required=False, allow_blank=True, max_length=32)
    group = serializers.IntegerField(required=False, min_value=1, max_value=ID_MAX)


@extend_schema(tags=["devices"])
class DeviceViewSet(ReadViewSet):
    """The organization's devices."""

    queryset = Device.objects.all()
    serializer_class = DeviceSerializer
    right_to_write = Right.CLAIM

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The selector's joins, so that a page of devices costs two statements."""
        return devices_query(self.organization)

    @extend_schema(parameters=[DeviceFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first."""
        wanted = self.filters(DeviceFilter)
        group = {"group": wanted.pop("group")} if "group" in wanted else {}
        return self.page(devices_query(self.organization, **wanted).filter(**group), DeviceSerializer)

    @extend_schema(request=DeviceChange, responses=DeviceSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Name, room, plan, group, tags; what is not sent stays."""
        device = device_change(self.get_object(), self.membership, **self.body(DeviceChange, partial=True))
        return Response(self.get_serializer(device).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Retire it: out of service for good, its history stays."""
        device_remove(self.get_object(), self.membership)
        return Response(status=204)

    @extend_schema(operation_id="devices_events_list", responses=EventSerializer(many=True))
    @action(detail=True, pagination_class=OldestFirst)
    def events(self, request: Request, pk: str) -> Response:
        """The device's timeline over all its sessions, oldest first; `after` an id gives what is new."""
        return self.page(Event.objects.filter(device=self.get_object()), EventSerializer)

    @extend_schema(operation_id="devices_sessions_list", responses=SessionSerializer(many=True))
    @action(detail=True, pagination_class=NewestFirst)
    def sessions(self, request: Request, pk: str) -> Response:
        """Every session the device ever had, newest first."""
        return self.page(Session.objects.only(*SHOWN).filter(device=self.get_object()), SessionSerializer)

    @extend_schema(operation_id="devices_files_list", responses=DeviceFileSerializer(many=True))
    @action(detail=True, pagination_class=NewestFirst)
    def files(self, request: Request, pk: str) -> Response:
        """What the device sent, newest first: files that its plan collects, and what commands wrote."""
        return self.page(
            DeviceFile.objects.defer("sealed").filter(device=self.get_object()), DeviceFileSerializer
        )

    @extend_schema(
        operation_id="devices_files_download",
        parameters=[OpenApiParameter("file", int, OpenApiParameter.PATH)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(detail=True, url_path=f"files/(?P<file>{ID_PATTERN})")
    def download(self, request: Request, pk: str, file: str) -> HttpResponse:
        """One of them."""
        found = DeviceFile.objects.filter(device=self.get_object(), pk=int(file)).first()
        if found is None:
            raise Http404
        return file_answer(found)
