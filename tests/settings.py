"""The portal's settings with a data folder of this run's own: two runs at once share nothing.

Not in conftest.py: Django's settings are read before any conftest is.
"""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="onward-test-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["ONWARD_DATA_DIR"] = _folder
os.environ.setdefault("ONWARD_LOG_LEVEL", "WARNING")
# Hosts of the tests' own requests; a real one comes from the environment or from `up`.
os.environ.setdefault("ONWARD_DEVICES_URL", "https://devices.example.org")
os.environ.setdefault("ONWARD_COAP_URL", "coap://devices.example.org")
# Programs that a test starts are the real ones.
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"

from portal.settings import *  # noqa: E402, F403
