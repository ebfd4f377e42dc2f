"""Keyset pages: a cursor is the id of the last row seen, so a page costs the same wherever it is."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
CURSOR_MAX_LENGTH = 18


def _number(request: Request, name: str, default: int | None, largest: int) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= CURSOR_MAX_LENGTH and int(text) <= largest):
        raise ValidationError({name: [_("This is not a number that fits here.")]})
    return int(text)


class NewestFirst(BasePagination):
    """Rows by falling id; ``?cursor=`` continues below the last row of the page before."""

    parameter = "cursor"
    order, beyond = "-id", "id__lt"
    hint = "Where the next page starts: `next` of the page before."

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """One page, and one row more to know whether another follows."""
        limit = _number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX) or 0
        if limit < 1:
            raise ValidationError({"limit": [_("Ask for 1 to 200 rows.")]})
        cursor = _number(request, self.parameter, None, 10**CURSOR_MAX_LENGTH)
        if cursor is not None:
            queryset = queryset.filter(**{self.beyond: cursor})
        rows = list(queryset.order_by(self.order)[: limit + 1])
        page = rows[:limit]
        self.next = str(page[-1].pk) if len(rows) > limit else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """``{"results": [...], "next": cursor or null}``."""
        return Response({"results": data, "next": self.next})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same, for the schema."""
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {"type": ["string", "null"], "description": "null on the last page"},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """``limit`` and the cursor."""
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
            },
            {
                "name": self.parameter,
                "in": "query",
                "required": False,
                "description": self.hint,
                "schema": {"type": "string", "pattern": f"^[0-9]{{1,{CURSOR_MAX_LENGTH}}}$"},
            },
        ]


class OldestFirst(NewestFirst):
    """Rows by rising id, for those who follow: ``?after=`` is the id of the last row they have."""

    parameter = "after"
    order, beyond = "id", "id__gt"
    hint = "Only what came after the row with this id."
