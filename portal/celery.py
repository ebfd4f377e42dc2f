"""The worker: ``celery -A portal worker -B``. Rows are the truth, the broker only a doorbell."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging, task_success, worker_ready, worker_shutdown

from portal import broker  # noqa: F401 (registers its URL scheme)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["bootstrap.doors"])

_stop = threading.Event()
SWEEP_HEART = "sweep"
SWEEP_STALE_SECONDS = 20.0
"""Ten rounds without a sweep: the schedule's process is dead, or nothing comes out of the queue any more."""
LEAVE_SECONDS = 5.0
"""For an orderly end before we just go; the supervisor starts another worker."""


@setup_logging.connect
def _logging(**_kwargs: Any) -> None:
    from django.conf import settings  # noqa: PLC0415 (settings exist once the worker starts)

    from portal.logs import configure  # noqa: PLC0415

    configure(settings.LOG_LEVEL, json=settings.LOG_JSON)


@worker_ready.connect
def _beat(**_kwargs: Any) -> None:
    """The worker's heart beats in a thread of its main process, as long as what it schedules gets done."""
    from portal.health import BEAT_SECONDS, heart_path  # noqa: PLC0415

    schedules = "--beat" in sys.argv or "-B" in sys.argv
    sweeping = heart_path(SWEEP_HEART)
    sweeping.touch()

    def beat() -> None:
        while not _stop.wait(BEAT_SECONDS):
            if schedules and time.time() - sweeping.stat().st_mtime > SWEEP_STALE_SECONDS:
                structlog.get_logger(__name__).error("worker.no-sweep", seconds=SWEEP_STALE_SECONDS)
                os.kill(os.getpid(), signal.SIGTERM)
                _stop.wait(LEAVE_SECONDS)
                # A pool that lost a child in the middle of a task waits for it for ever.
                os._exit(os.EX_SOFTWARE)
            heart_path("worker").touch()

    heart_path("worker").touch()
    threading.Thread(target=beat, name="heart", daemon=True).start()


@task_success.connect
def _swept(sender: Any = None, **_kwargs: Any) -> None:
    """In a child of the pool: the whole way from schedule to done works."""
    from portal.health import heart_path  # noqa: PLC0415

    if getattr(sender, "name", "") == "onward.sweep":
        heart_path(SWEEP_HEART).touch()


@worker_shutdown.connect
def _still(**_kwargs: Any) -> None:
    _stop.set()
