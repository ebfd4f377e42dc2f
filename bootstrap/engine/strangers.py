"""Bounds on unclaimed sessions: expiry, and room for new ones when there are too many."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet

from bootstrap.engine.admission import source_key
from bootstrap.engine.models import Session

BATCH = 500
UNBIDDEN = ("eap-noob",)
"""Protocols that let anybody open a session. Other sessions without a device were let in for a reason: they end with
their own time, and no flood makes them end sooner."""


class _Stranger(NamedTuple):
    """What decides who stays. In order of worth: who came back oftener, then who spoke last."""

    messages: int
    seen_at: datetime
    pk: int


def strangers_expire(now: datetime) -> int:
    """Delete unclaimed sessions whose time is over; returns how many."""
    old = Q(expires_at__lt=now)
    return _delete(list(_loose(now).filter(old).values_list("pk", flat=True)[:BATCH]), now)


def strangers_trim(limit: int, now: datetime) -> int:
    """Make room down to ``limit``, never taking one that a person is claiming; returns how many went.

    Every network may keep as many as every other; the crowded ones give what is above that. Within a network
    those go first that never came back, then the longest silent.
    """
    excess = Session.objects.filter(device=None, protocol__in=UNBIDDEN).count() - limit
    if excess <= 0:
        return 0
    networks: dict[str, list[_Stranger]] = defaultdict(list)
    crowd = _loose(now).filter(protocol__in=UNBIDDEN)
    for source, messages, seen_at, pk in crowd.values_list("source", "messages", "seen_at", "pk"):
        networks[source_key(source)].append(_Stranger(messages, seen_at, pk))
    victims = _victims(list(networks.values()), excess)
    batches = [victims[start : start + BATCH] for start in range(0, len(victims), BATCH)]
    return sum(_delete(batch, now) for batch in batches)


def _victims(networks: list[list[_Stranger]], excess: int) -> list[int]:
    """The ``excess`` least worthy: first all above the fair share of a network, then among what is left."""
    total = sum(map(len, networks))
    share = _fair_share([len(network) for network in networks], max(0, total - excess))
    over: list[_Stranger] = []
    within: list[_Stranger] = []
    for network in networks:
        network.sort()
        above = max(0, len(network) - share)
        over += network[:above]
        within += network[above:]
    # The share is a whole number, so a few more than asked may be above it: the worthiest of them stay.
    victims = (sorted(over) + sorted(within))[:excess]
    return [stranger.pk for stranger in victims]


def _fair_share(counts: list[int], room: int) -> int:
    """The largest number that every network may keep so that all together fit into ``room``."""
    left = len(counts)
    for count in sorted(counts):
        if count * left > room:
            return room // left
        room -= count
        left -= 1
    return max(counts, default=0)


def _loose(now: datetime) -> QuerySet[Session]:
    """Unclaimed, and nobody is looking at it."""
    return Session.objects.filter(device=None).filter(Q(guarded_until=None) | Q(guarded_until__lt=now))


def _delete(ids: list[int], now: datetime) -> int:
    """Only what is still loose. One transaction around looking and deleting, so that no claim comes between."""
    with transaction.atomic():
        still = list(_loose(now).select_for_update().filter(pk__in=ids).values_list("pk", flat=True))
        _deleted, rows = Session.objects.filter(pk__in=still).delete()
    return rows.get("engine.Session", 0)
