"""Ownership vouchers: the list, one of them taken apart, handing some in, and handing one on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bootstrap.bindings.vouchers.hand_over import voucher_delete, voucher_extend, voucher_restore
from bootstrap.bindings.vouchers.jobs import import_create
from bootstrap.bindings.vouchers.problems import VoucherRefused
from bootstrap.bindings.vouchers.register import register_now
from bootstrap.bindings.vouchers.uploads import UPLOAD_MAX_LENGTH
from bootstrap.errors import PeerError
from devices.models import Job, OwnerKey, Registration, Voucher
from portal import catalogue
from portal.api.vouchers import OWNER_MAX_LENGTH, vouchers_found
from portal.job_view import RUNNING
from portal.pages.access import View, member, membership_of
from portal.pages.admin.tabs import ID_MAX_DIGITS, actor_of, keyset
from portal.pages.search import QUERY_MAX_LENGTH
from portal.ring import ring_after_commit
from portal.voucher_view import VoucherView, voucher_file

HISTORY_MAX = 50
BUSY_SHOWN = 3
FILTERS: dict[str, Any] = {
    "": gettext_lazy("In use"),
    **{value: label for value, label in Voucher.State.choices},
    "all": gettext_lazy("All"),
}
"""What the list can be narrowed to. Without a wish: the vouchers with which devices can come to us today."""
SELLABLE = (Voucher.State.STORED, Voucher.State.REGISTERED, Voucher.State.ONBOARDED)


def importer(view: Callable[..., HttpResponseBase]) -> View:
    """A member who may bring vouchers in and hand them on."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not membership_of(request).may_import:
            raise PermissionDenied("operator")
        return view(request, *args, **kwargs)

    return member(checked)


@never_cache
@require_safe
@member
def index(request: HttpRequest) -> HttpResponse:
    """The vouchers, newest first, and the imports under way."""
    organization = membership_of(request).organization
    q = request.GET.get("q", "").replace("\0", "")[:QUERY_MAX_LENGTH].strip()
    state = request.GET.get("state", "")
    state = state if state in FILTERS else ""
    batch = _batch(request)
    found = vouchers_found(_listed(organization.vouchers.all()), q=q, **_narrowed(state, batch))
    rows, more = keyset(found, request)
    wanted = {"q": q, "state": state, "job": batch.pk if batch else ""}
    wanted = {name: value for name, value in wanted.items() if value}
    context = {
        "rows": rows,
        "more": urlencode(wanted | {"before": more}) if more else "",
        "q": q,
        "state": state,
        "batch": batch,
        "filters": FILTERS.items(),
        "elsewhere": urlencode(wanted | {"state": "all"}) if state != "all" else "",
        "busy": Job.objects.filter(organization=organization, state__in=RUNNING).order_by("-pk")[:BUSY_SHOWN],
        "narrowed": bool(wanted or request.GET.get("before")),
    }
    if not rows and not context["narrowed"]:
        context["any"] = organization.vouchers.exists()
    return render(request, "vouchers/list.html", context)


def _listed(rows: QuerySet[Voucher]) -> QuerySet[Voucher]:
    registrations = Prefetch("registrations", Registration.objects.order_by("pk"))
    return rows.defer("content").select_related("job").prefetch_related(registrations)


