"""TO0 across: go-fdo's owner at our rendezvous server, ours at go-fdo's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fdo_matrix import Grid
from tests.fdo_portal import FdoPortal, eventually
from tests.go_peer import GoFailed, GoPeer, GoServer

pytestmark = pytest.mark.peer
THEIRS = "TO0: a go-fdo owner at Onward's rendezvous"
OURS = "TO0: Onward's owner at go-fdo's rendezvous"
KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-2048 PSS", "RSA-3072 PSS")
ENTRIES = (1, 3, 10)
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(go_fdo: GoPeer, tmp_path: Path) -> Make:
    """``make(kind, entries, ...)`` is a voucher in ``voucher.pem``, its device in ``device.json``."""

    def run(kind: str, entries: int, rv: str, *words: str) -> dict[str, Any]:
        key, _space, pss = kind.partition(" ")
        return go_fdo.run(
            "voucher", "make", "-keys", str(go_fdo.keys), "-key", key, *(["-pss"] if pss else []),
            "-entries", str(entries), "-rv", rv, "-serial", tmp_path.name,
            "-out", str(tmp_path / "voucher.pem"), "-blob", str(tmp_path / "device.json"), *words,
        )  # fmt: skip

    return run


def register(go_fdo: GoPeer, folder: Path, kind: str, url: str, *words: str) -> dict[str, Any]:
    key = str(go_fdo.key("owner", kind.partition(" ")[0]))
    return go_fdo.run("to0", "-url", url, "-voucher", str(folder / "voucher.pem"), "-owner-key", key, *words)


@pytest.fixture(scope="module")
def open_to_all(fdo_portal: FdoPortal) -> None:
    """Our rendezvous takes every sound voucher."""
    fdo_portal.settings(rv_admission="any", rv_max_wait_seconds=7200)


@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_owner_registers_here_and_its_device_is_sent_to_it(
    kind: str, entries: int, go_fdo: GoPeer, fdo_portal: FdoPortal, open_to_all: None, make: Make,
    tmp_path: Path, grid: Grid,
) -> None:  # fmt: skip
    grid(THEIRS, kind, f"entries {entries}")
    make(kind, entries, fdo_portal.url)
    to2 = "http://owner.example.org:8043"
    assert register(go_fdo, tmp_path, kind, fdo_portal.url, "-to2", to2, "-ttl", "3600") == {
        "wait_seconds": 3600
    }
    told = go_fdo.run("device", "to1", "-blob", str(tmp_path / "device.json"))
    assert told["to2_urls"] == [to2]


@pytest.mark.parametrize(
    ("form", "url"), [("ip4", "http://192.0.2.7:8043"), ("ip16", "http://192.0.2.7:8043")]
)
def test_an_address_comes_out_as_it_went_in(
    form: str, url: str, go_fdo: GoPeer, fdo_portal: FdoPortal, open_to_all: None, make: Make, tmp_path: Path
) -> None:
    make("P-256", 1, fdo_portal.url)
    register(go_fdo, tmp_path, "P-256", fdo_portal.url, "-to2", url, "-address", form)
    assert go_fdo.run("device", "to1", "-blob", str(tmp_path / "device.json"))["to2_urls"] == [url]


def test_a_lease_is_cut_to_what_we_give(
    go_fdo: GoPeer, fdo_portal: FdoPortal, open_to_all: None, make: Make, tmp_path: Path
) -> None:
    make("P-256", 1, fdo_portal.url)
    words = ("-to2", "http://owner.example.org:8043", "-ttl", "4000000000")
    assert register(go_fdo, tmp_path, "P-256", fdo_portal.url, *words) == {"wait_seconds": 7200}


def test_an_owner_that_the_voucher_does_not_name_is_refused(
    go_fdo: GoPeer, fdo_portal: FdoPortal, open_to_all: None, make: Make, tmp_path: Path
) -> None:
    make("P-256", 1, fdo_portal.url)
    words = ("-voucher", str(tmp_path / "voucher.pem"), "-owner-key", str(go_fdo.key("owner2", "P-256")))
    with pytest.raises(GoFailed) as failed:
        go_fdo.run("to0", "-url", fdo_portal.url, *words, "-to2", "http://owner.example.org:8043")
    assert failed.value.answer["code"] == 3
    with pytest.raises(GoFailed) as unknown:
        go_fdo.run("device", "to1", "-blob", str(tmp_path / "device.json"))
    assert unknown.value.answer["code"] == 6


def test_a_voucher_of_strangers_is_refused_by_default(
    go_fdo: GoPeer, fdo_portal: FdoPortal, make: Make, tmp_path: Path
) -> None:
    fdo_portal.settings(rv_admission="any-own")
    try:
        make("P-256", 1, fdo_portal.url)

        def refusal() -> int | None:
            try:
                register(go_fdo, tmp_path, "P-256", fdo_portal.url, "-to2", "http://owner.example.org:8043")
            except GoFailed as error:
                return error.answer["code"]
            return None

        assert eventually(refusal, 10, "the rule to be read") == 101
    finally:
        fdo_portal.settings(rv_admission="any", rv_max_wait_seconds=7200)


@pytest.fixture(scope="module")
def rendezvous(go_fdo: GoPeer) -> GoServer:
    """go-fdo's, that grants two minutes at most."""
    return go_fdo.serve(ttl=120)


