"""Browsers without a browser: signed-in clients, and what every page must keep to."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from devices.models import Membership, Organization
from devices.services.people import membership_ensure, user_ensure

INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>|<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:",
    re.IGNORECASE,
)
"""What the Content-Security-Policy would refuse to run. JSON data blocks are no scripts."""
XSS = "\"><script>alert(1)</script>'&"


def signed_in(email: str, **extra: Any) -> Client:
    """A browser of this person."""
    client = Client(**extra)
    client.force_login(user_ensure(email), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def colleague(organization: Organization, role: str) -> Client:
    """A browser of a colleague with this role."""
    email = f"{role}@colleagues.example.com"
    membership_ensure(organization, user_ensure(email), role)
    return signed_in(email)


def membership(organization: Organization, email: str) -> Membership:
    """Somebody's role."""
    return Membership.objects.get(organization=organization, user=get_user_model().objects.get(email=email))


def decent(answer: Any) -> str:
    """The page's text, once it keeps to the rules of every page."""
    text = answer.content.decode()
    assert not INLINE.search(text), INLINE.search(text).group()
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "<h1" in text
    assert "{{" not in text
    assert "{%" not in text
    return text


def patterns(prefix: str) -> list[URLPattern]:
    """Every address under a prefix, as Django knows it."""
    return [pattern for route, pattern in _walk(get_resolver().url_patterns, "") if route.startswith(prefix)]


def _walk(entries: list[Any], before: str) -> list[tuple[str, URLPattern]]:
    found: list[tuple[str, URLPattern]] = []
    for entry in entries:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            found += _walk(entry.url_patterns, route)
        else:
            found.append((route, entry))
    return found
