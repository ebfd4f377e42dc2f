"""A factory, an owner and a device led by hand, message by message, for tests of the three servers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from bootstrap.contract import Env, Outcome
from bootstrap.protocols.fdo.constants import KeyEncoding, KeyType
from bootstrap.protocols.fdo.crypto.hashes import HashType, digest, hmac
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, SessionKeys, derive
from bootstrap.protocols.fdo.crypto.kex import KexSuite, Shared, device_answer, suites_for
from bootstrap.protocols.fdo.crypto.session import open_, seal
from bootstrap.protocols.fdo.messages import (
    AppStart,
    DeviceMfgInfo,
    DeviceServiceInfo,
    DeviceServiceInfoReady,
    Done,
    Done2,
    GetOvNextEntry,
    HelloDevice,
    OvNextEntry,
    OwnerServiceInfo,
    OwnerServiceInfoReady,
    ProveDevice,
    ProveOvHdr,
    SetCredentials,
    SetHmac,
    SetupDevice,
)
from bootstrap.protocols.fdo.primitives import Hash, SigInfo
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.server import OwnerFacts, OwnerMessage, OwnerState, di, step
from bootstrap.protocols.fdo.voucher import OvHeader, Voucher
from bootstrap.protocols.fdo.voucher.transfer import extend, replacement_header
from bootstrap.wire import cbor
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, Signer, SoftSigner, default_algorithm
from bootstrap.wire.x509 import issue_device_certificate, self_signed_ca

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RVINFO = cbor.encode([[[5, cbor.encode("rv.example")], [3, cbor.encode(8041)], [12, cbor.encode(1)]]])
OTHER_RVINFO = cbor.encode([[[5, cbor.encode("new.example")], [3, cbor.encode(80)], [12, cbor.encode(1)]]])


def env(at: int = 0, seed: int | None = None) -> Env:
    """``at`` seconds after NOW; randomness that a seed repeats."""
    return Env(NOW + timedelta(seconds=at), random.Random(seed).randbytes)


def key(kind: KeyKind, name: str = "owner") -> SoftSigner:
    """The one key of this kind and name."""
    return _key(kind, name)


@lru_cache
def _key(kind: KeyKind, name: str) -> SoftSigner:
    return SoftSigner.generate(kind)


@lru_cache
def ca(kind: KeyKind) -> tuple[SoftSigner, bytes]:
    signer = key(kind, "ca")
    return signer, self_signed_ca(signer, "Factory", NOW, 30)


@lru_cache
def certificate(kind: KeyKind, name: str) -> tuple[bytes, ...]:
    """A chain for one of our own keys, for X5CHAIN."""
    signer, root = ca(KeyKind.P256)
    csr = request(key(kind, name), name)
    return (issue_device_certificate(csr, signer, root, 7, NOW, NOW + timedelta(days=999)), root)


def public(
    kind: KeyKind, name: str = "owner", encoding: KeyEncoding = KeyEncoding.X509, pss: bool = False
) -> PublicKey:
    chain = certificate(kind, name) if encoding is KeyEncoding.X5CHAIN else ()
    return PublicKey.of(key(kind, name).public, encoding, pss, chain)


def request(signer: SoftSigner, name: str = "device") -> bytes:
    wide = signer.public.kind in (KeyKind.P384, KeyKind.RSA3072)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    digest_of = hashes.SHA384() if wide else hashes.SHA256()
    return made.sign(signer.private_key, digest_of).public_bytes(serialization.Encoding.DER)


@dataclass
class Device:
    """What a device keeps, and what it has of the run that is under way."""

    signer: SoftSigner
    secret: bytes
    pss: bool = False
    guid: bytes = b""
    header: OvHeader | None = None
    suite: KexSuite = KexSuite.ECDH256
    cipher: CipherSuite = CipherSuite.A128GCM
    dialect: Dialect = Dialect.GO
    random: Callable[[int], bytes] = field(default_factory=lambda: random.Random(5).randbytes)
    hello_body: bytes = b""
    hdr: ProveOvHdr | None = None
    shared: Shared | None = None
    keys: SessionKeys = field(default_factory=lambda: SessionKeys(b""))
    setup_nonce: bytes = b"S" * 16

    @property
    def algorithm(self) -> int:
        return default_algorithm(self.signer.public.kind, pss=self.pss)

    def hmac_of(self, header: OvHeader) -> Hash:
        assert header.chain_hash is not None
        kind = HashType.HMAC_SHA256 if len(header.chain_hash.value) == 32 else HashType.HMAC_SHA384
        return Hash(kind, hmac(kind, self.secret, header.encode()))

    def hello(self, **other: Any) -> bytes:
        hello = HelloDevice(
            65535,
            self.guid,
            self.random(16),
            self.suite.value,
            int(self.cipher),
            SigInfo(self.algorithm),
        )
        self.hello_body = replace(hello, **other).encode()
        return self.hello_body

    def read_header(self, body: bytes) -> ProveOvHdr:
        self.hdr = ProveOvHdr.decode(body)
        self.hdr.verify(self.hdr.owner_public_key.handle())
        assert self.hdr.hello_hash.value == digest(self.hdr.hello_hash.type, self.hello_body)
        self.header = OvHeader.decode(self.hdr.header)
        assert self.hdr.hmac == self.hmac_of(self.header)
        return self.hdr

    def prove(self, **other: Any) -> bytes:
        assert self.hdr is not None
        owner = self.hdr.owner_public_key.handle()
        x_b, self.shared = device_answer(self.suite, self.hdr.x_a, self.random, owner)
        self.keys = derive(self.cipher, self.shared.secret, self.shared.context_rand, self.dialect)
        proof = ProveDevice(self.hdr.prove_dv_nonce, self.guid, x_b, self.setup_nonce)
        return replace(proof, **other).sign(self.signer, self.algorithm).encode()

    def open(self, body: bytes) -> bytes:
        return open_(self.cipher, self.keys, body, self.dialect)

    def seal(self, plaintext: bytes) -> bytes:
        return seal(self.cipher, self.keys, plaintext, self.random, self.dialect)

    def new_header(self, setup: SetupDevice) -> OvHeader:
        assert self.header is not None
        voucher = Voucher(self.header, Hash(5, bytes(32)), ())
        return replacement_header(voucher, guid=setup.guid, rvinfo=setup.rvinfo, owner2_key=setup.owner2_key)


@dataclass
class Factory:
    """A manufacturer's station."""

    facts: di.DiFacts

    def make(self, device: Device, serial: str = "S-1", seed: int | None = None) -> Voucher:
        info = DeviceMfgInfo(KeyType.SECP256R1, KeyEncoding.X509, serial, "lamp", request(device.signer))
        body, pending = di.open_(AppStart.decode(AppStart(info).encode()), self.facts, env(seed=seed))
        device.header = OvHeader.decode(SetCredentials.decode(body).header)
        device.guid = device.header.guid
        message = SetHmac.decode(SetHmac(device.hmac_of(device.header)).encode())
        outcome = di.finish(thaw(di.DiPending, freeze(pending)), message, self.facts, env(1))
        return Voucher.decode(outcome.state.voucher)


