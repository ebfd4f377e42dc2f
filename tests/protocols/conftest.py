"""``make fast`` runs the short form of what ``make test`` runs whole: EC keys instead of all, fewer examples."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

FAST = os.environ.get("ONWARD_FAST") == "1"
SLOW_KINDS = ("RSA", "DHKEX", "ASYMKEX")
"""In the ids of tests that repeat for every kind of key: milliseconds with EC, seconds with these."""
EXAMPLES = 10

settings.register_profile("fast", max_examples=EXAMPLES)
if FAST:
    settings.load_profile("fast")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, when in a hurry, what only repeats with slower keys or takes its time by design."""
    if not FAST:
        return
    left_out = [item for item in items if item.get_closest_marker("thorough") or _is_slow_kind(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _is_slow_kind(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(word in callspec.id for word in SLOW_KINDS)
