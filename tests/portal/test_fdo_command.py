"""``manage.py fdo``, as an operator runs it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from voucher_world import Maker, pem

from devices.models import Job, Organization, Voucher
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import public_in
from devices.services.people import organization_create, user_ensure

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(settings: object) -> Organization:
    settings.PORTAL_URL = "http://127.0.0.1:8000"  # type: ignore[attr-defined]
    return organization_create("Acme", user_ensure("a@example.com"))


def fdo(*words: str) -> str:
    out = io.StringIO()
    call_command("fdo", *words, stdout=out)
    return out.getvalue()


def test_from_setup_to_imported_vouchers(acme: Organization, tmp_path: Path) -> None:
    said = json.loads(
        fdo("setup", "--organization", "Acme", "--rendezvous", "http://rv.example.com:8041", "--json")
    )
    assert said["rendezvous"] == ["http://rv.example.com:8041"]
    assert said["di"] == "http://127.0.0.1:8000"
    assert said["di_line"].startswith("http://127.0.0.1:8000/di/")
    exported = fdo("owner-key", "export", "--organization", "Acme", "--key-type", "P-256")
    owner, _chain = public_in(exported.encode())
    assert said["owner_key"] in fdo("owner-key", "list", "--organization", "Acme")
    maker, file = Maker(), tmp_path / "lot.pem"
    file.write_bytes(pem(maker.made_for(owner), maker.made_for(owner, serial="SN-2")))
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 rejected"):
        call_command("fdo", "import", "--organization", "Acme", str(file), stdout=out)
    assert "VCH-119" in out.getvalue()
    manufacturer_trust(acme, None, maker.signer.public.der)
    counts = json.loads(fdo("import", "--organization", "Acme", "--json", str(file)))
    assert {name: counts[name] for name in ("state", "total", "added", "already_here", "rejected")} == {
        "state": "done",
        "total": 2,
        "added": 2,
        "already_here": 0,
        "rejected": 0,
    }
    assert "2 already here" in fdo("import", "--organization", "Acme", str(file))
    assert Voucher.objects.count() == 2
    assert Job.objects.count() == 3


def test_the_portals_own_rendezvous_is_the_usual_one(acme: Organization) -> None:
    said = json.loads(fdo("setup", "--organization", "Acme", "--key-type", "P-384", "--json"))
    assert said["rendezvous"] == ["http://127.0.0.1:8000"]
    assert said["key_type"] == "P-384"
    assert "http://127.0.0.1:8000" in fdo("setup", "--organization", "Acme", "--key-type", "P-384")


def test_an_exported_key_is_made_when_there_is_none_and_then_stays(acme: Organization) -> None:
    words = ("owner-key", "export", "--organization", "Acme", "--key-type", "P-384")
    assert fdo(*words) == fdo(*words)
    assert "BEGIN PUBLIC KEY" in fdo(*words)


def test_keys_are_made_retired_and_rotated(acme: Organization) -> None:
    made = fdo("owner-key", "make", "--organization", "Acme", "--key-type", "RSA-2048", "--pss").strip()
    fresh = fdo("owner-key", "rotate", "--organization", "Acme", made[:12]).strip()
    listed = fdo("owner-key", "list", "--organization", "Acme")
    states = {line.split("\t")[0]: line.split("\t")[3] for line in listed.splitlines()}
    assert states == {made: "retired", fresh: "active"}


@pytest.mark.parametrize(
    "words",
    [
        ("setup", "--organization", "Nobody"),
        ("setup", "--organization", "Acme", "--rendezvous", "rv.example.com"),
        ("import", "--organization", "Acme", "/nowhere"),
        ("owner-key", "retire", "--organization", "Acme", "00ff00ff"),
        ("owner-key", "make", "--organization", "Acme", "--pss"),
        ("owner-key", "make", "--organization", "Acme", "--token", "pkcs11:token=a;object=b"),
    ],
)
def test_a_mistake_is_one_sentence(acme: Organization, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        fdo(*words)
    assert str(caught.value).strip()
    assert "\n" not in str(caught.value)
