"""The system's randomness, fetched a page at a time: a system call for every nonce costs more than its encryption."""

from __future__ import annotations

import os
import threading

PAGE_LENGTH = 4096


class Entropy:
    """``take(n)`` gives n octets, each of them once, in any thread; a forked child starts afresh."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._page = b""
        self._at = 0
        os.register_at_fork(after_in_child=self._forget)

    def take(self, length: int) -> bytes:
        """Fit for keys."""
        if length > PAGE_LENGTH // 4:
            return os.urandom(length)
        with self._lock:
            if self._at + length > len(self._page):
                self._page, self._at = os.urandom(PAGE_LENGTH), 0
            start, self._at = self._at, self._at + length
            return self._page[start : self._at]

    def _forget(self) -> None:
        """The parent's page is the parent's. The lock may have been held by a thread that does not exist here."""
        self._lock = threading.Lock()
        self._page, self._at = b"", 0


take = Entropy().take
