"""Flat frozen dataclasses to bytes and back: how a session's state becomes one blob.

Deterministic CBOR of a map from field name to value. A field that is missing in the blob takes its
default, so that a state may grow fields without a migration; a field the class no longer has is dropped.
"""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

import cbor2

from bootstrap.errors import LocalError

T = TypeVar("T")


def freeze(state: Any) -> bytes:
    """The blob of a flat frozen dataclass; values are None, bool, int, str, bytes or tuples of those."""
    values = {name: getattr(state, name) for name in _names(type(state))}  # type: ignore[arg-type]
    return cbor2.dumps(values, canonical=True)


def thaw(cls: type[T], blob: bytes) -> T:
    """The dataclass that ``freeze`` wrote. Raises LocalError: the blob is ours, so a bad one is our fault."""
    try:
        values = cbor2.loads(blob)
        known = _names(cls)  # type: ignore[arg-type]
        return cls(**{k: _tupled(v) if type(v) is list else v for k, v in values.items() if k in known})
    except (cbor2.CBORDecodeError, AttributeError, TypeError, ValueError) as error:
        raise LocalError(f"stored {cls.__name__} cannot be read: {type(error).__name__}") from error


@lru_cache(maxsize=256)
def _names(cls: type[Any]) -> dict[str, None]:
    """In the class's order, and quick to look into."""
    return dict.fromkeys(f.name for f in fields(cls))


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value
