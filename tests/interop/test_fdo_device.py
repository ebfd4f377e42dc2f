"""A go-fdo device at a whole portal as `manage.py up` starts it: made, found, onboarded, set up, sold."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fdo_matrix import Grid
from tests.fdo_portal import FdoPortal, eventually
from tests.go_peer import GoFailed, GoPeer
from tests.interop.conftest import FETCHED

pytestmark = pytest.mark.peer
SIDE = "A go-fdo device at Onward"
KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-2048 PSS", "RSA-3072 PSS")
EXCHANGES = {
    "P-256": ("ECDH256",),
    "P-384": ("ECDH384",),
    "RSA-2048": ("DHKEXid14", "ASYMKEX2048"),
    "RSA-3072": ("DHKEXid15", "ASYMKEX3072"),
}
CIPHERS = (
    "A128GCM",
    "A192GCM",
    "A256GCM",
    "COSEAES128CTR",
    "COSEAES128CBC",
    "COSEAES256CTR",
    "COSEAES256CBC",
)
VOUCHERS = [(kind, "x509", entries) for kind in KINDS for entries in (1, 3, 10)]
VOUCHERS += [(kind, "x5chain", 1) for kind in KINDS]
VOUCHERS += [(kind, "cose", entries) for kind in KINDS[:2] for entries in (1, 3)]
CELLS = [(kind, kex, cipher) for kind, suites in EXCHANGES.items() for kex in suites for cipher in CIPHERS]
MADE = [(kind, encoding) for kind in KINDS for encoding in ("x509", "x5chain")]
MADE += [(kind, "cose") for kind in KINDS[:2]]
SIZES = {"256 octets": "256", "default": "0", "60000 octets": "60000"}


def words_of(kind: str) -> list[str]:
    key, _space, pss = kind.partition(" ")
    return ["-key", key, *(["-pss"] if pss else [])]


@dataclass
class Devices:
    """Credential files of go-fdo devices."""

    peer: GoPeer
    portal: FdoPortal
    folder: Path
    made: dict[str, str] = field(default_factory=dict)

    def initialize(self, name: str, *words: str, url: str = "") -> dict[str, Any]:
        """DI."""
        keys = ("-keys", str(self.peer.keys), "-blob", self.blob(name), "-serial", name)
        return self.peer.run("device", "di", "-url", url or self.portal.url, *keys, *words)

    def onboard(self, name: str, *words: str) -> dict[str, Any]:
        """TO1 and TO2."""
        return self.peer.run("device", "onboard", "-blob", self.blob(name), "-serial", name, *words)

    def transfer(self, name: str, *words: str, url: str = "") -> dict[str, Any]:
        """TO2 alone."""
        words = ("-blob", self.blob(name), "-serial", name, *words)
        return self.peer.run("device", "to2", "-url", url or self.portal.url, *words)

    def when_registered(self, name: str) -> dict[str, Any]:
        """TO1 until the rendezvous server knows the owner."""

        def ask() -> dict[str, Any] | None:
            try:
                return self.peer.run("device", "to1", "-blob", self.blob(name))
            except GoFailed:
                return None

        return eventually(ask, 40, f"TO1 of {name}")

    def blob(self, name: str) -> str:
        """The credential file."""
        return str(self.folder / f"{name}.json")


@pytest.fixture(scope="module")
def devices(go_fdo: GoPeer, fdo_portal: FdoPortal, tmp_path_factory: pytest.TempPathFactory) -> Devices:
    return Devices(go_fdo, fdo_portal, tmp_path_factory.mktemp("devices"))


@pytest.fixture(scope="module")
def imported(devices: Devices) -> Devices:
    """Every voucher of the matrix in one file, handed in at once."""
    peer, portal = devices.peer, devices.portal
    content = b""
    for kind in KINDS[:4]:
        (devices.folder / f"owner-{kind}.pem").write_text(portal.owner_keys[kind])
    for number, (kind, encoding, entries) in enumerate(VOUCHERS):
        out = devices.folder / f"{number}.pem"
        peer.run(
            "voucher", "make", "-keys", str(peer.keys), *words_of(kind), "-encoding", encoding,
            "-entries", str(entries), "-rv", portal.url, "-serial", f"made-{number}",
            "-next", str(devices.folder / f"owner-{kind.partition(' ')[0]}.pem"),
            "-out", str(out), "-blob", devices.blob(f"made-{number}"),
        )  # fmt: skip
        content += out.read_bytes()
    job = portal.import_vouchers(content)
    assert (job["state"], job["added"], job["rejected"]) == ("done", len(VOUCHERS), 0), portal.rejected(job)
    return devices


@pytest.mark.parametrize("number", range(len(VOUCHERS)), ids=["-".join(map(str, row)) for row in VOUCHERS])
def test_a_device_with_an_imported_voucher_finds_us_and_is_onboarded(
    number: int, imported: Devices, grid: Grid
) -> None:
    kind, encoding, entries = VOUCHERS[number]
    grid(f"{SIDE}: vouchers (import, TO0, TO1, TO2)", f"{kind}, {encoding}", f"entries {entries}")
    name = f"made-{number}"
    assert imported.when_registered(name)["to2_urls"]
    before = imported.peer.run("device", "show", "-blob", imported.blob(name))["guid"]
    done = imported.onboard(name)
    assert not done["reused"]
    assert done["guid"] != before
    imported.made[name] = done["guid"]


def test_the_owner_key_is_exported_as_vouchers_will_name_it(fdo_portal: FdoPortal) -> None:
    assert fdo_portal.exported("P-256").strip() == fdo_portal.owner_keys["P-256"].strip()


def test_the_new_vouchers_of_onboarded_devices_hold_by_go_fdos_rules(
    imported: Devices, tmp_path: Path
) -> None:
    assert imported.made
    for name, guid in imported.made.items():
        row = imported.portal.voucher_when(guid, current=True, origin="to2")
        path = tmp_path / "new.pem"
        path.write_bytes(imported.portal.voucher_file(row))
        told = imported.peer.run("voucher", "check", "-in", str(path), "-blob", imported.blob(name))
        assert told["guid"] == guid


@pytest.mark.parametrize(("kind", "encoding"), MADE)
def test_a_device_is_made_here_and_onboarded(kind: str, encoding: str, devices: Devices, grid: Grid) -> None:
    grid(f"{SIDE}: device initialization (DI, TO2)", kind, encoding)
    name = f"di-{kind}-{encoding}".replace(" ", "-")
    told = devices.initialize(name, *words_of(kind), "-encoding", encoding)
    assert told["rv_urls"]
    devices.portal.voucher_when(told["guid"], origin="di")
    assert devices.transfer(name)["guid"] != told["guid"]


def test_a_device_made_here_finds_us_by_its_rendezvous(devices: Devices, grid: Grid) -> None:
    grid(f"{SIDE}: credentials", "DI, TO0, TO1, TO2", "result")
    devices.initialize("found", "-encoding", "x5chain")
    devices.when_registered("found")
    assert not devices.onboard("found")["reused"]


@pytest.fixture(scope="module")
def standing(devices: Devices) -> Callable[[str], str]:
    """One device of a kind that is onboarded again and again."""
    known: set[str] = set()

    def of(kind: str) -> str:
        name = f"standing-{kind}"
        if kind not in known:
            guid = devices.initialize(name, "-key", kind)["guid"]
            devices.portal.voucher_when(guid, origin="di")
            known.add(kind)
        return name

    return of


@pytest.mark.parametrize(("kind", "kex", "cipher"), CELLS)
def test_every_exchange_and_cipher_and_a_new_credential_each_time(
    kind: str, kex: str, cipher: str, devices: Devices, standing: Callable[[str], str], grid: Grid
) -> None:
    grid(f"{SIDE}: exchange and cipher (TO2, new credential)", kex, cipher)
    assert not devices.transfer(standing(kind), "-kex", kex, "-cipher", cipher)["reused"]


@pytest.fixture
def reusing(fdo_portal: FdoPortal) -> Iterator[None]:
    """Devices keep their credential."""
    fdo_portal.settings(reuse_credentials=True)
    yield
    fdo_portal.settings(reuse_credentials=False)


def test_a_device_keeps_its_credential(devices: Devices, reusing: None, grid: Grid) -> None:
    grid(f"{SIDE}: credentials", "credential reuse", "result")
    guid = devices.initialize("kept")["guid"]
    devices.portal.voucher_when(guid, origin="di")
    for _time in range(3):
        assert devices.transfer("kept", "-reuse") | {"effects": None} == {
            "reused": True,
            "guid": guid,
            "via": devices.portal.url,
            "effects": None,
        }


def test_a_device_refuses_to_keep_its_credential_and_tries_again(
    devices: Devices, reusing: None, grid: Grid
) -> None:
    grid(f"{SIDE}: credentials", "reuse refused (error 102)", "result")
    guid = devices.initialize("refusing")["guid"]
    devices.portal.voucher_when(guid, origin="di")
    with pytest.raises(GoFailed, match="reuse is not enabled"):
        devices.transfer("refusing")
    assert devices.transfer("refusing", "-reuse")["reused"]


def test_a_device_is_sold_on_to_a_go_fdo_owner(
    devices: Devices, go_fdo: GoPeer, tmp_path: Path, grid: Grid
) -> None:
    grid(f"{SIDE}: credentials", "resale, Onward to go-fdo", "result")
    portal = devices.portal
    portal.settings(rv_admission="any")
    devices.initialize("sold")
    devices.when_registered("sold")
    guid = devices.onboard("sold")["guid"]
    row = portal.voucher_when(guid, origin="to2")
    buyer = go_fdo.public_key("owner", "P-256").decode()
    sold = portal.call("POST", f"vouchers/{row['id']}/extend", {"owner": buyer})
    path = tmp_path / "sold.pem"
    path.write_bytes(portal.voucher_file(sold))
    go_fdo.run("voucher", "check", "-in", str(path), "-blob", devices.blob("sold"))
    server = go_fdo.serve(rv=portal.url)
    try:
        server.post("vouchers", path.read_bytes())
        server.post(f"vouchers/{guid}/to0")
        done = devices.onboard("sold")
        assert done["via"] == server.url
        assert done["guid"] != guid
    finally:
        server.stop()


def test_a_device_is_bought_from_a_go_fdo_owner(
    devices: Devices, go_fdo: GoPeer, tmp_path: Path, grid: Grid
) -> None:
    grid(f"{SIDE}: credentials", "resale, go-fdo to Onward", "result")
    portal = devices.portal
    server = go_fdo.serve(entries=3, rv=portal.url, auto_to0=False)
    try:
        devices.initialize("bought", "-key", "P-384", url=server.url)
        guid = devices.transfer("bought", url=server.url)["guid"]
        sold = server.post(f"vouchers/{guid}/resell", portal.owner_keys["P-384"].encode())
    finally:
        server.stop()
    job = portal.import_vouchers(sold["pem"].encode())
    assert job["added"] == 1, portal.rejected(job)
    devices.when_registered("bought")
    done = devices.onboard("bought")
    assert done["guid"] != guid
    assert portal.voucher_when(done["guid"], current=True)


SENT = bytes(range(256)) * 40
COLLECTED = b"a line of a log\n" * 700


@pytest.fixture(scope="module")
def runs(devices: Devices, web: str) -> Iterator[Callable[[str], tuple[dict[str, Any], Path]]]:
    """A run of the whole plan, once for each size."""
    done: dict[str, tuple[dict[str, Any], Path]] = {}
    devices.portal.plan(
        [
            {
                "id": "send",
                "kind": "file",
                "value": {"path": "/opt/sent.bin", "content": base64.b64encode(SENT).decode()},
            },
            {"id": "take", "kind": "collect", "value": {"name": "log.txt"}},
            {
                "id": "run",
                "kind": "command",
                "value": {"command": "/bin/echo", "args": "${serial} 'two words'", "output": "yes"},
            },
            {
                "id": "get",
                "kind": "fetch",
                "value": {"name": "got.bin", "url": web, "sha384": hashlib.sha384(FETCHED).hexdigest()},
            },
        ]
    )

    def run(size: str) -> tuple[dict[str, Any], Path]:
        if size not in done:
            name = f"planned-{SIZES[size]}"
            work = devices.folder / name
            work.mkdir()
            (work / "log.txt").write_bytes(COLLECTED)
            guid = devices.initialize(name)["guid"]
            devices.portal.voucher_when(guid, origin="di")
            told = devices.transfer(name, "-work", str(work), "-mtu", SIZES[size])
            device = devices.portal.voucher_when(told["guid"], origin="to2")["device"]
            results = eventually(lambda: devices.portal.results_of(device), 20, "results")
            assert results == {"send": True, "take": True, "run": True, "get": True}
            done[size] = ({**told, "name": name, "files": devices.portal.files_of(device)}, work)
        return done[size]

    yield run
    devices.portal.plan([])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("module", ["fdo.download", "fdo.upload", "fdo.command", "fdo.wget"])
def test_a_device_gets_what_its_plan_says(
    module: str, size: str, runs: Callable[[str], Any], grid: Grid
) -> None:
    grid(f"{SIDE}: service info, by the size the device takes", module, size)
    told, work = runs(size)
    if module == "fdo.download":
        assert (work / "sent.bin").read_bytes() == SENT
    if module == "fdo.upload":
        assert told["files"]["log.txt"] == COLLECTED
    if module == "fdo.command":
        assert told["effects"]["commands"] == [["/bin/echo", told["name"], "two words"]]
        assert told["files"]["run.out"].decode().strip() == f"{told['name']} two words"
    if module == "fdo.wget":
        assert (work / "got.bin").read_bytes() == FETCHED
