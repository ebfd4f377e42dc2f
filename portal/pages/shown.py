"""What is kept in the browser's session for a moment: an invitation until it is answered, a secret until it is seen."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse

from bootstrap.errors import LocalError
from devices import vault

INVITATION_KEY = "invitation"
ONCE_KEY = "once"
_CONTEXT = b"shown once"


def invitation_keep(request: HttpRequest, token: str) -> None:
    """Remember an invitation over sign-in and sign-up; it never travels through ``next=``."""
    request.session[INVITATION_KEY] = vault.seal_text(token.encode(), _CONTEXT)


def invitation_url(request: HttpRequest) -> str | None:
    """Where the invitation that waits is answered."""
    sealed = request.session.get(INVITATION_KEY)
    token = _open(sealed) if sealed else None
    return reverse("join", args=[token]) if token else None


def invitation_drop(request: HttpRequest) -> None:
    """Answered, or dead."""
    request.session.pop(INVITATION_KEY, None)


def once_put(request: HttpRequest, kind: str, secret: str) -> None:
    """Keep a secret for the next page, sealed: sessions lie in the database."""
    request.session[ONCE_KEY] = {kind: vault.seal_text(secret.encode(), _CONTEXT)}


def once_take(request: HttpRequest, kind: str) -> str | None:
    """The secret, this one time."""
    kept = request.session.get(ONCE_KEY, {})
    if kind not in kept:
        return None
    del request.session[ONCE_KEY]
    return _open(kept[kind])


def _open(sealed: str) -> str | None:
    try:
        return vault.unseal_text(sealed, _CONTEXT).decode()
    except LocalError:
        return None
