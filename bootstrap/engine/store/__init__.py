"""The hot path's own storage: one read and one write per device message, no ORM."""

from bootstrap.engine.store.contract import Change, Committed, EventRow, NextRow, Record, Store

__all__ = ["Change", "Committed", "EventRow", "NextRow", "Record", "Store"]
