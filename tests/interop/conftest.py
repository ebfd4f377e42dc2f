"""Foreign peers that are built rather than installed."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fdo_matrix import Grid, noter
from tests.fdo_portal import KINDS, FdoPortal
from tests.go_peer import GoMissing, GoPeer, go_peer


@pytest.fixture(scope="session")
def go_fdo() -> Iterator[GoPeer]:
    """go-fdo as device, server, TO0 client and voucher maker; missing is a failure in CI and a loud skip elsewhere."""
    try:
        peer = go_peer()
    except GoMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield peer
    peer.close()


@pytest.fixture
def grid(record_property: Callable[[str, Any], None]) -> Grid:
    """``grid(table, row, column)`` makes this test a cell of the interoperability matrix."""
    return noter(record_property)


@pytest.fixture(scope="session")
def fdo_portal(go_fdo: GoPeer) -> Iterator[FdoPortal]:
    """One live portal for every FDO test of this process: manufacturer, rendezvous and owner, keys of every kind.
    It believes go-fdo's manufacturer, and its owner as one who sells on."""
    portal = FdoPortal.start()
    portal.prepare(*(go_fdo.key(role, kind) for role in ("manufacturer", "owner") for kind in KINDS))
    yield portal
    portal.stop()


FETCHED = b"from the web\n" * 100


@pytest.fixture(scope="session")
def web() -> Iterator[str]:
    """URL of a file for fdo.wget: FETCHED."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(FETCHED)))
            self.end_headers()
            self.wfile.write(FETCHED)

        def log_message(self, *_words: Any) -> None:
            """Quiet."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/file"
    running.shutdown()
