"""The fixtures of tests/engine_world.py."""

from engine_world import house, mine

__all__ = ["house", "mine"]
