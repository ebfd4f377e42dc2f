"""What to paste into a terminal to see a device come in."""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.http import HttpRequest


def noob_line(request: HttpRequest) -> str:
    """A device with a code."""
    devices = settings.DEVICES_URL or "https://127.0.0.1:8443"
    # The address this browser uses: its session would not be found under another name of the same machine.
    portal = f"{request.scheme}://{request.get_host()}"
    return f"{_python()} -m bootstrap.simulator eap-noob --via {devices} --portal {portal}"


def fdo_line(di: str) -> str:
    """A device that is initialized at this address, and comes back to be onboarded."""
    return f"{_python()} -m bootstrap.simulator fdo --di {di} --onboard"


def _python() -> str:
    return os.path.relpath(sys.executable)
