"""What exists: owners, devices, plans, credentials, audit."""

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """Floor 4 of the house."""

    name = "devices"
    verbose_name = "Devices"
