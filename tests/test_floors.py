"""The house's floors hold: a linter reads every import, and an interpreter without Django proves the line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter import cli

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ("bootstrap.contract", "bootstrap.errors", "bootstrap.wire", "bootstrap.protocols")
NO_FRAMEWORK = """
import importlib, pkgutil, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} below the line")
sys.meta_path.insert(0, Refuse())
count = 0
for top in TOPS:
    module = importlib.import_module(top)
    names = [top]
    if hasattr(module, "__path__"):
        names += [found.name for found in pkgutil.walk_packages(module.__path__, top + ".")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
            count += 1
print(count)
"""


def imported(tops: tuple[str, ...], forbidden: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Import every module of ``tops`` in an interpreter that has none of ``forbidden``."""
    code = f"TOPS = {tops!r}\nFORBIDDEN = {set(forbidden)!r}\n{NO_FRAMEWORK}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_contract_of_the_floors_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    status = cli.lint_imports(cache_dir=None, no_cache=True)
    assert status == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_the_library_works_where_there_is_no_django() -> None:
    done = imported(LIBRARY, ("django", "rest_framework", "channels", "celery", "structlog"))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_the_simulator_works_where_there_is_no_django() -> None:
    done = imported(("bootstrap.simulator",), ("django", "rest_framework", "channels", "celery"))
    assert done.returncode == 0, done.stderr


def test_the_refusal_would_be_noticed() -> None:
    done = imported(("bootstrap.engine.service",), ("django",))
    assert done.returncode != 0
    assert "below the line" in done.stderr


def test_below_the_line_nobody_looks_at_the_clock_or_throws_dice() -> None:
    """What ruff bans by name, asked of the linter itself, so that a lifted ban is noticed."""
    folders = [str(ROOT / "bootstrap" / part) for part in ("contract.py", "errors.py", "wire", "protocols")]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251,PLC0415,S311", "--no-cache", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    named = "bootstrap/protocols/eap_noob/probe.py"
    probe = "import secrets\nimport time\n\nNOW = time.time()\nDICE = secrets.token_bytes(1)\n"
    caught = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--select",
            "TID251",
            "--no-cache",
            "--stdin-filename",
            named,
            "-",
        ],
        cwd=ROOT,
        input=probe,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert caught.stdout.count("TID251") >= 2
