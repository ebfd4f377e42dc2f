"""Foreign programs at the doors of a whole portal, as `manage.py up` starts it: eapol_test, coap-client, curl.

What those programs must hear is already written down beside the doors themselves; the same tests run here
again, with the real engine, database and workers behind the door. Fixtures of this file say which door.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.interop.test_coap_client import (  # noqa: F401 (collected here once more)
    coap_client,
    coap_server,
    run,
    test_a_body_that_is_too_long_is_refused_at_its_first_block,
    test_a_trigger_is_taken_and_our_request_arrives_where_it_came_from,
    test_a_trigger_without_no_response_is_answered,
    test_it_hears_the_code_of_a_bad_request,
    test_it_reads_the_list_of_resources,
    test_libcoap_as_device_is_followed_to_the_resource_it_names,
)
from tests.interop.test_eapol_test import (  # noqa: F401 (collected here once more)
    OTHER_METHODS,
    SECRET,
    RadiusAddress,
    eapol_test,
    quoted,
    test_a_peer_without_noob_is_offered_it_declines_and_is_rejected_at_once,
    test_a_wrong_secret_is_met_with_silence,
    test_attributes_of_real_access_points_do_not_disturb,
    test_the_first_attribute_a_foreign_client_sees_is_message_authenticator,
)
from tests.live_portal import LivePortal

pytestmark = pytest.mark.peer

EAP_TYPE = "application/vnd.onward.eap"
IDENTITY = 1
NOOB = 56


@pytest.fixture(scope="module")
def portal() -> Iterator[LivePortal]:
    live = LivePortal().start()
    live.token()
    live.access_point(SECRET, address="127.0.0.1/32")
    yield live
    live.stop()


@pytest.fixture
def radius_door(portal: LivePortal) -> RadiusAddress:
    """For the tests that come from beside the RADIUS door."""
    return RadiusAddress("127.0.0.1", portal.ports["radius-port"], SECRET)


@pytest.fixture
def door_url(portal: LivePortal) -> str:
    """For the tests that come from beside the CoAP door."""
    return portal.places["coap"]


def sessions(portal: LivePortal) -> int:
    """Rows that devices have made, by looking into the file behind the portal's back."""
    with sqlite3.connect(f"file:{portal.folder / 'onward.sqlite3'}?mode=ro", uri=True) as database:
        count: int = database.execute("SELECT count(*) FROM engine_session").fetchone()[0]
        return count


# --- RADIUS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["alice@example.org", "noob", "@", "@example.org", "x" * 240])
async def test_an_identity_that_nobody_serves_is_rejected_at_once(portal, radius_door, tmp_path, identity):
    before = sessions(portal)
    network = {"eap": "MD5", "identity": quoted(identity), "password": quoted("x")}
    run = await eapol_test(tmp_path, radius_door, network, "-t", "10")
    assert run.code == 252, run.output
    assert "Access-Reject" in run.output
    assert "EAP: Received EAP-Failure" in run.output
    assert "vendor 0 method 56" not in run.output
    assert run.seconds < 5
    assert sessions(portal) == before


async def test_both_names_of_eap_noob_are_offered_it(radius_door, tmp_path):
    network = {"eap": "MD5", "identity": quoted("@noob.eap.arpa"), "password": quoted("x")}
    run = await eapol_test(tmp_path, radius_door, network, "-t", "10")
    assert run.code == 252, run.output
    assert "vendor 0 method 56" in run.output
    assert "Access-Reject" in run.output


async def test_a_client_that_nobody_entered_is_met_with_silence(radius_door, tmp_path):
    run = await eapol_test(tmp_path, radius_door, OTHER_METHODS["MD5"], "-t", "3", "-A", "127.0.0.9")
    assert "EAPOL test timed out" in run.output
    assert "Received RADIUS message" not in run.output


# --- CoAP -----------------------------------------------------------------------------------------------


async def test_nobody_reads_a_plan_by_guessing_its_name(portal, coap_client, door_url, tmp_path):  # noqa: F811
    before = sessions(portal)
    (tmp_path / "body").write_bytes(os.urandom(300))
    _, errors = await run(
        coap_client, "-m", "post", "-B", "5", "-t", "16", "-f", str(tmp_path / "body"),
        f"{door_url}/provision/AAAAAAAAAAAAAAAAAAAAAA",
    )  # fmt: skip
    assert errors.startswith("4.0")
    assert sessions(portal) == before


