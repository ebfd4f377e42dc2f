"""Evidence of ownership and its whole history, and where the owner is registered for it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from devices.models.devices import Device
from devices.models.jobs import Job
from devices.models.keys import FINGERPRINT_LENGTH
from devices.models.owners import Organization

GUID_LENGTH = 32
"""Hexadecimal digits of an FDO GUID."""


class Voucher(models.Model):
    """One ownership voucher (FDO 1.1 section 3.4), byte for byte as it came. Never changed: what follows it is
    another row that names it as ``previous``."""

    class State(models.TextChoices):
        """How far it has come."""

        STORED = "stored", _("Stored")
        REGISTERED = "registered", _("Registered")
        ONBOARDED = "onboarded", _("Onboarded")
        SUPERSEDED = "superseded", _("Superseded")
        EXTENDED_AWAY = "extended-away", _("Sold on")
        DELETED = "deleted", _("Deleted")

    class Origin(models.TextChoices):
        """Where it came from."""

        IMPORT = "import", _("Imported")
        DI = "di", _("Made here (DI)")
        TO2 = "to2", _("New credential (TO2)")
        EXTENSION = "extension", _("Extended to the next owner")

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="vouchers")
    device = models.ForeignKey(
        Device, on_delete=models.SET_NULL, null=True, blank=True, related_name="vouchers"
    )
    current = models.BooleanField(default=True)
    """The one that speaks for its device today."""
    guid = models.CharField(max_length=GUID_LENGTH)
    digest = models.CharField(max_length=64)
    """SHA-256 of ``content``: the same voucher again is no news."""
    content = models.BinaryField()
    device_info = models.CharField(max_length=256, blank=True)
    serial = models.CharField(max_length=120, blank=True)
    manufacturer_fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    owner_fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    entries = models.PositiveSmallIntegerField(default=0)
    origin = models.CharField(max_length=12, choices=Origin.choices, default=Origin.IMPORT)
    state = models.CharField(max_length=16, choices=State.choices, default=State.STORED)
    state_before = models.CharField(max_length=16, blank=True)
    """With ``deleted``: what restoring brings back."""
    previous = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="followers"
    )
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="vouchers")
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "digest"], name="voucher_once"),
            models.UniqueConstraint(
                fields=["device"], condition=models.Q(current=True), name="one_current_voucher"
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="voucher_org_newest"),
            models.Index(fields=["organization", "state", "-id"], name="voucher_org_state"),
            models.Index(fields=["guid"], name="voucher_guid"),
            models.Index(fields=["organization", "serial"], name="voucher_org_serial"),
        ]

    def __str__(self) -> str:
        return self.guid


class Registration(models.Model):
    """The owner's entry for one voucher at one rendezvous address (TO0). ``next_at`` is when to try again."""

    class State(models.TextChoices):
        """How it stands."""

        DUE = "due", _("Due")
        REGISTERED = "registered", _("Registered")
        FAILING = "failing", _("Failing")
        OFF = "off", _("Off")

    voucher = models.ForeignKey(Voucher, on_delete=models.CASCADE, related_name="registrations")
    url = models.CharField(max_length=300)
    state = models.CharField(max_length=12, choices=State.choices, default=State.DUE)
    next_at = models.DateTimeField(null=True, blank=True, db_index=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    """Failures in a row."""
    last_error_code = models.CharField(max_length=32, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    registered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["voucher", "url"], name="registration_once")]

    def __str__(self) -> str:
        return f"{self.voucher_id} at {self.url}: {self.state}"
