"""The list of devices, and one device: its live timeline, what it got, what it is called."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from bootstrap.bindings import claims
from bootstrap.engine.models import Event, Session
from devices.models import Claim, Device, DeviceFile, DeviceState, Voucher
from devices.selectors.devices import device_get, devices_list
from portal import catalogue
from portal.decoded import messages_of
from portal.deeds import device_change, device_remove
from portal.downloads import file_answer
from portal.finding import finding
from portal.pages.access import member, membership_of
from portal.pages.search import Search
from portal.pages.simulator import noob_line
from portal.results import results_of
from portal.timeline import FDO, timeline

PAGE = 50
BUNDLE_EVENTS_MAX = 2000


@never_cache
@require_safe
@member
def index(request: HttpRequest) -> HttpResponse:
    """The whole list, or the rows alone for the page that refreshes itself."""
    organization = membership_of(request).organization
    search = Search.parse(request.GET.get("q", ""))
    before = request.GET.get("before", "")
    found = devices_list(
        organization,
        q=search.text,
        state=search.state,
        method=search.method,
        serial=search.serial,
        before_id=int(before) if before.isdecimal() and len(before) < 19 else None,
        limit=PAGE + 1,
    )
    rows = found[:PAGE]
    context = {
        "rows": rows,
        "more": rows[-1].pk if len(found) > PAGE else None,
        "search": search,
        "paged": bool(before),
        "waiting": [] if before or search else claims.waiting(organization, limit=5),
        "states": DeviceState.choices,
        "simulator_line": noob_line(request),
    }
    fragment = request.headers.get("HX-Request") == "true" or request.GET.get("fragment") == "rows"
    return render(request, "devices/rows.html" if fragment else "devices/list.html", context)


def _device(request: HttpRequest, pk: int) -> Device:
    device = device_get(membership_of(request).organization, pk)
    if device is None:
        raise Http404("no such device")
    return device


def _context(device: Device) -> dict[str, Any]:
    offer = Claim.objects.filter(device=device, state=Claim.State.OPEN).order_by("-pk").first()
    results, files = results_of(device)
    return {
        "device": device,
        "timeline": timeline(device),
        "offer": offer,
        "now": timezone.now(),
        "finding": finding(device),
        "results": results,
        "files": files,
    }


@never_cache
@require_safe
@member
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One device."""
    device = _device(request, pk)
    context = _context(device)
    context |= {
        "sessions": Session.objects.filter(device=device).order_by("-seen_at")[:10],
        "plans": membership_of(request).organization.plans.order_by("name"),
        "rooms": _rooms(request),
        "fresh": request.GET.get("new") == "1",
        "voucher": _voucher(device),
        "tags": tags_text(device.tags),
        "groups": membership_of(request).organization.groups.order_by("name"),
    }
    return render(request, "devices/detail.html", context)


def _voucher(device: Device) -> Voucher | None:
    """The one that speaks for it; only a device with FDO has one."""
    if device.method != FDO:
        return None
    return device.vouchers.defer("content").filter(current=True).first()


def _rooms(request: HttpRequest) -> list[str]:
    """Rooms that others have, to choose from."""
    known = membership_of(request).organization.devices.exclude(room="").order_by("room")
    return list(known.values_list("room", flat=True).distinct()[:50])


