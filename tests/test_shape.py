"""Every protocol folder has the same files, and every error has its row in every table."""

from __future__ import annotations

import ast
import importlib
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import PEER_ERRORS, PeerError

ROOT = Path(__file__).resolve().parent.parent
PROTOCOLS = ROOT / "bootstrap" / "protocols"
FILES = ("__init__", "constants", "messages", "crypto", "server", "device")
"""Of architecture.md section 2; each a module, or a package once it is over 400 lines."""
LINES_MAX = 450


def protocols() -> list[str]:
    found = sorted(path.name for path in PROTOCOLS.iterdir() if (path / "__init__.py").exists())
    assert found, "no protocol at all"
    return found


def module(name: str, part: str = "") -> Any:
    return importlib.import_module(f"bootstrap.protocols.{name}" + (f".{part}" if part else ""))


@pytest.mark.parametrize("name", protocols())
def test_a_protocol_folder_is_complete(name: str) -> None:
    folder = PROTOCOLS / name
    missing = [
        part
        for part in FILES
        if not (folder / f"{part}.py").exists() and not (folder / part / "__init__.py").exists()
    ]
    assert missing == []
    readme = (folder / "README.md").read_text()
    assert len(readme.splitlines()) > 15


@pytest.mark.parametrize("name", protocols())
def test_a_protocol_says_what_it_is(name: str) -> None:
    spec = module(name).SPEC
    values = spec if isinstance(spec, dict) or hasattr(spec, "keys") else None
    slug, title, references = (
        (values["slug"], values["title"], values["references"])
        if values is not None
        else (spec.slug, spec.title, spec.references)
    )
    assert slug == name.replace("_", "-")
    assert title
    assert references


@pytest.mark.parametrize("name", protocols())
def test_both_sides_have_a_pure_step(name: str) -> None:
    """The server steps; the device is its mirror."""
    server, device = module(name, "server"), module(name, "device")
    assert callable(server.step)
    words = ("step", "read_answer", "To2Device")  # FDO's device is an object for each of its protocols
    assert any(callable(getattr(device, word, None)) for word in words)


@pytest.mark.parametrize("name", protocols())
def test_every_error_has_a_number_in_the_protocol(name: str) -> None:
    codes = module(name, "constants").ERROR_CODES
    assert set(codes) >= set(PEER_ERRORS)
    assert all(issubclass(cls, PeerError) for cls in codes)
    assert all(isinstance(code, int) for code in codes.values())


@pytest.mark.parametrize("name", protocols())
def test_numbers_of_the_specification_are_enumerations(name: str) -> None:
    constants = module(name, "constants")
    enums = [v for v in vars(constants).values() if isinstance(v, type) and issubclass(v, IntEnum | StrEnum)]
    assert len(enums) >= 3


@pytest.mark.parametrize("name", protocols())
def test_a_protocol_has_a_binding_and_is_on_the_list(name: str) -> None:
    bindings = ROOT / "bootstrap" / "bindings"
    assert (bindings / f"{name}.py").exists() or (bindings / name / "__init__.py").exists()
    listed = (ROOT / "pyproject.toml").read_text()
    assert f'"bootstrap.protocols.{name}"' in listed, "not in the contract of independence"


def tables() -> list[tuple[str, dict[type[PeerError], Any]]]:
    from bootstrap.doors import http, radius
    from bootstrap.doors.coap import codes

    return [
        ("http", http.STATUS),
        ("radius", radius.BEHAVIOURS),
        ("coap", codes.RESPONSE_CODES),
    ]


@pytest.mark.parametrize("door", ["http", "radius", "coap"])
def test_every_error_has_a_row_in_the_doors_table(door: str) -> None:
    assert set(dict(tables())[door]) == set(PEER_ERRORS)


def test_every_peer_error_is_on_the_list() -> None:
    import bootstrap.errors as errors

    own = {
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, PeerError) and cls is not PeerError
    }
    assert own == set(PEER_ERRORS)


def everything_of_ours() -> list[Path]:
    return [
        path
        for top in ("bootstrap", "devices", "portal")
        for path in sorted((ROOT / top).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def test_no_file_has_outgrown_its_reason() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in everything_of_ours()
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert long == {}


def test_every_module_says_what_it_is() -> None:
    """An empty ``__init__.py`` may be silent."""
    silent = []
    for path in everything_of_ours():
        tree = ast.parse(path.read_text())
        if tree.body and ast.get_docstring(tree) is None:
            silent.append(str(path.relative_to(ROOT)))
    assert silent == []
