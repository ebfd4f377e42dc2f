"""First owner, invitations, new organizations."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path


def organization_new(request: HttpRequest) -> HttpResponse:
    """A name makes an organization."""
    return render(request, "welcome/organization_new.html")


urlpatterns = [path("organizations/new", organization_new, name="organization-new")]
