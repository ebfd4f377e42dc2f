"""CPU time of processes, and one row of the table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: how many of what, for how much CPU."""

    what: str
    count: int
    cpu_seconds: float


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of living processes, in seconds (proc(5), fields 14 and 15 of stat)."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS
