"""My account, and where people go after signing in."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Where people go after signing in."""


def me(request: HttpRequest) -> HttpResponse:
    """The person's own page."""
    return render(request, "account/me.html")


urlpatterns = [path("me", me, name="me")]
