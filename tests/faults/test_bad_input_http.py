"""Any bytes at the HTTP doors of a whole portal: a clean error, one log line without secrets, no new row."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import ssl
import time
import urllib.parse
import urllib.request

import pytest

from bootstrap.wire import eap

pytestmark = pytest.mark.xdist_group("faults")

EAP = "application/vnd.onward.eap"
COSE = 'application/cose; cose-type="cose-encrypt0"'
IDENTITY = eap.response(0, eap.EapType.IDENTITY, b"noob@eap-noob.arpa").encode()
LINE = re.compile(r"http\.refused|Invalid HTTP request|Traceback")
CLEAN = re.compile(rb"\A[A-Za-z ,;/.-]*\n?\Z")


def raw(url: str, octets: bytes, *, seconds: float = 10.0, half_close: bool = False) -> bytes:
    """What comes back for these octets, up to the end of the connection or of our patience."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as plain:
        connection: socket.socket = plain
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(plain)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(octets)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError, ssl.SSLError):
            while True:
                part = connection.recv(65536)
                if not part:
                    break
                received += part
        return received


def post(
    url: str, path: bytes, body: bytes, content_type: str = EAP, *headers: bytes
) -> tuple[int, bytes, bytes]:
    """Status, head and body of one POST written by hand."""
    head = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: x",
        b"Content-Type: " + content_type.encode("latin-1"),
        b"Content-Length: " + str(len(body)).encode(),
        b"Connection: close",
        *headers,
    ]
    answer = raw(url, b"\r\n".join(head) + b"\r\n\r\n" + body)
    top, _blank, rest = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 "), answer[:200]
    return int(top.split()[1]), top, rest


def opened(url: str) -> tuple[str, bytes]:
    """A fresh conversation: its path and the first request."""
    status, head, body = post(url, b"/eap", IDENTITY)
    assert status == 201, body
    return re.search(rb"(?i)location: (\S+)", head).group(1).decode(), body


