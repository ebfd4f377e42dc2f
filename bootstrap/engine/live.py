"""Telling browsers: after the commit, never before, and never something that matters if it is lost.

Every process sends one small datagram per change to the web process (UNIX socket in the data folder), which
hands it to its channel layer. Browsers then read the rows themselves.
"""

from __future__ import annotations

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
