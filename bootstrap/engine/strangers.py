"""Bounds on unclaimed sessions: expiry, and room for new ones when there are too many."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Q

from bootstrap.engine.models import Session

BATCH = 500


def strangers_expire(now: datetime) -> int:
    """Delete unclaimed sessions whose time is over; returns how many."""
    old = Session.objects.filter(device=None, expires_at__lt=now).values_list("pk", flat=True)[:BATCH]
    return _delete(list(old))


def strangers_trim(limit: int, now: datetime) -> int:
    """Make room down to ``limit``: the most crowded sources give first, those that never came back before
    those that did, the longest silent before the rest; never one that a person is claiming."""
    unclaimed = Session.objects.filter(device=None)
    excess = unclaimed.count() - limit
    removed = 0
    loose = unclaimed.filter(Q(guarded_until=None) | Q(guarded_until__lt=now))
    while excess > 0:
        crowded = loose.values("source").annotate(n=Count("pk")).order_by("-n").first()
        if crowded is None:
            break
        take = min(excess, BATCH, max(1, crowded["n"] // 2))
        oldest = (
            loose.filter(source=crowded["source"])
            .order_by("messages", "seen_at")
            .values_list("pk", flat=True)
        )
        gone = _delete(list(oldest[:take]))
        excess -= gone
        removed += gone
    return removed


def _delete(ids: list[int]) -> int:
    """Only what is still unclaimed now: a claim may have come in between."""
    deleted, rows = Session.objects.filter(pk__in=ids, device=None).delete()
    return rows.get("engine.Session", 0) if deleted else 0