@pytest.fixture(scope="module")
def handed_in(
    go_fdo: GoPeer, fdo_portal: FdoPortal, rendezvous: GoServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], str]:
    """Vouchers to our owner that name go-fdo's rendezvous, by GUID."""
    folder = tmp_path_factory.mktemp("handed-in")
    content, guids = b"", {}
    for kind in KINDS:
        key, _space, pss = kind.partition(" ")
        (folder / "owner.pem").write_text(fdo_portal.owner_keys[key])
        for entries in ENTRIES:
            out = folder / "voucher.pem"
            told = go_fdo.run(
                "voucher", "make", "-keys", str(go_fdo.keys), "-key", key, *(["-pss"] if pss else []),
                "-entries", str(entries), "-rv", rendezvous.url, "-next", str(folder / "owner.pem"),
                "-serial", f"to0-{kind}-{entries}", "-out", str(out),
            )  # fmt: skip
            content += out.read_bytes()
            guids[kind, entries] = told["guid"]
    job = fdo_portal.import_vouchers(content)
    assert job["added"] == len(guids), fdo_portal.rejected(job)
    return guids


@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_our_owner_registers_at_a_foreign_rendezvous(
    kind: str, entries: int, fdo_portal: FdoPortal, rendezvous: GoServer,
    handed_in: dict[tuple[str, int], str], grid: Grid,
) -> None:  # fmt: skip
    grid(OURS, kind, f"entries {entries}")
    guid = handed_in[kind, entries]
    row = fdo_portal.voucher_when(guid, state="registered")
    (registration,) = row["registrations"]
    assert (registration["state"], registration["url"]) == ("registered", rendezvous.url)
    assert registration["lease_until"] > registration["registered_at"]
    urls = rendezvous.get(f"redirects/{guid}")["to2_urls"]
    assert fdo_portal.url.rpartition(":")[2] in urls[0].rpartition(":")[2]


def test_a_rendezvous_that_refuses_is_shown_and_tried_again(
    go_fdo: GoPeer, fdo_portal: FdoPortal, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "owner.pem").write_text(fdo_portal.owner_keys["P-256"])
    server = go_fdo.serve(refuse=True)
    guid = make("P-256", 1, server.url, "-next", str(tmp_path / "owner.pem"))["guid"]
    assert fdo_portal.import_vouchers((tmp_path / "voucher.pem").read_bytes())["added"] == 1

    def failing() -> dict[str, Any] | None:
        row = fdo_portal.voucher(guid)
        found = row["registrations"][0] if row and row["registrations"] else None
        return found if found and found["state"] == "failing" else None

    shown = eventually(failing, 40, "a failing registration")
    assert shown["next_at"]
    assert shown["last_error_code"]
    server.policy(refuse=False)
    fdo_portal.call("POST", f"vouchers/{fdo_portal.voucher(guid)['id']}/register")
    fdo_portal.voucher_when(guid, state="registered")
