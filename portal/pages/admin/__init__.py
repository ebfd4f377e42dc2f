"""Settings of the organization, and its plans."""

from __future__ import annotations

from portal.pages.admin import (
    access_points,
    audit,
    fdo,
    groups,
    makers,
    organization,
    owner_keys,
    people,
    plan_trial,
    plans,
    realms,
    serials,
    tokens,
)

urlpatterns = [
    *organization.urlpatterns,
    *people.urlpatterns,
    *access_points.urlpatterns,
    *realms.urlpatterns,
    *serials.urlpatterns,
    *groups.urlpatterns,
    *fdo.urlpatterns,
    *owner_keys.urlpatterns,
    *makers.urlpatterns,
    *tokens.urlpatterns,
    *audit.urlpatterns,
    *plans.urlpatterns,
    *plan_trial.urlpatterns,
]
