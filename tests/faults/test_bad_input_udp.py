"""Any bytes at the CoAP and RADIUS ports of a whole portal: a clean error or silence, no row, no end."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import random
import socket
import struct
import urllib.parse
import urllib.request

import aiocoap
import pytest

from bootstrap.wire import eap

pytestmark = pytest.mark.xdist_group("faults")

SECRET = b"s3cret-of-the-radius-client"
IDENTITY = eap.response(0, eap.EapType.IDENTITY, b"noob@eap-noob.arpa").encode()
ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11


def asked(url: str, datagrams: list[bytes], *, wait: float = 1.0, enough: int = 10_000) -> list[bytes]:
    """The answers to these datagrams, sent from one socket, until there are enough."""
    parts = urllib.parse.urlsplit(url)
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((parts.hostname, parts.port))
        sender.settimeout(wait)
        for datagram in datagrams:
            with contextlib.suppress(OSError):
                sender.send(datagram)
        with contextlib.suppress(TimeoutError):
            while len(answers) < enough:
                answers.append(sender.recv(65536))
    return answers


def healthy(target) -> None:
    with urllib.request.urlopen(target.portal.portal + "/healthz", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!BB", kind, len(value) + 2) + value


def radius(
    packet: bytes, *, secret: bytes = SECRET, state: bytes = b"", identifier: int = 1, extra: bytes = b""
) -> bytes:
    """An Access-Request with this EAP packet, signed."""
    authenticator = os.urandom(16)
    attributes = attribute(80, bytes(16)) + extra
    for start in range(0, len(packet), 253):
        attributes += attribute(79, packet[start : start + 253])
    if state:
        attributes += attribute(24, state)
    whole = struct.pack("!BBH", ACCESS_REQUEST, identifier, 20 + len(attributes)) + authenticator + attributes
    signature = hmac.new(secret, whole, hashlib.md5).digest()
    return whole[:22] + signature + whole[38:]


def relatives(dice: random.Random, message: bytes) -> list[bytes]:
    flipped = bytearray(message)
    flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
    cut = message[: dice.randrange(len(message))]
    return [bytes(flipped), cut, message + dice.randbytes(9), dice.randbytes(dice.randrange(1, 300))]


def test_a_radius_datagram_that_is_not_signed_right_gets_silence(target):
    dice = random.Random(3)
    good = radius(IDENTITY)
    datagrams = [b"", b"\x01", good[:19], bytes(20), bytes(4096), dice.randbytes(65_000)]
    datagrams += [radius(IDENTITY, secret=b"another"), radius(b"", secret=b"another")]
    datagrams += [good[:22] + bytes(16) + good[38:], good[:20] + good[38:]]
    for _ in range(40):
        datagrams += [other for other in relatives(dice, good) if other[: len(good)] != good]
    before, offset = target.rows(), target.log_end()
    assert asked(target.portal.places["radius"], datagrams) == []
    lines = target.log_from(offset)
    assert any("radius.dropped" in line for line in lines)
    assert not [line for line in lines if "Traceback" in line or SECRET.decode() in line]
    assert target.rows() == before
    assert [answer[0] for answer in asked(target.portal.places["radius"], [good], enough=1)] == [
        ACCESS_CHALLENGE
    ]
    healthy(target)


def test_what_a_right_secret_carries_ends_in_a_reject_and_leaves_no_row(target):
    dice = random.Random(4)
    url = target.portal.places["radius"]
    (challenge,) = asked(url, [radius(IDENTITY)], wait=3, enough=1)
    state = _state(challenge)
    hello = eap.response(1, eap.EapType.NOOB, b'{"Type":1,"PeerState":0}').encode()
    before, offset = target.rows(), target.log_end()
    packets = [(b"\x02\x00\x00\x04", b""), (IDENTITY[:-3], b""), (b"\x01" + IDENTITY[1:], b"")]
    packets += [(hello, b"x" * 40), (hello, b"\xff\xfe"), (hello, state[:-2] + b"AA"), (hello, b"")]
    packets += [(other, b"not ours") for _ in range(10) for other in relatives(dice, hello) if other]
    packets += [(eap.response(1, eap.EapType.NOOB, body).encode(), state) for body in BAD_NOOB]
    # Each source port has its own 256 identifiers; one at a time shows which answer belongs to which.
    for packet, given in packets:
        answers = asked(url, [radius(packet, state=given)], wait=3, enough=1)
        assert len(answers) == 1, packet
        code = answers[0][0]
        assert code == ACCESS_REJECT or (code == ACCESS_CHALLENGE and b'"Type":0' in answers[0]), (
            packet,
            code,
        )
    lines = target.log_from(offset)
    assert not [line for line in lines if "Traceback" in line or SECRET.decode() in line]
    assert not [line for line in lines if state.decode() in line]
    assert target.rows() == before
    healthy(target)


BAD_NOOB = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"Type":1}',
    b'{"Type":1,"PeerState":9}',
    b'{"Type":99,"PeerState":0}',
    b'{"Type":1,"PeerState":0,"PeerId":5}',
    b'{"Type":1,"PeerState":1e400}',
    b'{"Type":1,"PeerState":' + b"9" * 400 + b"}",
    b"[" * 400,
    b'{"Type":1,"PeerState":2,"PeerId":"\\ud800"}',
    b'{"Type":1,"PeerState":1,"PeerId":"\\u0000"}',
    b"\xff\xfe\x00",
    b'{"Type":2,"PeerId":"x","Verp":1}',
    b'{"Type":6,"PeerId":"x","NoobId":"x","MACp":"x"}',
]
"""Type-Data that no state allows."""


def _state(packet: bytes) -> bytes:
    at = 20
    while at < len(packet):
        if packet[at] == 24:
            return packet[at + 2 : at + packet[at + 1]]
        at += packet[at + 1]
    raise AssertionError("no State")


def coap(code: int, path: tuple[str, ...], payload: bytes = b"", mid: int = 1, **options) -> bytes:
    message = aiocoap.Message(code=code, payload=payload, uri_path=path, **options)
    message.mtype, message.mid, message.token = aiocoap.CON, mid, b"tokn"
    return message.encode()


def test_a_coap_datagram_gets_an_error_code_or_silence_and_leaves_no_row(target):
    dice = random.Random(5)
    url = target.portal.places["coap"]
    before, offset = target.rows(), target.log_end()
    requests = [
        coap(aiocoap.POST, ("provision", "AAAAAAAAAAAAAAAAAAAAAA"), b"\xd0\x83", 1, content_format=16),
        coap(aiocoap.POST, ("provision", "a\0b"), b"x", 2),
        coap(aiocoap.POST, ("provision", "ключ-設備"), b"x", 3),
        coap(aiocoap.POST, ("provision", "n" * 250), b"x", 4),
        coap(aiocoap.GET, ("provision", "x"), b"", 5),
        coap(aiocoap.POST, ("nothing", "here"), b"", 6),
        coap(aiocoap.POST, (".well-known", "coap-eap"), b"\xff\xfe", 7),
        coap(aiocoap.POST, (".well-known", "coap-eap"), b"x" * 1000, 8),
        coap(aiocoap.GET, (".well-known", "coap-eap"), b"", 9),
        coap(aiocoap.POST, ("provision", "x"), b"x", 10, proxy_uri="http://evil/"),
    ]
    for number, request in enumerate(requests):
        answers = asked(url, [request], wait=3.0, enough=1)
        assert answers, number
        assert all(answer[1] >> 5 == 4 or answer[1] == 0xA5 for answer in answers), (number, answers)
    garbage = [b"", b"\x40", bytes(20), dice.randbytes(60_000)]
    garbage += [other for request in requests for _ in range(6) for other in relatives(dice, request)]
    asked(url, garbage, wait=1.0)
    lines = target.log_from(offset)
    assert not [line for line in lines if "Traceback" in line]
    assert target.rows() == before
    assert asked(url, [coap(aiocoap.GET, (".well-known", "core"), b"", 99)], wait=3.0, enough=1)
    healthy(target)
