"""``python -m bootstrap.simulator eap-noob``: arguments, and the devices they describe."""

from __future__ import annotations

import argparse
import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrap.errors import LocalError
from bootstrap.protocols.eap_noob import device
from bootstrap.protocols.eap_noob.constants import (
    DEFAULT_NAI,
    INFO_MAX_LENGTH,
    NOOB_TIMEOUT_SECONDS,
    Cryptosuite,
    Direction,
)
from bootstrap.simulator.device import EapNoobDevice, Surroundings
from bootstrap.simulator.fleet import run_fleet
from bootstrap.simulator.person import Person
from bootstrap.simulator.progress import Progress
from bootstrap.simulator.store import Memory, Store
from bootstrap.simulator.summary import Summary
from bootstrap.simulator.transport import Faults
from bootstrap.simulator.ways import SCHEMES, Ways

HELP = "EAP-NOOB (RFC 9140): the device shows a code, a person claims it"
EXAMPLES = """\
examples:
  one device, the code in the terminal:
    python -m bootstrap.simulator eap-noob --via https://localhost:8443 --portal http://localhost:8000
  it keeps its association; run it again and it reconnects:
    python -m bootstrap.simulator eap-noob --via https://localhost:8443 --serial KITCHEN-1 --state var/kitchen
  200 devices over RADIUS through a bad network, claimed through the API:
    python -m bootstrap.simulator eap-noob --via 'radius://127.0.0.1:1812?secret=testing123' --count 200 \\
      --rate 20 --loss 0.05 --repeat 0.05 --claim http://localhost:8000 --token TOKEN --json
  a device that reads the code which the portal shows:
    python -m bootstrap.simulator eap-noob --via coap://localhost --direction server-to-device
"""
_DIRECTIONS = {
    "device-to-server": Direction.PEER_TO_SERVER,
    "server-to-device": Direction.SERVER_TO_PEER,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this protocol adds to the options that all have."""
    parser.add_argument("--direction", choices=tuple(_DIRECTIONS), default="device-to-server")
    parser.add_argument("--suite", type=int, choices=(1, 2), help="offer only this cryptosuite")
    parser.add_argument("--manufacturer", default="Onward", help="in PeerInfo")
    parser.add_argument("--model", default="Simulated device", help="in PeerInfo")
    parser.add_argument("--name", default="", help="PeerName in PeerInfo")
    parser.add_argument("--realm", default="", help="identify as noob@REALM")
    parser.add_argument(
        "--reconnect", type=int, default=0, metavar="N", help="reconnect N times once onboarded"
    )
    parser.add_argument(
        "--provision", default="", metavar="URL", help="fetch the plan here, whatever the server says"
    )
    parser.add_argument(
        "--noob-timeout",
        type=int,
        default=NOOB_TIMEOUT_SECONDS,
        metavar="S",
        help="life of a code in seconds; a new one is shown at half of it",
    )


def check(options: argparse.Namespace) -> None:
    """Raises LocalError for options that do not go together."""
    if options.direction == "server-to-device" and options.count > 1 and not options.claim:
        raise LocalError("several devices cannot all read a typed code: add --claim and --token")
    if len(_peer_info("X" * 64, options).encode()) > INFO_MAX_LENGTH:
        raise LocalError(f"PeerInfo would be longer than {INFO_MAX_LENGTH} octets: shorten the names")


async def run(options: argparse.Namespace, progress: Progress) -> Summary:
    """All devices to their end."""
    faults = Faults(options.loss, options.repeat, options.reorder, options.seed)
    ways = Ways(options.via, faults)
    person = Person(options.claim, options.token) if options.claim else None
    try:
        with _store(options.state) as store:
            around = Surroundings(
                ways, store, progress, person, options.provision.rstrip("/"), options.reconnect
            )
            devices = [EapNoobDevice(serial, _facts(serial, options), around) for serial in serials(options)]
            return await run_fleet(devices, options.rate, options.timeout, progress)
    finally:
        await ways.close()
        if person:
            await person.close()


def serials(options: argparse.Namespace) -> list[str]:
    """``--serial`` as it is for one device, as a prefix for several; a random one keeps runs apart."""
    if options.count == 1:
        return [options.serial or f"S-{secrets.token_hex(4).upper()}"]
    prefix = options.serial or f"S-{secrets.token_hex(2).upper()}"
    return [f"{prefix}-{number:04}" for number in range(1, options.count + 1)]


def _facts(serial: str, options: argparse.Namespace) -> device.DeviceFacts:
    direction = _DIRECTIONS[options.direction]
    return device.DeviceFacts(
        peer_info=_peer_info(serial, options),
        cryptosuites=(options.suite,) if options.suite else tuple(int(suite) for suite in Cryptosuite),
        dirs=direction,
        dirp=direction,
        nai=f"noob@{options.realm}" if options.realm else DEFAULT_NAI,
        noob_timeout_seconds=options.noob_timeout,
    )


def _peer_info(serial: str, options: argparse.Namespace) -> str:
    info: dict[str, str | int] = {
        "Manufacturer": options.manufacturer,
        "Model": options.model,
        "SerialNumber": serial,
    }
    if options.name:
        info["PeerName"] = options.name
    return json.dumps(info | {"Provisioning": 1}, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def _store(folder: str) -> Iterator[Store[Memory]]:
    """``--state``, or a folder that is gone when the run is over."""
    if folder:
        yield Store(Path(folder))
        return
    with tempfile.TemporaryDirectory(prefix="onward-simulator-") as temporary:
        yield Store(Path(temporary), durable=False)


__all__ = ["EXAMPLES", "HELP", "SCHEMES", "add_arguments", "check", "run", "serials"]
