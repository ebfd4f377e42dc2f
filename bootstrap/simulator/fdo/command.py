"""``python -m bootstrap.simulator fdo``: arguments, and the devices they describe."""

from __future__ import annotations

import argparse
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bootstrap.errors import LocalError
from bootstrap.protocols.fdo.constants import MESSAGE_MAX_LENGTH, KeyEncoding
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite
from bootstrap.protocols.fdo.crypto.kex import KexSuite
from bootstrap.simulator.fdo.device import FdoDevice, FdoOptions, FdoSurroundings
from bootstrap.simulator.fdo.http import FdoHttp
from bootstrap.simulator.fdo.memory import FdoMemory
from bootstrap.simulator.fleet import run_fleet
from bootstrap.simulator.person import Person
from bootstrap.simulator.progress import Progress
from bootstrap.simulator.store import Store
from bootstrap.simulator.summary import Summary
from bootstrap.simulator.transport import Faults
from bootstrap.wire.keys import KeyKind

HELP = "FIDO Device Onboard 1.1: initialized by a manufacturer, found and set up by its owner"
EXAMPLES = """\
examples:
  initialized and onboarded in one go, at a portal where `manage.py fdo setup` was run:
    python -m bootstrap.simulator fdo --di http://localhost:8000 --onboard
  in the factory today, switched on by the customer later:
    python -m bootstrap.simulator fdo --di http://factory:8038 --count 10 --state var/shelf
    python -m bootstrap.simulator fdo --onboard --count 10 --state var/shelf
  every knob:
    python -m bootstrap.simulator fdo --di http://localhost:8000 --onboard --key P-384 --encoding x5chain \\
      --kex ECDH384 --cipher A256GCM --forbid-reuse --loss 0.05 --json
"""
_ENCODINGS = {"x509": KeyEncoding.X509, "x5chain": KeyEncoding.X5CHAIN, "cosekey": KeyEncoding.COSEKEY}
PREFIX = "F"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this protocol adds to the options that all have."""
    add = parser.add_argument
    add("--di", default="", metavar="URL", help="run device initialization (DI) there")
    add("--onboard", action="store_true", help="then find the owner (TO1) and be set up (TO2)")
    add("--again", type=int, default=0, metavar="N", help="onboard N times more")
    add("--key", choices=[kind.value for kind in KeyKind], default="P-256", help="kind of the device's key")
    add("--encoding", choices=tuple(_ENCODINGS), default="x509", help="of the keys in its voucher")
    add("--pss", action="store_true", help="RSA keys sign with PSS")
    add("--kex", choices=[suite.value for suite in KexSuite], help="default: what goes with the owner's key")
    add("--cipher", choices=[suite.name for suite in CipherSuite], help="default: A128GCM or A256GCM")
    add("--max-message", type=int, default=MESSAGE_MAX_LENGTH, metavar="N", help="octets it can take")
    add(
        "--max-service-info", type=int, metavar="N", help="octets of one ServiceInfo (default: 1300, as null)"
    )
    add("--forbid-reuse", action="store_true", help="refuse to keep its credential")
    add("--device-info", default="Onward simulated device", metavar="TEXT")
    add("--really-run", action="store_true", help="run the owner's commands on this machine")


def check(options: argparse.Namespace) -> None:
    """Raises LocalError for options that do not go together."""
    if not options.di and not options.onboard:
        raise LocalError("say what to do: --di URL, --onboard, or both")
    if options.di and not options.di.startswith(("http://", "https://")):
        raise LocalError("--di takes http:// or https://")
    if options.onboard and not options.di and not options.state:
        raise LocalError("--onboard needs devices: --state DIR of an earlier --di, or --di URL as well")
    if options.pss and not options.key.startswith("RSA"):
        raise LocalError("--pss is for RSA keys")
    for name, value in (
        ("--max-message", options.max_message),
        ("--max-service-info", options.max_service_info),
    ):
        if value is not None and not 256 <= value <= MESSAGE_MAX_LENGTH:
            raise LocalError(f"{name} is from 256 to {MESSAGE_MAX_LENGTH}")


async def run(options: argparse.Namespace, progress: Progress) -> Summary:
    """All devices to their end."""
    http = FdoHttp(Faults(options.loss, options.repeat, options.reorder, options.seed))
    person = Person(options.claim, options.token) if options.claim else None
    try:
        with _store(options.state) as store:
            around = FdoSurroundings(http, store, progress, _options(options), person, options.portal)
            devices = [FdoDevice(serial, around) for serial in serials(options, store)]
            _must_be_initialized(options, devices)
            goal = "onboarded" if options.onboard else "initialized"
            return await run_fleet(devices, options.rate, options.timeout, progress, goal)
    finally:
        await http.close()
        if person:
            await person.close()


def serials(options: argparse.Namespace, store: Store[FdoMemory]) -> list[str]:
    """``--serial`` as it is for one device, as a prefix for several; else those that the folder holds."""
    if not options.serial and not options.di:
        known = store.serials()
        if len(known) < options.count:
            raise LocalError(f"{options.state} holds {len(known)} devices, not {options.count}")
        return known[: options.count]
    if options.count == 1:
        return [options.serial or f"{PREFIX}-{secrets.token_hex(4).upper()}"]
    prefix = options.serial or f"{PREFIX}-{secrets.token_hex(2).upper()}"
    return [f"{prefix}-{number:04}" for number in range(1, options.count + 1)]


def _must_be_initialized(options: argparse.Namespace, devices: Sequence[FdoDevice]) -> None:
    """Nobody waits for a fleet of devices that can do nothing."""
    blank = next((device.serial for device in devices if not device.initialized), None)
    if not options.di and blank is not None:
        raise LocalError(
            f"{options.state} holds no credential of {blank}: initialize it first, with --di URL"
        )


def _options(options: argparse.Namespace) -> FdoOptions:
    return FdoOptions(
        di=options.di,
        onboard=options.onboard,
        kind=KeyKind(options.key),
        encoding=_ENCODINGS[options.encoding],
        pss=options.pss,
        kex=KexSuite(options.kex) if options.kex else None,
        cipher=CipherSuite[options.cipher] if options.cipher else None,
        max_message=options.max_message,
        max_service_info=options.max_service_info,
        allow_reuse=not options.forbid_reuse,
        device_info=options.device_info,
        really_run=options.really_run,
        again=options.again,
    )


@contextmanager
def _store(folder: str) -> Iterator[Store[FdoMemory]]:
    """``--state``, or a folder that is gone when the run is over."""
    if folder:
        yield Store(Path(folder), kind=FdoMemory)
        return
    with tempfile.TemporaryDirectory(prefix="onward-simulator-") as temporary:
        yield Store(Path(temporary), durable=False, kind=FdoMemory)
