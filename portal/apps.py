"""The project's own pages, API and commands."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Floor 8 of the house."""

    name = "portal"
