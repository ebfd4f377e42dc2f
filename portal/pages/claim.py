"""Claiming a device: the landing of its code, the confirmation, the scanner, and the code that we show.

A GET never changes anything for a device, and the secret leaves the address bar at once (product.md, 3.3).
"""

from __future__ import annotations

from typing import Any

import qrcode
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bootstrap.bindings import claims, codes
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from devices.models import Claim
from portal import catalogue
from portal.pages import pending
from portal.pages.access import member, membership_of

pending_url = pending.pending_url
QUERY_MAX_LENGTH = 2048
CAMERA_POLICY = "camera=(self), microphone=(), geolocation=()"


def _private(answer: HttpResponse) -> HttpResponse:
    """In no cache. (A form needs a referrer policy that leaves Origin alone, or it looks forged.)"""
    answer["Cache-Control"] = "no-store"
    return answer


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """``/n?P=…&N=…&H=…``: what the code of an EAP-NOOB device opens (RFC 9140 appendix D)."""
    query = request.META.get("QUERY_STRING", "")
    try:
        # Anything but such a code ends here: no row for it, no sign-in page before the answer.
        codes.read_oob(query if len(query) <= QUERY_MAX_LENGTH else "")
        answer: HttpResponse = redirect("claim", pending.keep(request, query))
        answer.status_code = 303
        # What was in the address does not travel on.
        answer["Referrer-Policy"] = "no-referrer"
    except ClaimRefused as refused:
        answer = _refused(request, refused)
        # Nor here; but this is a page with forms, and they need their Origin.
        answer["Referrer-Policy"] = "strict-origin"
    return _private(answer)


@require_safe
def landing_fdo(request: HttpRequest, guid: str) -> HttpResponse:
    """``/d/<GUID>``: what the sticker of an FDO device opens. The GUID is no secret, but a fragment may be one."""
    named = codes.guid_in(guid)
    if named is None:
        return _private(_refused(request, ClaimRefused(ClaimProblem.UNREADABLE)))
    # The empty fragment takes the place of the sticker's in the address bar (RFC 9110 section 10.2.2).
    answer = redirect(reverse("claim", args=[pending.keep(request, str(named))]) + "#")
    answer.status_code = 303
    return _private(answer)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def claim(request: HttpRequest, name: str) -> HttpResponse:
    """Look at the device, then say yes. Only POST acts."""
    code = pending.code_of(request, name)
    if code is None:
        return _private(_refused(request, ClaimRefused(ClaimProblem.EXPIRED)))
    if not request.user.is_authenticated:
        # What waits stays in the session; nothing of it is in the sign-in page's address.
        return _private(redirect("account_login"))
    if not request.membership:  # type: ignore[attr-defined]
        return _private(redirect("organization-new"))
    try:
        if request.method == "POST":
            return _private(_confirm(request, name, code))
        return _private(_ask(request, name, code))
    except ClaimRefused as refused:
        if refused.problem is ClaimProblem.WAS_HERE_BEFORE:
            # The same number came in while the person looked: now there is one more thing to ask.
            return _private(_ask(request, name, code, status=catalogue.problem_status(refused)))
        pending.drop(request, name)
        return _private(_refused(request, refused))


def _ask(request: HttpRequest, name: str, code: str, status: int = 200) -> HttpResponse:
    membership = membership_of(request)
    candidate = claims.look(code, membership)
    old = None
    if candidate.merge_with:
        old = membership.organization.devices.filter(pk=candidate.merge_with).first()
    context = {"candidate": candidate, "old": old, "name": name}
    page = "claim/ask_fdo.html" if candidate.guid else "claim/ask.html"
    return render(request, page, context, status=status)


def _confirm(request: HttpRequest, name: str, code: str) -> HttpResponse:
    answer = request.POST.get("merge", "")
    merge = {"yes": True, "no": False}.get(answer)
    wanted = {field: request.POST.get(field, "").replace("\0", "") for field in ("name", "room")}
    device = claims.confirm(code, membership_of(request), merge=merge, **wanted)
    pending.drop(request, name)
    target = redirect("device", device.pk)
    target.status_code = 303
    return target


def _refused(request: HttpRequest, refused: ClaimRefused) -> HttpResponse:
    said = catalogue.problem(refused)
    return render(
        request,
        "claim/refused.html",
        {"said": said, "buttons": buttons(said, refused.detail), "detail": refused.detail},
        status=catalogue.problem_status(refused) if said.tone != "ok" else 200,
    )


