"""What templates need beside Django's own: icons, state chips, relative times, the end of a serial number."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from bootstrap.bindings.candidates import Candidate
from devices.models import Device, DeviceState, OnboardingStep
from portal import catalogue
from portal.icons import ICONS
from portal.timeline import FDO, POSITION, fdo_wait_sentences, wait_sentences

register = template.Library()

STATES: dict[str, tuple[str, str]] = {
    DeviceState.KNOWN: ("○", ""),
    DeviceState.WAITING: ("●", "warn"),
    DeviceState.ONBOARDING: ("◐", "info"),
    DeviceState.STUCK: ("▲", "bad"),
    DeviceState.ONBOARDED: ("✓", "ok"),
    DeviceState.SUSPENDED: ("‖", "warn"),
    DeviceState.TRANSFERRING: ("⇄", "info"),
    DeviceState.REVOKED: ("✕", ""),
    DeviceState.RETIRED: ("✕", ""),
}
"""State to glyph and tone: never colour alone."""


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of our own line icons."""
    body = mark_safe(ICONS[name])  # noqa: S308 (our own constant)
    return format_html(
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{}</svg>',
        body,
    )


@register.simple_tag
def state_chip(device: Device | Candidate) -> SafeString:
    """Glyph, word and tone of a device's state."""
    glyph, tone = STATES[device.state]
    return format_html(
        '<span class="chip {}"><span aria-hidden="true">{}</span>{}</span>',
        tone,
        glyph,
        DeviceState(device.state).label,
    )


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """A past moment, kept fresh by the page; the exact time on hover."""
    if moment is None:
        return format_html("{}", "–")
    return format_html(
        '<relative-time datetime="{}" title="{}">{}</relative-time>',
        moment.isoformat(),
        timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z"),
        _("now") if timezone.now() - moment < timedelta(minutes=1) else _("%s ago") % timesince(moment),
    )


METHODS = {"eap-noob": "EAP-NOOB", "fdo": "FDO"}


@register.simple_tag
def method_name(device: Device) -> str:
    """The method and the way in, in the field's own words."""
    name = METHODS.get(device.method, device.method)
    return f"{name} · {device.via.upper()}" if device.via else name


@register.simple_tag
def where(device: Device) -> str:
    """The step it is at, or why it is stuck, in one sentence."""
    if device.state == DeviceState.STUCK:
        return catalogue.short(device.reason or "onboarding.stuck")
    sentences = fdo_wait_sentences() if device.method == FDO else wait_sentences()
    if device.state == DeviceState.KNOWN and device.method == FDO:
        return sentences[1][0]
    if device.state == DeviceState.WAITING:
        return sentences[0][0]
    if device.state == DeviceState.ONBOARDING and hasattr(device, "onboarding"):
        return sentences[POSITION[OnboardingStep(device.onboarding.step)]][0]
    return ""


@register.simple_tag
def called(thing: Any) -> SafeString:
    """Maker and model as the device says them, or the name that a person gave; its script turns nothing around."""
    if isinstance(thing, Device):
        return format_html("<bdi>{}</bdi>", thing)
    words = " ".join(word for word in (thing.manufacturer, thing.model) if word)
    return format_html("<bdi>{}</bdi>", words or _("New device"))


@register.filter
def serial_parts(serial: str) -> tuple[str, str]:
    """A serial number with its last four characters apart: those people compare."""
    return serial[:-4], serial[-4:]


@register.filter
def get(mapping: Any, key: str) -> Any:
    """``mapping[key]`` or None."""
    return mapping.get(key) if mapping else None
