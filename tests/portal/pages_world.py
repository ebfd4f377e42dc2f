"""Browsers of people with a role, on top of the organizations of ``api_world``."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from api_world import Side
from django.test import Client

from devices.models import Role, User
from devices.services.people import membership_ensure, user_ensure


def browser(user: User | None = None, **options: Any) -> Client:
    """A browser; signed in when there is a person."""
    client = Client(**options)
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def colleague(side: Side, role: str = Role.OPERATOR) -> User:
    """Another person of the organization."""
    user = user_ensure(f"{role}-colleague@{side.name.lower()}.example.com")
    membership_ensure(side.organization, user, role)
    return user


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def tags(answer: Any) -> list[tuple[str, dict[str, str | None]]]:
    """Every element of a page with its attributes, as a browser would see them."""
    page = _Page()
    page.feed(answer.content.decode())
    return page.tags


def text(answer: Any) -> str:
    """What a person reads, white space folded."""
    page = _Page()
    page.feed(answer.content.decode())
    return re.sub(r"\s+", " ", "".join(page.words))
