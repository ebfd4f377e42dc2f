"""Telling browsers: after the commit, never before, and never something that matters if it is lost.

Every process sends one small datagram per change to the web process (UNIX socket in the data folder), which
hands it to its channel layer. Browsers then read the rows themselves.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import transaction

from bootstrap.engine.store.contract import Committed

DATAGRAM_MAX = 4096


def socket_path() -> Path:
    """Where the web process listens."""
    return Path(settings.DATA_DIR) / "run" / "live.sock"


@lru_cache(maxsize=1)
def _sender() -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    return sender


class Poker:
    """Pokes once in a while for each session, however many messages it has: browsers read the rows themselves."""

    SECONDS = 0.1

    def __init__(self) -> None:
        self._waiting: dict[int, Committed] = {}

    def __call__(self, changes: Sequence[Committed]) -> None:
        """In the event loop, or in any thread without one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            publish(changes)
            return
        if changes and not self._waiting:
            loop.call_later(self.SECONDS, self.flush)
        self._waiting.update({change.session_id: change for change in changes if change.event_ids})

    def flush(self) -> None:
        """Tell what waits."""
        waiting, self._waiting = list(self._waiting.values()), {}
        publish(waiting)


def publish(changes: Sequence[Committed]) -> None:
    """Poke whoever watches these devices. Losing a poke is harmless: pages also look by themselves."""
    for change in changes:
        if not change.event_ids:
            continue
        message = {
            "event": change.event_ids[-1],
            "session": change.session_id,
            "device": change.device_id,
            "organization": change.organization_id,
        }
        try:
            _sender().sendto(json.dumps(message).encode(), str(socket_path()))
        except OSError:
            continue  # nobody listens, or its queue is full: browsers fall back to polling


def publish_on_commit(change: Committed) -> None:
    """For changes made inside a Django transaction."""
    transaction.on_commit(lambda: publish([change]))


def groups(message: dict[str, int | None]) -> list[str]:
    """The channel groups that a poke concerns."""
    return [f"{kind}.{message[kind]}" for kind in ("session", "device", "organization") if message.get(kind)]
