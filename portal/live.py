"""Live updates: join the group, then replay after the cursor; a double is harmless, a gap is not."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import parse_qs

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser

from bootstrap.engine.live import DATAGRAM_MAX, groups, socket_path
from bootstrap.engine.models import Event, Session
from devices.models import Device, Membership

log = structlog.get_logger(__name__)
NOT_ALLOWED = 4403
REPLAY_MAX = 200


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """``/live/device/<id>``, ``/live/organization``, ``/live/session/<id>``; ``?after=`` is the cursor."""

    group: str | None = None

    async def connect(self) -> None:
        """Only what the person's organizations own can be watched."""
        kind = self.scope["url_route"]["kwargs"]["kind"]
        pk = int(self.scope["url_route"]["kwargs"].get("pk") or 0)
        user = self.scope.get("user") or AnonymousUser()
        if not user.is_authenticated:
            await self.close(code=NOT_ALLOWED)
            return
        pk = await _allowed(user, self.scope["session"].get("organization"), kind, pk)
        if not pk:
            await self.close(code=NOT_ALLOWED)
            return
        self.group = f"{kind}.{pk}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        newest = await _newest(kind, pk, _after(self.scope.get("query_string", b"")))
        if newest is not None:
            await self.send_json({"event": newest})

    async def disconnect(self, code: int) -> None:
        """Leave."""
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
        """Browsers have nothing to say here; whatever comes is not even read."""

    async def poke(self, message: dict[str, Any]) -> None:
        """Something changed; the page reads it itself."""
        await self.send_json({"event": message["event"], "device": message.get("device")})


def _after(query: bytes) -> int:
    text = parse_qs(query.decode("latin-1")).get("after", ["0"])[0]
    return int(text) if text.isdecimal() and len(text) < 19 else 0


@database_sync_to_async
def _allowed(user: Any, chosen: int | None, kind: str, pk: int) -> int:
    """The id to watch, or 0."""
    mine = Membership.objects.filter(user=user)
    if kind == "organization":
        member = (mine.filter(organization_id=chosen).first() if chosen else None) or mine.order_by(
            "id"
        ).first()
        return member.organization_id if member else 0
    organizations = mine.values("organization_id")
    if kind == "device":
        found = Device.objects.filter(pk=pk, organization__in=organizations).exists()
    else:
        found = Session.objects.filter(pk=pk, organization__in=organizations).exists()
    return pk if found else 0


@database_sync_to_async
def _newest(kind: str, pk: int, after: int) -> int | None:
    """The newest event after the cursor, if the browser has missed any."""
    events = Event.objects.filter(**{f"{kind}_id": pk}, pk__gt=after)
    return events.order_by("-id").values_list("pk", flat=True).first()


class Bridge:
    """The web process's end of the datagram bridge: everybody's pokes into this channel layer."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Listen; takes over the address of a process that was killed."""
        path = socket_path()
        path.unlink(missing_ok=True)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Stop listening. The name stays: a successor may have taken it over already."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _readable(self) -> None:
        for _datagram in range(100):
            try:
                raw = self._socket.recv(DATAGRAM_MAX)
            except BlockingIOError:
                return
            message = _poke(raw)
            if message is None:
                continue
            task = asyncio.ensure_future(_spread(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _poke(raw: bytes) -> dict[str, Any] | None:
    """What one of our processes sent (``bootstrap.engine.live.publish``), or None."""
    try:
        message = json.loads(raw)
    except ValueError:
        message = None
    if isinstance(message, dict) and isinstance(message.get("event"), int):
        return {name: message.get(name) for name in ("event", "session", "device", "organization")}
    log.warning("live.not-a-poke", octets=len(raw))
    return None


async def _spread(message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    for group in groups(message):
        await layer.group_send(group, {"type": "poke", **message})