def _narrowed(state: str, batch: Job | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {"job": batch} if batch else {}
    if state == "":
        return wanted | {"current": True, "state__in": SELLABLE}
    return wanted if state == "all" else wanted | {"state": state}


def _batch(request: HttpRequest) -> Job | None:
    """The import whose vouchers are wanted; one of somebody else is none."""
    text = request.GET.get("job", "")
    if not (text.isascii() and text.isdigit() and len(text) <= ID_MAX_DIGITS):
        return None
    return Job.objects.filter(organization=membership_of(request).organization, pk=int(text)).first()


@never_cache
@require_safe
@member
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One voucher; its registrations alone for the part that refreshes itself."""
    voucher = _voucher(request, pk)
    if request.GET.get("fragment") == "registrations":
        return render(request, "vouchers/registrations.html", _registrations(voucher))
    return _shown(request, voucher)


def _voucher(request: HttpRequest, pk: int) -> Voucher:
    mine = Voucher.objects.filter(organization=membership_of(request).organization)
    voucher = mine.select_related("device", "job", "organization", "previous").filter(pk=pk).first()
    if voucher is None:
        raise Http404("no such voucher")
    return voucher


def _shown(request: HttpRequest, voucher: Voucher, status: int = 200, **more: Any) -> HttpResponse:
    try:
        view: VoucherView | None = VoucherView.of(voucher)
    except PeerError:
        # It was sound when it came in; a page that shows the rest is better than none.
        view = None
    history = Voucher.objects.defer("content").filter(organization=voucher.organization_id)
    context = {
        "voucher": voucher,
        "view": view,
        "history": history.filter(device=voucher.device_id, device__isnull=False).order_by("-pk")[
            :HISTORY_MAX
        ],
        "sellable": voucher.current and voucher.state in SELLABLE,
        "deletable": voucher.state in SELLABLE,
        "next_kind": view.owners[0]["kind"] if view else "",
        **_registrations(voucher),
        **more,
    }
    return render(request, "vouchers/detail.html", context, status=status)


def _registrations(voucher: Voucher) -> dict[str, Any]:
    """Where devices will find us, and what is wrong with it."""
    rows = list(voucher.registrations.order_by("pk"))
    return {
        "voucher": voucher,
        "registrations": [
            (row, catalogue.voucher_problem(row.last_error_code, {}) if row.last_error_code else None)
            for row in rows
        ],
        "unsettled": any(row.state == Registration.State.DUE for row in rows),
    }


@never_cache
@require_safe
@member
def file(request: HttpRequest, pk: int) -> HttpResponse:
    """The voucher itself."""
    return voucher_file(_voucher(request, pk), "cbor" if request.GET.get("type") == "cbor" else "pem")


@require_POST
@importer
def register(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody will not wait for the schedule."""
    if register_now(_voucher(request, pk), actor_of(request)):
        ring_after_commit()
        messages.success(request, _("Registering now."))
    else:
        messages.warning(request, _("There is nothing to register: this voucher speaks for no device today."))
    return redirect("voucher", pk)


@require_POST
@importer
def sell(request: HttpRequest, pk: int) -> HttpResponse:
    """Extend it to the next owner's key; the new voucher's page has the download."""
    voucher = _voucher(request, pk)
    given = request.FILES.get("file")
    pasted = request.POST.get("owner", "")[:OWNER_MAX_LENGTH]
    content = given.read(OWNER_MAX_LENGTH) if given else pasted.encode()
    if not content.strip():
        return _shown(request, voucher, 422, sell_error=_("Paste the next owner's key, or choose its file."))
    try:
        sold = voucher_extend(voucher, actor_of(request), content)
    except ValidationError as error:
        return _shown(request, voucher, 422, sell_error=" ".join(error.messages), pasted=pasted)
    except VoucherRefused as refused:
        said = catalogue.voucher_problem(refused.code, refused.detail)
        return _shown(request, voucher, 409, sell_error=f"{said.sentence} {said.fix}", pasted=pasted)
    messages.success(request, _("Extended to the next owner. Send them the new voucher."))
    return redirect("voucher", sold.pk)


@require_POST
@importer
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Out of use."""
    return _done(request, pk, voucher_delete, _("Out of use. Restoring brings it back as it was."))


@require_POST
@importer
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Back into use."""
    return _done(request, pk, voucher_restore, _("In use again."))


def _done(request: HttpRequest, pk: int, deed: Callable[..., Voucher], said: str) -> HttpResponse:
    try:
        deed(_voucher(request, pk), actor_of(request))
    except VoucherRefused as refused:
        problem = catalogue.voucher_problem(refused.code, refused.detail)
        messages.error(request, f"{problem.sentence} {problem.fix}")
    else:
        ring_after_commit()
        messages.success(request, said)
    return redirect("voucher", pk)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@importer
def hand_in(request: HttpRequest) -> HttpResponse:
    """Files come in, each a job. Scripts of the page ask for JSON, a plain form is led to the job."""
    if request.method != "POST":
        return _import_page(request)
    label = request.POST.get("label", "").replace("\0", "")
    jobs, problem = _queue(request, request.FILES.getlist("file"), label)
    if jobs:
        ring_after_commit()
    target = reverse("job", args=[jobs[0].pk]) if len(jobs) == 1 else reverse("jobs")
    if request.headers.get("Accept", "").startswith("application/json"):
        if problem:
            return JsonResponse({"message": problem}, status=422)
        return JsonResponse({"jobs": [job.pk for job in jobs], "url": target}, status=202)
    if problem and not jobs:
        return _import_page(request, 422, problem=problem, label=label)
    if problem:
        messages.error(request, problem)
    return redirect(target)


def _queue(request: HttpRequest, files: list[UploadedFile], label: str) -> tuple[list[Job], str]:
    """A job for every file that can be one, and what to say of the others."""
    jobs: list[Job] = []
    problems = [] if files else [_("Choose a file first.")]
    for given in files:
        name = given.name or ""
        try:
            jobs.append(
                import_create(
                    membership_of(request).organization, actor_of(request), given.chunks(), name, label=label
                )
            )
        except ValidationError as error:
            said = " ".join(error.messages)
            problems.append(f"{name}: {said}" if len(files) > 1 else said)
    return jobs, " ".join(problems)


def _import_page(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
    organization = membership_of(request).organization
    keys = OwnerKey.objects.filter(
        organization=organization, purpose=OwnerKey.Purpose.OWNER, state=OwnerKey.State.ACTIVE
    )
    context = {"owner_keys": keys.order_by("kind", "pk")[:8], "largest": UPLOAD_MAX_LENGTH, **more}
    return render(request, "vouchers/import.html", context, status=status)


urlpatterns = [
    path("vouchers", index, name="vouchers"),
    path("vouchers/import", hand_in, name="voucher-import"),
    path("vouchers/<int:pk>", detail, name="voucher"),
    path("vouchers/<int:pk>/file", file, name="voucher-file"),
    path("vouchers/<int:pk>/register", register, name="voucher-register"),
    path("vouchers/<int:pk>/sell", sell, name="voucher-sell"),
    path("vouchers/<int:pk>/delete", delete, name="voucher-delete"),
    path("vouchers/<int:pk>/restore", restore, name="voucher-restore"),
]
