"""Ways in: access points, realms, expected serial numbers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import AccessPoint, ExpectedSerial, Realm
from devices.services.access import (
    SECRET_MAX_LENGTH,
    access_point_delete,
    access_point_save,
    access_point_secret,
    address_clean,
    expected_serials_add,
    expected_serials_remove,
    realm_delete,
    realm_save,
)
from portal.api.base import ReadViewSet, StrictSerializer

SERIALS_MAX = 10_000


class AccessPointSerializer(serializers.ModelSerializer[AccessPoint]):
    """A RADIUS client. Its secret is never read back."""

    class Meta:
        model = AccessPoint
        fields = ("id", "name", "address", "created_at")
        read_only_fields = fields


class AccessPointChange(StrictSerializer):
    """What an admin may change of an access point."""

    name = serializers.CharField(max_length=80, allow_blank=True, required=False)
    secret = serializers.CharField(
        min_length=6, max_length=SECRET_MAX_LENGTH, write_only=True, trim_whitespace=False
    )


class AccessPointNew(AccessPointChange):
    """A RADIUS client to listen to."""

    address = serializers.CharField(max_length=64, help_text="`192.0.2.7` or `192.0.2.0/24`")


@extend_schema(tags=["access points"])
class AccessPointViewSet(ReadViewSet):
    """RADIUS clients that relay devices to this organization."""

    queryset = AccessPoint.objects.all()
    serializer_class = AccessPointSerializer

    @extend_schema(request=AccessPointNew, responses={200: AccessPointSerializer, 201: AccessPointSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Register one; a known address gets the new secret and is answered with 200."""
        body = self.body(AccessPointNew)
        known = self.get_queryset().filter(address=address_clean(body["address"])).exists()
        point = access_point_save(self.organization, self.person, **body)
        return Response(self.get_serializer(point).data, status=200 if known else 201)

    @extend_schema(request=AccessPointChange, responses=AccessPointSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Another name or secret."""
        point = self.get_object()
        body = self.body(AccessPointChange, partial=True)
        secret = body.get("secret") or access_point_secret(point).decode()
        point = access_point_save(
            self.organization, self.person, address=point.address, secret=secret, name=body.get("name", "")
        )
        return Response(self.get_serializer(point).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stop listening to it."""
        access_point_delete(self.get_object(), self.person)
        return Response(status=204)


class RealmSerializer(serializers.ModelSerializer[Realm]):
    """A NAI realm of the organization and how its devices read two sentences of RFC 9140."""

    class Meta:
        model = Realm
        fields = ("id", "name", "kdf_datalength", "reconnect_nai", "assign_to_new_devices")
        read_only_fields = fields


class RealmChange(StrictSerializer):
    """What an admin may change of a realm."""

    kdf_datalength = serializers.ChoiceField(Realm.Reading.choices, required=False)
    reconnect_nai = serializers.ChoiceField(Realm.Reading.choices, required=False)
    assign_to_new_devices = serializers.BooleanField(required=False)


class RealmNew(RealmChange):
    """A realm to answer for."""

    name = serializers.CharField(
        max_length=120, help_text="A domain name of your own, like `devices.example.com`"
    )


@extend_schema(tags=["realms"])
class RealmViewSet(ReadViewSet):
    """NAI realms whose devices come to this organization."""

    queryset = Realm.objects.all()
    serializer_class = RealmSerializer

    @extend_schema(request=RealmNew, responses={200: RealmSerializer, 201: RealmSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add a realm; one that is here already is changed and answered with 200."""
        body = self.body(RealmNew)
        known = self.get_queryset().filter(name=body["name"].lower()).exists()
        realm = realm_save(self.organization, self.person, **body)
        return Response(self.get_serializer(realm).data, status=200 if known else 201)

    @extend_schema(request=RealmChange, responses=RealmSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Another reading."""
        realm = self.get_object()
        realm = realm_save(
            self.organization, self.person, name=realm.name, **self.body(RealmChange, partial=True)
        )
        return Response(self.get_serializer(realm).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give it up."""
        realm_delete(self.get_object(), self.person)
        return Response(status=204)


class ExpectedSerialSerializer(serializers.ModelSerializer[ExpectedSerial]):
    """A serial number that the organization expects."""

    class Meta:
        model = ExpectedSerial
        fields = ("id", "serial", "note", "created_at")
        read_only_fields = fields


class ExpectedSerialsNew(StrictSerializer):
    """Serial numbers to expect."""

    serials = serializers.ListField(
        child=serializers.CharField(max_length=120), min_length=1, max_length=SERIALS_MAX
    )
    note = serializers.CharField(max_length=120, required=False, allow_blank=True)


class ExpectedSerialsAdded(serializers.Serializer[Any]):
    """What became of them; the two numbers add up to the different ones sent."""

    added = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Were on the list already")


class ExpectedSerialFilter(serializers.Serializer[Any]):
    """What ``GET /expected-serials`` takes."""

    serial = serializers.CharField(
        required=False, allow_blank=True, max_length=120, help_text="Exactly this serial"
    )


@extend_schema(tags=["expected serials"])
class ExpectedSerialViewSet(ReadViewSet):
    """The serial numbers that the organization expects."""

    queryset = ExpectedSerial.objects.all()
    serializer_class = ExpectedSerialSerializer

    @extend_schema(parameters=[ExpectedSerialFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first."""
        wanted = self.filters(ExpectedSerialFilter)
        return self.page(self.get_queryset().filter(**wanted), ExpectedSerialSerializer)

    @extend_schema(request=ExpectedSerialsNew, responses={201: ExpectedSerialsAdded})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add many; those that are on the list already stay as they are."""
        body = self.body(ExpectedSerialsNew)
        added = expected_serials_add(self.organization, self.person, body["serials"], body.get("note", ""))
        return Response({"added": added, "known": len(set(body["serials"])) - added}, status=201)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take one off the list."""
        expected_serials_remove(self.organization, self.person, [self.get_object().serial])
        return Response(status=204)
