"""What a run of the simulator ends with: how many, how fast, and why not."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field

from bootstrap.errors import OnwardError


class Stopped(OnwardError):
    """A simulated device gave up. ``reason`` is a few words: the summary counts by it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Summary:
    """Counts of one fleet; grows while devices end."""

    devices: int
    seconds: list[float] = field(default_factory=list)
    """From a device's start to onboarded, one per onboarded device."""
    failed: Counter[str] = field(default_factory=Counter)
    goal: str = "onboarded"
    """What the devices were to become, in a word."""

    @property
    def end(self) -> str:
        """The event with which a device that came all the way ends."""
        return "onboarded" if self.goal == "onboarded" else "finished"

    @property
    def onboarded(self) -> int:
        """Devices that came all the way."""
        return len(self.seconds)

    @property
    def all_onboarded(self) -> bool:
        """Whether none was lost."""
        return self.onboarded == self.devices

    def as_json(self) -> str:
        """The last line of ``--json``."""
        return json.dumps(
            {
                "devices": self.devices,
                self.goal: self.onboarded,
                "failed": dict(self.failed.most_common()),
                "p50_seconds": self.percentile(50),
                "p95_seconds": self.percentile(95),
            }
        )

    def as_text(self) -> str:
        """The same for people."""
        lines = [f"{self.onboarded} of {self.devices} {self.goal}"]
        if self.seconds:
            lines[0] += f", half of them within {self.percentile(50)} s, 95 % within {self.percentile(95)} s"
        lines += [f"  {count} failed: {reason}" for reason, count in self.failed.most_common()]
        return "\n".join(lines)

    def percentile(self, percent: int) -> float | None:
        """Nearest-rank percentile in seconds; None while nothing is onboarded."""
        if not self.seconds:
            return None
        rank = math.ceil(len(self.seconds) * percent / 100)
        return round(sorted(self.seconds)[rank - 1], 3)
