"""The parts of the simulator that need no server: memory, files, QR, summary, EAP peer, process."""

import base64
import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from bootstrap.contract import Env
from bootstrap.errors import LocalError
from bootstrap.protocols.eap_noob import device, messages, server
from bootstrap.protocols.provisioning import PlanDocument, PlanItem
from bootstrap.simulator import qr
from bootstrap.simulator.__main__ import main
from bootstrap.simulator.apply import plan_apply
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.simulator.progress import TextProgress
from bootstrap.simulator.store import Memory, Store
from bootstrap.simulator.summary import Summary
from bootstrap.simulator.transport import IDENTITY_REQUEST
from bootstrap.wire import eap

CODE = "https://onward.example.org:8443/n?P=ZWSdYLxBZ1LQFKaUzHbG3Q&N=DOGeQaqbutv38MEHDzbyaw&H=UFEzddKuJ1A_tSdDhRgp4g"


def env():
    return Env(datetime.now(UTC), os.urandom)


# Memory


def test_memory_comes_back_private_and_without_secrets_in_its_repr(tmp_path):
    store = Store(tmp_path / "new" / "folder")
    assert store.load("K-1") is None
    memory = Memory(association=b"kz-secret", plan_version=3, results=(("a", True, ""),), reported=True)
    store.save("K-1", memory)
    assert Store(tmp_path / "new" / "folder").load("K-1") == memory
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "kz-secret" not in repr(memory)


@pytest.mark.parametrize("serial", ["../../etc/passwd", "a/b", ".", "..", "ü\n", "x" * 60])
def test_no_serial_leads_out_of_the_folder(tmp_path, serial):
    store = Store(tmp_path / "inner")
    store.save(serial, Memory(plan_version=1))
    assert store.load(serial) == Memory(plan_version=1)
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert store.root(serial).resolve().parent == (tmp_path / "inner").resolve()


def test_a_file_that_is_no_memory_is_said_so(tmp_path):
    (tmp_path / "K-1.state").write_bytes(b"\xff\xff")
    with pytest.raises(LocalError):
        Store(tmp_path).load("K-1")


def test_a_write_that_is_cut_off_leaves_the_old_memory(tmp_path):
    Store(tmp_path).save("K-1", Memory(plan_version=1))
    (tmp_path / "K-1.new").write_bytes(b"half")
    assert Store(tmp_path).load("K-1") == Memory(plan_version=1)
    Store(tmp_path).save("K-1", Memory(plan_version=2))
    assert Store(tmp_path).load("K-1") == Memory(plan_version=2)


# Files of a plan


def test_applying_a_plan_twice_changes_nothing(tmp_path):
    items = (
        PlanItem.build("f", "file", {"path": "/a/b", "content": base64.b64encode(b"x").decode()}),
        PlanItem.build("c", "certificate", {}),
        PlanItem.build("k", "config", {"key": "k", "value": "v"}),
    )
    first = plan_apply(PlanDocument(1, items), tmp_path, "K-1")
    contents = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert plan_apply(PlanDocument(1, items), tmp_path, "K-1") == first
    assert contents == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in contents} == {"b", "device.key", "device.csr", "settings.json"}


@pytest.mark.parametrize("path", ["/", "", "..", "/../x", "/a/../../x", "/a\0b"])
def test_a_path_that_leads_nowhere_is_a_failed_item(tmp_path, path):
    root = tmp_path / "root"
    (result,) = plan_apply(
        PlanDocument(1, (PlanItem.build("f", "file", {"path": path, "content": ""}),)), root, "K-1"
    )
    assert not result.ok
    assert list(tmp_path.iterdir()) == [root]


# What people see


def test_the_qr_of_a_real_code_fits_80_columns_and_is_all_there():
    lines = qr.render(CODE).splitlines()
    assert all(len(line) == len(lines[0]) <= 80 for line in lines)
    assert set("".join(lines)) <= set(" ▀▄█")
    modules = qr._modules(CODE, 80)
    drawn = [
        [(line[x] in "▀█", line[x] in "▄█")[half] for x in range(len(line))]
        for line in lines
        for half in (0, 1)
    ]
    assert [[not light for light in row] for row in drawn][: len(modules)] == modules
    assert all(line.startswith("\x1b[30;107m") for line in qr.render(CODE, ansi=True).splitlines())


