"""The two servers, and one measurement of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import cpu_seconds
from tests.fdo_portal import FdoPortal
from tests.go_peer import GoPeer, go_peer

KINDS = ("P-256", "P-384")
OURS = "Onward, SQLite"


@dataclass(frozen=True, slots=True)
class Measured:
    """One row."""

    server: str
    kind: str
    count: int
    per_second: float
    cpu_each: float
    """Seconds of server CPU for one TO2."""
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Side:
    """A server that is up."""

    name: str
    url: str
    pids: Callable[[], list[int]]


def measure(devices: int, workers: int, seconds: float, repeat: int) -> list[Measured]:
    """Every kind of key at both; the server that is not measured is idle meanwhile."""
    peer = go_peer()
    rows: list[Measured] = []
    with (
        tempfile.TemporaryDirectory(prefix="onward-bench-") as folder,
        _onward() as ours,
        _go(peer) as theirs,
    ):
        for side in (ours, *theirs):
            for kind in KINDS:
                state = Path(folder) / f"{side.name}-{kind}"
                _prepare(peer, side, kind, state, devices)
                tries = [_loop(peer, side, kind, state, devices, workers, seconds) for _try in range(repeat)]
                rows.append(min(tries, key=lambda row: row.cpu_each))
    return sorted(rows, key=lambda row: (row.kind, row.server))


@contextmanager
def _onward() -> Iterator[Side]:
    portal = FdoPortal.start()
    try:
        portal.prepare()
        portal.settings(reuse_credentials=True)
        yield Side(OURS, portal.url, lambda: portal.live.pids("runweb"))
    finally:
        portal.stop()


@contextmanager
def _go(peer: GoPeer) -> Iterator[tuple[Side, Side]]:
    own, plain = peer.serve_own_state(), peer.serve(reuse=True, auto_to0=False)
    try:
        yield (
            Side("go-fdo, its own memory", own.url, lambda: [own.pid]),
            Side("go-fdo, plain map", plain.url, lambda: [plain.pid]),
        )
    finally:
        peer.close()


def _prepare(peer: GoPeer, side: Side, kind: str, state: Path, devices: int) -> None:
    """DI and one TO2 of every device; what comes after is steady."""
    peer.run(
        "load", "-prepare", "-key", kind, "-di", side.url, "-owner", side.url, "-devices", str(devices),
        "-state", str(state), "-keys", str(peer.keys), timeout=180,
    )  # fmt: skip


def _loop(
    peer: GoPeer, side: Side, kind: str, state: Path, devices: int, workers: int, seconds: float
) -> Measured:
    pids = side.pids()
    before = cpu_seconds(pids)
    got = peer.run(
        "load", "-key", kind, "-owner", side.url, "-devices", str(devices), "-workers", str(workers),
        "-state", str(state), "-seconds", f"{seconds}s", timeout=seconds + 60,
    )  # fmt: skip
    spent = cpu_seconds(pids) - before
    if got["errors"] or not got["to2"]:
        raise SystemExit(
            f"{side.name}, {kind}: {got['errors']} of {got['to2']} failed: {got.get('last_error')}"
        )
    return Measured(
        side.name,
        kind,
        got["to2"],
        got["per_second"],
        spent / got["to2"],
        got["p50_ms"],
        got["p95_ms"],
        got["p99_ms"],
    )
