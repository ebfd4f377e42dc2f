"""Which organization this request acts in."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from devices.models import Membership

SESSION_KEY = "organization"


class CurrentOrganization:
    """Sets ``request.membership``: the signed-in role in the organization last chosen, or None."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.membership = SimpleLazyObject(lambda: _membership(request))  # type: ignore[attr-defined]
        return self.get_response(request)


def _membership(request: HttpRequest) -> Membership | None:
    if not request.user.is_authenticated:
        return None
    mine = Membership.objects.select_related("organization").filter(user=request.user)
    chosen = request.session.get(SESSION_KEY)
    return (mine.filter(organization_id=chosen).first() if chosen else None) or mine.order_by("id").first()
