"""Rules that hold for every page: our own look, no inline script or style, nobody else's server, a small first load."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from api_world import Side
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template import engines
from django.test import Client
from pages_world import browser, tags

pytestmark = pytest.mark.django_db
FRONTEND = Path(settings.BASE_DIR) / "frontend"
TEMPLATES = sorted((FRONTEND / "templates").rglob("*.html"))
SCRIPTS = sorted((FRONTEND / "static" / "js").glob("*.js"))
STYLES = sorted((FRONTEND / "static" / "css").glob("*.css"))
FIRST_LOAD_MAX = 60_000
FOREIGN = re.compile(r"""(?:src|href|action|url\(|import)\s*[=(]?\s*["']?(?:https?:)?//""")
TRANSLATED = re.compile(r"{%\s*(trans|translate|blocktrans|blocktranslate)\b")
PAGES = [
    "/",
    "/devices",
    "/add",
    "/plans",
    "/settings",
    "/me",
    "/account/login/",
    "/account/signup/",
    "/nowhere",
]


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def short(file: Path) -> str:
    """For the names of tests."""
    return str(file.relative_to(FRONTEND))


@pytest.mark.parametrize("file", TEMPLATES, ids=short)
def test_templates_compile_and_hold_no_inline_script_or_style(file: Path) -> None:
    text = file.read_text()
    engines["django"].from_string(text)
    assert not re.search(r"\sstyle\s*=|<style|javascript:|\son[a-z]+\s*=\s*[\"']", text)
    for attributes in re.findall(r"<script\b([^>]*)>", text):
        assert "src=" in attributes or 'type="application/json"' in attributes
    assert "|safe" not in text
    assert "autoescape off" not in text


@pytest.mark.parametrize(
    "file", [*TEMPLATES, *SCRIPTS, *sorted((FRONTEND / "static" / "css").glob("*.css"))], ids=short
)
def test_nothing_is_fetched_from_anybody_else(file: Path) -> None:
    assert not FOREIGN.search(file.read_text())


@pytest.mark.parametrize("file", SCRIPTS, ids=short)
def test_scripts_never_parse_text_as_code(file: Path) -> None:
    assert not re.search(r"\beval\(|new Function|document\.write|setTimeout\([\"']", file.read_text())


@pytest.mark.parametrize("signed_in", [True, False], ids=["in", "out"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_strict_policy_and_obeys_it(mine: Side, path: str, signed_in: bool) -> None:
    answer = (browser(mine.owner) if signed_in else Client()).get(path, follow=True)
    parts = [part.split(maxsplit=1) for part in answer["Content-Security-Policy"].split(";") if part.strip()]
    policy = {name: value for name, value in parts}
    assert policy["default-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["script-src"] in ("'self'", "'self' 'wasm-unsafe-eval'")
    assert (policy["frame-ancestors"], policy["base-uri"], policy["object-src"]) == (
        "'none'",
        "'none'",
        "'none'",
    )
    assert answer["X-Content-Type-Options"] == "nosniff"
    elements = tags(answer)
    assert not [tag for tag, a in elements if "style" in a or any(name.startswith("on") for name in a)]
    assert [a["lang"] for tag, a in elements if tag == "html"] == ["en"]
    assert len([tag for tag, _a in elements if tag == "h1"]) == 1
    assert [tag for tag, _a in elements if tag == "main"] == ["main"]


@pytest.mark.parametrize(
    ("cookie", "attribute"), [("dark", "dark"), ("light", "light"), ("", None), ('"><b>', None)]
)
def test_the_first_byte_has_the_chosen_colours(cookie: str, attribute: str | None) -> None:
    client = Client()
    client.cookies["theme"] = cookie
    html = next(a for tag, a in tags(client.get("/")) if tag == "html")
    assert html.get("data-theme") == attribute


def test_colours_are_chosen_by_a_button_and_kept(mine: Side) -> None:
    client = browser(mine.owner)
    for chosen, kept in (("dark", "dark"), ("light", "light"), ("pink", ""), ("", "")):
        client.post("/theme", {"theme": chosen, "back": "/devices"})
        assert client.cookies["theme"].value == kept
    assert client.get("/theme").status_code == 405


def linked(answer: Any) -> set[str]:
    """Scripts and styles of a page, and the modules that they import."""
    files = {str(a.get("src") or "") for tag, a in tags(answer) if tag == "script"}
    files |= {
        str(a.get("href") or "") for tag, a in tags(answer) if tag == "link" and a.get("rel") == "stylesheet"
    }
    files.discard("")
    for name in [name for name in files if name.endswith(".js")]:
        folder = name.rpartition("/")[0]
        files |= {f"{folder}/{found}" for found in re.findall(r'import "\./([^"]+)"', static(name).decode())}
    return files


def static(address: str) -> bytes:
    """Content of one of our static files."""
    found = finders.find(address.removeprefix(settings.STATIC_URL))
    assert found, address
    return Path(str(found)).read_bytes()


@pytest.mark.parametrize("path", ["/", "/devices", "/account/login/", "/add"])
def test_the_first_load_is_small(mine: Side, path: str) -> None:
    client = Client() if path.startswith("/account") else browser(mine.owner)
    answer = client.get(path, follow=True)
    parts = [answer.content, *(static(name) for name in linked(answer))]
    assert sum(len(gzip.compress(part)) for part in parts) <= FIRST_LOAD_MAX


def test_every_vendored_thing_brings_its_licence() -> None:
    folders = [folder for folder in (FRONTEND / "static" / "vendor").iterdir() if folder.is_dir()]
    assert folders
    for folder in folders:
        assert re.search(r"-\d+\.\d+\.\d+$", folder.name), "a version in its name"
        assert (folder / "LICENSE").stat().st_size > 100


def test_the_manifest_lets_a_phone_install_it() -> None:
    manifest = Client().get("/manifest.webmanifest").json()
    assert (manifest["id"], manifest["start_url"]) == ("/", "/")
    for icon in manifest["icons"]:
        assert static(icon["src"])


@pytest.mark.parametrize("file", TEMPLATES, ids=short)
def test_templates_that_translate_load_the_tags(file: Path) -> None:
    text = file.read_text()
    assert not TRANSLATED.search(text) or re.search(r"{%\s*load [^%]*i18n", text)
