"""Whole simulated FDO devices against the pure servers over real HTTP."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha384
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7

from bootstrap.protocols.fdo.constants import ErrorCode, KeyEncoding, KeyType
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite
from bootstrap.protocols.fdo.device import DeviceCredential
from bootstrap.protocols.fdo.rendezvous import Directive, Instruction, RvInfo, RVVariable, rvinfo_for
from bootstrap.protocols.fdo.server import results_of
from bootstrap.protocols.fdo.service_info import Action, ActionResult, Command, Csr, Download, Upload, Wget
from bootstrap.protocols.fdo.service_info.device import EffectFailed
from bootstrap.simulator.__main__ import main
from bootstrap.simulator.fdo.effects import FolderEffects
from bootstrap.simulator.fdo.memory import FdoMemory
from bootstrap.wire import cbor
from bootstrap.wire.frozen import thaw
from bootstrap.wire.keys import KeyKind
from bootstrap.wire.x509 import issue_device_certificate
from tests.protocols.fdo.fdo_hand import NOW, ca
from tests.simulator.fdo_server import FdoServer, running


@pytest.fixture
def server() -> Iterator[FdoServer]:
    with running() as app:
        yield app


class Run:
    """One call of the command line with ``--json``."""

    def __init__(self, code: int, out: str) -> None:
        self.code = code
        self.out = out
        *self.events, self.summary = [json.loads(line) for line in out.splitlines()]
        self.names = [event["event"] for event in self.events]

    def event(self, name: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == name)

    def all(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


Simulate = Callable[..., Run]


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str]) -> Simulate:
    def run(*words: str, timeout: str = "30") -> Run:
        code = main(["fdo", "--json", "--timeout", timeout, *words])
        return Run(code, capsys.readouterr().out)

    return run


def results(server: FdoServer) -> dict[str, ActionResult]:
    (state,) = server.onboarded
    return {result.id: result for result in results_of(state.finished)}


def memory(folder: Path, serial: str) -> FdoMemory:
    return thaw(FdoMemory, (folder / f"{serial}.state").read_bytes())


def dead() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


# A life.

LIFE = ["started", "initialized", "code", "redirected", "set-up", "onboarded"]


def test_one_device_is_initialized_and_onboarded_and_says_each_step(
    server: FdoServer, simulate: Simulate
) -> None:
    run = simulate("--di", server.url, "--onboard", "--serial", "K/1")
    assert (run.code, run.names) == (0, LIFE)
    assert server.messages == [10, 12, 30, 32, 60, 62, 64, 66, 68, 70]
    assert set(run.summary) == {"devices", "onboarded", "failed", "p50_seconds", "p95_seconds"}
    assert (run.summary["devices"], run.summary["onboarded"], run.summary["failed"]) == (1, 1, {})
    before, after = run.event("initialized")["guid"], run.event("set-up")["guid"]
    assert list(server.sessions) == [before, after], "the owner has the voucher of the new credential"
    assert run.event("set-up")["credential"] == "new"
    assert {event["serial"] for event in run.events} == {"K/1"}


def test_in_the_factory_today_and_switched_on_later(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path), "--count", "3")
    made = simulate("--di", server.url, *state)
    assert made.code == 0
    assert set(made.summary) == {"devices", "initialized", "failed", "p50_seconds", "p95_seconds"}
    assert made.summary["initialized"] == 3
    assert 60 not in server.messages
    later = simulate("--onboard", *state)
    assert (later.code, later.summary["onboarded"]) == (0, 3)
    assert server.messages.count(10) == 3
    assert {e["state"] for e in later.all("resumed")} == {"initialized"}
    guids = {e["guid"] for e in made.all("initialized")}
    assert len(guids) == 3
    assert {hello.guid.hex() for hello in server.hellos} == guids


def test_memory_is_private_and_replaced_in_one_step(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    simulate("--di", server.url, "--serial", "K", "--state", str(tmp_path))
    file = tmp_path / "K.state"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = memory(tmp_path, "K")
    run = simulate("--onboard", "--serial", "K", "--state", str(tmp_path))
    after = memory(tmp_path, "K")
    assert after.key == made.key, "a device has one key for life"
    assert (made.onboarded, after.onboarded) == (0, 1)
    old, new = thaw(DeviceCredential, made.credential), thaw(DeviceCredential, after.credential)
    assert old.hmac_secret == new.hmac_secret
    assert new.guid.hex() == run.event("set-up")["guid"] != old.guid.hex()
    assert not list(tmp_path.glob("*.new"))


def test_a_device_that_was_set_up_is_set_up_again_under_its_new_name(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    words = ("--serial", "K", "--state", str(tmp_path))
    first = simulate("--di", server.url, "--onboard", *words).event("set-up")["guid"]
    again = simulate("--di", server.url, "--onboard", "--again", "1", *words)
    assert again.code == 0
    assert server.messages.count(10) == 1, "a device is initialized once"
    assert again.event("resumed")["state"] == "onboarded"
    assert [hello.guid.hex() for hello in server.hellos][1:] == [first, again.all("set-up")[0]["guid"]]


def test_reuse_keeps_the_credential_and_a_device_may_forbid_it(
    server: FdoServer, simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reuse = True
    words = ("--serial", "K", "--state", str(tmp_path))
    run = simulate("--di", server.url, "--onboard", *words)
    assert run.event("set-up")["credential"] == "kept"
    assert list(server.sessions) == [run.event("initialized")["guid"]]
    before = memory(tmp_path, "K").credential
    monkeypatch.setattr("bootstrap.simulator.fdo.device.BACK_OFF_SECONDS", (0.01,))
    refused = simulate("--onboard", "--forbid-reuse", *words)
    assert (refused.code, refused.names[-1]) == (1, "failed")
    assert "keep its credential" in refused.event("failed")["reason"]
    assert memory(tmp_path, "K").credential == before
    assert {error.code for error in server.errors} == {ErrorCode.CRED_REUSE_ERROR}


@pytest.mark.parametrize("encoding", ["x509", "x5chain", "cosekey"])
@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384])
def test_keys_of_each_kind_and_encoding(
    server: FdoServer, simulate: Simulate, kind: KeyKind, encoding: str
) -> None:
    server.kind, server.encoding = kind, KeyEncoding[encoding.upper()]
    run = simulate("--di", server.url, "--onboard", "--key", kind.value, "--encoding", encoding)
    assert run.code == 0, run.summary
    cipher = CipherSuite.A256GCM if kind is KeyKind.P384 else CipherSuite.A128GCM
    assert (server.hellos[0].kex_suite, server.hellos[0].cipher_suite) == (f"ECDH{kind.value[2:]}", cipher)


def test_the_device_asks_for_the_keys_that_the_command_line_says(
    server: FdoServer, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    take = FdoServer.take

    def taken(self: FdoServer, octets: bytes) -> None:
        take(self, octets)
        asked.append(self.voucher(next(iter(self.sessions))))

    monkeypatch.setattr(FdoServer, "take", taken)
    simulate("--di", server.url, "--serial", "K-9", "--device-info", "lamp", "--key", "P-384")
    (voucher,) = asked
    assert voucher.header.device_info == "lamp"
    assert voucher.device_key.kind is KeyKind.P384
    subject = x509.load_der_x509_certificate(voucher.chain[0]).subject
    assert "K-9" in subject.rfc4514_string()


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "kex"), [("RSA-2048", "ASYMKEX2048"), ("RSA-2048", "DHKEXid14")])
def test_rsa_and_pss_are_remembered_over_a_power_cut(
    server: FdoServer, simulate: Simulate, tmp_path: Path, kind: str, kex: str
) -> None:
    server.kind, server.pss = KeyKind(kind), True
    words = ("--serial", "K", "--state", str(tmp_path))
    assert simulate("--di", server.url, "--key", kind, "--pss", *words).code == 0
    assert memory(tmp_path, "K").pss
    # Nothing of how it was made is said again.
    run = simulate("--onboard", "--kex", kex, *words)
    assert run.code == 0, run.summary
    assert server.voucher(run.event("set-up")["guid"]).header.manufacturer_key.type == KeyType.RSAPSS
    assert server.hellos[0].sig_info.type == -37


@pytest.mark.parametrize("cipher", ["CCM_64_128_256", "AES128_CTR", "AES256_CBC"])
def test_cipher_and_sizes_are_the_ones_asked_for(server: FdoServer, simulate: Simulate, cipher: str) -> None:
    server.actions = (Download("f", "f", bytes(5000)),)
    sizes = ("--max-message", "2000", "--max-service-info", "600")
    run = simulate("--di", server.url, "--onboard", "--cipher", cipher, *sizes)
    assert run.code == 0, run.summary
    assert server.hellos[0].cipher_suite == CipherSuite[cipher]
    assert server.hellos[0].max_device_message_size == 2000
    assert results(server)["f"].ok
    assert server.messages.count(68) > 5000 // 600


# Where the owner is.


def test_a_device_that_comes_before_its_owner_registered_tries_again(
    server: FdoServer, simulate: Simulate
) -> None:
    server.unregistered = 2
    run = simulate("--di", server.url, "--onboard")
    assert run.code == 0
    retries = run.all("retry")
    assert [retry["seconds"] for retry in retries] == [0.3, 1.0]
    assert "RESOURCE_NOT_FOUND" in retries[0]["reason"]


def test_a_device_whose_owner_never_registers_says_so_when_its_time_is_over(
    server: FdoServer, simulate: Simulate
) -> None:
    server.unregistered = 1_000_000
    run = simulate("--di", server.url, "--onboard", timeout="2")
    assert run.code == 1
    ((reason, count),) = run.summary["failed"].items()
    assert (count, run.summary["p50_seconds"]) == (1, None)
    assert "timeout" in reason
    assert "RESOURCE_NOT_FOUND" in reason


def test_with_bypass_nobody_is_asked_for_the_way(server: FdoServer, simulate: Simulate) -> None:
    server.rvinfo = rvinfo_for(server.url, bypass=True)
    run = simulate("--di", server.url, "--onboard")
    assert run.code == 0
    assert "redirected" not in run.names
    assert 30 not in server.messages


def joined(*infos: RvInfo) -> RvInfo:
    directives = tuple(directive for info in infos for directive in info.directives)
    return RvInfo(directives, RvInfo(directives).encode())


def marked(info: RvInfo, variable: RVVariable) -> RvInfo:
    mark = Instruction(variable)
    return joined(RvInfo(tuple(Directive((*d.instructions, mark)) for d in info.directives)))


def test_directives_are_tried_in_order_and_those_for_owners_passed_over(
    server: FdoServer, simulate: Simulate
) -> None:
    server.rvinfo = joined(
        marked(rvinfo_for(server.url, bypass=True), RVVariable.OWNER_ONLY),
        rvinfo_for(dead()),
        rvinfo_for("coap://127.0.0.1:5683"),
        marked(rvinfo_for(server.url), RVVariable.DEV_ONLY),
    )
    start = time.monotonic()
    run = simulate("--di", server.url, "--onboard")
    assert run.code == 0
    assert time.monotonic() - start < 8, "an address where nobody listens costs little"
    assert server.messages[2:4] == [30, 32]
    assert not run.all("retry")


def test_the_delay_of_a_directive_that_failed_is_obeyed(server: FdoServer, simulate: Simulate) -> None:
    server.rvinfo = joined(rvinfo_for(dead(), delay_seconds=2), rvinfo_for(server.url, delay_seconds=60))
    run = simulate("--di", server.url, "--onboard")
    assert run.code == 0
    (delay,) = run.all("delay")
    assert delay["seconds"] == 2
    waited = run.event("redirected")["at"] - delay["at"]
    assert 2 * 0.75 <= waited < 2 * 1.25 + 0.5


def test_addresses_of_the_owner_are_tried_one_after_the_other(server: FdoServer, simulate: Simulate) -> None:
    server.owner_urls = ("coap://owner.example:5683", dead())
    run = simulate("--di", server.url, "--onboard")
    assert run.code == 0
    assert server.messages.count(60) == 1


def test_a_device_without_a_transport_for_any_address_says_so(server: FdoServer, simulate: Simulate) -> None:
    server.rvinfo = rvinfo_for("coap://127.0.0.1:5683")
    run = simulate("--di", server.url, "--onboard", timeout="1")
    assert "coap://127.0.0.1:5683" in run.all("retry")[0]["reason"]


def test_rendezvous_information_without_any_server_is_named_as_the_reason(
    server: FdoServer, simulate: Simulate
) -> None:
    server.rvinfo = RvInfo((), cbor.encode([]))
    run = simulate("--di", server.url, "--onboard", timeout="1")
    assert run.all("retry")[0]["reason"] == "RVInfo names no server that a device may ask"


# What owners do to it.


def onboard(server: FdoServer, simulate: Simulate, folder: Path, *actions: Action, words: Any = ()) -> Run:
    server.actions = actions
    run = simulate("--di", server.url, "--onboard", "--serial", "K", "--state", str(folder), *words)
    assert run.code == 0, run.summary
    return run


def test_files_arrive_under_the_state_folder_and_leave_from_there(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    log = tmp_path / "K/var/log/boot"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"booted\n" * 1000)
    content = bytes(range(256)) * 40
    run = onboard(
        server, simulate, tmp_path, Download("motd", "/etc/motd", content), Upload("log", "/var/log/boot")
    )
    assert (tmp_path / "K/etc/motd").read_bytes() == content
    assert stat.S_IMODE((tmp_path / "K/etc/motd").stat().st_mode) == 0o600
    assert results(server)["log"].output == b"booted\n" * 1000
    assert run.event("file") == run.event("file") | {"path": "/etc/motd", "octets": len(content)}
    assert run.event("sent-file")["path"] == "/var/log/boot"


@pytest.mark.parametrize("name", ["../outside", "/etc/../../outside", "link/outside", "..", "/", "a\0b"])
def test_no_name_leads_out_of_the_folder(
    server: FdoServer, simulate: Simulate, tmp_path: Path, name: str
) -> None:
    (tmp_path / "K").mkdir()
    (tmp_path / "K/link").symlink_to(tmp_path)
    onboard(server, simulate, tmp_path, Download("f", name, b"x", may_fail=True))
    assert not results(server)["f"].ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["K", "K.state"]


@pytest.mark.parametrize("name", ["file/below", "folder", "x" * 300, "y" * 300 + "/z"])
def test_what_a_file_system_cannot_hold_is_a_result_and_not_the_end(tmp_path: Path, name: str) -> None:
    effects = FolderEffects(tmp_path / "K", "K", lambda *_name, **_values: None)
    effects.write_file("file", b"1")
    (tmp_path / "K/folder").mkdir()
    with pytest.raises(EffectFailed) as failed:
        effects.write_file(name, b"2")
    assert str(tmp_path) not in str(failed.value)
    assert (tmp_path / "K/file").read_bytes() == b"1"


def test_commands_are_only_pretended(server: FdoServer, simulate: Simulate, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    run = onboard(server, simulate, tmp_path, Command("c", "/usr/bin/touch", (str(mark),)))
    assert not mark.exists()
    assert results(server)["c"].output == f"pretended: /usr/bin/touch {mark}\n".encode()
    assert run.event("command")["command"] == "/usr/bin/touch"


def test_commands_really_run_where_that_was_asked_for(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    script = "echo out; echo err >&2; pwd; exit 3"
    onboard(
        server,
        simulate,
        tmp_path,
        Command("c", "/bin/sh", ("-c", script), may_fail=True),
        words=("--really-run",),
    )
    result = results(server)["c"]
    assert (result.exit_code, result.errors) == (3, b"err\n")
    assert result.output.decode().splitlines() == ["out", str((tmp_path / "K").resolve())]


def test_a_program_that_is_not_there_ends_the_run_with_an_error_for_the_owner(
    server: FdoServer, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.simulator.fdo.device.BACK_OFF_SECONDS", (0.01,))
    server.actions = (Command("c", "/no/such/program"),)
    run = simulate("--di", server.url, "--onboard", "--really-run")
    assert (run.code, run.summary["onboarded"]) == (1, 0)
    assert "FileNotFoundError" in run.event("failed")["reason"]
    assert len(run.all("retry")) == 5, "who refuses again and again means it"
    assert server.errors[0].previous == 68
    assert not server.onboarded


def test_wget_fetches_over_http_and_checks_the_digest(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    content = b"firmware" * 20_000
    server.files["/firmware.bin"] = content
    digest = sha384(content).digest()
    url = f"{server.url}/firmware.bin"
    onboard(
        server,
        simulate,
        tmp_path,
        Wget("good", url, "/boot/fw", digest, len(content)),
        Wget("bad", url, "/boot/bad", bytes(48), may_fail=True),
        Wget("gone", f"{server.url}/gone", "/boot/gone", may_fail=True),
        Wget("odd", "file:///etc/passwd", "/boot/odd", may_fail=True),
        Wget("dead", dead(), "/boot/dead", may_fail=True),
    )
    assert {name: result.ok for name, result in results(server).items()} == {
        "good": True, "bad": False, "gone": False, "odd": False, "dead": False
    }  # fmt: skip
    assert [path.name for path in (tmp_path / "K/boot").iterdir()] == ["fw"]
    assert (tmp_path / "K/boot/fw").read_bytes() == content
    assert server.fetched == ["/firmware.bin", "/firmware.bin", "/gone"]


class Authority:
    """Issues under the factory's own certificate."""

    def ca_certificates(self) -> bytes:
        root = x509.load_der_x509_certificate(self.ca_certificate())
        return pkcs7.serialize_certificates([root], Encoding.DER)

    def ca_certificate(self) -> bytes:
        return ca(KeyKind.P256)[1]

    def enroll(self, request: bytes, renewal: bool) -> bytes:
        signer, root = ca(KeyKind.P256)
        return issue_device_certificate(request, signer, root, 7, NOW, NOW + timedelta(days=90))

    def attributes(self) -> bytes | None:
        return None


