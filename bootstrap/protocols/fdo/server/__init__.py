"""The three servers of FDO 1.1, each a pure function: manufacturer (DI), rendezvous (TO0, TO1), owner (TO2)."""

from __future__ import annotations

from . import di, rendezvous
from .owner import ANSWER, FOLLOWS, step
from .replacement import unextended
from .state import OwnerFacts, OwnerMaterial, OwnerMessage, OwnerState, ResultRow, results_of, without_run

__all__ = [
    "ANSWER",
    "FOLLOWS",
    "OwnerFacts",
    "OwnerMaterial",
    "OwnerMessage",
    "OwnerState",
    "ResultRow",
    "di",
    "rendezvous",
    "results_of",
    "step",
    "unextended",
    "without_run",
]
