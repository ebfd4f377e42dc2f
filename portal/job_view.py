"""A job as people read it: how far it is, how long still, and what its rows need from somebody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bootstrap.bindings.vouchers.problems import AdmitProblem
from devices.models import Job, JobRow
from portal import catalogue

BAR = 1000
"""Width of the whole bar."""
ETA_AFTER = timedelta(seconds=3)
"""Before that, a guess would only jump about."""
RUNNING = (Job.State.QUEUED, Job.State.RUNNING)
MAKERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class JobView:
    """The bar, and one sentence. ``added``, ``already_here`` and ``rejected`` are parts of BAR."""

    over: bool
    added: int
    already_here: int
    rejected: int
    percent: int
    sentence: str
    fix: str
    tone: str

    @property
    def here_at(self) -> int:
        """Where the second part of the bar begins."""
        return self.added

    @property
    def rejected_at(self) -> int:
        """Where the third part begins."""
        return self.added + self.already_here

    @classmethod
    def of(cls, job: Job, now: datetime) -> JobView:
        """As it stands in the row."""
        whole = job.total or 0
        sentence, fix, tone = _said(job, now)
        return cls(
            over=job.state not in RUNNING,
            added=_part(job.added, whole),
            already_here=_part(job.already_here, whole),
            rejected=_part(job.rejected, whole),
            percent=100 * job.done // whole if whole else 0,
            sentence=sentence,
            fix=fix,
            tone=tone,
        )


def _part(count: int, whole: int) -> int:
    """Never nothing for something: one rejected row of ten thousand must show."""
    return max(6, BAR * count // whole) if count and whole else 0


def _said(job: Job, now: datetime) -> tuple[str, str, str]:
    if job.state == Job.State.QUEUED:
        return _("Waiting for its turn."), "", "info"
    if job.state == Job.State.RUNNING:
        return _running(job, now), "", "info"
    if job.state == Job.State.DONE:
        return _done(job)
    if job.state == Job.State.CANCELLED and job.total is None:
        return _("Cancelled before it began."), "", "warn"
    if job.state == Job.State.CANCELLED:
        counts = {"done": intcomma(job.done), "total": intcomma(job.total or 0)}
        return _("Stopped after %(done)s of %(total)s. What was added stays.") % counts, "", "warn"
    if job.state == Job.State.UNDONE:
        return _("Taken back: what this import added is gone. Its rows stay as history."), "", ""
    said = catalogue.voucher_problem(job.error_code, {"text": job.error})
    return said.sentence, said.fix, "bad"


def _running(job: Job, now: datetime) -> str:
    if job.cancel_asked:
        return _("Stopping after the rows that are under way.")
    if job.total is None:
        return _("Counting the vouchers…")
    counts = {"done": intcomma(job.done), "total": intcomma(job.total)}
    left = seconds_left(job, now)
    if left is None:
        return _("%(done)s of %(total)s") % counts
    return _("%(done)s of %(total)s · about %(left)s left") % (counts | {"left": duration(left)})


def _done(job: Job) -> tuple[str, str, str]:
    total, taken = job.total or 0, job.added + job.already_here
    counts = {"total": intcomma(total), "taken": intcomma(taken), "rejected": intcomma(job.rejected)}
    if not job.rejected and not job.added:
        one, many = (
            "The voucher is here already: nothing to do.",
            "All %(total)s are here already: nothing to do.",
        )
        return ngettext(one, many, total) % counts, "", "ok"
    if not job.rejected:
        return ngettext("The voucher is in.", "All %(total)s vouchers are in.", total) % counts, "", "ok"
    if not taken:
        none = ngettext("The voucher was not taken.", "None of the %(total)s vouchers was taken.", total)
        return none % counts, _("Each reason below says what to do."), "bad"
    needs = ngettext(
        "%(taken)s of %(total)s are in. One needs you.",
        "%(taken)s of %(total)s are in. %(rejected)s need you.",
        job.rejected,
    )
    return needs % counts, "", "warn"


def seconds_left(job: Job, now: datetime) -> int | None:
    """By the pace so far; None while that would be a guess, and for rows that are run again (their pace is
    another one)."""
    if job.total is None or job.started_at is None or not job.done or job.params.get("again"):
        return None
    spent = now - job.started_at
    if spent < ETA_AFTER:
        return None
    return max(1, round(spent.total_seconds() * (job.total - job.done) / job.done))


def duration(seconds: int) -> str:
    """So much as one needs to decide whether to wait."""
    if seconds < 90:
        return _("%d s") % seconds
    if seconds < 90 * 60:
        return _("%d min") % round(seconds / 60)
    return _("%d h") % round(seconds / 3600)


def strangers(job: Job) -> list[dict[str, Any]]:
    """Manufacturers that nobody trusts yet, by fingerprint, with how many rows wait for each."""
    rows = JobRow.objects.filter(job=job, outcome=JobRow.Outcome.REJECTED, code=AdmitProblem.UNTRUSTED)
    counted = rows.values_list("detail__manufacturer").annotate(rows=Count("pk")).order_by("-rows")
    known = job.params.get("makers", {})
    return [
        {"fingerprint": fingerprint, "rows": count}
        for fingerprint, count in counted[:MAKERS_SHOWN]
        if fingerprint in known
    ]
