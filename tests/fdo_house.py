"""FDO through the real engine and store: one organization that is manufacturer, rendezvous and owner, and devices
that are the protocol's own peers. What a worker would settle is done by hand, so that only the hot path is here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.core.cache import cache
from django.utils import timezone
from engine_world import House, forget_directories

from bootstrap.contract import Inbound, Via
from bootstrap.doors import fdo
from bootstrap.engine import envelope
from bootstrap.engine.envelope import Envelope
from bootstrap.engine.models import Session
from bootstrap.protocols.fdo.constants import KeyEncoding, KeyType
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite
from bootstrap.protocols.fdo.crypto.kex import KexSuite
from bootstrap.protocols.fdo.device import (
    DeviceCredential,
    DiDevice,
    Finished,
    To1Device,
    To2Device,
    To2Options,
)
from bootstrap.protocols.fdo.messages import DeviceMfgInfo, RvTo2Addr, To1d
from bootstrap.protocols.fdo.owner_client import Accepted, To0Client
from bootstrap.protocols.fdo.server import OwnerMaterial, OwnerState
from bootstrap.protocols.fdo.server.di import DiState
from bootstrap.protocols.fdo.service_info import Devmod
from bootstrap.protocols.fdo.service_info.device import DeviceModules, EffectFailed, Ran
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, SoftSigner
from devices.models import Device, Membership
from devices.services.fdo import fdo_setup

ADDRESS = "192.0.2.77"
SUITES = {KeyKind.P256: KexSuite.ECDH256, KeyKind.P384: KexSuite.ECDH384}
TYPES = {KeyKind.P256: KeyType.SECP256R1, KeyKind.P384: KeyType.SECP384R1}


class Notebook:
    """A device's side effects: everything is written down, nothing is done."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commands: list[tuple[str, tuple[str, ...]]] = []

    def write_file(self, name: str, content: bytes) -> None:
        self.files[name] = content

    def read_file(self, name: str) -> bytes:
        if name not in self.files:
            raise EffectFailed(f"no {name}")
        return self.files[name]

    def run(self, command: str, args: tuple[str, ...]) -> Ran:
        self.commands.append((command, tuple(args)))
        return Ran(0, b"out\n", b"")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody should ask for {name}")


@dataclass
class Exchange:
    """One request and its answer."""

    number: int
    body: bytes
    token: str
    answer: fdo.Answer


@dataclass
class Thing:
    """One FDO device."""

    house: House
    serial: str = "SN-1"
    kind: KeyKind = KeyKind.P256
    encoding: KeyEncoding = KeyEncoding.X509
    station: str = ""
    source: str = ADDRESS
    credential: DeviceCredential | None = None
    log: list[Exchange] = field(default_factory=list)
    effects: Notebook = field(default_factory=Notebook)

    def __post_init__(self) -> None:
        self.signer = SoftSigner.generate(self.kind)

    def send(self, number: int, body: bytes, token: str = "", station: str = "") -> fdo.Answer:
        """One message through what every transport shares."""
        route = fdo.Route(number, station)
        inbound = Inbound(body, Via.HTTPS, self.source, operation=fdo.operation_of(route), token=token)
        answer = self.house.run(fdo.answer(self.house.engine.handle, route, inbound))
        self.log.append(Exchange(number, body, token, answer))
        return answer

    def converse(self, party: Any, *, until: int = 256, station: str = "") -> Any:
        """To the party's end, or up to (and without) message ``until``, which is returned with its token."""
        following, token = party.begin(), ""
        while isinstance(following, tuple):
            number, body = following
            if number >= until:
                return number, body, token
            answer = self.send(number, body, token, station)
            token = answer.token or token
            following = party.receive(answer.number, answer.body)
        return following

    def converse_begin(self, protocol: str) -> tuple[int, bytes]:
        """The first message of TO1 or TO2."""
        assert self.credential is not None
        return To1Device(self.credential, self.signer).begin() if protocol == "to1" else self.party().begin()

    def request(self) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.serial)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        made = builder.sign(self.signer.private_key, SHA384() if self.kind is KeyKind.P384 else SHA256())
        return made.public_bytes(Encoding.DER)

    def di(self) -> DiDevice:
        info = DeviceMfgInfo(TYPES[self.kind], self.encoding, self.serial, "Lamp", self.request())
        return DiDevice(info, os.urandom(32), self.kind)

    def initialize(self) -> Voucher:
        """DI; the credential is kept, the voucher comes out of the session's row."""
        self.credential = self.converse(self.di(), station=self.station)
        return self.initialized()

    def initialized(self) -> Voucher:
        row = Session.objects.get(protocol="fdo-di", locator=self.guid)
        opened = envelope.unseal(bytes(row.state), row.protocol, row.locator)
        return Voucher.decode(thaw(DiState, opened.state).voucher)

    @property
    def guid(self) -> str:
        assert self.credential is not None
        return self.credential.guid.hex()

    def admit(self, mine: Membership, **words: Any) -> Device:
        """DI, and what a worker makes of it: a device with the owner's session."""
        return self.session_of(mine, self.initialize(), **words)

    def session_of(self, mine: Membership, voucher: Voucher, **words: Any) -> Device:
        """The rows of a voucher that was admitted."""
        device = Device.objects.create(
            organization=mine.organization, method="fdo", serial=self.serial, **({"state": "known"} | words)
        )
        now = timezone.now()
        Session.objects.create(
            protocol="fdo",
            locator=self.guid,
            organization=mine.organization,
            device=device,
            serial=self.serial,
            state=envelope.seal(Envelope(freeze(OwnerState())), "fdo", self.guid),
            material=envelope.seal_material(freeze(OwnerMaterial(voucher.encode())), "fdo", self.guid),
            version=1,
            messages=0,
            created_at=now,
            seen_at=now,
        )
        return device

    def to0(self, voucher: Voucher, wait_seconds: int = 3600) -> Accepted:
        signer = self.house.directory.current.fdo_policy(self.organization).signers[
            voucher.owner_key.handle().der
        ]
        address = RvTo2Addr(None, "owner.example.org", 8080, 3)
        return self.converse(To0Client(voucher, signer, (address,), wait_seconds))

    @property
    def organization(self) -> int:
        return next(iter(self.house.directory.current.fdo))

    def to1(self) -> To1d:
        assert self.credential is not None
        return self.converse(To1Device(self.credential, self.signer))

    def party(self, to1d: To1d | None = None, **options: Any) -> To2Device:
        assert self.credential is not None
        words: dict[str, Any] = {"kex": SUITES[self.kind], "cipher": CipherSuite.A128GCM} | options
        return To2Device(self.credential, self.signer, to1d, self._modules, os.urandom, To2Options(**words))

    def _modules(self, limit: int | None) -> DeviceModules:
        devmod = Devmod(
            os="linux",
            arch="arm",
            version="1",
            device="Lamp",
            sn=self.serial,
            sn_form="bytes",
            sep="/",
            bin="arm",
        )
        return DeviceModules(devmod, self.effects, limit)

    def to2(self, to1d: To1d | None = None, **options: Any) -> Finished:
        """The whole of TO2; the new credential is kept."""
        done = self.converse(self.party(to1d, **options))
        self.credential = done.credential
        return done


@pytest.fixture
def factory(mine: Membership) -> Iterator[House]:
    """The engine, with Mine as manufacturer, rendezvous and owner."""
    fdo_setup(mine.organization, None)
    forget_directories()
    cache.clear()
    built = House()
    yield built
    built.close()
