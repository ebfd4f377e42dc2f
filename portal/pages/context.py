"""What every page's shell needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from devices.models import Organization

THEME_COOKIE = "theme"
THEMES = ("light", "dark")
BOTTOM = ("devices", "add", "vouchers", "settings")
"""A phone has room for four; plans are a step from settings, the account is at the top."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the navigation."""

    title: str
    short: str
    url: str
    icon: str
    current: bool
    bottom: bool
    count: int | None = None


def shell(request: HttpRequest) -> dict[str, Any]:
    """Organization, navigation and colours."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    membership = getattr(request, "membership", None)
    return {
        "membership": membership,
        "organizations": SimpleLazyObject(lambda: _organizations(request)),
        "navigation": SimpleLazyObject(lambda: _navigation(request)),
        "theme": theme if theme in THEMES else "",
        # Where a form of the shell comes back to: never to an address that only takes a POST.
        "here": request.path if request.method in ("GET", "HEAD") else "/",
    }


def _organizations(request: HttpRequest) -> list[Organization]:
    if not request.user.is_authenticated:
        return []
    return list(Organization.objects.filter(memberships__user=request.user).order_by("name"))


def _navigation(request: HttpRequest) -> list[Item]:
    if not request.user.is_authenticated or not getattr(request, "membership", None):
        return []
    entries = [
        (_("Devices"), _("Devices"), "devices", "devices", ("/devices",)),
        (_("Add device"), _("Add"), "add", "add", ("/add", "/claim")),
        (_("Vouchers"), _("Vouchers"), "vouchers", "vouchers", ("/vouchers", "/jobs")),
        (_("Plans"), _("Plans"), "plans", "plans", ("/plans",)),
        (_("Settings"), _("Settings"), "settings", "settings", ("/settings",)),
        (_("My account"), _("Me"), "me", "person", ("/me",)),
    ]
    return [
        Item(title, short, reverse(name), icon, request.path.startswith(prefixes), name in BOTTOM)
        for title, short, name, icon, prefixes in entries
    ]