def healthy(target) -> None:
    with urllib.request.urlopen(target.portal.portal + "/healthz", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"


def noob(identifier: int, body: bytes) -> bytes:
    return eap.response(identifier, eap.EapType.NOOB, body).encode()


def mutations(seed: int, message: bytes) -> list[bytes]:
    """Flipped, cut, stretched, doubled and made-up relatives of one real message."""
    dice = random.Random(seed)
    made = []
    for _ in range(6):
        flipped = bytearray(message)
        flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        made.append(bytes(flipped))
        made.append(message[: dice.randrange(len(message))])
        made.append(message + dice.randbytes(dice.randrange(1, 50)))
        made.append(dice.randbytes(dice.randrange(0, 200)))
    return [*made, message * 2, b"", b"\0" * 4000]


def bad_requests(url: str) -> list[tuple[str, bytes, bytes, str]]:
    """(why, path, body, type): each must be refused and leave nothing."""
    path, first = opened(url)
    token = path.removeprefix("/eap/")
    identifier = eap.EapPacket.decode(first).identifier
    hello = noob(identifier, b'{"Type":1,"PeerState":0}')
    changed = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    cases = [
        (f"identity {n}", b"/eap", body, EAP)
        for n, body in enumerate(mutations(1, hello))
        if body != IDENTITY
    ]
    cases += [
        (f"type 1 {n}", b"/eap/" + token.encode(), b"\x01" + body, EAP)
        for n, body in enumerate(mutations(2, hello))
    ]
    cases += [
        ("wrong token", b"/eap/" + changed.encode(), hello, EAP),
        ("no token of ours", b"/eap/" + b"A" * 120, hello, EAP),
        ("token that is no text", b"/eap/%ff%fe%00%0a%1b[31m", hello, EAP),
        ("token with slashes", b"/eap//../../etc/passwd", hello, EAP),
        ("token too long", b"/eap/" + b"A" * 5000, hello, EAP),
        ("type 2 before type 1", path.encode(), noob(identifier, b'{"Type":2,"PeerId":"x"}'), EAP),
        ("wrong content type", b"/eap", IDENTITY, "text/html"),
        ("no content type", b"/eap", IDENTITY, ""),
        ("odd content type", b"/eap", IDENTITY, "\x7f\xff;;;"),
        ("oversized", b"/eap", IDENTITY + b"x" * 5000, EAP),
        ("huge plan", b"/provision/x", b"x" * 70_000, COSE),
        ("plan of nobody", b"/provision/AAAAAAAAAAAAAAAAAAAAAA", b"\xd0\x83", COSE),
        ("NUL in the name", b"/provision/a%00b", b"\xd0\x83", COSE),
        ("line break in the name", b"/provision/a%0d%0aSet-Cookie:x%0a", b"\xd0\x83", COSE),
        ("non-ASCII name", b"/provision/" + "ключ-設備".encode().hex("%").encode(), b"\xd0", COSE),
        (
            "non-ASCII escapes",
            b"/provision/" + urllib.parse.quote("ключ-設備").encode(),
            b"\xd0",
            COSE,
        ),
        ("terminal escapes", b"/provision/%1b%5b2J", b"\xd0\x83", COSE),
        ("very long name", b"/provision/" + b"n" * 20_000, b"\xd0\x83", COSE),
        ("empty name", b"/provision/", b"\xd0\x83", COSE),
    ]
    return cases


@pytest.mark.parametrize("door", ["portal", "devices"])
def test_each_bad_request_gets_one_clean_error_and_one_line_and_no_row(target, door):
    url = target.portal.places[door]
    cases = bad_requests(url)
    before = target.rows()
    for why, path, body, content_type in cases:
        offset = target.log_end()
        status, head, answer = post(url, path, body, content_type)
        if status in (200, 201):
            # EAP's own errors travel inside: a Failure, or EAP-NOOB's notification before it.
            assert b"onward-eap: continue" not in head.lower() or b'"Type":0' in answer, (why, answer)
            continue
        assert 400 <= status < 500, (why, status, answer[:200])
        assert CLEAN.match(answer), (why, answer[:200])
        lines = [line for line in target.log_from(offset) if LINE.search(line)]
        assert len(lines) == 1, (why, lines)
        assert "\x1b" not in lines[0], why
        assert not path.startswith(b"/eap/") or path[5:].decode("latin-1") not in lines[0], why
    assert target.rows() == before
    healthy(target)


def test_what_is_no_http_gets_a_400_or_nothing(target):
    url = target.portal.portal
    before = target.rows()
    smuggled = b"POST /eap HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.onward.eap\r\n"
    for octets in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\0/healthz HTTP/1.1\r\n\r\n",
        b"POST /eap\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        smuggled + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        smuggled + b"Content-Length: -1\r\n\r\n",
        smuggled + b"Content-Length: 99999999999999999999\r\n\r\n",
        smuggled + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        smuggled + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n0\r\n\r\n",
        smuggled + b"X: a\nTransfer-Encoding : chunked\r\n\r\n",
        random.Random(7).randbytes(5000),
    ):
        offset = target.log_end()
        answer = raw(url, octets, seconds=3, half_close=True)
        assert not answer or answer.split()[1] in (b"400", b"404", b"409", b"413"), (octets[:60], answer[:80])
        assert answer.count(b"HTTP/1.1 ") <= 1, (octets[:60], answer)
        assert not [line for line in target.log_from(offset) if "Traceback" in line], octets[:60]
    assert target.rows() == before
    healthy(target)


def test_a_head_without_end_is_cut_off(target):
    octets = b"GET /healthz HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(400))
    assert b" 431 " in raw(target.portal.portal, octets, seconds=5)


def test_six_bodies_that_never_come_do_not_stop_the_pages(target):
    """There are six threads for pages: none of them may wait for a slow client."""
    parts = urllib.parse.urlsplit(target.portal.portal)
    slow = []
    try:
        for path in [b"/api/v1/claims", b"/eap", b"/provision/x"] * 6:
            connection = socket.create_connection((parts.hostname, parts.port), timeout=5)
            connection.sendall(
                b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            slow.append(connection)
        time.sleep(0.5)
        started = time.monotonic()
        target.portal.get("/api/v1/devices", target.token)
        assert time.monotonic() - started < 5
    finally:
        for connection in slow:
            connection.close()
    healthy(target)


def test_silent_connections_are_closed(target):
    parts = urllib.parse.urlsplit(target.portal.portal)
    with socket.create_connection((parts.hostname, parts.port), timeout=25) as silent:
        silent.sendall(b"GET / HT")
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
        assert time.monotonic() - started < 20
