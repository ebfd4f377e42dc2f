"""The device: the mirror of ``server``, sans I/O.

Each protocol is an object: ``begin()`` gives the first message, ``receive(number, body)`` the next one or the
result. A PeerError ends it; ``error_for`` is the message 255 that the device then sends.
"""

from __future__ import annotations

from .credential import DeviceCredential
from .di import DiDevice
from .errors import error_for
from .to1 import To1Device
from .to2 import Finished, To2Device, To2Options

__all__ = [
    "DeviceCredential",
    "DiDevice",
    "Finished",
    "To1Device",
    "To2Device",
    "To2Options",
    "error_for",
]