def buttons(said: catalogue.Said, detail: dict[str, Any]) -> list[tuple[str, str]]:
    """Labels and addresses of what can be done next."""
    found = []
    for button in said.buttons:
        if button.to in ("device", "voucher"):
            if detail.get(button.to):
                found.append((button.label, reverse(button.to, args=[detail[button.to]])))
        else:
            found.append((button.label, reverse(button.to)))
    return found


@never_cache
@require_safe
def different(request: HttpRequest, name: str) -> HttpResponse:
    """The serial on the label is another: stop here. Nothing was done."""
    return _private(render(request, "claim/different.html", {"name": name}))


@require_http_methods(["GET", "HEAD", "POST"])
@member
def add(request: HttpRequest) -> HttpResponse:
    """One page, one endpoint for everything that can be scanned, photographed, typed or pasted."""
    if request.method == "POST":
        code = codes.shortened(request.POST.get("code", "").strip())
        if not code or len(code) > codes.STICKER_MAX_LENGTH:
            return _private(_refused(request, ClaimRefused(ClaimProblem.UNREADABLE)))
        target = redirect("claim", pending.keep(request, code))
        target.status_code = 303
        return _private(target)
    waiting = claims.waiting(membership_of(request).organization, limit=20)
    answer = render(request, "claim/add.html", {"waiting": waiting})
    answer["Permissions-Policy"] = CAMERA_POLICY
    # The scanner's decoder is WebAssembly of our own; only this page may compile it.
    answer._csp_update = {"script-src": ["'wasm-unsafe-eval'"]}  # type: ignore[attr-defined]
    return answer


@require_POST
@member
def show(request: HttpRequest) -> HttpResponse:
    """Make a code for a waiting device to read."""
    session = request.POST.get("session", "")
    merge = {"yes": True, "no": False}.get(request.POST.get("merge", ""))
    serial = request.POST.get("serial", "").strip()[:120]
    try:
        offer = claims.offer(
            membership_of(request),
            serial=serial,
            session_id=int(session) if session.isdecimal() and len(session) < 19 else None,
            merge=merge,
        )
    except ClaimRefused as refused:
        if refused.problem is ClaimProblem.WAS_HERE_BEFORE:
            old = membership_of(request).organization.devices.filter(pk=refused.detail["merge_with"]).first()
            context = {"old": old, "serial": serial, "session": session}
            return _private(render(request, "claim/same.html", context))
        return _private(_refused(request, refused))
    answer = redirect("offer", offer.claim_id)
    answer.status_code = 303
    return _private(answer)


@never_cache
@require_safe
@member
def offer(request: HttpRequest, pk: int) -> HttpResponse:
    """The code, large, with its countdown; turns itself into the device's page when the device has proved
    itself. Showing it again gives the same code while it lives."""
    membership = membership_of(request)
    found = get_object_or_404(Claim, pk=pk, organization=membership.organization)
    if found.state != Claim.State.OPEN or found.direction != Claim.Direction.SERVER_TO_DEVICE:
        return redirect("device", found.device_id)
    try:
        made = claims.offered(found, membership)
    except ClaimRefused as refused:
        return _private(_refused(request, refused))
    if made is None:
        # Read just now, or run out: the device page says which.
        return _private(redirect("device", found.device_id))
    return _private(
        render(request, "claim/offer.html", {"claim": found, "offer": made, "qr": qr_path(made.code)})
    )


@require_POST
@member
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """The code dies at once."""
    membership = membership_of(request)
    found = get_object_or_404(Claim, pk=pk, organization=membership.organization)
    try:
        claims.cancel(found, membership)
    except ClaimRefused as refused:
        return _refused(request, refused)
    return redirect("add")


def qr_path(text: str) -> dict[str, Any]:
    """A QR code as one SVG path and the side of its view box, quiet zone included."""
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4)
    code.add_data(text)
    matrix = code.get_matrix()
    squares = [f"M{x},{y}h1v1h-1z" for y, line in enumerate(matrix) for x, dark in enumerate(line) if dark]
    return {"side": len(matrix), "path": "".join(squares)}


urlpatterns = [
    path("n", landing, name="landing"),
    path("d/<str:guid>", landing_fdo, name="landing-fdo"),
    path("claim/<str:name>", claim, name="claim"),
    path("claim/<str:name>/different", different, name="claim-different"),
    path("add", add, name="add"),
    path("add/show", show, name="show"),
    path("offers/<int:pk>", offer, name="offer"),
    path("offers/<int:pk>/withdraw", withdraw, name="offer-withdraw"),
]