@never_cache
@require_safe
@member
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The live part of the page."""
    return render(request, "devices/fragment.html", _context(_device(request, pk)))


@require_POST
@member
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    """Name, room, group, plan and tags, saved as soon as they change."""
    device = _device(request, pk)
    if not membership_of(request).may_claim:
        return _refused(_("Your role may look, but not change."), 403)
    try:
        device_change(device, membership_of(request), **_changes(request))
    except ValidationError as error:
        return _refused(" ".join(error.messages), 422)
    if request.headers.get("Accept", "").startswith("text/html"):
        return redirect("device", pk)
    return HttpResponse(status=204)


def _refused(sentence: str, status: int) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")


def _changes(request: HttpRequest) -> dict[str, object]:
    """What the form says; raises ValidationError."""
    organization, said = membership_of(request).organization, request.POST
    fields: dict[str, object] = {
        name: said[name].replace("\0", "") for name in ("name", "room") if name in said
    }
    if "plan" in said:
        fields["plan"] = _chosen(organization.plans, said["plan"], _("This plan does not exist."))
    if "group" in said:
        fields["group"] = _chosen(organization.groups, said["group"], _("This group does not exist."))
    if "tags" in said:
        fields["tags"] = tags_read(said["tags"])
    return fields


def _chosen(rows: Any, text: str, unknown: str) -> Any:
    """The row of this number; None where nothing was chosen."""
    found = rows.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if text and found is None:
        raise ValidationError(unknown)
    return found


def tags_read(text: str) -> dict[str, str]:
    """``name = value``, one a line; raises ValidationError that names the line."""
    tags: dict[str, str] = {}
    for line in text.splitlines():
        name, sign, value = (part.strip() for part in line.partition("="))
        if not name and not sign:
            continue
        if not sign or not value:
            raise ValidationError(_("Write a tag as name = value: %s") % line.strip()[:60])
        if name in tags:
            raise ValidationError(_("Two tags are called %s.") % name[:60])
        tags[name] = value
    return tags


def tags_text(tags: dict[str, str]) -> str:
    """As it is edited."""
    return "\n".join(f"{name} = {value}" for name, value in tags.items())


@require_POST
@member
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Out of service: it is refused from now on, and its history stays."""
    device = _device(request, pk)
    if not membership_of(request).may_claim:
        return HttpResponse(_("Your role may look, but not change."), status=403, content_type="text/plain")
    device_remove(device, membership_of(request))
    messages.success(request, _("%s is out of service.") % device)
    return redirect("devices")


@never_cache
@require_safe
@member
def bundle(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything support needs to see what happened, without any secret."""
    device = _device(request, pk)
    events = Event.objects.filter(device=device).order_by("id")[:BUNDLE_EVENTS_MAX]
    sessions = Session.objects.filter(device=device).order_by("id")
    body = {
        "made_at": timezone.now(),
        "device": {
            name: getattr(device, name)
            for name in (
                "id",
                "name",
                "serial",
                "manufacturer",
                "model",
                "method",
                "via",
                "state",
                "step",
                "reason",
            )
        },
        "sessions": list(
            sessions.values(
                "protocol",
                "locator",
                "via",
                "source",
                "phase",
                "milestone",
                "messages",
                "created_at",
                "seen_at",
            )
        ),
        "events": list(events.values("id", "at", "code", "level", "via", "detail")),
    }
    answer = HttpResponse(json.dumps(body, indent=2, default=_plain), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="device-{device.pk}.json"'
    return answer


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@never_cache
@require_safe
@member
def message(request: HttpRequest, pk: int, event: int) -> HttpResponse:
    """The messages behind one line of history, decoded."""
    device = _device(request, pk)
    line = Event.objects.filter(device=device, pk=event).first()
    if line is None:
        raise Http404("no such line")
    context = {
        "device": device,
        "event": line,
        "said": catalogue.event(line.code, line.detail),
        "shown": messages_of(line),
    }
    return render(request, "devices/message.html", context)


@never_cache
@require_safe
@member
def file(request: HttpRequest, pk: int, file: int) -> HttpResponse:
    """A file that the device sent; always as a download, never shown as part of a page."""
    found = DeviceFile.objects.filter(device=_device(request, pk), pk=file).first()
    if found is None:
        raise Http404("no such file")
    return file_answer(found)


urlpatterns = [
    path("devices/<int:pk>/messages/<int:event>", message, name="device-message"),
    path("devices/<int:pk>/files/<int:file>", file, name="device-file"),
    path("devices", index, name="devices"),
    path("devices/<int:pk>", detail, name="device"),
    path("devices/<int:pk>/progress", progress, name="device-progress"),
    path("devices/<int:pk>/rename", rename, name="device-rename"),
    path("devices/<int:pk>/retire", retire, name="device-retire"),
    path("devices/<int:pk>/bundle.json", bundle, name="device-bundle"),
]
