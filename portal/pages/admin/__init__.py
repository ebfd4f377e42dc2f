"""Plans and settings."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from portal.pages.access import member


@member
def plans(request: HttpRequest) -> HttpResponse:
    """What devices get."""
    return render(request, "admin/plans.html")


@member
def settings(request: HttpRequest) -> HttpResponse:
    """How the organization works."""
    return render(request, "admin/settings.html")


urlpatterns = [path("plans", plans, name="plans"), path("settings", settings, name="settings")]
