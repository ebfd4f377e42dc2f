"""Organizations with their policies, and their members."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import Membership, Organization, Role, User
from devices.services.access import POLICY_FIELDS, organization_update
from devices.services.members import membership_remove, membership_role_change, role_grant_check
from devices.services.people import invitation_create, organization_create
from portal.api.base import ReadViewSet, StrictSerializer

REMINDER_MAX_SECONDS = 31 * 24 * 3600


class OrganizationSerializer(serializers.ModelSerializer[Organization]):
    """Owner of devices, with its policies."""

    role = serializers.SerializerMethodField(help_text="Yours")

    class Meta:
        model = Organization
        fields = ("id", "role", "created_at", *POLICY_FIELDS)
        read_only_fields = fields

    def get_role(self, organization: Organization) -> Role:
        """The asking person's role."""
        roles: dict[int, str] = self.context["roles"]
        return Role(roles[organization.pk])


class OrganizationNew(StrictSerializer):
    """A new organization."""

    name = serializers.CharField(max_length=80)


class OrganizationChange(StrictSerializer, serializers.ModelSerializer[Organization]):
    """Name and policies."""

    name = serializers.CharField(max_length=80)
    silence_reminder_seconds = serializers.IntegerField(min_value=10, max_value=REMINDER_MAX_SECONDS)

    class Meta:
        model = Organization
        fields = POLICY_FIELDS


@extend_schema(tags=["organizations"])
class OrganizationViewSet(ReadViewSet):
    """The person's organizations; a token sees the one it was made for."""

    queryset = Organization.objects.all()
    serializer_class = OrganizationSerializer
    permission_classes = [IsAuthenticated]

    def memberships(self) -> QuerySet[Membership]:
        """The roles that this request may use."""
        mine = Membership.objects.select_related("organization").filter(user=self.person)
        if self.token is not None:
            mine = mine.filter(organization=self.token.organization)
        return mine

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those the person belongs to."""
        return rows.filter(memberships__in=self.memberships())

    def get_serializer_context(self) -> dict[str, Any]:
        """With the roles, read once."""
        context = dict(super().get_serializer_context())
        if not getattr(self, "swagger_fake_view", False):
            mine = Membership.objects.filter(user=self.person)
            context["roles"] = dict(mine.values_list("organization_id", "role"))
        return context

    @extend_schema(request=OrganizationNew, responses={201: OrganizationSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Found one and own it. A token stays with the organization it was made for."""
        organization = organization_create(self.body(OrganizationNew)["name"], self.person)
        return Response(self.get_serializer(organization).data, status=201)

    @extend_schema(request=OrganizationChange, responses=OrganizationSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change name and policies."""
        organization = self.get_object()
        if not self.memberships().get(organization=organization).may_manage:
            raise PermissionDenied
        body = self.body(OrganizationChange, partial=True)
        return Response(self.get_serializer(organization_update(organization, self.person, **body)).data)


class PersonSerializer(serializers.ModelSerializer[User]):
    """A person."""

    class Meta:
        model = User
        fields = ("id", "email", "name")
        read_only_fields = fields


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A person's role in the organization."""

    user = PersonSerializer(read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "user", "role", "created_at")
        read_only_fields = fields


class MemberChange(StrictSerializer):
    """Another role."""

    role = serializers.ChoiceField(Role.choices)


class MemberInvite(MemberChange):
    """Whom to invite."""

    email = serializers.EmailField(max_length=254)


class InvitationSerializer(serializers.Serializer[Any]):
    """An invitation. The link is shown this once: hand it to the person."""

    link = serializers.URLField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(Role.choices)
    expires_at = serializers.DateTimeField()


@extend_schema(tags=["members"])
class MemberViewSet(ReadViewSet):
    """The people of the organization."""

    queryset = Membership.objects.select_related("user", "organization")
    serializer_class = MemberSerializer

    @extend_schema(request=MemberInvite, responses={201: InvitationSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Invite somebody; only an owner invites owners."""
        body = self.body(MemberInvite)
        role_grant_check(self.membership, body["role"])
        link, text = invitation_create(self.organization, self.person, body["email"], body["role"])
        address = settings.PORTAL_URL or request.build_absolute_uri("/").rstrip("/")
        shown = {"link": f"{address}/join/{text}", "email": link.email, "role": link.role}
        return Response(InvitationSerializer(shown | {"expires_at": link.expires_at}).data, status=201)

    @extend_schema(request=MemberChange, responses=MemberSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change a role; only an owner makes or changes owners, and the last one stays."""
        member = self.get_object()
        body = self.body(MemberChange, partial=True)
        if role := body.get("role"):
            membership_role_change(member, self.membership, role)
        return Response(self.get_serializer(member).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take a person out, with their tokens; the last owner stays."""
        membership_remove(self.get_object(), self.membership)
        return Response(status=204)
