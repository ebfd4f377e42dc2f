"""What every test may ask for. The settings of a run are in tests/settings.py."""

from __future__ import annotations

import os
import shutil

import pytest


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
