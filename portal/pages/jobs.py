"""Long work: how far it is, what it needs from somebody, its rows, its report, and the way back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from bootstrap.bindings.vouchers.jobs import import_trust, job_cancel
from bootstrap.bindings.vouchers.problems import AdmitProblem
from bootstrap.bindings.vouchers.undo import import_undo, import_undoable
from devices.models import Job, JobRow
from portal.api.jobs import causes, explain, report_answer
from portal.job_view import RUNNING, strangers
from portal.pages.access import manager, member, membership_of
from portal.pages.admin.tabs import ID_MAX_DIGITS, actor_of, keyset
from portal.ring import ring_after_commit

ROWS = 50
CODE_MAX_LENGTH = 32


@never_cache
@require_safe
@member
def index(request: HttpRequest) -> HttpResponse:
    """Every job, newest first; the rows alone for the page that refreshes itself."""
    jobs = Job.objects.filter(organization=membership_of(request).organization).select_related("author")
    rows, more = keyset(jobs, request)
    context = {"rows": rows, "more": more, "busy": any(row.state in RUNNING for row in rows)}
    fragment = request.GET.get("fragment") == "rows"
    return render(request, "jobs/rows.html" if fragment else "jobs/list.html", context)


@never_cache
@require_safe
@member
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One job, whole."""
    return render(request, "jobs/detail.html", _context(request, _job(request, pk)))


@never_cache
@require_safe
@member
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """What changes while it runs."""
    return render(request, "jobs/fragment.html", _context(request, _job(request, pk)))


def _job(request: HttpRequest, pk: int) -> Job:
    mine = Job.objects.filter(organization=membership_of(request).organization).select_related("author")
    job = mine.filter(pk=pk).first()
    if job is None:
        raise Http404("no such job")
    return job


def _context(request: HttpRequest, job: Job) -> dict[str, Any]:
    over = job.state not in RUNNING
    found = causes(job) if job.rejected else []
    unknown = [cause for cause in found if cause["code"] == AdmitProblem.UNTRUSTED]
    return {
        "job": job,
        "over": over,
        "causes": found,
        "untrusted": AdmitProblem.UNTRUSTED.value,
        "strangers": strangers(job) if unknown else [],
        "may_rerun": bool(job.upload) and job.state in (Job.State.DONE, Job.State.CANCELLED),
        "undoable": over and import_undoable(job),
    } | _rows(request, job)


def _rows(request: HttpRequest, job: Job) -> dict[str, Any]:
    """A page of rows in the order of the upload, and the filter that chose them."""
    chosen = {name: request.GET.get(name, "")[:CODE_MAX_LENGTH] for name in ("outcome", "code")}
    if chosen["outcome"] not in JobRow.Outcome.values:
        chosen["outcome"] = ""
    rows = JobRow.objects.filter(job=job, **{name: value for name, value in chosen.items() if value})
    after = request.GET.get("after", "")
    if after.isascii() and after.isdigit() and len(after) <= ID_MAX_DIGITS:
        rows = rows.filter(number__gt=int(after))
    found = list(rows.order_by("number")[: ROWS + 1])
    shown = [(row, *explain(row)) for row in found[:ROWS]]
    wanted = {name: value for name, value in chosen.items() if value}
    return {
        "rows": shown,
        "more": urlencode(wanted | {"after": found[ROWS - 1].number}) if len(found) > ROWS else "",
        "chosen": chosen,
        "outcomes": _outcomes(job),
        "query": urlencode(wanted | ({"after": after} if after else {})),
        "filtered": bool(wanted or after),
    }


def _outcomes(job: Job) -> list[tuple[str, str, int]]:
    """Filters with what each would show; those that would show nothing are left out."""
    counts = [
        ("", _("All"), job.done),
        (JobRow.Outcome.REJECTED.value, _("Rejected"), job.rejected),
        (JobRow.Outcome.ADDED.value, _("Added"), job.added),
        (JobRow.Outcome.ALREADY_HERE.value, _("Already here"), job.already_here),
    ]
    return [one for one in counts if one[2] or not one[0]]


@never_cache
@require_safe
@member
def report(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What became of every row, as a file."""
    kind = "json" if request.GET.get("type") == "json" else "csv"
    return report_answer(_job(request, pk), kind)


@require_POST
@member
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop it."""
    job = _mine_to_change(request, pk)
    job_cancel(job, actor_of(request))
    return redirect("job", pk)


@require_POST
@member
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back what it added."""
    job = _mine_to_change(request, pk)
    try:
        import_undo(job, actor_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("job", pk)


def _mine_to_change(request: HttpRequest, pk: int) -> Job:
    job = _job(request, pk)
    if not membership_of(request).may_import:
        raise PermissionDenied("operator")
    return job


@require_POST
@manager
def trust(request: HttpRequest, pk: int) -> HttpResponse:
    """Believe a manufacturer that the job met, and run just its rows again."""
    job = _job(request, pk)
    fingerprint, name = request.POST.get("fingerprint", ""), request.POST.get("name", "")
    try:
        job = import_trust(job, actor_of(request), fingerprint, name.replace("\0", "")[:80])
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("job", pk)
    ring_after_commit()
    again = job.params.get("again", 0)
    said = ngettext("Trusted. One row runs again.", "Trusted. %(rows)d rows run again.", again)
    messages.success(request, said % {"rows": again})
    return redirect("job", pk)


urlpatterns = [
    path("jobs", index, name="jobs"),
    path("jobs/<int:pk>", detail, name="job"),
    path("jobs/<int:pk>/progress", progress, name="job-progress"),
    path("jobs/<int:pk>/report", report, name="job-report"),
    path("jobs/<int:pk>/cancel", cancel, name="job-cancel"),
    path("jobs/<int:pk>/undo", undo, name="job-undo"),
    path("jobs/<int:pk>/trust", trust, name="job-trust"),
]
