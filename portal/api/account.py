"""The caller: who they are here, and their tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import ApiToken, Organization, Role
from devices.services.people import token_create, token_revoke
from portal.api.base import OrganizationViewSet, ReadViewSet, StrictSerializer
from portal.api.organizations import PersonSerializer
from portal.api.permissions import Right, membership_of

LIFETIME_MAX_DAYS = 3650
TOKEN_FIELDS = ("id", "name", "scope", "hint", "created_at", "last_used_at", "expires_at")


class OrganizationName(serializers.ModelSerializer[Organization]):
    """Which organization."""

    class Meta:
        model = Organization
        fields = ("id", "name")
        read_only_fields = fields


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """An API token; its text is kept nowhere, ``hint`` is how it starts."""

    class Meta:
        model = ApiToken
        fields = TOKEN_FIELDS
        read_only_fields = fields


class TokenMade(TokenSerializer):
    """A new token with its text, which is shown this once."""

    token = serializers.CharField(read_only=True)

    class Meta:
        model = ApiToken
        fields = (*TOKEN_FIELDS, "token")
        read_only_fields = fields


class TokenNew(StrictSerializer):
    """A token to make."""

    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    scope = serializers.ChoiceField(
        ApiToken.Scope.choices,
        required=False,
        allow_blank=True,
        help_text="`vouchers`: hand in vouchers and see how that went; empty: everything the person may do",
    )
    lifetime_days = serializers.IntegerField(
        min_value=1, max_value=LIFETIME_MAX_DAYS, required=False, help_text="Left out: until it is revoked"
    )


@extend_schema(tags=["tokens"])
class TokenViewSet(ReadViewSet):
    """The caller's own tokens in this organization."""

    queryset = ApiToken.objects.all()
    serializer_class = TokenSerializer
    right_to_write = Right.READ

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Nobody sees a colleague's."""
        return super().scope(rows).filter(user=self.person)

    @extend_schema(request=TokenNew, responses={201: TokenMade})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one; a token cannot make one that outlives it."""
        body = self.body(TokenNew)
        days = body.get("lifetime_days")
        lifetime = timedelta(days=days) if days else None
        own_end = self.token.expires_at if self.token is not None else None
        if own_end is not None:
            left = own_end - timezone.now()
            lifetime = min(lifetime, left) if lifetime else left
        token, text = token_create(
            self.person, self.organization, body.get("name", ""), lifetime, body.get("scope", "")
        )
        return Response(TokenSerializer(token).data | {"token": text}, status=201)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End it at once."""
        token_revoke(self.get_object(), self.person)
        return Response(status=204)


@extend_schema_serializer(many=False)
class MeSerializer(serializers.Serializer[Any]):
    """Who asks, and what they may do here."""

    user = PersonSerializer()
    organization = OrganizationName(allow_null=True)
    role = serializers.ChoiceField(Role.choices, allow_null=True)
    may_claim = serializers.BooleanField()
    may_manage = serializers.BooleanField()
    token = TokenSerializer(allow_null=True, help_text="The one that this request came with")


@extend_schema(tags=["me"])
class MeViewSet(OrganizationViewSet):
    """The caller."""

    permission_classes = [IsAuthenticated]
    serializer_class = MeSerializer
    pagination_class = None

    @extend_schema(operation_id="me", responses=MeSerializer)
    def list(self, request: Request) -> Response:
        """Who this request is, in which organization, and with which rights."""
        membership = membership_of(request)
        shown = {
            "user": self.person,
            "organization": membership and membership.organization,
            "role": membership and membership.role,
            "may_claim": bool(membership and membership.may_claim),
            "may_manage": bool(membership and membership.may_manage),
            "token": self.token,
        }
        return Response(MeSerializer(shown).data)
