"""API tokens: ``Authorization: Bearer onw_…`` (``Token …`` is taken too)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from devices.models import ApiToken, Membership, User
from devices.services.people import token_find

SCHEMES = frozenset({"bearer", "token"})


class TokenAuthentication(BaseAuthentication):
    """Sets ``request.user``, ``request.auth`` and the person's role in the token's organization."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """None when no token was sent; raises AuthenticationFailed when one was sent and is not good."""
        scheme, _space, text = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() not in SCHEMES:
            return None
        token = token_find(text.strip()) if text.isascii() else None
        if token is None:
            raise AuthenticationFailed(_("This token is not known, expired or revoked."))
        membership = Membership.objects.filter(user=token.user, organization=token.organization).first()
        if membership is None:
            raise AuthenticationFailed(_("The person of this token has left the organization."))
        membership.user, membership.organization = token.user, token.organization
        request.membership = membership  # type: ignore[attr-defined]
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 says in WWW-Authenticate (RFC 6750 section 3)."""
        return 'Bearer realm="onward"'


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes the token."""

    target_class = "portal.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """HTTP bearer authentication."""
        return {"type": "http", "scheme": "bearer", "description": "An API token, `onw_…`"}
