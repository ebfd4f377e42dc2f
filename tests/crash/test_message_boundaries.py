"""The web process dies with kill -9 at every message boundary of one device's way from new to registered."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from conftest import LONG
from live_portal import ROOT, LivePortal

from bootstrap.protocols.eap_noob import device
from bootstrap.simulator.device import system_env
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.simulator.transport import IDENTITY_REQUEST

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(400)]
PEER_INFO = '{"Manufacturer":"Onward","Model":"Boundary","SerialNumber":"EDGE-1"}'
FACTS = device.DeviceFacts(peer_info=PEER_INFO)


class Web:
    """`manage.py runweb` alone: whoever kills it starts it again."""

    def __init__(self, files: LivePortal) -> None:
        self.files = files
        self.port, self.tls_port = _free_port(), _free_port()
        self.deaths = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [
            "--port",
            str(self.port),
            "--tls-port",
            str(self.tls_port),
            "--data-dir",
            str(self.files.folder),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "runweb", *words],
            cwd=ROOT,
            env=self.files._environment(),
            stderr=self.files.log.open("a"),
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(self.files.log.read_text()[-2000:])

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.deaths += 1

    def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, Location and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/vnd.onward.eap"})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Location", path), answer.read()
        finally:
            connection.close()

    def post_over_deaths(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """The process dies before the message comes, and again before its answer is taken; the device repeats."""
        if LONG:
            self.kill()
            with pytest.raises(ConnectionRefusedError):
                self.post(path, body)
            self.start()
        lost = self.post(path, body)
        self.kill()
        self.start()
        again = self.post(path, body)
        if (
            path != "/eap"
        ):  # an identity opens another conversation each time; everything else is answered the same
            assert again == lost
        return again


def converse(web: Web, state: device.DeviceAssociation, peaceful: int) -> EapNoobPeer:
    """One conversation, a death at every boundary; the short form lets the first ``peaceful`` ones be."""
    kept = [state]
    peer = EapNoobPeer(state, FACTS, system_env, kept.append)
    path, request, number = "/eap", IDENTITY_REQUEST, 0
    while (response := peer.respond(request)) is not None:
        post = web.post_over_deaths if LONG or number >= peaceful else web.post
        status, path, request = post(path, response)
        number += 1
        assert status in (200, 201), request
    return peer


def claim(web: Web, token: str, code: str) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{web.port}/api/v1/claims",
        json.dumps({"code": code}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def rows(web: Web, columns: str, table: str = "engine_session") -> list[tuple]:
    """What is stored of this device."""
    where = {
        "engine_session": "serial = 'EDGE-1'",
        "devices_claim": "device_id IN (SELECT id FROM devices_device WHERE serial = 'EDGE-1')",
    }[table]
    database = sqlite3.connect(web.files.folder / "onward.sqlite3")
    try:
        return database.execute(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY id").fetchall()
    finally:
        database.close()


@pytest.fixture
def web(mortal):
    made = Web(mortal.copy())
    made.start()
    try:
        yield made, mortal.token
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()


def test_a_device_gets_through_although_the_web_process_dies_after_every_message(web):
    server, token = web
    peer = converse(server, device.initial_state(), peaceful=3)
    assert peer.state.state == 1
    assert rows(server, "phase, milestone") == [("Waiting for OOB", "waiting")]

    state, _oob, url = device.oob_output(peer.state, FACTS, system_env())
    assert url is not None
    status, first = claim(server, token, url)
    assert status in (200, 201), first
    server.kill()
    server.start()
    assert rows(server, "phase, milestone") == [("OOB Received", "confirmed")]
    assert rows(server, "state", "devices_claim") == [("accepted",)]
    status, again = claim(server, token, url)
    assert (status, again["id"]) == (200, first["id"]), "the person's repeated tap finds the claim it made"

    peer = converse(server, state, peaceful=2)
    assert peer.succeeded
    assert peer.state.state == 4
    assert rows(server, "protocol, phase") == [("eap-noob", "Registered"), ("provisioning", "")]
    first_msk = peer.msk

    peer = converse(server, device.rekey(peer.state), peaceful=4)
    assert peer.succeeded
    assert peer.msk != first_msk
    assert server.deaths >= 4


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
