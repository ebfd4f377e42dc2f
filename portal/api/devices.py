"""Devices: what the organization has, and what a person changes about it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.engine.models import Event, Session
from devices.models import Device, DeviceState, Identifier, Onboarding, Plan
from devices.selectors.devices import devices_query
from portal import catalogue
from portal.api.base import ReadViewSet, StrictSerializer
from portal.api.pagination import NewestFirst, OldestFirst
from portal.api.permissions import Right, membership_of
from portal.api.sessions import SHOWN, EventSerializer, SessionSerializer
from portal.deeds import device_change, device_remove


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


class OwnPlanField(serializers.PrimaryKeyRelatedField[Plan]):
    """A plan of the organization, by id."""

    def get_queryset(self) -> QuerySet[Plan]:
        """Another organization's plan does not exist."""
        membership = membership_of(self.context["request"])
        return (
            Plan.objects.filter(organization=membership.organization) if membership else Plan.objects.none()
        )


class DeviceChange(StrictSerializer):
    """What a person may change."""

    name = serializers.CharField(max_length=80, allow_blank=True)
    room = serializers.CharField(max_length=80, allow_blank=True)
    plan = OwnPlanField(
        queryset=Plan.objects.none(), allow_null=True, help_text="null: the organization's default plan"
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
        return self.page(devices_query(self.organization, **self.filters(DeviceFilter)), DeviceSerializer)

    @extend_schema(request=DeviceChange, responses=DeviceSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Name, room, plan; what is not sent stays."""
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
