"""What a device should get, free of any method, and how far it is with getting it."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from devices import vault
from devices.models.devices import Device
from devices.models.owners import Organization


class Plan(models.Model):
    """What devices of an organization should get. Its content lives in numbered, unchangeable versions."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="plans")
    name = models.CharField(_("name"), max_length=80)
    is_default = models.BooleanField(_("for devices without a plan of their own"), default=False)
    current = models.ForeignKey(
        "PlanVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="plan_name_once"),
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="one_default_plan"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PlanVersion(models.Model):
    """One version. ``items`` is a list of ``{"id", "kind", "value"}`` checked by devices.services.plans."""

    _CONTEXT = b"plan items"

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.BinaryField(default=bytes)
    """The items, sealed: passphrases and configuration are among them."""
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "number"], name="version_number_once")]

    def __str__(self) -> str:
        return f"{self.plan} v{self.number}"

    @property
    def items(self) -> list[dict[str, Any]]:
        """What a device gets."""
        return list(json.loads(vault.unseal(bytes(self.content), self._CONTEXT)))

    @items.setter
    def items(self, items: list[dict[str, Any]]) -> None:
        self.content = vault.seal(json.dumps(items).encode(), self._CONTEXT)


class OnboardingStep(models.TextChoices):
    """The ordered way from confirmed to operational."""

    BOOTSTRAP = "bootstrap", _("Device proves itself")
    PROVISION = "provision", _("Certificate and settings")
    ONLINE = "online", _("Online")
    DONE = "done", _("Done")


class Onboarding(models.Model):
    """The ordered steps of one device: driven by workers, fed by events.

    ``due_at`` is when a worker must look again; the broker only makes it sooner.
    """

    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="onboarding")
    step = models.CharField(max_length=16, choices=OnboardingStep.choices, default=OnboardingStep.BOOTSTRAP)
    started_at = models.DateTimeField()
    step_since = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    reminders = models.PositiveSmallIntegerField(default=0)
    wants_report = models.BooleanField(default=False)
    """The device said that it fetches its plan and reports; else bootstrapping is all it does with us."""
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.SET_NULL, null=True, blank=True)
    results = models.JSONField(default=list)
    """Per item of the plan: ``{"id", "ok", "detail"}``, as the device reported."""

    def __str__(self) -> str:
        return f"{self.device}: {self.step}"
