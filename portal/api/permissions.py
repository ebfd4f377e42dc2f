"""Who may call what: every role reads, operators claim, admins manage."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from devices.models import Membership


class Right(StrEnum):
    """What a role may do; the values are the names of Membership's properties."""

    READ = "may_read"
    CLAIM = "may_claim"
    MANAGE = "may_manage"


def membership_of(request: Request) -> Membership | None:
    """The role this request acts in. The middleware's answer is lazy, so it may be a wrapped None."""
    return getattr(request, "membership", None) or None


class Member(BasePermission):
    """A member of the current organization, with the right that the view names for writes."""

    message: Any = _("Your role may not do this.")

    def has_permission(self, request: Request, view: Any) -> bool:
        """Reading is for every role; the view's ``right_to_write`` is for the rest."""
        if not request.user:
            return False
        membership = membership_of(request)
        if membership is None:
            self.message = _("You do not belong to an organization yet.")
            return False
        scope = getattr(request.auth, "scope", "")
        # What a narrow token opens is named action by action: it must not sell or delete what it may hand in.
        if scope and getattr(view, "action", None) not in getattr(view, f"open_to_{scope}_tokens", ()):
            self.message = _("This token may only hand in vouchers and see how that went.")
            return False
        right = Right.READ if request.method in SAFE_METHODS else view.right_to_write
        return bool(getattr(membership, right))
