"""Our device at go-fdo's servers: manufacturer, rendezvous and owner, by real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.simulator.__main__ import main as simulator
from tests.fdo_matrix import Grid
from tests.go_peer import GoPeer, GoServer
from tests.interop.conftest import FETCHED

pytestmark = pytest.mark.peer
SIDE = "Onward's device at go-fdo"
KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-2048 PSS", "RSA-3072 PSS")
EXCHANGES = {
    "P-256": ("ECDH256",),
    "P-384": ("ECDH384",),
    "RSA-2048": ("DHKEXid14", "ASYMKEX2048"),
    "RSA-3072": ("DHKEXid15", "ASYMKEX3072"),
}
CIPHERS = ("A128GCM", "A192GCM", "A256GCM", "AES128_CTR", "AES128_CBC", "AES256_CTR", "AES256_CBC")
VOUCHERS = [(kind, "x509", entries) for kind in KINDS for entries in (1, 3, 10)]
VOUCHERS += [(kind, "x5chain", 1) for kind in KINDS]
VOUCHERS += [(kind, "cosekey", 1) for kind in KINDS[:2]]
CELLS = [(kind, kex, cipher) for kind, suites in EXCHANGES.items() for kex in suites for cipher in CIPHERS]
SIZES = {
    "256 octets": ["--max-service-info", "256"],
    "default": [],
    "60000 octets": ["--max-service-info", "60000"],
}
Simulate = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def server(go_fdo: GoPeer) -> Iterator[GoServer]:
    """One go-fdo server for all."""
    running = go_fdo.serve()
    yield running
    running.stop()


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str]) -> Simulate:
    """The simulator as from the command line; its events, the summary last."""

    def run(*words: str, code: int = 0) -> list[dict[str, Any]]:
        ended = simulator(["fdo", "--json", "--timeout", "20", *words])
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert ended == code, lines
        return lines

    return run


def words_of(kind: str) -> list[str]:
    key, _space, pss = kind.partition(" ")
    return ["--key", key, *(["--pss"] if pss else [])]


def event(lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(line for line in lines if line.get("event") == name)


@pytest.mark.parametrize(("kind", "encoding", "entries"), VOUCHERS)
def test_our_device_is_made_and_onboarded_by_go_fdo(
    kind: str, encoding: str, entries: int, server: GoServer, simulate: Simulate, grid: Grid
) -> None:
    grid(f"{SIDE}: keys and vouchers (DI, TO1, TO2)", f"{kind}, {encoding}", f"entries {entries}")
    server.policy(entries=entries, reuse=False, plan=[], bypass=False, address="dns")
    lines = simulate("--di", server.url, "--onboard", *words_of(kind), "--encoding", encoding)
    before, after = event(lines, "initialized")["guid"], event(lines, "set-up")["guid"]
    assert before != after
    kept = server.get(f"vouchers/{before}")
    assert kept["guid"] == after
    assert kept["entries"] == 0


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Devices that stay, one folder per kind of key."""
    return tmp_path_factory.mktemp("shelf")


@pytest.mark.parametrize(("kind", "kex", "cipher"), CELLS)
def test_our_device_speaks_every_exchange_and_cipher(
    kind: str, kex: str, cipher: str, server: GoServer, simulate: Simulate, shelf: Path, grid: Grid
) -> None:
    grid(f"{SIDE}: exchange and cipher (TO2, credential reuse)", kex, cipher)
    state = shelf / kind
    server.policy(entries=1, reuse=True, plan=[], bypass=False)
    first = [] if state.exists() else ["--di", server.url]
    lines = simulate(
        *first, "--onboard", "--state", str(state), "--key", kind, "--kex", kex, "--cipher", cipher
    )
    assert event(lines, "set-up")["credential"] == "kept"


