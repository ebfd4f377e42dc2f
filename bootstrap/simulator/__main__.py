"""The command line: ``python -m bootstrap.simulator PROTOCOL --via URL ...``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog

from bootstrap.errors import LocalError
from bootstrap.simulator import eap_noob
from bootstrap.simulator.fdo import command as fdo
from bootstrap.simulator.progress import JsonProgress, Progress, TextProgress
from bootstrap.simulator.summary import Summary

ONBOARDED, NOT_ALL, USAGE = 0, 1, 2
"""Exit codes."""
DEFAULT_RATE = 20.0


class Subcommand(NamedTuple):
    """One protocol on the command line."""

    help: str
    examples: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    check: Callable[[argparse.Namespace], None]
    """Raises LocalError for options that do not go together."""
    run: Callable[[argparse.Namespace, Progress], Awaitable[Summary]]
    has_via: bool = True
    """Whether a URL says where to go and how; else the protocol has options of its own for that."""


PROTOCOLS: dict[str, Subcommand] = {
    "eap-noob": Subcommand(
        eap_noob.HELP, eap_noob.EXAMPLES, eap_noob.add_arguments, eap_noob.check, eap_noob.run
    ),
    "fdo": Subcommand(fdo.HELP, fdo.EXAMPLES, fdo.add_arguments, fdo.check, fdo.run, has_via=False),
}
"""A new protocol is one file with these names, and one line here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    protocol = PROTOCOLS[options.protocol]
    _log_to_stderr()
    try:
        _check(options)
        protocol.check(options)
        progress = _progress(options)
        summary = asyncio.run(_awaited(protocol.run(options, progress)))
    except LocalError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return NOT_ALL
    progress.summary(summary.as_json() if options.json else summary.as_text())
    return ONBOARDED if summary.all_onboarded else NOT_ALL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bootstrap.simulator",
        description="Simulated devices: whole device lives against any server.",
        epilog="python -m bootstrap.simulator PROTOCOL --help tells the options of one, with examples.",
    )
    subparsers = parser.add_subparsers(dest="protocol", metavar="PROTOCOL", required=True)
    for name, protocol in PROTOCOLS.items():
        subparser = subparsers.add_parser(
            name,
            help=protocol.help,
            description=protocol.help,
            epilog=protocol.examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if protocol.has_via:
            _add_via(subparser)
        _add_common_arguments(subparser)
        protocol.add_arguments(subparser)
    return parser


def _add_via(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--via",
        required=True,
        metavar="URL",
        help="https://, http://, coap:// or radius://HOST:PORT?secret=S",
    )


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--count", type=int, default=1, metavar="N", help="devices (default 1)")
    add(
        "--rate",
        type=float,
        default=DEFAULT_RATE,
        metavar="R",
        help="devices started per second (default 20)",
    )
    add("--serial", default="", metavar="S", help="serial number; with --count its prefix")
    add("--state", default="", metavar="DIR", help="keep each device's memory and files here")
    add(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="S",
        help="seconds one device may take (default 3600)",
    )
    add("--json", action="store_true", help="progress as JSON lines; the last line is the summary")
    add("--claim", default="", metavar="PORTAL_URL", help="play the person too, through this portal's API")
    add("--token", default="", metavar="T", help="API token for --claim")
    add("--portal", default="", metavar="PORTAL_URL", help="also print a link that opens the code here")
    add("--loss", type=_probability, default=0.0, metavar="P", help="lose a message with probability P")
    add("--repeat", type=_probability, default=0.0, metavar="P", help="deliver a message twice")
    add("--reorder", type=_probability, default=0.0, metavar="P", help="deliver a message late")
    add("--seed", type=int, metavar="N", help="make the faults repeatable")


def _log_to_stderr() -> None:
    """Standard output is for progress; of the log only what somebody should look at."""
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("a probability from 0 to less than 1")
    return value


def _check(options: argparse.Namespace) -> None:
    if options.count < 1 or options.rate <= 0 or options.timeout <= 0:
        raise LocalError("--count, --rate and --timeout are positive")
    if bool(options.claim) != bool(options.token):
        raise LocalError("--claim and --token go together")


def _progress(options: argparse.Namespace) -> Progress:
    if options.json:
        return JsonProgress()
    return TextProgress(options.count, options.portal, show_codes=not options.claim)


async def _awaited(running: Awaitable[Summary]) -> Summary:
    return await running


if __name__ == "__main__":
    sys.exit(main())
