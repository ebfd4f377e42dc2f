"""An import whose process is killed at any moment: nothing lost, nothing twice, counts that add up throughout."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COUNT = 900
MAKE = f"""
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from voucher_world import Maker, pem
from devices.keys import public_of
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make
from devices.services.people import organization_create, user_ensure
from bootstrap.bindings.vouchers import jobs
mine = organization_create("Mine", user_ensure("owner@example.com"))
maker = Maker()
manufacturer_trust(mine, None, maker.signer.public.der)
owner = public_of(owner_key_make(mine, None))
lot = [maker.made_for(owner, 1, f"SN-{{n}}") for n in range({COUNT})]
jobs.import_create(mine, None, [pem(*lot)], "lot.pem")
"""
RUN = """
import django; django.setup()
from bootstrap.bindings.vouchers import jobs
jobs.BATCH = 50
jobs.jobs_run()
"""


def python(folder: Path, program: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {
        "ONWARD_DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": path,
    }
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment)


def look(folder: Path) -> dict[str, int | str]:
    """What is committed, as another process sees it."""
    with sqlite3.connect(folder / "onward.sqlite3", timeout=30) as database:
        database.execute("BEGIN")  # one moment for all that is read
        database.row_factory = sqlite3.Row
        job = dict(database.execute("SELECT * FROM devices_job").fetchone())
        for table in ("devices_voucher", "devices_device", "devices_jobrow"):
            job[table] = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        sessions = "SELECT count(*) FROM engine_session WHERE protocol = 'fdo'"
        job["sessions"] = database.execute(sessions).fetchone()[0]
    assert job["done"] == job["added"] + job["already_here"] + job["rejected"] == job["cursor"]
    for made in ("devices_voucher", "devices_device", "devices_jobrow", "sessions"):
        assert job[made] == job["added"], made
    return job


@pytest.mark.timeout(300)
def test_an_import_killed_again_and_again_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    assert python(tmp_path, MAKE).wait(timeout=120) == 0
    kills = 0
    for _attempt in range(20):
        before = look(tmp_path)
        runner = python(tmp_path, RUN)
        while runner.poll() is None:
            now = look(tmp_path)
            if int(now["added"]) >= int(before["added"]) + 150 and kills < 3:
                runner.send_signal(signal.SIGKILL)
                runner.wait(timeout=30)
                kills += 1
            time.sleep(0.02)
        if look(tmp_path)["state"] == "done":
            break
        with sqlite3.connect(tmp_path / "onward.sqlite3", timeout=30) as database:
            # Its heart stopped a minute ago, for all that the next runner knows.
            database.execute("UPDATE devices_job SET heartbeat_at = '2026-01-01 00:00:00'")
    end = look(tmp_path)
    assert kills == 3
    assert (end["state"], end["total"], end["added"], end["rejected"]) == ("done", COUNT, COUNT, 0)
