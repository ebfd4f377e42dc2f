"""A file as the body of a request: in a form, or bare as ``curl -T`` sends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

CHUNK = 256 * 1024


class BareParser(BaseParser):
    """Any body as it is. Nothing is read until somebody asks."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The stream itself."""
        return stream


def upload_of(request: Request, field: str = "file") -> tuple[Iterator[bytes], str]:
    """The one file of a request in chunks, and what it is called. Raises ValidationError by field."""
    if hasattr(request.data, "getlist"):
        files = [file for files in request.FILES.lists() for file in files[1]]
        if len(files) != 1 or field not in request.FILES:
            raise ValidationError({field: [_("Send exactly one file, in the field “file”.")]})
        file: UploadedFile = request.FILES[field]
        return iter(file.chunks(CHUNK)), file.name or ""
    if not hasattr(request.data, "read"):
        # JSON, or no body at all.
        raise ValidationError({field: [_("Send the file itself, in a form or as the bare body.")]})
    return _chunks(request.data), ""


def _chunks(stream: Any) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
