"""The front page, colours, the organization one acts in, and the web app's manifest."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import path
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from devices.models import Membership
from portal.middleware import SESSION_KEY
from portal.pages.context import THEME_COOKIE, THEMES

YEAR_SECONDS = 365 * 24 * 3600
LISTS = {
    "/devices/": "devices",
    "/offers/": "add",
    "/plans/": "plans",
    "/vouchers/": "vouchers",
    "/jobs/": "jobs",
}
"""Pages of one thing, and the list to go to when another organization is chosen."""


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Devices for those signed in, a short welcome for others."""
    if request.user.is_authenticated:
        return redirect("devices")
    return render(request, "home.html")


def _back(request: HttpRequest) -> HttpResponse:
    """To the page one came from, if it is ours."""
    target = request.POST.get("back", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "/"
    # Not redirect(): that would look a word without a slash up among the names of views.
    return HttpResponseRedirect(target)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Light, dark, or what the system says; in a cookie, so that the first byte is right."""
    answer = _back(request)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        answer.set_cookie(
            THEME_COOKIE, chosen, max_age=YEAR_SECONDS, samesite="Lax", secure=settings.HTTPS, httponly=True
        )
    else:
        answer.delete_cookie(THEME_COOKIE)
    return answer


@require_POST
@login_required
def organization_choose(request: HttpRequest) -> HttpResponse:
    """Act in another of my organizations from now on."""
    chosen = request.POST.get("organization", "")
    pk = int(chosen) if chosen.isdecimal() and len(chosen) < 19 else 0
    membership = get_object_or_404(Membership, user=request.user, organization_id=pk)
    request.session[SESSION_KEY] = membership.organization_id
    back = request.POST.get("back", "/")
    for start, name in LISTS.items():
        if back.startswith(start):
            return redirect(name)
    return _back(request)


@require_GET
def manifest(request: HttpRequest) -> HttpResponse:
    """So that a phone can install it."""
    return JsonResponse(
        {
            "id": "/",
            "name": "Onward",
            "short_name": "Onward",
            "start_url": "/",
            "display": "standalone",
            "background_color": "#F7F8FA",
            "theme_color": "#2B59D9",
            "icons": [
                {"src": static("icons/onward.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
            ],
        },
        content_type="application/manifest+json",
    )


urlpatterns = [
    path("", home, name="home"),
    path("theme", theme, name="theme"),
    path("organizations/choose", organization_choose, name="organization-choose"),
    path("manifest.webmanifest", manifest, name="manifest"),
]
