"""Hearts: every process touches its file once a second; ``/healthz`` looks at them all."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from django.conf import settings

BEAT_SECONDS = 1.0
STALE_SECONDS = 6.0


def heart_path(name: str) -> Path:
    """The file that a process called ``name`` touches."""
    return Path(settings.DATA_DIR) / "run" / f"{name}.alive"


def beats(name: str) -> bool:
    """Whether that process has touched its file lately."""
    try:
        return time.time() - heart_path(name).stat().st_mtime < STALE_SECONDS
    except FileNotFoundError:
        return False


async def beat_forever(*names: str) -> None:
    """Run inside a process's event loop: a stuck loop stops beating too."""
    while True:
        for name in names:
            heart_path(name).touch()
        await asyncio.sleep(BEAT_SECONDS)


def health() -> tuple[int, dict[str, Any]]:
    """HTTP status and body of /healthz."""
    doors = {name: "up" if beats(name) else "down" for name in settings.DOORS}
    well = all(state == "up" for state in doors.values())
    return (200 if well else 503), {
        "status": "ok" if well else "failing",
        "version": settings.VERSION,
        "doors": doors,
    }


async def healthz(scope: Any, receive: Any, send: Any) -> None:
    """ASGI answer; needs neither Django's handler nor the database."""
    status, body = health()
    raw = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(raw)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else raw})
