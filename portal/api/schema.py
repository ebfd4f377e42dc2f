"""The API's description: OpenAPI 3.1, generated from the views, committed as docs/reference/openapi.yaml."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.api.errors import ErrorSerializer
from portal.api.throttling import CallerThrottle

ROOT = "/api/v1/"


class OnwardSchema(AutoSchema):
    """Every operation may end in an error, and all errors look alike."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        bodies["4XX"] = self._get_response_for_code(  # type: ignore[no-untyped-call]
            ErrorSerializer, "4XX", direction=direction
        )
        return bodies


def canonical(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Preprocessing hook: a path is also taken with a slash at its end, but its name is the one without."""
    return [
        (path if path == ROOT else path.rstrip("/"), pattern, method, view)
        for path, pattern, method, view in endpoints
    ]


@cache
def document() -> dict[str, Any]:
    """The description; made once, in English whoever asks."""
    with translation.override("en"):
        generator = SchemaGenerator()  # type: ignore[no-untyped-call]
        generated: dict[str, Any] = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return generated


class SchemaView(APIView):
    """What this API can do, for programs."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes = [CallerThrottle]
    renderer_classes = [OpenApiYamlRenderer, OpenApiYamlRenderer2, OpenApiJsonRenderer, OpenApiJsonRenderer2]
    schema = OnwardSchema()

    @extend_schema(operation_id="schema", responses={200: OpenApiTypes.OBJECT}, auth=[])
    def get(self, request: Request) -> Response:
        """The OpenAPI description, as YAML or (`Accept: application/json`) JSON. No token needed."""
        return Response(document())
