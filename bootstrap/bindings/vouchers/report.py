"""What became of every row of a job, as files: CSV for people, JSON for programs. Both are streamed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

from devices.models import Job, JobRow

COLUMNS = ("number", "name", "guid", "serial", "outcome", "code", "sentence", "fix")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet would run a cell that begins with one of these."""

Explain = Callable[[JobRow], tuple[str, str]]
"""The catalogue's sentence and fix of a row."""


class _Line:
    """A file for csv that keeps nothing."""

    def write(self, text: str) -> str:
        return text


def report_csv(job: Job, explain: Explain) -> Iterator[str]:
    """One line after the other; every cell is text, whatever the upload's names try."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in _rows(job, explain):
        yield writer.writerow([cell_safe(row[name]) for name in COLUMNS])


def report_json(job: Job, explain: Explain) -> Iterator[str]:
    """``{"job", "state", "total", ..., "rows": [...]}`` in pieces."""
    head = {
        "job": job.pk,
        "state": job.state,
        "total": job.total,
        "added": job.added,
        "already_here": job.already_here,
        "rejected": job.rejected,
    }
    yield json.dumps(head)[:-1] + ', "rows": ['
    separator = ""
    for row in _rows(job, explain):
        yield separator + json.dumps(row)
        separator = ",\n"
    yield "]}\n"


def cell_safe(value: object) -> str:
    """Text that a spreadsheet takes as text."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(job: Job, explain: Explain) -> Iterator[dict[str, Any]]:
    for row in JobRow.objects.filter(job=job).order_by("number").iterator(chunk_size=500):
        sentence, fix = explain(row)
        values = (row.number, row.name, row.guid, row.serial, row.outcome, row.code, sentence, fix)
        yield dict(zip(COLUMNS, values, strict=True))
