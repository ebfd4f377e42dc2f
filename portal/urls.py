"""Where every page and API call lives. Device paths never come here: portal/asgi.py takes them first."""

from django.urls import include, path

handler500 = "portal.api.errors.server_error"

urlpatterns = [
    path("api/v1/", include("portal.api.urls")),
    path("", include("portal.pages.urls")),
]
