"""Settings of the organization, and its plans."""

from __future__ import annotations

from portal.pages.admin import access_points, audit, organization, people, plans, realms, serials, tokens

urlpatterns = [
    *organization.urlpatterns,
    *people.urlpatterns,
    *access_points.urlpatterns,
    *realms.urlpatterns,
    *serials.urlpatterns,
    *tokens.urlpatterns,
    *audit.urlpatterns,
    *plans.urlpatterns,
]
