"""Where every page lives; one list per module."""

from __future__ import annotations

from django.urls import include, path

from portal.pages import account, admin, claim, devices, home, jobs, vouchers, welcome

urlpatterns = [
    *home.urlpatterns,
    *claim.urlpatterns,
    *devices.urlpatterns,
    *vouchers.urlpatterns,
    *jobs.urlpatterns,
    *welcome.urlpatterns,
    *account.urlpatterns,
    *admin.urlpatterns,
    path("account/", include("allauth.urls")),
]
