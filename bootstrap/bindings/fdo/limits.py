"""How often a conversation may begin: in 1.1 anybody who knows a GUID can make us sign, so it is counted before it
costs anything. By address for everybody, and by GUID for what is answered with work.

In the memory of each process: with N of them a peer gets N times as much, which is still a bound.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from bootstrap.engine.admission import Admission


class BeginningLimits:
    """Messages 10, 20, 30 and 60."""

    def __init__(self) -> None:
        self._by_source = Admission(settings.FDO_PER_SECOND, settings.FDO_BURST)
        self._by_guid = Admission(settings.FDO_GUID_PER_MINUTE / 60, settings.FDO_GUID_BURST)

    def source(self, source: str, now: datetime) -> None:
        """Before anything is decoded; raises TooManyRequests."""
        self._by_source.admit(source, now.timestamp())

    def guid(self, what: str, guid: bytes, now: datetime) -> None:
        """Before anything is read or signed; raises TooManyRequests. ``what`` keeps TO1 and TO2 apart."""
        self._by_guid.admit(f"{what} {guid.hex()}", now.timestamp())
