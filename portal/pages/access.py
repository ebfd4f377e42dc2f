"""Who may open a page. Every page below asks here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from devices.models import Membership

View = Callable[..., HttpResponseBase]


def membership_of(request: HttpRequest) -> Membership:
    """The person's role in the organization of this request; ``member`` has made sure there is one."""
    membership: Membership = request.membership  # type: ignore[attr-defined]
    return membership


def member(view: View) -> View:
    """Signed in, and in an organization; else sign-in, or a page that makes one."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            # Nobody can come back to a POST.
            asked = request.get_full_path() if request.method in ("GET", "HEAD") else "/"
            return redirect_to_login(asked)
        if not request.membership:  # type: ignore[attr-defined]
            return redirect("organization-new")
        return view(request, *args, **kwargs)

    return checked


def manager(view: View) -> View:
    """A member who may manage; others read why not."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not membership_of(request).may_manage:
            raise PermissionDenied("manager")
        return view(request, *args, **kwargs)

    return member(checked)
