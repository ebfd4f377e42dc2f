"""The schema of what is under way. Django migrates it and pages read it; only the store writes it."""

from __future__ import annotations

from django.db import models


class Session(models.Model):
    """One device under one protocol. Its state is one sealed blob; other columns are for finding and showing."""

    protocol = models.CharField(max_length=24)
    locator = models.CharField(max_length=160)
    """The protocol's own name for the device (PeerId, GUID, ...)."""
    token = models.BinaryField(null=True)
    """SHA-256 of the conversation's token, so that a stolen database opens no conversation."""
    organization = models.ForeignKey(
        "devices.Organization", on_delete=models.SET_NULL, null=True, related_name="+"
    )
    """Of the device once claimed; before that, of the access point or realm it came through."""
    device = models.ForeignKey(
        "devices.Device", on_delete=models.SET_NULL, null=True, related_name="sessions"
    )
    via = models.CharField(max_length=16)
    source = models.CharField(max_length=64)
    phase = models.CharField(max_length=32)
    milestone = models.CharField(max_length=16)
    serial = models.CharField(max_length=120)
    manufacturer = models.CharField(max_length=120)
    model = models.CharField(max_length=120)
    wants_report = models.BooleanField(default=False)
    """It said that it fetches its plan and reports; else bootstrapping is all it does with us."""
    state = models.BinaryField()
    material = models.BinaryField(null=True)
    version = models.PositiveIntegerField()
    messages = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True)
    """When we told the device to come back, for "checks in again in 4 s"."""
    expires_at = models.DateTimeField(null=True)
    guarded_until = models.DateTimeField(null=True)
    """A person is claiming it: no flood of strangers may push it out before then."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["protocol", "locator"], name="session_locator_once"),
            models.UniqueConstraint(fields=["protocol", "token"], name="session_token_once"),
        ]
        indexes = [
            models.Index(fields=["serial"], name="session_serial"),
            models.Index(fields=["organization", "device"], name="session_org_device"),
            models.Index(fields=["expires_at"], name="session_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.protocol} {self.locator}"


class Event(models.Model):
    """One line of a device's history. Append-only; the primary key is the browser's cursor."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, null=True, related_name="events")
    device = models.ForeignKey("devices.Device", on_delete=models.CASCADE, null=True, related_name="events")
    organization = models.ForeignKey(
        "devices.Organization", on_delete=models.CASCADE, null=True, related_name="+"
    )
    at = models.DateTimeField()
    code = models.CharField(max_length=64)
    level = models.CharField(max_length=8)
    detail = models.JSONField()
    trace = models.BinaryField(null=True)
    """The message in clear, sealed (engine/envelope.py); None where the line speaks of no message."""
    via = models.CharField(max_length=16)

    class Meta:
        indexes = [
            models.Index(fields=["device", "id"], name="event_device"),
            models.Index(fields=["organization", "id"], name="event_org"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.code}"