# --- HTTPS ----------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What curl heard."""

    status: int
    headers: dict[str, str]
    body: bytes


Curl = Callable[..., Answer]


@pytest.fixture
def curl(find_peer: Callable[[str], str], tmp_path: Path) -> Curl:
    program = find_peer("curl")

    def ask(url: str, *options: str, body: bytes | None = None, media_type: str = EAP_TYPE) -> Answer:
        """POST when there is a body."""
        words = [program, "-sSk", "-m", "20", "-D", str(tmp_path / "head"), "-o", str(tmp_path / "body")]
        if body is not None:
            (tmp_path / "sent").write_bytes(body)
            words += ["--data-binary", f"@{tmp_path / 'sent'}", "-H", f"Content-Type: {media_type}"]
        subprocess.run([*words, *options, url], check=True, capture_output=True, timeout=30)
        status, *lines = (tmp_path / "head").read_text().strip().splitlines()
        pairs = (line.partition(":") for line in lines if ":" in line)
        headers = {name.lower(): value.strip() for name, _colon, value in pairs}
        content = (tmp_path / "body").read_bytes() if (tmp_path / "body").exists() else b""
        return Answer(int(status.split()[1]), headers, content)

    return ask


def response(identifier: int, method: int, data: bytes) -> bytes:
    """An EAP-Response, octet by octet (RFC 3748 section 4.1): none of our own encoder's opinions."""
    return struct.pack("!BBHB", 2, identifier, 5 + len(data), method) + data


def noob_request(packet: bytes) -> tuple[int, dict]:
    """Identifier and JSON of an EAP-Request of type 56."""
    code, identifier, length, method = struct.unpack("!BBHB", packet[:5])
    assert (code, length, method) == (1, len(packet), NOOB)
    return identifier, json.loads(packet[5:])


@pytest.fixture(params=["devices", "portal"])
def base(request: pytest.FixtureRequest, portal: LivePortal) -> str:
    """EAP is served on the device TLS port and, for devices without TLS, on the portal's."""
    return portal.places[request.param]


def test_a_hand_made_device_opens_and_negotiates_with_curl(curl: Curl, base: str):
    opening = response(7, IDENTITY, b"noob@eap-noob.arpa")
    opened = curl(f"{base}/eap", body=opening)
    assert opened.status == 201
    assert opened.headers["content-type"] == EAP_TYPE
    assert opened.headers["onward-eap"] == "continue"
    assert opened.headers["cache-control"] == "no-store"
    identifier, discovery = noob_request(opened.body)
    assert discovery == {"Type": 1}
    where = base + opened.headers["location"]

    said = response(identifier, NOOB, b'{"Type":1,"PeerState":0}')
    asked = curl(where, body=said)
    assert (asked.status, asked.headers["onward-eap"]) == (200, "continue")
    identifier, negotiation = noob_request(asked.body)
    assert negotiation["Type"] == 2
    assert negotiation["Vers"] == [1]
    assert negotiation["Cryptosuites"] == [1, 2]
    assert len(negotiation["PeerId"]) == 22
    assert len(json.dumps(negotiation["ServerInfo"], separators=(",", ":")).encode()) <= 500

    again = curl(where, body=said)
    assert again.body == asked.body, "a repeated request is answered with the same octets"


def test_a_nak_ends_it_with_a_failure(curl: Curl, base: str):
    opened = curl(f"{base}/eap", body=response(1, IDENTITY, b"noob@eap-noob.arpa"))
    identifier, _ = noob_request(opened.body)
    ended = curl(base + opened.headers["location"], body=response(identifier, 3, b"\x00"))
    assert (ended.status, ended.headers["onward-eap"]) == (200, "failure")
    assert ended.body[0] == 4
    assert len(ended.body) == 4


