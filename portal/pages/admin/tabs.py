"""What every settings page shares: tabs, who may change things, pages of long lists, errors from services."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from devices.models import User
from portal.pages.access import View, manager, member, membership_of

PAGE_SIZE = 50
ID_MAX_DIGITS = 18

TABS: dict[str, Any] = {
    "settings": _("Organization"),
    "settings-people": _("People"),
    "settings-access-points": _("Access points"),
    "settings-realms": _("Realms"),
    "settings-serials": _("Expected serials"),
    "settings-groups": _("Groups"),
    "settings-fdo": _("FDO"),
    "settings-keys": _("Keys"),
    "settings-makers": _("Manufacturers"),
    "settings-tokens": _("API tokens"),
    "settings-audit": _("Audit log"),
}
Row = TypeVar("Row", bound=Model)


def actor_of(request: HttpRequest) -> User:
    """The person who acts; the decorators have made sure there is one."""
    assert isinstance(request.user, User)
    return request.user


def page(view: Callable[..., HttpResponse]) -> View:
    """Every member reads it; only who may manage changes it."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and not membership_of(request).may_manage:
            raise PermissionDenied("manager")
        return view(request, *args, **kwargs)

    return never_cache(require_http_methods(["GET", "HEAD", "POST"])(member(checked)))


def managed(view: Callable[..., HttpResponse]) -> View:
    """A page that only who may manage opens."""
    return never_cache(require_http_methods(["GET", "HEAD", "POST"])(manager(view)))


def action(view: Callable[..., HttpResponse]) -> View:
    """A button that only who may manage presses."""
    return require_POST(manager(view))


def show(request: HttpRequest, tab: str, template: str, context: dict[str, Any]) -> HttpResponse:
    """A settings page under its tab."""
    tabs = [(title, reverse(name), name == tab) for name, title in TABS.items()]
    return render(request, template, {"tabs": tabs} | context)


def confirm(request: HttpRequest, **context: Any) -> HttpResponse:
    """Ask before something is gone: ``title``, ``text``, ``label`` of the button, ``back``."""
    return render(request, "admin/confirm.html", context)


def keyset(rows: QuerySet[Row], request: HttpRequest, size: int = PAGE_SIZE) -> tuple[list[Row], int | None]:
    """One page, newest first, and where the next one starts: page 2,000 costs what page 1 costs."""
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) <= ID_MAX_DIGITS:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-pk")[: size + 1])
    return found[:size], found[size - 1].pk if len(found) > size else None


def blame(form: forms.BaseForm, error: ValidationError) -> None:
    """Put what a service refused under the field it speaks of."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for field, errors in error.error_dict.items():
        form.add_error(field if field in form.fields else None, errors)
