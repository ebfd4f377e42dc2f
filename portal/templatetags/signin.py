"""What sign-in pages say: what waits behind them, and where mails go when there is no mail server."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from portal.pages.pending import pending_url
from portal.pages.shown import invitation_url

register = template.Library()


@register.simple_tag(takes_context=True)
def claim_waits(context: dict[str, Any]) -> bool:
    """Whether a device waits for this sign-in."""
    return pending_url(context["request"]) is not None


@register.simple_tag(takes_context=True)
def invitation_waits(context: dict[str, Any]) -> bool:
    """Whether an invitation waits for this sign-in."""
    return invitation_url(context["request"]) is not None


@register.simple_tag
def mails_are_files() -> bool:
    """Without a mail server, mails are files in the data folder."""
    return settings.EMAIL_BACKEND.endswith(".filebased.EmailBackend")


@register.filter
def plain(value: object) -> str:
    """A detail of the audit log as words: lists with commas, everything else as it is."""
    return ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)
