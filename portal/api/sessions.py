"""Sessions and their events: what devices said, under which protocol, and how far it got."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.engine.models import Event, Session
from portal import catalogue
from portal.api.base import ReadViewSet
from portal.api.pagination import OldestFirst

SHOWN = (
    "id",
    "protocol",
    "locator",
    "device",
    "via",
    "source",
    "phase",
    "milestone",
    "serial",
    "manufacturer",
    "model",
    "messages",
    "created_at",
    "seen_at",
    "next_at",
    "expires_at",
)
"""Never ``state``, ``material`` and ``token``: they hold keys, and are not even read."""


class SessionSerializer(serializers.ModelSerializer[Session]):
    """One device under one protocol. What it says of itself (serial, manufacturer, model) is unverified."""

    class Meta:
        model = Session
        fields = SHOWN
        read_only_fields = SHOWN


class EventSerializer(serializers.ModelSerializer[Event]):
    """One line of a device's history."""

    detail = serializers.DictField(
        help_text="Values of the sentence; what came from the device is unverified"
    )
    sentence = serializers.SerializerMethodField(help_text="The line as people read it")

    class Meta:
        model = Event
        fields = ("id", "at", "code", "level", "sentence", "detail", "via", "session", "device")
        read_only_fields = fields

    def get_sentence(self, event: Event) -> str:
        """From the catalogue, in the language of the request."""
        return catalogue.event(event.code, event.detail).sentence


class SessionFilter(serializers.Serializer[Any]):
    """What ``GET /sessions`` takes."""

    serial = serializers.CharField(
        required=False, allow_blank=True, max_length=120, help_text="Exactly this serial"
    )
    protocol = serializers.CharField(required=False, allow_blank=True, max_length=24)


@extend_schema(tags=["sessions"])
class SessionViewSet(ReadViewSet):
    """Sessions of the organization's devices, and of strangers that came through its own way in."""

    queryset = Session.objects.only(*SHOWN)
    serializer_class = SessionSerializer

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """A session's organization is where it came in until its device has an owner, then the owner."""
        mine = Q(device=None) | Q(device__organization=self.organization)
        return super().scope(rows).filter(mine)

    @extend_schema(parameters=[SessionFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first."""
        return self.page(self.get_queryset().filter(**self.filters(SessionFilter)), SessionSerializer)

    @extend_schema(operation_id="sessions_events_list", responses=EventSerializer(many=True))
    @action(detail=True, pagination_class=OldestFirst)
    def events(self, request: Request, pk: str) -> Response:
        """The history of one session, oldest first; `after` the last id you have gives what is new."""
        return self.page(Event.objects.filter(session=self.get_object()), EventSerializer)
