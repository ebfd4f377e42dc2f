"""Who may open a session unannounced, and how many: limits that a flood meets before it meets the disk.

A bucket per network of the sender in this process, and a cap on unclaimed sessions in the store
(strangers.py). Through RADIUS the sender is the access point, for all of its devices: it is the only name
there that nobody can forge. A Calling-Station-Id is the device's own word, and a flood would only need a new
one for each message to look like many. So an access point has one generous bucket and one fair share, and a
flood through it takes room from its own devices alone.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from dataclasses import dataclass

from bootstrap.errors import TooManyRequests

SOURCES_MAX = 20_000
IPV6_PREFIX = 64
"""One home or one attacker has a /64; counting single IPv6 addresses counts nothing."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Admission:
    """Token buckets by source; bounded in number, the least recently used one goes."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def admit(self, source: str, now: float | None = None) -> None:
        """Count one stranger from ``source``; raises TooManyRequests when its bucket is empty."""
        now = time.monotonic() if now is None else now
        key = source_key(source)
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        self._buckets[key] = bucket
        if len(self._buckets) > SOURCES_MAX:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            wait = (1 - bucket.tokens) / self._per_second
            raise TooManyRequests(f"too many new devices from {key}", retry_after_seconds=max(1, round(wait)))
        bucket.tokens -= 1


def source_key(source: str) -> str:
    """The network that one party may be assumed to hold."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
