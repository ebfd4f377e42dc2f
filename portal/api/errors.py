"""One shape for everything that goes wrong: ``{"code", "message", "fix", "fields"?, …detail}``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views import defaults
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from bootstrap.bindings.problems import ClaimRefused
from bootstrap.bindings.vouchers.problems import VoucherRefused
from bootstrap.errors import PeerError, TooManyRequests
from portal import catalogue

GENERAL: dict[int, tuple[Any, Any]] = {
    400: (_("The request is not right."), _("Correct what is named and send it again.")),
    401: (_("Nobody is signed in."), _("Send an API token: Authorization: Bearer onw_…")),
    403: (_("Your role may not do this."), _("Ask an owner or admin of your organization.")),
    404: (_("There is nothing here."), _("Check the address; it may belong to another organization.")),
    405: (_("This address does not take that method."), _("See /api/v1/schema for what it takes.")),
    406: (_("The API answers in JSON only."), _("Accept application/json.")),
    409: (_("Somebody changed this at the same time."), _("Read it again, then repeat.")),
    413: (_("The request is too large."), _("Send it in parts.")),
    415: (_("The API reads JSON only."), _("Send Content-Type: application/json.")),
    500: (_("This is our fault; it is written down, and nothing is half done."), _("Try again in a moment.")),
    429: (_("Too many requests."), _("Wait as long as Retry-After says.")),
}
"""Message and fix by HTTP status, for what is not about a claim; the code is ``API-<status>``."""


OURS_SAYS_IT_BETTER = (exceptions.NotAuthenticated, exceptions.MethodNotAllowed, exceptions.Throttled)
"""Whose own text is not shown."""


class ErrorSerializer(serializers.Serializer[Any]):
    """What every answer from 400 up looks like; problems of a claim add their own detail."""

    code = serializers.CharField(
        help_text="Stable: CLM-… about a claim, VCH-… about a voucher, API-<status> about the request"
    )
    message = serializers.CharField(help_text="What happened, for people")
    fix = serializers.CharField(allow_blank=True, help_text="What to do about it")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What is wrong, by field of the request",
    )


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None means that the fault is ours: Django logs it and answers 500."""
    if isinstance(error, ClaimRefused):
        return _refused(error)
    if isinstance(error, VoucherRefused):
        said = catalogue.voucher_problem(error.code, error.detail)
        return Response({"code": said.code, "message": said.sentence, "fix": said.fix}, status=409)
    if isinstance(error, ValidationError):
        return _invalid(_django_fields(error))
    if isinstance(error, Http404):
        return _answer(404)
    if isinstance(error, PermissionDenied):
        return _answer(403, message=str(error))
    if isinstance(error, IntegrityError):
        return _answer(409)
    if isinstance(error, PeerError):
        return _peer(error)
    if isinstance(error, exceptions.APIException):
        return _api(error)
    return None


def _answer(
    status: int,
    *,
    message: str = "",
    fields: dict[str, list[str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    said, fix = GENERAL.get(status, GENERAL[400])
    body: dict[str, Any] = {"code": f"API-{status}", "message": message or str(said), "fix": str(fix)}
    if fields:
        body["fields"] = fields
    return Response(body, status=status, headers=headers)


def _invalid(fields: dict[str, list[str]]) -> Response:
    """What is wrong by field; what belongs to no field (the empty name) is the message."""
    return _answer(400, message=" ".join(fields.pop("", [])), fields=fields)


def _refused(error: ClaimRefused) -> Response:
    status, said = catalogue.problem_status(error), catalogue.problem(error)
    body = {key: _plain(value) for key, value in error.detail.items()}
    body |= {"code": said.code, "message": said.sentence, "fix": said.fix}
    seconds = error.detail.get("retry_after_seconds", 60) if status == 429 else None
    return Response(body, status=status, headers=_retry_after(seconds))


def _plain(value: Any) -> Any:
    """Rows in a detail become their ids."""
    return value.pk if hasattr(value, "pk") else value


def _peer(error: PeerError) -> Response:
    """The engine said no to what a person's input made of it."""
    if isinstance(error, TooManyRequests):
        return _answer(429, headers=_retry_after(error.retry_after_seconds))
    return _answer(409)


def _api(error: exceptions.APIException) -> Response:
    headers = _retry_after(getattr(error, "wait", None))
    if scheme := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = scheme
    if isinstance(error, exceptions.ValidationError):
        return _invalid(dict(_flat("", error.detail)))
    silent = isinstance(
        error, exceptions.NotAuthenticated | exceptions.MethodNotAllowed | exceptions.Throttled
    )
    return _answer(error.status_code, message="" if silent else str(error.detail), headers=headers)


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}


def _flat(name: str, detail: Any) -> Iterator[tuple[str, list[str]]]:
    """DRF's nested errors as ``items.2.kind`` -> sentences; what belongs to no field has the empty name."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            part = "" if key in ("non_field_errors", "detail") else str(key)
            yield from _flat(".".join(filter(None, (name, part))), inner)
    elif isinstance(detail, list) and any(isinstance(inner, dict) for inner in detail):
        for position, inner in enumerate(detail):
            if inner:
                yield from _flat(f"{name}.{position}".lstrip("."), inner)
    else:
        sentences = detail if isinstance(detail, list) else [detail]
        yield name, [str(sentence) for sentence in sentences]


def _django_fields(error: ValidationError) -> dict[str, list[str]]:
    if hasattr(error, "error_dict"):
        return {
            ("" if field == NON_FIELD_ERRORS else field): texts for field, texts in error.message_dict.items()
        }
    return {"": error.messages}


def server_error(request: HttpRequest) -> HttpResponse:
    """Our own fault, in the form of whoever asked: the API's error, or the calm page."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    said, fix = GENERAL[500]
    return JsonResponse({"code": "API-500", "message": str(said), "fix": str(fix)}, status=500)