def test_people_get_the_code_as_picture_text_and_link():
    out = io.StringIO()
    TextProgress(1, "http://localhost:8000/", out=out).event("code", "K-1", url=CODE)
    assert "▀" in out.getvalue()
    assert CODE in out.getvalue()
    assert "http://localhost:8000/n?P=ZWSdYLxBZ1LQFKaUzHbG3Q&N=" in out.getvalue()


def test_every_step_has_a_sentence(capsys, portal):
    main(["eap-noob", "--via", portal.url, "--claim", portal.url, "--token", "the-person", "--serial", "K-1"])
    out = capsys.readouterr().out
    assert "K-1  ONBOARDED after" in out
    assert out.splitlines()[-1].startswith("1 of 1 onboarded, half of them within")


def test_summary_counts_and_ranks():
    summary = Summary(5, [4.0, 1.0, 2.0, 3.0], Counter({"timeout": 1}))
    assert json.loads(summary.as_json()) == {
        "devices": 5,
        "onboarded": 4,
        "failed": {"timeout": 1},
        "p50_seconds": 2.0,
        "p95_seconds": 4.0,
    }
    assert "1 failed: timeout" in summary.as_text()
    assert not summary.all_onboarded
    assert json.loads(Summary(1).as_json())["p50_seconds"] is None


def test_help_has_examples(capsys):
    for arguments in (["--help"], ["eap-noob", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "eap-noob" in out
    assert "examples:" in out


# EAP peer


def peer(kept=None, state=None):
    keep = (lambda _: None) if kept is None else kept.append
    return EapNoobPeer(state or device.initial_state(), device.DeviceFacts(), env, keep)


def test_a_repeated_request_gets_the_same_response_and_no_step():
    kept = []
    one = peer(kept)
    assert eap.EapPacket.decode(one.respond(IDENTITY_REQUEST)).data == b"noob@eap-noob.arpa"
    request = eap.request(1, eap.EapType.NOOB, server.start()).encode()
    first = one.respond(request)
    assert one.respond(request) == first
    assert len(kept) == 1
    assert messages.decode_response(eap.EapPacket.decode(first).data).peer_state == 0


def test_other_methods_get_a_nak_for_noob_and_notifications_an_answer():
    for method in (eap.EapType.MD5_CHALLENGE, eap.EapType.TLS, eap.EapType.EXPANDED):
        answer = eap.EapPacket.decode(peer().respond(eap.request(9, method, b"x").encode()))
        assert (answer.identifier, answer.type, answer.data) == (9, eap.EapType.NAK, b"\x38")
    notified = eap.EapPacket.decode(peer().respond(eap.request(2, eap.EapType.NOTIFICATION, b"hi").encode()))
    assert (notified.type, notified.data) == (eap.EapType.NOTIFICATION, b"")


def test_a_success_out_of_the_blue_is_not_believed():
    one = peer()
    one.respond(eap.success(0).encode())
    one.close(success=True)
    assert not one.succeeded
    assert one.msk == b""


def test_garbage_and_responses_deserve_silence():
    for packet in (b"", b"\x01", b"\x09\x00\x00\x04", eap.response(1, eap.EapType.NOOB, b"{}").encode()):
        assert peer().respond(packet) is None
    assert peer().respond(eap.request(1, eap.EapType.NOOB, b"\xff{").encode()) is not None


# The process


def start(*arguments):
    command = [sys.executable, "-m", "bootstrap.simulator", "eap-noob", "--json", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_still_prints_the_summary():
    silent = socket.create_server(("127.0.0.1", 0))
    process = start("--via", f"http://127.0.0.1:{silent.getsockname()[1]}", "--count", "3")
    assert process.stdout.readline().startswith('{"event": "started"')
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    summary = json.loads(out.splitlines()[-1])
    assert (process.returncode, summary["devices"], summary["failed"]) == (1, 3, {"interrupted": 3})
    assert err == ""
    silent.close()


def test_killed_at_any_moment_it_goes_on_from_its_memory(portal, tmp_path, capsys):
    """kill -9 after a growing number of messages; the last start is left alone and must arrive."""
    arguments = ["--via", portal.url, "--claim", portal.url, "--token", "the-person", "--serial", "K-1"]
    arguments += ["--state", str(tmp_path), "--timeout", "20"]
    for messages_before_the_end in (2, 4, 6, 9):
        process = start(*arguments)
        enough = len(portal.statuses) + messages_before_the_end
        watcher = threading.Thread(target=process.wait)
        watcher.start()
        while len(portal.statuses) < enough and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        watcher.join()
        process.stdout.close()
        process.stderr.close()
    assert main(["eap-noob", "--json", *arguments]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["onboarded"] == 1
