"""The project: settings, router, pages, API, live updates, commands."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
