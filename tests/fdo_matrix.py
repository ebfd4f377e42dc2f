"""What worked between Onward and go-fdo, as grids: printed at the end of a run, and written as a page on request.

A test notes its cell with ``grid(table, row, column)``; the cell's mark is the test's own outcome. The notes travel in
the reports, so that they arrive from parallel workers too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

Grid = Callable[[str, str, str], None]
Cells = dict[str, dict[str, dict[str, str]]]

PROPERTY = "fdo-matrix"
GO_MOD = Path(__file__).parent / "interop" / "go_fdo" / "go.mod"
MARKS = {"passed": "✓", "failed": "✗", "error": "✗", "skipped": "–"}
HEAD = """# FDO: what works with go-fdo

Made by `make fdo-interop` from the tests of `tests/interop/test_fdo_*.py`; do not edit. A cell is one test:
✓ passed, ✗ failed. An empty cell was not run: the other side has no such thing.

The peer is the library {peer}, in the program of
`tests/interop/go_fdo`. What it does not have: AES-CCM (it names the suites and has no code for them), RSA keys as
COSE_Key, TO2 with a voucher of no entries. Of a command's output it sends whole lines only, each with one line feed
too many, and it ends TO2 when a command fails, whatever `may_fail` says.
"""


def add_option(parser: pytest.Parser) -> None:
    """``--fdo-matrix=FILE`` writes the page."""
    parser.addoption("--fdo-matrix", metavar="FILE", help="write the FDO interoperability page")


def noter(record: Callable[[str, Any], None]) -> Grid:
    """What the fixture ``grid`` is."""

    def note(table: str, row: str, column: str) -> None:
        record(PROPERTY, json.dumps([table, row, column]))

    return note


def summarize(reporter: Any, page: str | None) -> None:
    """At the end of a run; silent when no test of the matrix ran."""
    cells = _cells(reporter.stats)
    if not cells:
        return
    reporter.section("FDO with go-fdo")
    for table in sorted(cells):
        reporter.line(f"{table}")
        for line in _table(cells[table]):
            reporter.line(f"  {line}")
    if page:
        Path(page).write_text(render(cells))
        reporter.line(f"written to {page}")


def _cells(stats: dict[str, list[Any]]) -> Cells:
    cells: Cells = {}
    for outcome, mark in MARKS.items():
        for report in stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    table, row, column = json.loads(value)
                    cells.setdefault(table, {}).setdefault(row, {})[column] = mark
    return cells


def render(cells: Cells) -> str:
    """The page, in Markdown."""
    peer = next(line for line in GO_MOD.read_text().splitlines() if "go-fdo v" in line).strip()
    parts = [HEAD.format(peer=f"`{peer}`")]
    for table in sorted(cells):
        parts += [f"\n## {table}\n", *_table(cells[table])]
    return "\n".join(parts) + "\n"


def _table(rows: dict[str, dict[str, str]]) -> Iterable[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    width = max(len(name) for name in rows)
    yield f"| {'':<{width}} | {' | '.join(columns)} |"
    yield f"|{'-' * (width + 2)}|{'|'.join('-' * (len(column) + 2) for column in columns)}|"
    for name, row in rows.items():
        marks = " | ".join(f"{row.get(column, ''):<{len(column)}}" for column in columns)
        yield f"| {name:<{width}} | {marks} |"
