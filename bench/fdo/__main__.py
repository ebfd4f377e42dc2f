"""TO2 with Onward beside go-fdo in one run: rate, latency, and CPU of the server for each.

Both servers face the same generator, which is go-fdo's own device: devices that keep their credential (reuse) loop
TO2 with A128GCM, a voucher of one entry and no service-info modules. Onward keeps everything in its SQLite file, as
`manage.py up` starts it; go-fdo keeps its conversations and vouchers in memory and forgets them. CPU is read from
/proc for the server alone, so that generator and neighbours count less; compare rows of one table only.
"""

from __future__ import annotations

import argparse
import os
import platform

from bench.fdo.sides import KINDS, Measured, measure


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(prog="python -m bench.fdo", description=__doc__)
    parser.add_argument("--devices", type=int, default=24, help="devices of each kind of key (default 24)")
    parser.add_argument("--workers", type=int, default=8, help="TO2 runs at once (default 8)")
    parser.add_argument("--seconds", type=float, default=8, help="each measurement (default 8)")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the best of each row counts")
    options = parser.parse_args()
    rows = measure(options.devices, options.workers, options.seconds, options.repeat)
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {options.workers} at once\n")
    head = ("server", "key", "TO2/s", "ms CPU/TO2", "TO2 per core-s", "p50 ms", "p95 ms", "p99 ms", "TO2")
    print(f"| {head[0]:<28} | {head[1]:<5} | " + " | ".join(f"{name:>14}" for name in head[2:]) + " |")
    print("|" + "-" * 30 + "|" + "-" * 7 + "|" + ("-" * 16 + "|") * (len(head) - 2))
    for row in rows:
        print(_line(row))
    for kind in KINDS:
        ours, theirs = _pick(rows, "Onward", kind), _pick(rows, "go-fdo", kind)
        print(f"{kind}: Onward does {theirs.cpu_each / ours.cpu_each:.2f} times go-fdo's TO2 per core-second")


def _line(row: Measured) -> str:
    numbers = (
        row.per_second,
        row.cpu_each * 1000,
        1 / row.cpu_each,
        row.p50_ms,
        row.p95_ms,
        row.p99_ms,
        row.count,
    )
    return f"| {row.server:<28} | {row.kind:<5} | " + " | ".join(f"{n:>14.5g}" for n in numbers) + " |"


def _pick(rows: list[Measured], server: str, kind: str) -> Measured:
    return next(row for row in rows if row.kind == kind and row.server.startswith(server))


if __name__ == "__main__":
    main()
