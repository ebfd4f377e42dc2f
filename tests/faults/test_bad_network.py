"""Fleets through a bad network at every door, a flood beside a claim, and what the log may never hold."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from bootstrap.protocols.eap_noob import device
from bootstrap.simulator.device import system_env
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.simulator.transport import IDENTITY_REQUEST

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]
LONG = os.environ.get("ONWARD_LONG") == "1"
DEVICES = 50 if LONG else 4
STRANGERS = 10_000 if LONG else 480


class OneDevice:
    """A device at the HTTP door, one conversation after another."""

    def __init__(self, portal: str, serial: str) -> None:
        self.host = urllib.parse.urlsplit(portal).netloc
        info = json.dumps(
            {"Manufacturer": "Onward", "Model": "Faults", "SerialNumber": serial}, separators=(",", ":")
        )
        self.facts = device.DeviceFacts(peer_info=info)
        self.state = device.initial_state()
        self.sent: list[tuple[str, bytes]] = []
        self.token = ""

    def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/vnd.onward.eap"})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Location", path), answer.read()
        finally:
            connection.close()

    def converse(self) -> EapNoobPeer:
        peer = EapNoobPeer(self.state, self.facts, system_env, lambda state: None)
        path, request = "/eap", IDENTITY_REQUEST
        while (response := peer.respond(request)) is not None:
            self.sent.append((path, response))
            status, path, request = self.post(path, response)
            if status == 429:
                raise TimeoutError("too many")
            if status == 404 and path != "/eap":
                raise TimeoutError("pushed out: it was a stranger that had not come back yet")
            assert status in (200, 201), (status, request)
        self.state, self.token = peer.state, path
        return peer

    def code(self) -> str:
        self.state, _oob, url = device.oob_output(self.state, self.facts, system_env())
        assert url is not None
        return url


def api(target, path: str, body: dict) -> tuple[int, dict]:
    request = urllib.request.Request(
        target.portal.portal + path,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_every_device_arrives_through_a_bad_network_at_every_door_and_the_log_keeps_its_secrets(target):
    """All at DEBUG: afterwards no key, code or token of anybody is in the log."""
    vias = {"H": target.portal.places["devices"], "C": target.portal.places["coap"], "R": target.radius}
    offset = target.log_end()
    bad = ["--loss", "0.1", "--repeat", "0.1", "--reorder", "0.1", "--seed", "7", "--timeout", "150"]
    claim = ["--claim", target.portal.portal, "--token", target.token, "--json"]

    def run(door: str):
        return target.portal.simulate(
            *["--via", vias[door], "--serial", f"BAD-{door}", "--count", str(DEVICES), *bad, *claim],
            timeout=240,
        )

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for door, done in zip(vias, pool.map(run, vias), strict=True):
            lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            assert lines[-1]["onboarded"] == DEVICES, (door, lines[-1], done.stderr[-1000:])
            codes = [line["url"] for line in lines if line.get("event") == "code"]
            assert len(codes) >= DEVICES
            logged = "\n".join(target.log_from(offset))
            for url in codes:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
                for name in ("N", "H"):
                    assert query[name][0] not in logged, f"{name} of a code"
    assert target.token not in logged
    assert "s3cret-of-the-radius-client" not in logged
    for name in ("secret_key", "vault_key"):
        assert (target.portal.folder / "secrets" / name).read_text().strip() not in logged
    assert not re.search(r"/eap/[A-Za-z0-9_-]{20}", logged), "a conversation's token"
    assert "Traceback" not in logged


def test_keys_of_one_device_are_not_in_the_log_in_any_spelling(target):
    offset = target.log_end()
    one = OneDevice(target.portal.portal, "KEYS-1")
    one.converse()
    assert api(target, "/api/v1/claims", {"code": one.code()})[0] in (200, 201)
    noob = one.state.noobs[0][0]
    peer = one.converse()
    assert peer.succeeded
    logged = "\n".join(target.log_from(offset))
    assert peer.keys is not None
    for secret in (peer.msk, peer.keys.emsk, peer.keys.amsk, one.state.kz, noob):
        spelled = (secret.hex(), base64.b64encode(secret).decode()[:20], repr(secret)[2:30])
        spelled += (base64.urlsafe_b64encode(secret).decode()[:20],)
        for spelling in spelled:
            assert spelling not in logged
    token = one.sent[-1][0].removeprefix("/eap/")
    assert len(token) > 40
    assert token not in logged


def test_a_token_opens_no_other_conversation_and_an_old_message_moves_nothing(target):
    first, second = OneDevice(target.portal.portal, "TOK-1"), OneDevice(target.portal.portal, "TOK-2")
    first.converse()
    second.converse()
    before = target.rows()
    own = [path for path, _body in second.sent if path != "/eap"][-1]
    for path, body in first.sent:
        if path == "/eap":
            continue
        status, _path, answer = first.post(own, body)
        assert status in (404, 409) or answer[:1] == b"\x04" or b'"Type":0' in answer, (status, answer)
    # Everything the first device ever said, again, in order and backwards: answered as before or refused.
    for path, body in [*first.sent[1:], *reversed(first.sent[1:])]:
        status, _path, answer = first.post(path, body)
        assert status in (200, 404, 409), answer
    after = target.rows()
    assert {k: v for k, v in after.items() if k != "engine_event"} == {
        k: v for k, v in before.items() if k != "engine_event"
    }
    for one in (first, second):
        status, claim = api(target, "/api/v1/claims", {"code": one.code()})
        assert status in (200, 201), claim
        assert one.converse().succeeded


def test_a_flood_pushes_out_neither_who_is_looked_at_nor_who_is_claimed_and_newcomers_get_in(crowded):
    looked_at, claimed = (
        OneDevice(crowded.portal.portal, "LOOK-1"),
        OneDevice(crowded.portal.portal, "CLAIM-1"),
    )
    looked_at.converse()
    claimed.converse()
    code = looked_at.code()
    assert api(crowded, "/api/v1/claims/look", {"code": code})[0] == 200
    assert api(crowded, "/api/v1/claims", {"code": claimed.code()})[0] in (200, 201)

    stop, refused, admitted = threading.Event(), [], []

    def flood(number: int) -> None:
        for serial in range(STRANGERS // 8):
            if stop.is_set():
                return
            try:
                OneDevice(crowded.portal.portal, f"FLOOD-{number}-{serial}").converse()
                admitted.append(1)
            except TimeoutError:
                refused.append(1)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(flood, number) for number in range(8)]
        concurrent.futures.wait(running)
    for done in running:
        done.result()
    assert refused, "the limit of one address was reached"
    assert len(admitted) >= 250, "far more than there is room for"

    newcomer = OneDevice(crowded.portal.portal, "NEW-1")
    deadline = time.monotonic() + 20
    while newcomer.state.state != 1 and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            newcomer.converse()
    assert newcomer.state.state == 1, "a genuine new device gets in"

    deadline = time.monotonic() + 30
    while crowded.rows()["engine_session"] > 130 and time.monotonic() < deadline:
        time.sleep(0.3)
    assert crowded.rows()["engine_session"] <= 130, "trimmed to the limit and those that are held"
    assert api(crowded, "/api/v1/claims", {"code": code})[0] in (200, 201)
    for one in (looked_at, claimed):
        assert one.converse().succeeded
    assert api(crowded, "/api/v1/claims", {"code": newcomer.code()})[0] in (200, 201)
    assert newcomer.converse().succeeded