def factory(
    kind: KeyKind = KeyKind.P256,
    encoding: KeyEncoding = KeyEncoding.X509,
    pss: bool = False,
    device_kind: KeyKind | None = None,
    extended: bool = True,
) -> Factory:
    signer, root = ca(device_kind or kind)
    return Factory(
        di.DiFacts(
            signer=key(kind, "manufacturer"),
            manufacturer_key=public(kind, "manufacturer", encoding, pss),
            device_ca=signer,
            device_ca_chain=(root,),
            rvinfo=RVINFO,
            extend_to=(public(kind, "owner", encoding, pss),) if extended else (),
        )
    )


def device(kind: KeyKind = KeyKind.P256, pss: bool = False, suite: KexSuite | None = None) -> Device:
    return Device(key(kind, "device"), b"device secret", pss=pss, suite=suite or suites_for(kind)[0])


def signers(kind: KeyKind, *names: str) -> Callable[[bytes], Signer | None]:
    held = {key(kind, name).public.der: key(kind, name) for name in names or ("owner", "owner2")}
    return held.get


@dataclass
class Owner:
    """The owner's session of one device; the state is frozen between messages, as in the store."""

    facts: OwnerFacts
    state: OwnerState = field(default_factory=OwnerState)
    outcomes: list[Outcome[OwnerState]] = field(default_factory=list)
    randomness: Callable[[int], bytes] = field(default_factory=lambda: random.Random(9).randbytes)
    at: int = 100

    def send(self, number: int, body: bytes) -> bytes:
        """One message to its reply; whatever is raised leaves the state as it was."""
        here = Env(NOW + timedelta(seconds=self.at), self.randomness)
        outcome = step(self.state, OwnerMessage(number, body), self.facts, here)
        self.state = thaw(OwnerState, freeze(outcome.state))
        assert self.state == outcome.state
        self.outcomes.append(outcome)
        return outcome.reply.body

    @property
    def last(self) -> Outcome[OwnerState]:
        return self.outcomes[-1]


