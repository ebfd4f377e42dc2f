"""Celery is a door too: tasks take ids, may run twice, and call services."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from bootstrap.engine import onboarding
from bootstrap.engine.strangers import strangers_expire, strangers_trim

ROUNDS_MAX = 100
"""Batches that one sweep takes before it lets others have the worker."""


@shared_task(name="onward.sweep")
def sweep() -> None:
    """Whatever is due: steps forward, deadlines, reminders, offers that ran out.

    Rung by the doors when a device has moved, and every two seconds anyway.
    """
    with one_at_a_time("sweep"):
        for _round in range(ROUNDS_MAX):
            if not onboarding.sweep(timezone.now()):
                return


@shared_task(name="onward.housekeeping")
def housekeeping() -> None:
    """Unclaimed sessions whose time is over, or that are too many."""
    while strangers_expire(timezone.now()):
        continue
    strangers_trim(settings.STRANGERS_MAX, timezone.now())


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other process of this data folder is at it: two would only repeat each other's work."""
    with (Path(settings.DATA_DIR) / "run" / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
