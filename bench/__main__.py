"""One command, one table: CPU per message of each door, the engine alone, and Debian's hostapd beside RADIUS.

Everything is CPU of the server process (from /proc), so that a busy machine blurs the figures less than wall
time would; still compare rows of one table only. Loopback, bounded in count and time.
"""

from __future__ import annotations

import argparse
import os
import platform

from bench import doors, engine, hostapd


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--devices", type=int, default=60, help="devices per door (default 60)")
    parser.add_argument("--rounds", type=int, default=5, help="reconnects of each (default 5)")
    options = parser.parse_args()
    rows = [
        *engine.measure(options.devices * options.rounds),
        *doors.measure(options.devices, options.rounds),
        *hostapd.measure(options.devices),
    ]
    print(f"\n{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores\n")
    print(f"| {'what':<58} | {'count':>7} | {'ms CPU each':>11} | {'per core-second':>15} |")
    print(f"|{'-' * 60}|{'-' * 9}|{'-' * 13}|{'-' * 17}|")
    for row in rows:
        each = row.cpu_seconds / row.count
        print(f"| {row.what:<58} | {row.count:>7} | {each * 1000:>11.3f} | {1 / each:>15.0f} |")


if __name__ == "__main__":
    main()
