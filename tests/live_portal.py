"""A whole portal as users start it: `manage.py up` in a data folder of its own, every port free."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STARTUP_SECONDS = 90


@functools.cache
def migrated() -> Path:
    """An empty database of this checkout, made once per test process: migrating costs seconds, copying none."""
    folder = scratch("onward-empty-")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONWARD_")}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", "--data-dir", str(folder)],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "portal.settings"},
        check=True,
        timeout=120,
    )
    return folder / "onward.sqlite3"


def scratch(prefix: str) -> Path:
    """A folder that goes with the test process."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass
class LivePortal:
    """Start it, talk to it over its doors, kill parts of it, start it again on the same folder."""

    folder: Path = field(default_factory=lambda: scratch("onward-live-"))
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    places: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self) -> LivePortal:
        """Returns when every door listens; a second start takes the same ports again."""
        database = self.folder / "onward.sqlite3"
        if not database.exists():
            shutil.copyfile(migrated(), database)
        ports = self.ports or {"port": 0, "tls-port": 0, "coap-port": 0, "radius-port": 0}
        words = [word for name, port in ports.items() for word in (f"--{name}", str(port))]
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--json", "--data-dir", str(self.folder), *words],
            cwd=ROOT,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=self.log.open("a"),
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"up did not start:\n{self.log.read_text()[-3000:]}")
        self.places = json.loads(line)
        self.ports = {
            "port": _port(self.places["portal"]),
            "tls-port": _port(self.places["devices"]),
            "coap-port": _port(self.places["coap"]),
            "radius-port": _port(self.places["radius"]),
        }
        return self

    @property
    def log(self) -> Path:
        """Standard error of every process."""
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def portal(self) -> str:
        """URL of pages and API."""
        return self.places["portal"]

    def stop(self) -> int:
        """SIGTERM, as an operator would; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def kill(self) -> None:
        """kill -9 of the supervisor."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)

    def pids(self, command: str) -> list[int]:
        """Living processes of this portal whose command line contains ``command`` (runweb, runcoap, celery ...)."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if command in words and str(self.folder).encode() in environment:
                found.append(int(entry.name))
        return found

    def manage(self, *words: str) -> str:
        """Output of one management command on this data folder."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words, "--data-dir", str(self.folder)],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, email: str = "owner@example.org", organization: str = "Home") -> str:
        """An API token of an owner of ``organization``."""
        return self.manage("token", "create", "--email", email, "--organization", organization)

    def access_point(
        self, secret: str = "testing123", organization: str = "Home", address: str = "127.0.0.0/8"
    ) -> str:
        """Let this machine relay RADIUS; the simulator's --via URL."""
        self.manage(
            "accesspoint",
            "add",
            "--organization",
            organization,
            "--address",
            address,
            "--secret",
            secret,
        )
        time.sleep(0.7)  # doors look at their directory twice a second
        return f"{self.places['radius']}?secret={secret}"

    def simulate(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the simulated device to its end."""
        return subprocess.run(
            [sys.executable, "-m", "bootstrap.simulator", "eap-noob", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def get(self, path: str, token: str) -> dict:
        """One API answer."""
        request = urllib.request.Request(self.portal + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ONWARD_")}
        return {**inherited, "ONWARD_LOG_LEVEL": "INFO", **self.environment}


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])
