"""What every test may ask for. The settings of a run are in tests/settings.py."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
import structlog

from tests import fdo_matrix

# Through the standard library, whose records pytest takes as they come; structlog's own default keeps the stream
# that the first test to log was captured with, and that one is closed when the test ends.
structlog.configure(logger_factory=structlog.stdlib.LoggerFactory(), cache_logger_on_first_use=False)


def need(program: str) -> str:
    """Path of a foreign peer; missing is a failure in CI and a loud skip elsewhere."""
    path = shutil.which(program)
    if path is None:
        message = f"{program} is not installed: run deploy/test-packages as root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def find_peer():
    """``find_peer("eapol_test")`` is the path of a foreign program."""
    return need


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pages that a run can write."""
    fdo_matrix.add_option(parser)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Grids of what worked with foreign peers."""
    fdo_matrix.summarize(terminalreporter, config.getoption("--fdo-matrix"))
