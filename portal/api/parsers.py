"""JSON bodies, with everything refused here that a database or a template would choke on later."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

INTEGER_LIMIT = 2**63


class TooLarge(APIException):
    """The body is larger than we read."""

    status_code = 413
    default_detail = _("The request is larger than 2 MB.")


class StrictJSONParser(BaseParser):
    """UTF-8 JSON (RFC 8259) without NUL, lone surrogates, NaN and integers beyond 64 bits."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The value; raises ParseError, TooLarge."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge
        try:
            value = json.loads(body.decode(), parse_constant=_refuse)
            check(value)
        except (ValueError, RecursionError) as error:
            raise ParseError(_("The body is not JSON that we can read.")) from error
        return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def check(value: Any) -> None:
    """Raises ValueError on what JSON allows and we do not, at any depth."""
    if isinstance(value, str):
        text_check(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            text_check(key)
            check(inner)
    elif isinstance(value, list):
        for inner in value:
            check(inner)
    elif isinstance(value, int | float) and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise ValueError("number out of range")


def text_check(text: str) -> None:
    """Raises ValueError on NUL and lone surrogates."""
    if "\x00" in text:
        raise ValueError("NUL in text")
    text.encode()
