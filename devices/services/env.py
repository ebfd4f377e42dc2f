"""The real clock and the system's randomness, for services; device messages get theirs from the runtime."""

from __future__ import annotations

from datetime import UTC, datetime

from bootstrap.contract import Env
from devices.entropy import take


def live_env() -> Env:
    """Now."""
    return Env(now=datetime.now(UTC), random=take)
