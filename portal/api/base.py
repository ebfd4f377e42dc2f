"""What every noun's view shares: who asks, the organization border, limits, one way to read a body."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework import mixins
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer, ValidationError
from rest_framework.viewsets import GenericViewSet

from devices.models import ApiToken, Membership, Organization, User
from portal.api.pagination import NewestFirst
from portal.api.parsers import StrictJSONParser, text_check
from portal.api.permissions import Member, Right, membership_of
from portal.api.schema import OnwardSchema
from portal.api.throttling import CallerThrottle

T = TypeVar("T", bound=Model)
ID_PATTERN = "[0-9]{1,18}"
ID_MAX = 10**18 - 1


class StrictSerializer(Serializer[Any]):
    """Refuses fields it does not know, so that a misspelt or read-only one is never dropped in silence."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError that names what is unknown."""
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            if unknown := sorted(set(data) - known):
                raise ValidationError({name: [_("This cannot be set here.")] for name in unknown})
        return super().to_internal_value(data)


class OrganizationViewSet(GenericViewSet[Any]):
    """Rows of the current organization. ``scope`` is the only way to them."""

    permission_classes = [Member]
    throttle_classes = [CallerThrottle]
    parser_classes = [StrictJSONParser]
    pagination_class: type[NewestFirst] | None = NewestFirst
    metadata_class = None
    lookup_value_regex = ID_PATTERN
    right_to_write = Right.MANAGE
    schema = OnwardSchema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what no query may hold before anything reads it."""
        super().initial(request, *args, **kwargs)
        try:
            for text in (*request.query_params.keys(), *request.query_params.values()):
                text_check(str(text))
        except ValueError as error:
            raise ParseError from error

    @property
    def membership(self) -> Membership:
        """The role this request acts in; the permission has made sure that there is one."""
        membership = membership_of(self.request)
        if membership is None:
            raise TypeError("a view without the Member permission has no organization")
        return membership

    @property
    def organization(self) -> Organization:
        """The organization this request acts in."""
        return self.membership.organization

    @property
    def person(self) -> User:
        """Who asks; the permission has made sure that somebody does."""
        return cast(User, self.request.user)

    @property
    def token(self) -> ApiToken | None:
        """What the request came with; None for a browser."""
        return self.request.auth if isinstance(self.request.auth, ApiToken) else None

    def scope(self, rows: QuerySet[T]) -> QuerySet[T]:
        """The organization's own among ``rows``: the border that nothing crosses."""
        return rows.filter(organization=self.organization)

    def get_queryset(self) -> QuerySet[Any]:
        """Every row this request may see; another organization's are not there at all."""
        rows: QuerySet[Any] = super().get_queryset()
        return rows.none() if getattr(self, "swagger_fake_view", False) else self.scope(rows)

    def body(self, serializer: type[Serializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        """The checked body of this request; raises ValidationError by field."""
        form = serializer(data=self.request.data, partial=partial, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def filters(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The checked query without what is empty; raises ValidationError by parameter."""
        form = serializer(data=self.request.query_params)
        form.is_valid(raise_exception=True)
        return {name: value for name, value in form.validated_data.items() if value != ""}

    def page(self, rows: QuerySet[Any], serializer: type[Serializer[Any]]) -> Response:
        """One page of ``rows`` as an answer."""
        page = self.paginate_queryset(rows)
        shown = serializer(page or [], many=True, context=self.get_serializer_context())
        return self.get_paginated_response(shown.data)


class ReadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OrganizationViewSet):
    """List and retrieve."""
