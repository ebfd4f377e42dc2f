"""The router of the web process: device paths to the bare door, WebSockets to Channels, everything else to
Django's WSGI handler in a fixed pool of threads (docs/adr/0002-device-paths-bypass-django.md)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)

from a2wsgi import WSGIMiddleware  # noqa: E402
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from channels.security.websocket import OriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import re_path  # noqa: E402

from bootstrap.contract import Handle  # noqa: E402
from bootstrap.doors.http import HttpDoor, is_device_path  # noqa: E402
from portal.connections import Buffered  # noqa: E402
from portal.health import healthz  # noqa: E402
from portal.live import LiveConsumer  # noqa: E402
from portal.spool import Spooled, is_upload  # noqa: E402

App = Callable[[Any, Any, Any], Awaitable[None]]


class SameOrigin(OriginValidator):
    """A WebSocket may only be opened by a page of the host it connects to."""

    def __init__(self, application: App) -> None:
        super().__init__(application, [])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        origin, host = (
            headers.get(b"origin", b"").decode("latin-1"),
            headers.get(b"host", b"").decode("latin-1"),
        )
        if origin.partition("://")[2] == host and host:
            return await self.application(scope, receive, send)
        return await self._deny(scope, receive, send)

    @staticmethod
    async def _deny(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 4403})


class Application:
    """One ASGI application for one web process."""

    def __init__(self, handle: Handle) -> None:
        self._devices = HttpDoor(handle)
        wsgi: Any = WSGIMiddleware(cast(Any, get_wsgi_application()), workers=settings.WEB_THREADS)
        self._pages = Buffered(wsgi)
        self._uploads = Spooled(wsgi)
        self._live = SameOrigin(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        re_path(
                            r"^live/(?P<kind>device|session)/(?P<pk>[0-9]{1,18})$", LiveConsumer.as_asgi()
                        ),
                        re_path(r"^live/(?P<kind>organization)$", LiveConsumer.as_asgi()),
                    ]
                )
            )
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if scope["path"] == "/healthz":
                await healthz(scope, receive, send)
            elif is_device_path(scope["path"]):
                await self._devices(scope, receive, send)
            elif is_upload(scope):
                await self._uploads(scope, receive, send)
            else:
                await self._pages(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._live(scope, receive, send)
