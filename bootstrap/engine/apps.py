"""Sessions and events: what is under way."""

from django.apps import AppConfig


class EngineConfig(AppConfig):
    """Floor 5 of the house; Django owns its schema, the store writes its rows."""

    name = "bootstrap.engine"
    label = "engine"
