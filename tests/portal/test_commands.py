"""Commands that scripts call, and settings that operators mistype: one sentence, no traceback, no secret."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from devices.models import AccessPoint, ApiToken, Membership, Organization, User
from devices.services.access import access_point_secret
from devices.services.audit import audit_verify
from devices.services.people import token_find

ROOT = Path(__file__).resolve().parents[2]


def said(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def manage(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A real process, as operators start it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ONWARD_")}
    return subprocess.run(
        [sys.executable, "manage.py", *words, "--data-dir", str(folder)],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# token


@pytest.mark.django_db
def test_a_token_and_whatever_it_needs_are_made() -> None:
    text = said("token", "create", "--email", "Me@Example.com", "--organization", "Home")
    assert text.count("\n") == 1
    found = token_find(text.strip())
    assert found is not None
    assert (found.user.email, found.organization.name, found.name) == (
        "me@example.com",
        "Home",
        "command line",
    )
    assert Membership.objects.get().role == "owner"
    assert audit_verify(found.organization) is None


@pytest.mark.django_db
def test_a_second_token_makes_nothing_but_itself() -> None:
    words = ("token", "create", "--email", "me@example.com", "--organization", "Home")
    assert said(*words) != said(*words, "--name", "ci", "--role", "viewer")
    assert (User.objects.count(), Organization.objects.count(), ApiToken.objects.count()) == (1, 1, 2)
    assert Membership.objects.get().role == "owner"


@pytest.mark.django_db
def test_another_person_joins_with_the_role_given() -> None:
    said("token", "create", "--email", "me@example.com", "--organization", "Home")
    said("token", "create", "--email", "you@example.com", "--organization", "Home", "--role", "viewer")
    assert Membership.objects.get(user__email="you@example.com").role == "viewer"


@pytest.mark.django_db
def test_a_token_may_end_by_itself() -> None:
    text = said("token", "create", "--email", "me@example.com", "--organization", "Home", "--days", "3")
    found = token_find(text.strip())
    assert found is not None
    assert found.expires_at is not None
    assert (found.expires_at - found.created_at).days in (2, 3)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("delete",),
        ("create",),
        ("create", "--email", "me@example.com"),
        ("create", "--email", "me", "--organization", "Home"),
        ("create", "--email", "me@example.com", "--organization", ""),
        ("create", "--email", "me@example.com", "--organization", "x" * 81),
        ("create", "--email", "me@example.com", "--organization", "Home", "--role", "king"),
        ("create", "--email", "me@example.com", "--organization", "Home", "--days", "x"),
        ("create", "--email", "me@example.com", "--organization", "Home", "--days", "0"),
        ("create", "--email", "me@example.com", "--organization", "Home", "--days", "-1"),
        ("create", "--email", "me@example.com", "--organization", "Home", "--days", "9" * 12),
    ],
)
def test_a_mistake_makes_no_token(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        said("token", *words)
    assert (User.objects.count(), Organization.objects.count(), ApiToken.objects.count()) == (0, 0, 0)


# accesspoint


@pytest.fixture
def home(db: None) -> Organization:
    said("token", "create", "--email", "me@example.com", "--organization", "Home")
    return Organization.objects.get()


ADD = (
    "accesspoint",
    "add",
    "--organization",
    "Home",
    "--address",
    "192.0.2.0/24",
    "--secret",
    "a shared secret",
)


def test_an_access_point_is_added_listed_changed_and_removed(home: Organization) -> None:
    assert "192.0.2.0/24" in said(*ADD, "--name", "Roof")
    assert said("accesspoint", "list") == "192.0.2.0/24\tHome\tRoof\n"
    said(*ADD[:-1], "another secret")
    point = AccessPoint.objects.get()
    assert (access_point_secret(point), point.name) == (b"another secret", "Roof")
    said("accesspoint", "remove", "--address", "192.0.2.9/24")
    assert (AccessPoint.objects.count(), said("accesspoint", "list")) == (0, "")
    assert audit_verify(home) is None


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("add",),
        ("add", "--organization", "Nobody", "--address", "192.0.2.1", "--secret", "a shared secret"),
        ("add", "--organization", "Home", "--address", "192.0.2.999", "--secret", "a shared secret"),
        ("add", "--organization", "Home", "--address", "192.0.2.1", "--secret", "x"),
        ("add", "--organization", "Home", "--address", "192.0.2.1"),
        ("remove", "--address", "192.0.2.1"),
        ("remove", "--address", "nonsense"),
    ],
)
def test_a_mistake_changes_no_access_point(home: Organization, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        said("accesspoint", *words)
    assert "a shared secret" not in str(caught.value)
    assert AccessPoint.objects.count() == 0


# Whole processes.


def test_a_fresh_folder_needs_nothing_before(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    done = manage(folder, "token", "create", "--email", "me@example.com", "--organization", "Home")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("onw_")
    secrets = list((folder / "secrets").iterdir())
    assert {path.name for path in secrets} == {"secret_key", "vault_key"}
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    again = manage(folder, "accesspoint", *ADD[1:])
    assert again.returncode == 0, again.stderr
    assert "Traceback" not in done.stderr + again.stderr


def settings_with(folder: Path, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Only the settings, in a process of their own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ONWARD_")}
    return subprocess.run(
        [sys.executable, "-c", f"import portal.settings as s; {code}"],
        cwd=ROOT,
        env=inherited | {"ONWARD_DATA_DIR": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


MISTAKES = {
    "web_threads": "0",
    "strangers_max": "many",
    "debug": "perhaps",
    "url": "portal.example.org hush",
    "devices_url": "http://hush.example.org",
    "coap_url": "https://hush.example.org",
    "vault_keys": " , ",
    "doors": "web,hush",
    "log_level": "HUSH",
}


def test_every_mistyped_setting_is_named_at_once_and_none_is_repeated(tmp_path: Path) -> None:
    wrong = {f"ONWARD_{name.upper()}": value for name, value in MISTAKES.items()}
    done = settings_with(tmp_path / "data", ONWARD_SECRET_KEY="hush-hush", **wrong)
    assert done.returncode != 0
    assert [name for name in MISTAKES if f"\n{name}\n" not in done.stderr] == []
    assert "hush" not in done.stderr.lower()
    assert not (tmp_path / "data").exists()


def test_a_mistyped_setting_stops_every_command(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", ONWARD_DEVICES_URL="devices.example.org")
    assert done.returncode != 0
    assert "devices_url" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ONWARD_URL", "https://portal.example.org:8443/onward/"),
        ("ONWARD_URL", "http://[::1]:8000"),
        ("ONWARD_DEVICES_URL", "https://devices.example.org:8443"),
        ("ONWARD_COAP_URL", "coap://[2001:db8::1]:5683"),
        ("ONWARD_DOORS", "web, coap"),
        ("ONWARD_LOG_LEVEL", "DEBUG"),
    ],
)
def test_what_operators_write_is_taken(tmp_path: Path, name: str, value: str) -> None:
    done = settings_with(tmp_path, **{name: value})
    assert done.returncode == 0, done.stderr


def test_an_empty_vault_key_never_seals(tmp_path: Path) -> None:
    done = settings_with(tmp_path, "print(s.VAULT_KEYS)", ONWARD_VAULT_KEYS=",new, old ,")
    assert done.stdout.strip() == "['new', 'old']"


def test_processes_that_start_together_agree_on_their_secrets(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import portal.settings as s; print(s.SECRET_KEY, s.VAULT_KEYS)"]
    environment = os.environ | {"ONWARD_DATA_DIR": str(tmp_path)}
    started = [
        subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _each in range(4)
    ]
    said_by_each = {process.communicate(timeout=60)[0] for process in started}
    assert len(said_by_each) == 1
    assert len(said_by_each.pop()) > 100
    assert sorted(path.name for path in (tmp_path / "secrets").iterdir()) == ["secret_key", "vault_key"]


def test_data_dir_needs_a_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--data-dir"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "--data-dir" in done.stderr
