"""A live portal set up for FDO, and the few API calls with which tests feed it and look at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live_portal import ROOT, LivePortal

ORGANIZATION = "Home"
UNLIMITED = {
    "ONWARD_FDO_PER_SECOND": "100000",
    "ONWARD_FDO_BURST": "100000",
    "ONWARD_FDO_GUID_PER_MINUTE": "100000",
    "ONWARD_FDO_GUID_BURST": "100000",
}
"""A test asks more often in a minute than a factory in a day."""
KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072")
_LOOP = """
import contextlib, io, json, sys, django
django.setup()
for line in sys.stdin:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(json.loads(line), {})
        print(json.dumps([True, said.getvalue()]), flush=True)
    except Exception as error:
        print(json.dumps([False, repr(error)]), flush=True)
"""
_SETTINGS = """
from devices.models import Organization
from devices.services.fdo import fdo_settings_save
fdo_settings_save(Organization.objects.get(name={name!r}), None, **{fields!r})
"""
_PREPARE = """
import json
from pathlib import Path
from devices.models import Organization, OwnerKey
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_active, owner_key_make, owner_key_pem, public_in
organization = Organization.objects.get(name={name!r})
pems = {{}}
for purpose in ("manufacturer", "owner"):
    for kind in {kinds!r}:
        key = owner_key_active(organization, purpose, kind)
        if key is None or key.certificate is None:
            key = owner_key_make(organization, None, kind, purpose=purpose, encoding="x5chain")
        pems[kind] = owner_key_pem(key)
for path in {paths!r}:
    pem = Path(path).read_bytes()
    manufacturer_trust(organization, None, public_in(pem[pem.index(b"-----BEGIN CERTIFICATE"):])[0].der)
print(json.dumps(pems))
"""
_FILES = """
import json
from devices.models import DeviceFile
print(json.dumps({{row.name: row.content.hex() for row in DeviceFile.objects.filter(device={device})}}))
"""


def eventually(look: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """The first truthy answer."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what or look}")
        time.sleep(0.1)


@dataclass
class FdoPortal:
    """One organization that is manufacturer, rendezvous and owner."""

    live: LivePortal
    token: str = field(default="", repr=False)
    shell: subprocess.Popen[str] | None = field(default=None, repr=False)
    """Django on the portal's data folder, kept: starting it costs seconds."""
    owner_keys: dict[str, str] = field(default_factory=dict)
    """PEM of the public owner key by kind, a certificate each; after ``prepare``."""

    @classmethod
    def start(cls, *, rendezvous: str = "", **environment: str) -> FdoPortal:
        """`manage.py up`, then `manage.py fdo setup`."""
        portal = cls(LivePortal(environment={**UNLIMITED, **environment}).start())
        portal.token = portal.live.token(organization=ORGANIZATION)
        words = ["fdo", "setup", "--organization", ORGANIZATION]
        portal.live.manage(*words, *(["--rendezvous", rendezvous] if rendezvous else []))
        portal.refreshed()
        return portal

    @property
    def url(self) -> str:
        """Where devices go."""
        return self.live.portal

    def refreshed(self) -> None:
        """Doors look at their directory twice a second; on a crowded machine they come to it later."""
        time.sleep(0.8 + min(os.getloadavg()[0] / (os.cpu_count() or 1), 5) * 0.4)

    def settings(self, **fields: Any) -> None:
        """What the organization does in FDO."""
        self._code(_SETTINGS.format(name=ORGANIZATION, fields=fields))
        self.refreshed()

    def prepare(self, *trusted: Path) -> None:
        """Owner and manufacturer keys of every kind, with certificates, so that DI may ask for any; and the
        manufacturers to believe, by PEM files with their certificates."""
        code = _PREPARE.format(name=ORGANIZATION, kinds=KINDS, paths=[str(path) for path in trusted])
        self.owner_keys = json.loads(self._code(code))
        self.refreshed()

    def stop(self) -> None:
        """The portal, and what looked into it."""
        if self.shell is not None:
            self.shell.kill()
            self.shell.wait(timeout=10)
        self.live.stop()

    def _code(self, code: str) -> str:
        if self.shell is None:
            places = {"DJANGO_SETTINGS_MODULE": "portal.settings", "ONWARD_DATA_DIR": str(self.live.folder)}
            self.shell = subprocess.Popen(
                [sys.executable, "-c", _LOOP],
                cwd=ROOT,
                env=self.live._environment() | places,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(json.dumps(code) + "\n")
        self.shell.stdin.flush()
        done, said = json.loads(self.shell.stdout.readline())
        assert done, said
        return said

    def exported(self, kind: str) -> str:
        """PEM of the public owner key, as the command prints it."""
        words = ("fdo", "owner-key", "export", "--organization", ORGANIZATION, "--key-type", kind)
        return self.live.manage(*words) + "\n"

    def call(self, method: str, path: str, body: Any = None, media_type: str = "application/json") -> Any:
        """One API call: JSON in unless bytes are given, JSON out unless it is none."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=content, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", media_type)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:600]!r}") from None
        try:
            return json.loads(content)
        except ValueError:
            return content

    def import_vouchers(self, pem: bytes, seconds: float = 60) -> dict[str, Any]:
        """Hand in a file and wait for its job."""
        job = self.call("POST", "vouchers", pem, "application/octet-stream")

        def over() -> dict[str, Any] | None:
            found = self.call("GET", f"jobs/{job['id']}")
            return found if found["state"] not in ("queued", "running") else None

        return eventually(over, seconds, "import job")

    def rejected(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of an import that were refused, with their reasons."""
        return self.call("GET", f"jobs/{job['id']}/rows?outcome=rejected")["results"]

    def voucher(self, guid: str) -> dict[str, Any] | None:
        """The newest row of a GUID."""
        found = self.call("GET", f"vouchers?q={guid}")["results"]
        return found[0] if found else None

    def voucher_when(self, guid: str, seconds: float = 30, **wanted: Any) -> dict[str, Any]:
        """The row of a GUID once it has these values."""

        def look() -> dict[str, Any] | None:
            row = self.voucher(guid)
            return row if row and all(row[name] == value for name, value in wanted.items()) else None

        return eventually(look, seconds, f"voucher {guid} with {wanted}: {self.voucher(guid)}")

    def voucher_file(self, row: dict[str, Any]) -> bytes:
        """PEM."""
        content = self.call("GET", f"vouchers/{row['id']}/file?type=pem")
        return content if isinstance(content, bytes) else str(content).encode()

    def files_of(self, device: int) -> dict[str, bytes]:
        """What a device has sent: collected files, and outputs of commands as ``<item>.out``."""
        said = json.loads(self._code(_FILES.format(device=device)))
        return {name: bytes.fromhex(content) for name, content in said.items()}

    def results_of(self, device: int) -> dict[str, bool]:
        """Items of its plan, and whether each worked."""
        shown = self.call("GET", f"devices/{device}")
        return {one["id"]: one["ok"] for one in shown["onboarding"]["results"]}

    def plan(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """A new plan for every device."""
        name = f"plan {time.monotonic_ns()}"
        for plan in self.call("GET", "plans")["results"]:
            if plan["is_default"]:
                self.call("DELETE", f"plans/{plan['id']}")
        made = self.call("POST", "plans", {"name": name, "items": items, "is_default": True})
        self.refreshed()
        return made