@pytest.mark.parametrize("address", ["dns", "ip4", "ip16"])
@pytest.mark.parametrize("bypass", [False, True])
def test_our_device_finds_the_owner_however_its_address_is_written(
    address: str, bypass: bool, server: GoServer, simulate: Simulate, grid: Grid
) -> None:
    grid(f"{SIDE}: addresses", "RVBypass" if bypass else "TO1", address)
    server.policy(entries=1, reuse=False, plan=[], bypass=bypass, address=address)
    lines = simulate("--di", server.url, "--onboard")
    assert event(lines, "set-up")["credential"] == "new"


SENT = bytes(range(256)) * 40
PLANS: dict[str, Callable[[str], dict[str, Any]]] = {
    "fdo.download": lambda _web: {
        "module": "download",
        "name": "sent.bin",
        "content": base64.b64encode(SENT).decode(),
    },
    "fdo.upload": lambda _web: {"module": "upload", "name": "log.txt"},
    "fdo.command": lambda _web: {
        "module": "command",
        "command": "/bin/echo",
        "args": ["one", "two words"],
        "stdout": True,
    },
    "fdo.wget": lambda web: {
        "module": "wget",
        "name": "got.bin",
        "url": web,
        "sha384": hashlib.sha384(FETCHED).hexdigest(),
    },
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("module", PLANS)
def test_our_device_does_what_go_fdo_sends(
    module: str, size: str, server: GoServer, simulate: Simulate, tmp_path: Path, web: str, grid: Grid
) -> None:
    grid(f"{SIDE}: service info, by the size the device takes", module, size)
    server.policy(entries=1, reuse=False, bypass=False, plan=[PLANS[module](web)])
    root = tmp_path / "state"
    lines = simulate("--di", server.url, "--serial", "S-1", "--state", str(root))
    guid = event(lines, "initialized")["guid"]
    folder = root / "S-1"
    folder.mkdir(exist_ok=True)
    (folder / "log.txt").write_bytes(SENT)
    simulate("--onboard", "--serial", "S-1", "--state", str(root), "--really-run", *SIZES[size])
    result = server.get(f"results/{guid}")["results"][0]
    assert result["done"]
    if module == "fdo.download":
        assert (folder / "sent.bin").read_bytes() == SENT
    if module == "fdo.upload":
        assert base64.b64decode(result["uploaded"]) == SENT
    if module == "fdo.command":
        assert (result["stdout"], result["exit_code"]) == ("one two words\n", 0)
    if module == "fdo.wget":
        assert (folder / "got.bin").read_bytes() == FETCHED


def test_our_device_refuses_to_keep_its_credential(server: GoServer, simulate: Simulate, grid: Grid) -> None:
    grid(f"{SIDE}: credentials", "reuse refused (error 102)", "result")
    server.policy(entries=1, reuse=True, plan=[], bypass=False)
    server.get("errors")
    lines = simulate("--di", server.url, "--onboard", "--forbid-reuse", "--timeout", "2", code=1)
    assert not [line for line in lines if line.get("event") == "set-up"]
    assert "does not keep its credential" in event(lines, "retry")["reason"]
    assert set(server.get("errors")["codes"]) == {102}


def test_our_device_is_sold_on_by_go_fdo(
    server: GoServer, go_fdo: GoPeer, simulate: Simulate, tmp_path: Path, grid: Grid
) -> None:
    grid(f"{SIDE}: credentials", "resale to a second owner", "result")
    server.policy(entries=3, reuse=False, plan=[], bypass=False, address="dns")
    state = ["--state", str(tmp_path / "state")]
    guid = event(simulate("--di", server.url, "--onboard", *state), "set-up")["guid"]
    sold = server.post(f"vouchers/{guid}/resell", go_fdo.public_key("owner2", "P-256"))
    second = go_fdo.serve(owner="owner2", rv=server.url)
    try:
        second.post("vouchers", sold["pem"].encode())
        second.post(f"vouchers/{guid}/to0")
        lines = simulate("--onboard", *state)
        assert event(lines, "redirected")["url"] == second.url
        assert second.get(f"vouchers/{guid}")["guid"] == event(lines, "set-up")["guid"]
    finally:
        second.stop()
