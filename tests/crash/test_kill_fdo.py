"""The web process dies with kill -9 at the message boundaries of DI and TO2: the device has the old voucher or the new
one, never none, never both, and always gets through in the end."""

from __future__ import annotations

import http.client
import os
import sqlite3
from typing import Any

import pytest
from conftest import LONG
from test_message_boundaries import Web

from bootstrap.protocols.fdo.constants import KeyEncoding, KeyType
from bootstrap.protocols.fdo.crypto.kex import KexSuite
from bootstrap.protocols.fdo.device import DeviceCredential, DiDevice, Finished, To2Device, To2Options
from bootstrap.protocols.fdo.messages import DeviceMfgInfo
from bootstrap.protocols.fdo.service_info import Devmod
from bootstrap.protocols.fdo.service_info.device import DeviceModules, EffectFailed, Ran
from bootstrap.simulator.fdo.device import _request
from bootstrap.wire.keys import KeyKind, SoftSigner

pytestmark = [pytest.mark.timeout(400)]
DEADLY = {10, 12, 60, 62, 64, 66, 68, 70} if LONG else {12, 64, 66, 70}
"""Requests whose answer is lost with the process; the long form also kills before each."""
REPEATED = {12, 64, 66, 68, 70}
"""Answered from the row that their first answer left: octet for octet the same after a restart."""
SETTLE = """
from django.db import transaction
from django.utils import timezone
from bootstrap.bindings.vouchers import settle
from devices.models import Device
settle.settle_di(timezone.now())
with transaction.atomic():
    for pk in Device.objects.values_list("pk", flat=True):
        settle.settle_to2(pk)
"""


class Plain:
    """A device that does nothing it is asked to."""

    def write_file(self, name: str, content: bytes) -> None:
        raise EffectFailed("no")

    def read_file(self, name: str) -> bytes:
        raise EffectFailed("no")

    def run(self, command: str, args: tuple[str, ...]) -> Ran:
        raise EffectFailed("no")

    def fetch(self, url: str) -> bytes:
        raise EffectFailed("no")

    def certificate_request(self) -> bytes | None:
        return None

    def certificate(self, certificate: bytes, authorities: bytes) -> None:
        raise EffectFailed("no")


class Factory:
    """One device, and a portal whose web process comes and goes."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.signer = SoftSigner.generate(KeyKind.P256)
        self.told: list[tuple[int, str]] = []

    def post(self, number: int, body: bytes, token: str) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=20)
        headers = {"Content-Type": "application/cbor", "Message-Type": str(number)}
        try:
            connection.request(
                "POST", f"/fdo/101/msg/{number}", body, headers | ({"Authorization": token} if token else {})
            )
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, (number, answer.status, content)
            return int(answer.headers["Message-Type"]), content, answer.headers.get("Authorization", token)
        finally:
            connection.close()

    def over_deaths(self, number: int, body: bytes, token: str) -> tuple[int, bytes, str]:
        """The process dies before the message comes (long form), and with its answer on the way."""
        if number not in DEADLY:
            return self.post(number, body, token)
        if LONG:
            self.web.kill()
            self.web.start()
        lost = self.post(number, body, token)
        self.web.kill()
        self.one_voucher()
        self.web.start()
        again = self.post(number, body, token)
        if number in REPEATED:
            assert again == lost, number
        return again

    def converse(self, party: Any, deadly: bool = True) -> Any:
        following, token = party.begin(), ""
        while isinstance(following, tuple):
            number, body = following
            carry = self.over_deaths if deadly else self.post
            answer, received, token = carry(number, body, token)
            following = party.receive(answer, received)
        return following

    def made(self) -> DeviceCredential:
        info = DeviceMfgInfo(
            KeyType.SECP256R1, KeyEncoding.X509, "EDGE-1", "crash", _request(self.signer, "EDGE-1")
        )
        credential: DeviceCredential = self.converse(DiDevice(info, os.urandom(32), KeyKind.P256))
        self.settle()
        return credential

    def onboarded(self, credential: DeviceCredential, deadly: bool = True) -> Finished:
        devmod = Devmod(os="linux", arch="x", version="1", device="d", sep="/", bin="x")
        done: Finished = self.converse(
            To2Device(
                credential,
                self.signer,
                None,
                lambda limit: DeviceModules(devmod, Plain(), limit),
                os.urandom,
                To2Options(KexSuite.ECDH256),
            ),
            deadly,
        )
        return done

    def settle(self) -> None:
        self.web.files.manage("shell", "-c", SETTLE)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        database = sqlite3.connect(self.web.files.folder / "onward.sqlite3", timeout=10)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def one_voucher(self) -> None:
        """Of a device that has a row: one current voucher, and the session that serves it."""
        devices = self.rows("SELECT id FROM devices_device WHERE serial = 'EDGE-1'")
        current = self.rows("SELECT guid FROM devices_voucher WHERE current")
        assert len(current) == len(devices)
        served = {guid for (guid,) in self.rows("SELECT locator FROM engine_session WHERE protocol = 'fdo'")}
        assert {guid for (guid,) in current} <= served


@pytest.fixture
def factory(mortal):
    web = Web(mortal.copy())
    web.files.manage("fdo", "setup", "--organization", "Home")
    web.start()
    try:
        yield Factory(web)
    finally:
        web.kill()


def test_deaths_at_message_boundaries_leave_one_voucher_and_an_onboarded_device(factory: Factory):
    made = factory.made()
    assert factory.rows("SELECT guid, origin FROM devices_voucher") == [(made.guid.hex(), "di")]

    first = factory.onboarded(made)
    assert first.credential.guid != made.guid
    factory.one_voucher()
    factory.settle()
    factory.one_voucher()
    rows = factory.rows("SELECT guid, state, current FROM devices_voucher ORDER BY id")
    assert rows == [
        (made.guid.hex(), "superseded", 0),
        (first.credential.guid.hex(), "onboarded", 1),
    ]

    # It never got our last word and comes with the old credential: that is still good, and leads to the same GUID.
    second = factory.onboarded(made, deadly=False)
    assert second.credential.guid == first.credential.guid
    factory.settle()
    factory.one_voucher()

    third = factory.onboarded(second.credential, deadly=False)
    factory.settle()
    factory.one_voucher()
    assert factory.rows("SELECT guid FROM devices_voucher WHERE current") == [(third.credential.guid.hex(),)]
    served = factory.rows("SELECT locator FROM engine_session WHERE protocol = 'fdo'")
    assert (made.guid.hex(),) not in served, "what was replaced has had its day"
    assert factory.web.deaths >= len(DEADLY)


@pytest.mark.parametrize("last", [60, 62, 64, 66, 68] if LONG else [62, 66])
def test_a_device_that_loses_power_after_any_message_can_begin_again(factory: Factory, last: int):
    made = factory.made()

    class Unplugged(Exception):
        pass

    def until_unplugged(number: int, body: bytes, token: str) -> tuple[int, bytes, str]:
        answer = factory.post(number, body, token)
        if number == last:
            raise Unplugged
        return answer

    factory.over_deaths = until_unplugged  # type: ignore[method-assign]
    with pytest.raises(Unplugged):
        factory.onboarded(made)
    factory.one_voucher()
    done = factory.onboarded(made, deadly=False)
    factory.settle()
    factory.one_voucher()
    assert factory.rows("SELECT guid FROM devices_voucher WHERE current") == [(done.credential.guid.hex(),)]
