"""The device's side of service info: the mirror of the owner's, with the device itself behind ``Effects``."""

from __future__ import annotations

from bootstrap.protocols.fdo.service_info.device.effects import (
    EffectFailed,
    Effects,
    ModuleFailed,
    Ran,
    Traits,
)
from bootstrap.protocols.fdo.service_info.device.machine import DeviceModules, Said

__all__ = ["DeviceModules", "EffectFailed", "Effects", "ModuleFailed", "Ran", "Said", "Traits"]
