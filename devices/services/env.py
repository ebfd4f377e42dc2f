"""The real clock and the system's randomness, for services; device messages get theirs from the runtime."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from bootstrap.contract import Env


def live_env() -> Env:
    """Now."""
    return Env(now=datetime.now(UTC), random=os.urandom)
