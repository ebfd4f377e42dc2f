"""Foreign peers that are built rather than installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

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
