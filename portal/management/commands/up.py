"""Everything with one command: web, CoAP, RADIUS and worker as supervised child processes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.services.people import first_owner_link
from portal.children import Child, Supervisor, manage
from portal.health import beats, heart_path
from portal.logs import configure
from portal.management.base import migrate_if_needed
from portal.sockets import free_udp_port, patiently, shown_host, tcp, udp

READY_SECONDS = 90
PATIENCE_SECONDS = 20.0
"""How long the doors of an ``up`` that was killed may take to end (SIGTERM reaches them when it is gone)."""
HEARTS = ("web", "devices", "coap", "radius", "worker")


class Command(BaseCommand):
    """Everything with one command: web, CoAP, RADIUS and worker as supervised child processes."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Addresses and ports; 0 picks a free one."""
        parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for the whole network")
        parser.add_argument("--port", type=int, default=8000, help="pages and API, plain HTTP")
        parser.add_argument("--tls-port", type=int, default=8443, help="devices over HTTPS")
        parser.add_argument("--coap-port", type=int, default=5683)
        parser.add_argument("--radius-port", type=int, default=1812)
        parser.add_argument("--json", action="store_true", help="say where everything is in one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Supervise until SIGTERM or SIGINT."""
        configure(settings.LOG_LEVEL, json=settings.LOG_JSON)
        lock = _Lock(Path(settings.DATA_DIR) / "run" / "up.lock")
        try:
            migrate_if_needed()
            places, children = _prepare(options, PATIENCE_SECONDS if lock.predecessor_died else 0.0)
            asyncio.run(self._run(places, children, options["json"]))
            lock.clear()
        finally:
            lock.close()

    async def _run(self, places: dict[str, str], children: list[Child], as_json: bool) -> None:
        supervisor = Supervisor(children)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)
        running = asyncio.create_task(supervisor.run())
        announcing = asyncio.create_task(self._announce(places, as_json))
        await running
        announcing.cancel()

    async def _announce(self, places: dict[str, str], as_json: bool) -> None:
        for _wait in range(READY_SECONDS * 10):
            if all(beats(name) for name in HEARTS):
                break
            await asyncio.sleep(0.1)
        else:
            late = ", ".join(name for name in HEARTS if not beats(name))
            self.stderr.write(f"Still not up: {late}. The log above says why.")
        if as_json:
            self.stdout.write(json.dumps(places))
            self.stdout.flush()
        else:
            link = await asyncio.to_thread(first_owner_link)
            self.stdout.write(welcome(places, link))
            self.stdout.flush()


class _Lock:
    """One ``up`` per data folder. The file names who holds it, and is empty after an orderly end."""

    def __init__(self, path: Path) -> None:
        """Raises CommandError that says who holds it."""
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise CommandError(
                f"{path.parent.parent} is in use by {holder}; choose another --data-dir"
            ) from error
        self._file.seek(0)
        self.predecessor_died = bool(self._file.read().strip())
        self.clear()
        self._file.write(f"process {os.getpid()}")
        self._file.flush()

    def clear(self) -> None:
        """Nothing of ours runs any more."""
        self._file.truncate(0)

    def close(self) -> None:
        """Let the next one in."""
        self._file.close()


def _prepare(options: dict[str, Any], patience_seconds: float) -> tuple[dict[str, str], list[Child]]:
    """Bind, tell the children where they are, and list them."""
    host = options["host"]
    plain = patiently(lambda: tcp(host, options["port"]), patience_seconds)
    secure = patiently(lambda: tcp(host, options["tls_port"]), patience_seconds)
    radius = patiently(lambda: udp(host, options["radius_port"]), patience_seconds)
    coap_port = patiently(lambda: free_udp_port(host, options["coap_port"]), patience_seconds)
    shown = shown_host(host)
    # Browsers make passkeys for names only, never for addresses.
    name = "localhost" if shown == "127.0.0.1" else shown
    portal = settings.PORTAL_URL or f"http://{name}:{plain.getsockname()[1]}"
    devices = settings.DEVICES_URL or f"https://{shown}:{secure.getsockname()[1]}"
    coap = settings.COAP_URL or f"coap://{shown}:{coap_port}"
    os.environ.update(
        ONWARD_DATA_DIR=str(settings.DATA_DIR),
        ONWARD_URL=portal,
        ONWARD_DEVICES_URL=devices,
        ONWARD_COAP_URL=coap,
    )
    places = {
        "portal": portal,
        "devices": devices,
        "coap": coap,
        "radius": f"radius://{shown}:{radius.getsockname()[1]}",
        "data_dir": str(settings.DATA_DIR),
    }
    for name in HEARTS:
        heart_path(name).unlink(missing_ok=True)
    children = [
        Child(
            "web",
            manage("runweb", "--host", host, "--fd", str(plain.fileno()), "--tls-fd", str(secure.fileno())),
            (plain.fileno(), secure.fileno()),
        ),
        Child("coap", manage("runcoap", "--host", host, "--port", str(coap_port))),
        Child(
            "radius", manage("runradius", "--host", host, "--fd", str(radius.fileno())), (radius.fileno(),)
        ),
        Child("worker", _worker()),
    ]
    # The sockets must live as long as the supervisor; their objects would close them when collected.
    _KEPT.extend([plain, secure, radius])
    return places, children


_KEPT: list[Any] = []


def _worker() -> list[str]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    # An import and a round of registrations may each take one for seconds; the sweep must not wait for them.
    size = ["--concurrency", "4", "--max-tasks-per-child", "5000"]
    # The schedule is code and starts from now: nothing of it needs a file that a kill could leave torn.
    beat = ["--beat", "--scheduler", "celery.beat:Scheduler"]
    return [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "portal",
        "worker",
        "--loglevel",
        "WARNING",
        *quiet,
        *size,
        *beat,
    ]


def welcome(places: dict[str, str], link: str | None) -> str:
    """What a person reads when everything listens."""
    python = shlex.quote(os.path.relpath(sys.executable))
    portal = places["portal"]
    lines = ["", f"Onward is up:  {portal}"]
    if link:
        lines.append(f"First owner:   {portal}/welcome/{link}   (works once)")
    lines += [
        f"Try a device:  {python} -m bootstrap.simulator eap-noob --via {places['devices']} --portal {portal}",
        "",
        f"Devices reach it at {places['devices']}, {places['coap']} and {places['radius']}.",
        "Stop with Ctrl-C.",
        "",
    ]
    return "\n".join(lines)
