"""Foreign peers that are built rather than installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fdo_matrix import Grid, noter
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
