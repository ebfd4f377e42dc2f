"""Celery is a door too: tasks take ids, may run twice, and call services."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from bootstrap.engine import onboarding
from bootstrap.engine.strangers import strangers_expire, strangers_trim


@shared_task(name="onward.onboarding_advance")
def onboarding_advance(device_id: int) -> None:
    """Move one device's onboarding as far as it can go now."""
    onboarding.advance(device_id)


@shared_task(name="onward.sweep")
def sweep() -> None:
    """Whatever is due: onboardings whose bell was lost, deadlines, reminders, offers that ran out."""
    now = timezone.now()
    onboarding.sweep(now)
    strangers_trim(settings.STRANGERS_MAX, now)


@shared_task(name="onward.housekeeping")
def housekeeping() -> None:
    """Unclaimed sessions whose time is over."""
    while strangers_expire(timezone.now()):
        continue
