"""Progress of the run on standard output: JSON lines for programs, sentences for people."""

from __future__ import annotations

import json
import sys
import time
from typing import Protocol, TextIO

from bootstrap.simulator import qr

_SENTENCES = {
    "started": "switched on",
    "resumed": "switched on again, state {state}",
    "initial": "introduced itself to the server as {peer_id}",
    "code-entered": "took the code",
    "claimed": "claimed by the person",
    "waiting": "waits {seconds} s, then asks the server again",
    "initialized": "initialized by its manufacturer, GUID {guid}",
    "redirected": "the rendezvous server sends it to {url}",
    "set-up": "set up by its owner, credential {credential}, GUID {guid}",
    "file": "file {path} written, {octets} octets",
    "sent-file": "file {path} sent, {octets} octets",
    "fetched": "{url} fetched, {octets} octets",
    "command": "command {command} with {args} arguments",
    "certificate": "certificate of {octets} octets kept",
    "bootstrapped": "authenticated: keys exist",
    "reconnected": "authenticated again ({round} of {rounds})",
    "no-plan": "has no plan yet, asks again in {seconds} s",
    "plan": "got plan version {version} with {items} items",
    "item": "{id}: {outcome}",
    "reported": "reported version {version}",
    "online": "checked in",
    "onboarded": "ONBOARDED after {seconds} s",
    "finished": "FINISHED after {seconds} s",
    "failed": "FAILED: {reason}",
    "reset": "state mismatch: the person resets the device",
    "code-refused": "the code is refused: {reason}",
    "delay": "waits {seconds} s as its maker said: {reason}",
    "retry": "tries again in {seconds} s: {reason}",
}
_ENDS = frozenset({"onboarded", "finished", "failed"})
TALKATIVE_UP_TO = 4
"""Devices up to which every step of each is told to people."""


class Progress(Protocol):
    """Where devices tell what they are doing."""

    def event(self, name: str, serial: str, **values: str | int | float) -> None:
        """One step of one device."""
        ...

    def summary(self, text: str) -> None:
        """The last words."""
        ...


class JsonProgress:
    """One JSON object per line."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._start = time.monotonic()

    def event(self, name: str, serial: str, **values: str | int | float) -> None:
        """``{"event", "serial", "at", ...}``; ``at`` in seconds since the run began."""
        at = round(time.monotonic() - self._start, 3)
        print(json.dumps({"event": name, "serial": serial, "at": at} | values), file=self._out, flush=True)

    def summary(self, text: str) -> None:
        """The last line is the summary alone."""
        print(text, file=self._out, flush=True)


class TextProgress:
    """Sentences; a code comes with its QR."""

    def __init__(
        self, devices: int, portal: str = "", show_codes: bool = True, out: TextIO | None = None
    ) -> None:
        self._out = out or sys.stdout
        self._devices = devices
        self._portal = portal.rstrip("/")
        self._show_codes = show_codes

    def event(self, name: str, serial: str, **values: str | int | float) -> None:
        """One sentence; in a large fleet only the ends and the codes."""
        if name == "code":
            self._code(serial, str(values["url"]))
        elif name == "wants-code":
            self._say(f"{serial}  type or paste the code that the portal shows, then Enter:")
        elif name in _ENDS or self._devices <= TALKATIVE_UP_TO:
            self._say(f"{serial}  {_SENTENCES[name].format(**values)}")

    def summary(self, text: str) -> None:
        """A blank line, then the summary."""
        self._say(f"\n{text}")

    def _code(self, serial: str, url: str) -> None:
        if not self._show_codes:
            return
        if self._devices <= TALKATIVE_UP_TO:
            self._say(f"\n{qr.render(url, ansi=self._out.isatty())}\n")
        self._say(f"{serial}  scan or open:  {url}")
        if self._portal and not url.startswith(self._portal):
            self._say(f"{serial}  in this browser:  {self._portal}/n?{url.partition('?')[2]}")

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)