def test_a_certificate_is_asked_for_with_a_real_key_and_kept(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    server.csr = Authority()
    run = onboard(server, simulate, tmp_path, Csr("id"))
    assert results(server)["id"].ok
    folder = tmp_path / "K"
    private = load_pem_private_key((folder / "device.key").read_bytes(), None)
    request = x509.load_der_x509_csr((folder / "device.csr").read_bytes())
    issued = x509.load_der_x509_certificate((folder / "device.crt").read_bytes())
    assert request.is_signature_valid
    assert request.public_key() == issued.public_key() == private.public_key()
    root = x509.load_der_x509_certificate(ca(KeyKind.P256)[1])
    issued.verify_directly_issued_by(root)
    assert pkcs7.load_der_pkcs7_certificates((folder / "authorities.p7").read_bytes()) == [root]
    assert stat.S_IMODE((folder / "device.key").stat().st_mode) == 0o600
    assert "certificate" in run.names


def test_one_device_with_a_slow_file_does_not_hold_the_others(
    server: FdoServer, simulate: Simulate, tmp_path: Path
) -> None:
    server.actions = (Command("c", "/bin/sleep", ("1",)),)
    start = time.monotonic()
    run = simulate("--di", server.url, "--onboard", "--really-run", "--count", "4", "--rate", "100")
    assert (run.code, run.summary["onboarded"]) == (0, 4)
    assert time.monotonic() - start < 3.5


# Bad networks and bad servers.


def test_a_fleet_gets_through_a_network_that_loses_and_repeats(
    server: FdoServer, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.simulator.fdo.http.PAUSE_SECONDS", (0.01,))
    server.actions = (Download("f", "f", bytes(3000)),)
    bad = ("--loss", "0.1", "--repeat", "0.1", "--reorder", "0.1", "--seed", "7")
    run = simulate("--di", server.url, "--onboard", "--count", "10", "--rate", "100", *bad)
    assert run.summary["onboarded"] == 10, run.summary
    assert len(server.onboarded) == 10
    assert len(server.messages) > 10 * 13, "some were lost and said again"
    serials = {event["serial"] for event in run.all("onboarded")}
    assert len(serials) == 10


def test_a_server_that_is_busy_is_asked_again_with_the_same_message(
    server: FdoServer, simulate: Simulate
) -> None:
    server.refuse_next = [503, 429, 503]
    run = simulate("--di", server.url, "--onboard")
    assert run.code == 0
    assert server.messages == [10, 12, 30, 32, 60, 62, 64, 66, 68, 70]


def test_a_server_that_is_none_is_named_as_such(server: FdoServer, simulate: Simulate) -> None:
    server.refuse_next = [404]
    run = simulate("--di", server.url)
    assert run.summary["failed"] == {"DI: http-404": 1}


def test_a_manufacturer_that_does_not_answer_ends_the_device(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.simulator.fdo.http.PAUSE_SECONDS", (0.01,))
    run = simulate("--di", dead(), "--onboard")
    assert (run.code, run.summary["failed"]) == (1, {"DI: unreachable": 1})


def test_an_owner_that_proves_nothing_hears_why_and_changes_nothing(
    server: FdoServer, simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.simulator.fdo.device.BACK_OFF_SECONDS", (0.01,))
    words = ("--serial", "K", "--state", str(tmp_path))
    simulate("--di", server.url, *words)
    before = memory(tmp_path, "K")
    server.tampers[60] = lambda body: body[:-1] + bytes([body[-1] ^ 1])
    run = simulate("--onboard", *words)
    assert run.code == 1
    assert memory(tmp_path, "K") == before
    assert {error.previous for error in server.errors} == {60}
    assert 62 not in server.messages
    server.tampers.clear()
    assert simulate("--onboard", *words).code == 0


# The command line.


def test_the_sticker_is_a_bare_name_or_a_link_to_the_portal(
    server: FdoServer, simulate: Simulate, capsys: pytest.CaptureFixture[str]
) -> None:
    run = simulate("--di", server.url)
    guid = run.event("initialized")["guid"]
    assert run.event("code")["url"] == f"fdo:{guid}"
    assert main(["fdo", "--di", server.url, "--onboard", "--portal", "https://portal.example/"]) == 0
    out = capsys.readouterr().out
    last = list(server.sessions)[-2]
    assert f"scan or open:  https://portal.example/d/{last}" in out
    assert "in this browser" not in out, "the code is the link already"
    assert "█" in out


def test_every_step_has_a_sentence_for_people(
    server: FdoServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "K").mkdir()
    (tmp_path / "K/log").write_bytes(b"log")
    server.files["/f"] = b"f"
    server.unregistered = 1
    server.rvinfo = joined(rvinfo_for(dead(), delay_seconds=1), rvinfo_for(server.url))
    server.csr = Authority()
    server.actions = (
        Download("d", "/etc/motd", b"hello"),
        Command("c", "/bin/true"),
        Upload("u", "log"),
        Wget("w", f"{server.url}/f", "f"),
        Csr("id"),
    )
    words = ["--di", server.url, "--serial", "K", "--state", str(tmp_path)]
    assert main(["fdo", *words]) == 0
    made = capsys.readouterr().out
    assert "K  initialized by its manufacturer, GUID " in made
    assert "K  FINISHED after " in made
    assert "1 of 1 initialized" in made
    assert main(["fdo", *words, "--onboard"]) == 0
    said = capsys.readouterr().out
    for sentence in (
        "switched on again, state initialized",
        "waits 1 s as its maker said: TO1: unreachable",
        "tries again in 0.3 s: TO1: error 6 RESOURCE_NOT_FOUND after message 30",
        f"the rendezvous server sends it to {server.url}",
        "file /etc/motd written, 5 octets",
        "command /bin/true with 0 arguments",
        "file log sent, 3 octets",
        f"{server.url}/f fetched, 1 octets",
        "octets kept",
        "set up by its owner, credential new",
        "ONBOARDED after ",
        "1 of 1 onboarded",
    ):
        assert sentence in said


def test_nothing_secret_is_printed(server: FdoServer, simulate: Simulate, tmp_path: Path) -> None:
    run = simulate("--di", server.url, "--onboard", "--serial", "K", "--state", str(tmp_path))
    kept = memory(tmp_path, "K")
    credential = thaw(DeviceCredential, kept.credential)
    for secret in (credential.hmac_secret, kept.key):
        assert secret.hex() not in run.out
        assert secret.hex() not in repr((kept, credential))
        assert repr(secret)[2:-1] not in repr((kept, credential))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what to do"),
        (["--onboard"], "--onboard needs devices"),
        (["--di", "factory.example"], "--di takes http:// or https://"),
        (["--di", "http://x", "--pss"], "--pss is for RSA keys"),
        (["--di", "http://x", "--max-message", "100"], "--max-message is from 256"),
        (["--di", "http://x", "--max-service-info", "70000"], "--max-service-info is from 256"),
        (["--onboard", "--state", "{folder}"], "holds 0 devices, not 1"),
        (["--onboard", "--state", "{folder}", "--serial", "K"], "holds no credential of K: initialize it"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], sentence: str
) -> None:
    assert main(["fdo", *(word.format(folder=tmp_path) for word in words)]) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.err.count("\n") == 1
    assert not told.out
