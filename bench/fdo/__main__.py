"""TO2 with Onward beside go-fdo in one run: rate, latency, and CPU of the server for each.

Both servers face the same generator, which is go-fdo's own device: devices that keep their credential (reuse) loop
TO2 with A128GCM, a voucher of one entry and no service-info modules. Onward keeps everything in its SQLite file, as
`manage.py up` starts it. go-fdo forgets everything when it ends, and is there twice: with its own in-memory state, its
conversations in sealed tokens, and with the least that works, a map from random token to conversation. CPU is
read from /proc for the server alone, so that generator and neighbours count less; compare rows of one table only.
"""

from __future__ import annotations

import argparse
import os
import platform

from bench.fdo.sides import KINDS, OURS, Measured, measure


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
        ours, *others = sorted((row for row in rows if row.kind == kind), key=lambda row: row.server != OURS)
        for other in others:
            times = other.cpu_each / ours.cpu_each
            print(f"{kind}: {OURS} does {times:.2f} times the TO2 per core-second of {other.server}")


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


if __name__ == "__main__":
    main()
