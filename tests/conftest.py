"""Every test run has a data folder of its own, made before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

_folder = tempfile.mkdtemp(prefix="onward-test-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["ONWARD_DATA_DIR"] = _folder
os.environ.setdefault("ONWARD_LOG_LEVEL", "WARNING")
# Hosts of the tests' own requests; a real one comes from the environment or from `up`.
os.environ.setdefault("ONWARD_DEVICES_URL", "https://devices.example.org")
os.environ.setdefault("ONWARD_COAP_URL", "coap://devices.example.org")


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