def owner(voucher: Voucher, kind: KeyKind = KeyKind.P256, **facts: Any) -> Owner:
    values: dict[str, Any] = {
        "guid": voucher.guid,
        "voucher": lambda: voucher,
        "signer": signers(kind),
        "owner2": (key(kind, "owner2"), public(kind, "owner2")),
        "rvinfo": OTHER_RVINFO,
    }
    return Owner(OwnerFacts(**(values | facts)))


DEVMOD: tuple[tuple[str, bytes], ...] = tuple(
    (f"devmod:{name}", cbor.encode(value))
    for name, value in {
        "active": True,
        "os": "linux",
        "arch": "amd64",
        "version": "12",
        "device": "lamp",
        "sn": b"S-1",
        "sep": ";",
        "bin": "amd64",
        "nummodules": 1,
        "modules": [0, 1, "devmod"],
    }.items()
)


def to_60(device: Device, owner: Owner, **hello: Any) -> None:
    device.read_header(owner.send(60, device.hello(**hello)))


def to_62(device: Device, owner: Owner, **hello: Any) -> None:
    to_60(device, owner, **hello)
    assert device.hdr is not None
    for number in range(device.hdr.num_entries):
        reply = OvNextEntry.decode(owner.send(62, GetOvNextEntry(number).encode()))
        assert reply.number == number


def to_64(device: Device, owner: Owner, **hello: Any) -> SetupDevice:
    to_62(device, owner, **hello)
    setup = SetupDevice.decode(device.open(owner.send(64, device.prove())))
    setup.verify(setup.owner2_key.handle())
    assert setup.nonce == device.setup_nonce
    return setup


def ready(device: Device, setup: SetupDevice, *, reuse: bool = False, size: int | None = 1300) -> bytes:
    hmac_of = None if reuse else device.hmac_of(device.new_header(setup))
    return device.seal(DeviceServiceInfoReady(hmac_of, size).encode())


def to_66(device: Device, owner: Owner, *, reuse: bool = False, **hello: Any) -> SetupDevice:
    setup = to_64(device, owner, **hello)
    reply = device.open(owner.send(66, ready(device, setup, reuse=reuse)))
    assert OwnerServiceInfoReady.decode(reply).max_device_service_info_size is not None
    return setup


def info(device: Device, owner: Owner, *kvs: tuple[str, bytes], is_more: bool = False) -> OwnerServiceInfo:
    body = device.seal(DeviceServiceInfo(is_more, kvs).encode())
    return OwnerServiceInfo.decode(device.open(owner.send(68, body)))


def to_68(device: Device, owner: Owner, *, reuse: bool = False, **hello: Any) -> SetupDevice:
    """As far as isDone, with nothing but devmod."""
    setup = to_66(device, owner, reuse=reuse, **hello)
    assert info(device, owner, *DEVMOD).is_done
    return setup


def done(device: Device) -> bytes:
    assert device.hdr is not None
    return device.seal(Done(device.hdr.prove_dv_nonce).encode())


def to_70(device: Device, owner: Owner, *, reuse: bool = False, **hello: Any) -> SetupDevice:
    setup = to_68(device, owner, reuse=reuse, **hello)
    assert Done2.decode(device.open(owner.send(70, done(device)))).nonce == device.setup_nonce
    return setup


def world(
    kind: KeyKind = KeyKind.P256,
    *,
    encoding: KeyEncoding = KeyEncoding.X509,
    pss: bool = False,
    device_kind: KeyKind | None = None,
    entries: int = 1,
    **facts: Any,
) -> tuple[Device, Owner]:
    """A device from the factory, and its owner."""
    made = device(device_kind or kind, pss)
    made.suite = suites_for(kind)[0]
    voucher = factory(kind, encoding, pss, device_kind).make(made)
    for _number in range(entries - 1):
        voucher = extend(voucher, key(kind), public(kind, "owner", encoding, pss))
    return made, owner(voucher, kind, **facts)
