"""What the pages of vouchers and jobs need: chips, fingerprints that can be compared, the bar of a job."""

from __future__ import annotations

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from devices.models import Job, JobRow, Registration, Voucher
from portal.job_view import BAR, JobView

register = template.Library()

Look = tuple[str, str]
VOUCHERS: dict[str, Look] = {
    Voucher.State.STORED: ("○", ""),
    Voucher.State.REGISTERED: ("●", "info"),
    Voucher.State.ONBOARDED: ("✓", "ok"),
    Voucher.State.SUPERSEDED: ("↷", ""),
    Voucher.State.EXTENDED_AWAY: ("⇄", "warn"),
    Voucher.State.DELETED: ("✕", ""),
}
JOBS: dict[str, Look] = {
    Job.State.QUEUED: ("○", "info"),
    Job.State.RUNNING: ("◐", "info"),
    Job.State.DONE: ("✓", "ok"),
    Job.State.FAILED: ("▲", "bad"),
    Job.State.CANCELLED: ("‖", "warn"),
    Job.State.UNDONE: ("↶", ""),
}
OUTCOMES: dict[str, Look] = {
    JobRow.Outcome.PENDING: ("◐", "info"),
    JobRow.Outcome.ADDED: ("✓", "ok"),
    JobRow.Outcome.ALREADY_HERE: ("=", ""),
    JobRow.Outcome.REJECTED: ("▲", "bad"),
}
REGISTRATIONS: dict[str, Look] = {
    Registration.State.DUE: ("◐", "info"),
    Registration.State.REGISTERED: ("✓", "ok"),
    Registration.State.FAILING: ("▲", "bad"),
    Registration.State.OFF: ("‖", ""),
}
GROUP = 4
"""Digits that the eye takes at once."""
_CELLS = 5


@register.simple_tag
def voucher_chip(voucher: Voucher) -> SafeString:
    """Glyph, word and tone: never colour alone."""
    return _chip(VOUCHERS[voucher.state], voucher.get_state_display())


@register.simple_tag
def job_chip(job: Job) -> SafeString:
    """The same of a job; one that ended with rows that need somebody is not simply done."""
    look = JOBS[job.state]
    if job.state == Job.State.DONE and job.rejected:
        look = ("▲", "warn" if job.done > job.rejected else "bad")
    return _chip(look, job.get_state_display())


@register.simple_tag
def outcome_chip(row: JobRow) -> SafeString:
    """The same of a row of a job."""
    return _chip(OUTCOMES[row.outcome], row.get_outcome_display())


@register.simple_tag
def registration_chip(registration: Registration) -> SafeString:
    """The same of a registration; one whose lease has ended unnoticed says so by its state, not its date."""
    return _chip(REGISTRATIONS[registration.state], registration.get_state_display())


def _chip(look: Look, word: str) -> SafeString:
    glyph, tone = look
    return format_html('<span class="chip {}"><span aria-hidden="true">{}</span>{}</span>', tone, glyph, word)


@register.simple_tag
def job_view(job: Job) -> JobView:
    """For the bar and its sentence."""
    return JobView.of(job, timezone.now())


@register.simple_tag
def job_bar(view: JobView) -> SafeString:
    """Three colours in one bar. Widths are attributes: the page's policy has no place for styles."""
    parts = (
        ("ok", 0, view.added),
        ("here", view.here_at, view.already_here),
        ("bad", view.rejected_at, view.rejected),
    )
    rects = format_html_join(
        "", '<rect class="{}" x="{}" width="{}" height="8"></rect>', (part for part in parts if part[2])
    )
    return format_html(
        '<svg viewBox="0 0 {} 8" preserveAspectRatio="none" aria-hidden="true">{}</svg>', BAR, rects
    )


@register.simple_tag
def fingerprint(digits: str, short: bool = False) -> SafeString:
    """A key's fingerprint as people compare it: a picture, and digits in fours. Copied, it has no gaps."""
    shown = digits[: 4 * GROUP] if short else digits
    groups = format_html_join(
        "", "<span>{}</span>", ((shown[at : at + GROUP],) for at in range(0, len(shown), GROUP))
    )
    more = format_html("<span>{}</span>", "…") if len(digits) > len(shown) else ""
    return format_html(
        '<span class="fingerprint" title="{}">{}<span class="mono digits{}" translate="no">{}{}</span></span>',
        digits,
        identicon(digits),
        " short" if short else "",
        groups,
        more,
    )


def identicon(digits: str) -> SafeString:
    """Five by five cells, left like right: two keys that differ hardly ever look alike. No proof, a hint."""
    try:
        bits = int(digits[:16], 16)
    except ValueError:
        return format_html("")
    cells = [
        (column, row)
        for column in range(_CELLS)
        for row in range(_CELLS)
        if bits >> (min(column, _CELLS - 1 - column) * _CELLS + row) & 1
    ]
    rects = format_html_join("", '<rect x="{}" y="{}" width="1" height="1"></rect>', cells)
    return format_html(
        '<svg class="identicon" viewBox="0 0 5 5" shape-rendering="crispEdges" aria-hidden="true" '
        'fill="hsl({} 60% 48%)">{}</svg>',
        (bits >> 20) % 360,
        rects,
    )
