"""Who did what: the list, the check of its chain, and a table to take along."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from devices.models import AuditEntry, Organization
from devices.services.audit import audit_verify
from portal.pages.access import member, membership_of
from portal.pages.admin.tabs import keyset, show

COLUMNS = ("id", "at", "actor", "action", "target", "detail", "previous", "digest")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet would run; such a cell gets an apostrophe in front."""


@never_cache
@require_safe
@member
def index(request: HttpRequest) -> HttpResponse:
    """Newest first."""
    entries = AuditEntry.objects.filter(organization=membership_of(request).organization)
    rows, more = keyset(entries, request)
    return show(request, "settings-audit", "admin/audit.html", {"rows": rows, "more": more})


@require_POST
@member
def verify(request: HttpRequest) -> HttpResponse:
    """Compute the whole chain again."""
    organization = membership_of(request).organization
    broken = audit_verify(organization)
    if broken is None:
        count = AuditEntry.objects.filter(organization=organization).count()
        said = ngettext("%d entry, and it fits.", "%d entries, and each fits the one before it.", count)
        messages.success(request, said % count)
    else:
        messages.error(
            request,
            _("Entry %d does not fit the one before it: something was changed or taken out.") % broken,
        )
    return redirect("settings-audit")


class _Echo:
    """A file that hands back what is written."""

    def write(self, text: str) -> str:
        """The line itself."""
        return text


def cell(value: object) -> str:
    """A text that no spreadsheet runs."""
    text = str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def _lines(organization: Organization) -> Iterator[str]:
    writer: Any = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    entries = AuditEntry.objects.filter(organization=organization).order_by("id")
    for entry in entries.iterator(chunk_size=500):
        yield writer.writerow(
            [
                entry.pk,
                entry.at.isoformat(),
                cell(entry.actor_name),
                cell(entry.action),
                cell(entry.target),
                cell(json.dumps(entry.detail, sort_keys=True, ensure_ascii=False)),
                entry.previous,
                entry.digest,
            ]
        )


@never_cache
@require_safe
@member
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Everything as CSV, oldest first, as long as it is."""
    answer = StreamingHttpResponse(
        _lines(membership_of(request).organization), content_type="text/csv; charset=utf-8"
    )
    answer["Content-Disposition"] = 'attachment; filename="onward-audit.csv"'
    return answer


urlpatterns = [
    path("settings/audit", index, name="settings-audit"),
    path("settings/audit/verify", verify, name="settings-audit-verify"),
    path("settings/audit.csv", export, name="settings-audit-csv"),
]
