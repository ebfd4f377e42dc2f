"""Celery is a door too: tasks take ids, may run twice, and call services."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from bootstrap.bindings.vouchers import jobs, register, settle, undo
from bootstrap.engine import onboarding
from bootstrap.engine.strangers import strangers_expire, strangers_trim

TO0_SECONDS = 5.0
ROUNDS_MAX = 100
"""Batches that one sweep takes before it lets others have the worker."""


@shared_task(name="onward.sweep")
def sweep() -> None:
    """Whatever is due: steps forward, deadlines, reminders, offers that ran out.

    Rung by the doors when a device has moved, and every two seconds anyway.
    """
    with one_at_a_time("sweep"):
        for _round in range(ROUNDS_MAX):
            now = timezone.now()
            fresh = settle.settle_di(now)
            if fresh:
                to0_run.delay()  # the device that just left the factory may look for its owner at once
            if not onboarding.sweep(now, settle.settle_to2) + fresh:
                return


@shared_task(name="onward.jobs")
def jobs_run() -> None:
    """Imports that wait or lost their runner. Rung when a file came in, and every two seconds anyway."""
    with nobody_else("jobs") as mine:
        if mine:
            jobs.jobs_run()
            undo.undo_all()


@shared_task(name="onward.to0")
def to0_run() -> None:
    """Registrations that are due, for as long as it is fair to the other tasks."""
    with nobody_else("to0") as mine:
        until = time.monotonic() + TO0_SECONDS
        while mine and time.monotonic() < until:
            if not register.register_due(timezone.now()):
                return


@shared_task(name="onward.housekeeping")
def housekeeping() -> None:
    """Unclaimed sessions whose time is over, or that are too many."""
    while strangers_expire(timezone.now()):
        continue
    strangers_trim(settings.STRANGERS_MAX, timezone.now())
    while settle.di_expire(timezone.now()):
        continue
    jobs.uploads_expire()


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other process of this data folder is at it: two would only repeat each other's work."""
    with (Path(settings.DATA_DIR) / "run" / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def nobody_else(name: str) -> Iterator[bool]:
    """Whether this process may do it now: False when another one of this data folder is at it. The kernel lets go
    of the lock when its holder dies."""
    with (Path(settings.DATA_DIR) / "run" / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
