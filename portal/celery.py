"""The worker: ``celery -A portal worker -B``. Rows are the truth, the broker only a doorbell."""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["bootstrap.doors"])

_stop = threading.Event()


@setup_logging.connect
def _logging(**_kwargs: Any) -> None:
    from django.conf import settings  # noqa: PLC0415 (settings exist once the worker starts)

    from portal.logs import configure  # noqa: PLC0415

    configure(settings.LOG_LEVEL, json=settings.LOG_JSON)


@worker_ready.connect
def _beat(**_kwargs: Any) -> None:
    """The worker's heart beats in a thread of its main process."""
    from portal.health import BEAT_SECONDS, heart_path  # noqa: PLC0415

    def beat() -> None:
        while not _stop.wait(BEAT_SECONDS):
            heart_path("worker").touch()

    heart_path("worker").touch()
    threading.Thread(target=beat, name="heart", daemon=True).start()


@worker_shutdown.connect
def _still(**_kwargs: Any) -> None:
    _stop.set()
