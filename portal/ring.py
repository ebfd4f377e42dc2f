"""Telling a worker that something waits, after the commit."""

from __future__ import annotations

from django.db import transaction

from bootstrap.doors.tasks import jobs_run, to0_run
from portal.runtime import ring


def ring_after_commit() -> None:
    """Imports and registrations that wait: told when the request's transaction is through, at once where there is
    none. Both are looked at every two seconds anyway."""
    transaction.on_commit(lambda: ring(jobs_run, to0_run))
