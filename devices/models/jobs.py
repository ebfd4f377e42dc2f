"""Long work with totals that add up. The rows are the truth, the broker only a doorbell."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from devices.models.owners import Organization


class Job(models.Model):
    """One piece of long work. At any moment ``done == added + already_here + rejected <= total``."""

    class Kind(models.TextChoices):
        """What it does."""

        VOUCHER_IMPORT = "voucher-import", _("Voucher import")
        VOUCHER_EXTEND = "voucher-extend", _("Selling on")

    class State(models.TextChoices):
        """How it stands."""

        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        UNDONE = "undone", _("Undone")

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=24, choices=Kind.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    label = models.CharField(_("label"), max_length=120, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    upload = models.CharField(max_length=160, blank=True)
    """File name under the data folder's ``uploads``; empty once it was cleared away."""
    upload_name = models.CharField(max_length=200, blank=True)
    """What the person's file was called. Untrusted text."""
    upload_size = models.PositiveBigIntegerField(default=0)
    params = models.JSONField(default=dict, blank=True)
    total = models.PositiveIntegerField(null=True, blank=True)
    """None until it was counted."""
    done = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    already_here = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    cursor = models.PositiveIntegerField(default=0)
    """Rows of the upload that are behind us; committed together with the counts."""
    cancel_asked = models.BooleanField(default=False)
    error_code = models.CharField(max_length=32, blank=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(done=models.F("added") + models.F("already_here") + models.F("rejected")),
                name="job_counts_add_up",
            )
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="job_org_newest"),
            models.Index(fields=["state", "heartbeat_at"], name="job_state_heart"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.state}"


class JobRow(models.Model):
    """One row of a job: what became of it, and why."""

    class Outcome(models.TextChoices):
        """What became of it."""

        PENDING = "pending", _("Waiting")
        ADDED = "added", _("Added")
        ALREADY_HERE = "already-here", _("Already here")
        REJECTED = "rejected", _("Rejected")

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()
    """Position in the upload, from 1."""
    name = models.CharField(max_length=200, blank=True)
    """Where in the upload: file in an archive and position. Untrusted text."""
    guid = models.CharField(max_length=32, blank=True)
    serial = models.CharField(max_length=120, blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    code = models.CharField(max_length=32, blank=True)
    """Catalogue code of why it was rejected (or of what is worth saying)."""
    detail = models.JSONField(default=dict, blank=True)
    """Values for the sentence, like ``manufacturer``: the fingerprint to trust."""
    voucher = models.ForeignKey(
        "devices.Voucher", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="job_row_once")]
        indexes = [models.Index(fields=["job", "outcome", "number"], name="job_row_outcome")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.number}: {self.outcome}"
