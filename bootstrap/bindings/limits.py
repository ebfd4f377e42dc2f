"""How many wrong codes one person may try. A fresh code has 128 random bits, so this guards the shared
machine, not the secret; right codes are never slowed down, or a fleet could not be claimed."""

from __future__ import annotations

from django.core.cache import cache

from bootstrap.bindings.problems import ClaimProblem, ClaimRefused

WRONG_PER_MINUTE = 15
_COUNTED = (
    ClaimProblem.UNREADABLE,
    ClaimProblem.UNKNOWN_DEVICE,
    ClaimProblem.WRONG_CODE,
    ClaimProblem.NOBODY_WITH_SERIAL,
    ClaimProblem.NO_VOUCHER,
)


def _key(person_id: int) -> str:
    return f"claim-wrong-{person_id}"


def tries_check(person_id: int) -> None:
    """Raises ClaimRefused(TOO_MANY_TRIES) after too many wrong codes in the last minute."""
    if cache.get(_key(person_id), 0) >= WRONG_PER_MINUTE:
        raise ClaimRefused(ClaimProblem.TOO_MANY_TRIES, retry_after_seconds=60)


def tries_count(person_id: int, refused: ClaimRefused) -> None:
    """Count a refusal that a guess would cause."""
    if refused.problem not in _COUNTED:
        return
    key = _key(person_id)
    if not cache.add(key, 1, timeout=60):
        try:
            cache.incr(key)
        except ValueError:
            cache.set(key, 1, timeout=60)