def test_an_identity_that_nobody_serves_ends_in_the_first_answer(curl: Curl, base: str, portal: LivePortal):
    before = sessions(portal)
    answer = curl(f"{base}/eap", body=response(1, IDENTITY, b"bob@example.org"))
    assert (answer.status, answer.headers["onward-eap"], answer.body[0]) == (200, "failure", 4)
    assert "location" not in answer.headers
    assert sessions(portal) == before


OPENING = response(1, IDENTITY, b"noob@eap-noob.arpa")
WRONG = {
    "GET": (405, "/eap", None, EAP_TYPE),
    "another media type": (415, "/eap", OPENING, "application/json"),
    "nothing": (400, "/eap", b"", EAP_TYPE),
    "noise": (400, "/eap", b"\xff" * 40, EAP_TYPE),
    "a request": (409, "/eap", b"\x01" + OPENING[1:], EAP_TYPE),
    "a method before the identity": (409, "/eap", response(1, NOOB, b'{"Type":1,"PeerState":0}'), EAP_TYPE),
    "a length that lies": (400, "/eap", OPENING[:2] + b"\xff\xff" + OPENING[4:], EAP_TYPE),
    "a novel": (413, "/eap", b"\x02" * 100_000, EAP_TYPE),
    "a conversation that never was": (404, "/eap/AAAAAAAAAAAAAAAAAAAAAA", OPENING, EAP_TYPE),
    "an endless token": (404, "/eap/" + "A" * 3000, OPENING, EAP_TYPE),
    "a plan that never was": (404, "/provision/AAAA", b"\x83", "application/cose"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_hears_its_status_and_leaves_no_row(
    curl: Curl, base: str, portal: LivePortal, wrong: str
):
    before = sessions(portal)
    status, path, body, media_type = WRONG[wrong]
    answer = curl(base + path, body=body, media_type=media_type)
    assert answer.status == status, answer
    assert b"Traceback" not in answer.body
    assert sessions(portal) == before


def test_an_answer_to_no_request_of_ours_is_a_conflict_and_changes_nothing(curl: Curl, base: str):
    opened = curl(f"{base}/eap", body=OPENING)
    identifier, _ = noob_request(opened.body)
    where = base + opened.headers["location"]
    said = response(identifier, NOOB, b'{"Type":1,"PeerState":0}')
    asked = curl(where, body=said)
    stray = response((identifier + 9) % 256, NOOB, b'{"Type":1,"PeerState":0}')
    assert curl(where, body=stray).status == 409
    assert curl(where, body=said).body == asked.body


def test_one_message_sent_many_times_at_once_is_one_message(base: str, portal: LivePortal):
    """What impatient devices and proxies do: each copy hears the same octets, and there is one session."""
    headers = {"Content-Type": EAP_TYPE}
    with httpx.Client(verify=False, headers=headers) as client:
        opened = client.post(f"{base}/eap", content=OPENING)
        identifier, _ = noob_request(opened.content)
        where = base + opened.headers["location"]
        before = sessions(portal)
        said = response(identifier, NOOB, b'{"Type":1,"PeerState":0}')
        with ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(lambda _: client.post(where, content=said), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sessions(portal) == before + 1


def test_the_device_port_shows_one_certificate_that_names_this_host(
    curl: Curl, find_peer: Callable[[str], str], portal: LivePortal
):
    health = f"{portal.places['devices']}/healthz"
    strict = [find_peer("curl"), "-sS", "-m", "10", health]
    assert subprocess.run(strict, capture_output=True, check=False).returncode == 60, "nobody else signed it"
    trusting = [*strict, "--cacert", str(portal.folder / "secrets" / "device-tls.pem")]
    done = subprocess.run(trusting, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ok"


def test_health_names_every_door(curl: Curl, base: str):
    answer = curl(f"{base}/healthz")
    assert answer.status == 200
    health = json.loads(answer.body)
    assert health["status"] == "ok"
    assert health["doors"] == dict.fromkeys(["web", "devices", "coap", "radius", "worker"], "up")
    assert health["version"]


def test_none_of_this_was_our_fault(portal: LivePortal):
    """Last on purpose: everything above went through these processes."""
    ours = [line for line in portal.log.read_text().splitlines() if "[error" in line or "[critical" in line]
    assert ours == []
