"""What a door process is made of: store, directory, bindings, engine; built once, closed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import structlog
from django.conf import settings
from kombu.exceptions import OperationalError

from bootstrap.bindings import bindings
from bootstrap.bindings.directory import Directory
from bootstrap.doors.tasks import onboarding_advance
from bootstrap.engine.admission import Admission
from bootstrap.engine.live import publish
from bootstrap.engine.service import Engine
from bootstrap.engine.store.sqlite import SqliteStore
from devices.services.env import live_env

log = structlog.get_logger(__name__)


class Runtime:
    """Open in a door process, close when it ends."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.directory.start()
        self._store = SqliteStore(
            str(settings.DATABASES["default"]["NAME"]), full=settings.ENV.synchronous_full, published=publish
        )
        # Putting a task on the file queue touches the disk: not in the event loop.
        self._bell = ThreadPoolExecutor(max_workers=1, thread_name_prefix="doorbell")
        self.engine = Engine(
            self._store,
            bindings(self.directory),
            Admission(settings.STRANGERS_PER_SECOND, settings.STRANGERS_BURST),
            live_env,
            self._wake,
        )

    def _wake(self, device_id: int) -> None:
        self._bell.submit(_ring, device_id)

    def close(self) -> None:
        """Write what waits, then let go."""
        self.directory.stop()
        self._bell.shutdown(wait=True)
        self._store.close()


def _ring(device_id: int) -> None:
    """The rows are the truth and the sweep finds them anyway; a lost bell only costs seconds."""
    try:
        onboarding_advance.delay(device_id)
    except (OperationalError, OSError) as error:
        log.warning("doorbell.failed", device=device_id, error=str(error))
