"""Who did what to which, as a hash chain per organization."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from devices.models.owners import Organization


class AuditEntry(models.Model):
    """One deed. Written by services, never by signals; each holds the digest of the one before."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="audit")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    actor_name = models.CharField(max_length=254, blank=True)
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=160, blank=True)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["organization", "-id"], name="audit_org_newest")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor_name} {self.action} {self.target}"
