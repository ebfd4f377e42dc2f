"""Devices in processes of their own, and what a camera sees of their codes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import qrcode

from tests.live_portal import ROOT

QR_PIXELS = 6
"""Camera pixels per module."""


class Thing:
    """One simulated device, switched on."""

    def __init__(self, via: str, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bootstrap.simulator", "eap-noob", "--via", via, "--json", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self._arriving: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """The next event of this name, or the first one that came already."""
        for event in self.events:
            if event.get("event") == name:
                return event
        until = time.monotonic() + seconds
        while True:
            event = self._arriving.get(timeout=max(0.01, until - time.monotonic()))
            assert event is not None, f"the device ended before {name}: {self._last_words()}"
            self.events.append(event)
            if event.get("event") == name:
                return event

    def code(self) -> str:
        """The URL in its QR code."""
        return str(self.wait("code")["url"])

    def type(self, text: str) -> None:
        """On its keypad."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def off(self) -> None:
        """Pull the plug."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(json.loads(line))
        self._arriving.put(None)

    def _last_words(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()[-1000:]


def secret_of(code: str) -> str:
    """Noob: whoever knows it can claim (RFC 9140 section 3.2.3)."""
    return parse_qs(urlsplit(code).query)["N"][0]


def here(code: str, base: str) -> str:
    """The same code as a link to the portal's own address, as `--portal` prints it."""
    return f"{base}/n?{urlsplit(code).query}"


def with_wrong_hoob(code: str) -> str:
    """As if one character had been misread."""
    head, mark, tail = code.partition("H=")
    return f"{head}{mark}{'B' if tail[0] == 'A' else 'A'}{tail[1:]}"


def picture(ffmpeg: str, code: str, to: Path) -> Path:
    """The code on a grey table, as a still (.png) or as what a camera sees for two seconds (.mjpeg)."""
    qr = qrcode.QRCode(border=4, box_size=1)
    qr.add_data(code)
    rows = [[bool(module) for module in row] for row in qr.get_matrix()]
    pixels = bytes(0 if module else 255 for row in rows for module in row)
    raw = to.with_suffix(".pgm")
    raw.write_bytes(f"P5 {len(rows)} {len(rows)} 255\n".encode() + pixels)
    size = len(rows) * QR_PIXELS
    shape = f"scale={size}:{size}:flags=neighbor,pad=640:480:(ow-iw)/2:(oh-ih)/2:gray"
    many = ["-t", "2", "-r", "10", "-pix_fmt", "yuvj420p", "-q:v", "2"]
    subprocess.run(
        [ffmpeg, "-y", "-loglevel", "error", "-loop", "1", "-i", str(raw), "-vf", shape,
         *(many if to.suffix == ".mjpeg" else ["-frames:v", "1"]), str(to)],
        check=True,
        timeout=60,
    )  # fmt: skip
    return to
