"""A code on its way from the address bar to the button: sealed in the browser's session, 15 minutes, once."""

from __future__ import annotations

import secrets
import time

from django.http import HttpRequest
from django.urls import reverse

from bootstrap.errors import LocalError
from devices import vault

SESSION_KEY = "claims"
LIFETIME_SECONDS = 15 * 60
PENDING_MAX = 5
"""Codes one browser may have under way; the oldest goes."""
_CONTEXT = b"pending claim"


def keep(request: HttpRequest, code: str) -> str:
    """Put a code away; the random name goes into the URL instead of it."""
    name = secrets.token_urlsafe(12)
    alive = {**_alive(request), name: [time.time(), vault.seal_text(code.encode(), _CONTEXT)]}
    newest = sorted(alive.items(), key=lambda item: item[1][0])[-PENDING_MAX:]
    request.session[SESSION_KEY] = dict(newest)
    return name


def code_of(request: HttpRequest, name: str) -> str | None:
    """The code, while it lives."""
    entry = _alive(request).get(name)
    if entry is None:
        return None
    try:
        return vault.unseal_text(entry[1], _CONTEXT).decode()
    except LocalError:
        return None


def drop(request: HttpRequest, name: str) -> None:
    """Used, or not wanted."""
    alive = _alive(request)
    alive.pop(name, None)
    request.session[SESSION_KEY] = alive


def pending_url(request: HttpRequest) -> str | None:
    """Where to go on after signing in: the newest code that waits."""
    alive = _alive(request)
    if not alive:
        return None
    return reverse("claim", args=[max(alive, key=lambda name: alive[name][0])])


def _alive(request: HttpRequest) -> dict[str, list]:
    now = time.time()
    kept = request.session.get(SESSION_KEY, {})
    return {name: entry for name, entry in kept.items() if now - entry[0] < LIFETIME_SECONDS}
