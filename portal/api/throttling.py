"""One generous limit per caller, so that a runaway script cannot take the portal's threads for itself."""

from __future__ import annotations

import time
from typing import Any

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

PER_MINUTE = 6000
WINDOW_SECONDS = 60


class CallerThrottle(BaseThrottle):
    """At most PER_MINUTE requests in one minute of the clock per token, person or address."""

    def __init__(self) -> None:
        self.now = time.time()

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count this request; two cache operations, whatever the limit."""
        caller = self._caller(request)
        key = f"api:{caller}:{int(self.now // WINDOW_SECONDS)}"
        cache.add(key, 0, timeout=2 * WINDOW_SECONDS)
        try:
            return cache.incr(key) <= PER_MINUTE
        except ValueError:  # pushed out of the cache between the two
            return True

    def wait(self) -> float:
        """Seconds until the next window."""
        return WINDOW_SECONDS - self.now % WINDOW_SECONDS

    def _caller(self, request: Request) -> str:
        if request.auth is not None:
            return f"token:{request.auth.pk}"
        if request.user:
            return f"user:{request.user.pk}"
        return f"address:{request.META.get('REMOTE_ADDR', '')}"
