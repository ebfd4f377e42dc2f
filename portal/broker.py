"""The embedded default's broker: files in the data folder, written whole or not at all.

kombu's filesystem transport opens a file under its final name and then writes it, so that a worker may read
half a message and end with a decoding error. Here a message appears by rename, and the table of queues is
read and written under one lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

SCHEME = "onward-files"


class Channel(filesystem.Channel):
    """kombu's channel with atomic writes."""

    @contextlib.contextmanager
    def _table(self) -> Iterator[None]:
        with (Path(self.control_folder) / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def get_table(self, exchange: str) -> Any:
        """The queues bound to ``exchange``."""
        with self._table():
            return super().get_table(exchange)  # type: ignore[no-untyped-call]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        with self._table():
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]

    def _put(self, queue: Any, message: Any, **_kwargs: Any) -> None:  # type: ignore[override]
        # The name sorts by time, which is the order of the queue; kombu looks for "<queue>.msg" at its end.
        name = f"{round(time.monotonic() * 1000):015d}_{uuid.uuid4()}.{queue}.msg"
        final = Path(self.data_folder_out) / name
        unfinished = final.with_name(f"{name}.part")
        try:
            with unfinished.open("wb") as file:
                file.write(str_to_bytes(dumps(message)))  # type: ignore[no-untyped-call]
            os.replace(unfinished, final)
        except OSError as error:
            raise ChannelError(f"cannot add a message to {self.data_folder_out}") from error


class Transport(filesystem.Transport):
    """What ``onward-files://`` names."""

    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
