"""Files that devices sent, as downloads: nothing in them is ever shown or run as part of a page."""

from __future__ import annotations

from django.http import HttpResponse

from devices.models import DeviceFile

NAME_MAX_LENGTH = 80


def file_answer(file: DeviceFile) -> HttpResponse:
    """The content under a name that no file system can misread."""
    answer = HttpResponse(file.content, content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="{plain_name(file.name)}"'
    return answer


def plain_name(name: str) -> str:
    """Letters, digits, ``-``, ``_`` and ``.`` of the last part of a path; never hidden, never empty."""
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in "-_." else "_" for c in name.rpartition("/")[2])
    return kept[-NAME_MAX_LENGTH:].lstrip(".") or "file"
