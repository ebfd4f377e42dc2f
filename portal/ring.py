"""Telling a worker that something waits, after the commit."""

from __future__ import annotations

from django.db import transaction

from portal.runtime import ring


def ring_after_commit() -> None:
    """One ring when the request's transaction is through; at once where there is none."""
    transaction.on_commit(ring)
