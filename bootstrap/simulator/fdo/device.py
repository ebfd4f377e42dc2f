"""The life of one simulated FDO device: initialized once, then onboarded as often as it is asked to be."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, replace
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bootstrap.errors import PeerError
from bootstrap.protocols.fdo.constants import (
    MESSAGE_MAX_LENGTH,
    ErrorCode,
    KeyEncoding,
    KeyType,
    RVVariable,
)
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite
from bootstrap.protocols.fdo.crypto.kex import KexSuite, suites_for
from bootstrap.protocols.fdo.device import (
    DeviceCredential,
    DiDevice,
    Finished,
    To1Device,
    To2Device,
    To2Options,
)
from bootstrap.protocols.fdo.device.di import SECRET_LENGTH
from bootstrap.protocols.fdo.messages import DeviceMfgInfo, To1d
from bootstrap.protocols.fdo.rendezvous import RvInfo, Target
from bootstrap.protocols.fdo.reported import Reported
from bootstrap.protocols.fdo.service_info import Devmod
from bootstrap.protocols.fdo.service_info.device import DeviceModules
from bootstrap.simulator.fdo.effects import FolderEffects
from bootstrap.simulator.fdo.http import FdoHttp
from bootstrap.simulator.fdo.memory import FdoMemory
from bootstrap.simulator.https import HttpFailed
from bootstrap.simulator.person import Person
from bootstrap.simulator.progress import Progress
from bootstrap.simulator.store import Store
from bootstrap.simulator.summary import Stopped
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, SoftSigner

BACK_OFF_SECONDS = (0.3, 1.0, 2.0, 4.0, 8.0, 15.0)
JITTER = 0.25
"""Of a directive's delay, both ways (FDO 1.1 section 3.7). One that names none is left to our own back-off."""
TEXT_MAX_LENGTH = 120
MAX_REFUSALS = 6
"""TO2 runs in a row that may fail for another reason than the network."""
_KEY_TYPES = {
    KeyKind.P256: KeyType.SECP256R1,
    KeyKind.P384: KeyType.SECP384R1,
    KeyKind.RSA2048: KeyType.RSA2048RESTR,
    KeyKind.RSA3072: KeyType.RSAPKCS,
}


@dataclass(frozen=True, slots=True)
class FdoOptions:
    """How the devices of a run are made and behave."""

    di: str = ""
    onboard: bool = False
    kind: KeyKind = KeyKind.P256
    encoding: KeyEncoding = KeyEncoding.X509
    pss: bool = False
    kex: KexSuite | None = None
    cipher: CipherSuite | None = None
    max_message: int = MESSAGE_MAX_LENGTH
    max_service_info: int | None = None
    allow_reuse: bool = True
    device_info: str = "Onward simulated device"
    really_run: bool = False
    again: int = 0
    """TO2 runs after the first."""


@dataclass(frozen=True, slots=True)
class FdoSurroundings:
    """What all devices of a run share."""

    http: FdoHttp
    store: Store[FdoMemory]
    progress: Progress
    options: FdoOptions
    person: Person | None = None
    portal: str = ""


class FdoDevice:
    """One device. Its memory is written before anything that depends on it is sent."""

    def __init__(self, serial: str, around: FdoSurroundings) -> None:
        self.serial = serial
        self.phase = "starting"
        self._around = around
        self._options = around.options
        self._memory = around.store.load(serial) or FdoMemory()
        self._refusals = 0
        self._why = "no owner yet"

    @property
    def initialized(self) -> bool:
        """Whether it has a credential."""
        return bool(self._memory.credential)

    async def run(self) -> None:
        """DI if asked for, then TO1 and TO2 if asked for. Raises Stopped."""
        if self.initialized:
            self._tell("resumed", state="onboarded" if self._memory.onboarded else "initialized")
        else:
            self._tell("started")
        if self._options.di and not self.initialized:
            self.phase = "being initialized (DI)"
            await self._initialize()
        if not self._options.onboard:
            return
        for _round in range(self._options.again + 1):
            await self._onboard()

    async def _initialize(self) -> None:
        signer = SoftSigner.generate(self._options.kind)
        info = DeviceMfgInfo(
            KeyType.RSAPSS if self._options.pss else _KEY_TYPES[self._options.kind],
            self._options.encoding,
            self.serial,
            self._options.device_info,
            _request(signer, self.serial),
        )
        party = DiDevice(info, os.urandom(SECRET_LENGTH), self._options.kind)
        try:
            credential: DeviceCredential = await self._around.http.converse(
                self._options.di, party, patient=True
            )
        except HttpFailed as error:
            raise Stopped(f"DI: {error}") from error
        except PeerError as error:
            raise Stopped(f"DI: {_words(error)}") from error
        maker = party.header.manufacturer_key.handle().kind if party.header else self._options.kind
        self._keep(FdoMemory(signer.to_pkcs8(), freeze(credential), self._options.pss, maker.value))
        self._tell("initialized", guid=credential.guid.hex())
        self._tell("code", url=self._sticker(credential.guid.hex()), guid=credential.guid.hex())
        if self._around.person is not None:
            await self._around.person.claim_when_known(credential.guid.hex())
            self._tell("claimed")

    def _sticker(self, guid: str) -> str:
        """What its maker prints on it: a link where there is a portal to open, else the bare name."""
        return f"{self._around.portal.rstrip('/')}/d/{guid}" if self._around.portal else f"fdo:{guid}"

    async def _onboard(self) -> None:
        back_off = iter(BACK_OFF_SECONDS)
        while True:
            self._why = "RVInfo names no server that a device may ask"
            rvinfo = RvInfo.decode(self._credential.rvinfo)
            for target in rvinfo.device_targets():
                if await self._by_directive(target):
                    return
                delay = rvinfo.directives[target.directive].read(RVVariable.DELAYSEC)
                if delay:
                    self._tell("delay", seconds=delay, reason=self._why)
                    await asyncio.sleep(delay * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
            seconds = next(back_off, BACK_OFF_SECONDS[-1])
            self._tell("retry", seconds=seconds, reason=self._why)
            self.phase = f"waiting for its owner ({self._why})"
            await asyncio.sleep(seconds)

    async def _by_directive(self, target: Target) -> bool:
        """One directive of RVInfo: ask there, then the owner it names. True when onboarded."""
        if target.bypass:
            return await self._to2(target.url_candidates, None)
        self.phase = "asking the rendezvous server (TO1)"
        for url in self._spoken("TO1", target.url_candidates):
            party = To1Device(self._credential, self._signer, pss=self._memory.pss)
            try:
                to1d: To1d = await self._around.http.converse(url, party)
            except (HttpFailed, PeerError) as error:
                self._why = f"TO1: {_words(error)}"
                continue
            urls = tuple(url for address in to1d.addresses for url in address.urls())
            self._tell("redirected", url=urls[0] if urls else "nowhere")
            if await self._to2(urls, to1d):
                return True
        return False

    async def _to2(self, urls: tuple[str, ...], to1d: To1d | None) -> bool:
        self.phase = "being set up by its owner (TO2)"
        modules = partial(self._modules, asyncio.get_running_loop())
        for url in self._spoken("TO2", urls):
            party = To2Device(self._credential, self._signer, to1d, modules, os.urandom, self._to2_options())
            try:
                done: Finished = await self._around.http.converse(url, party)
            except HttpFailed as error:
                self._why = f"TO2: {error}"
                continue
            except PeerError as error:
                self._why = f"TO2: {_words(error)}"
                self._refuse(error)
                continue
            self._refusals = 0
            self._keep(
                replace(
                    self._memory,
                    credential=freeze(done.credential),
                    owner_kind=done.owner_key.handle().kind.value,
                    onboarded=self._memory.onboarded + 1,
                )
            )
            self._tell("set-up", guid=done.credential.guid.hex(), credential="kept" if done.reused else "new")
            return True
        return False

    def _spoken(self, protocol: str, urls: tuple[str, ...]) -> tuple[str, ...]:
        """The addresses that this device has a transport for."""
        spoken = tuple(url for url in urls if url.startswith(("http://", "https://")))
        if not spoken:
            self._why = f"{protocol}: no address with HTTP among {', '.join(urls) or 'none'}"
        return spoken

    def _refuse(self, error: PeerError) -> None:
        """The network may fail for as long as it likes; whoever refuses again and again means it."""
        unknown = isinstance(error, Reported) and error.code == ErrorCode.RESOURCE_NOT_FOUND
        self._refusals += not unknown
        if self._refusals >= MAX_REFUSALS:
            raise Stopped(self._why)

    def _modules(self, loop: asyncio.AbstractEventLoop, limit: int | None) -> DeviceModules:
        root = self._around.store.root(self.serial)

        def tell(name: str, **values: str | int | float) -> None:
            # Effects happen in a thread, since some take long; lines of output must not mix.
            loop.call_soon_threadsafe(partial(self._tell, name, **values))

        effects = FolderEffects(root, self.serial, tell, really_run=self._options.really_run)
        devmod = Devmod(
            os="linux",
            arch="x86_64",
            version="1",
            device=self._options.device_info,
            sn=self.serial,
            sn_form="bytes",
            sep="/",
            bin="x86_64",
        )
        return DeviceModules(devmod, effects, limit)

    def _to2_options(self) -> To2Options:
        owner = KeyKind(self._memory.owner_kind or self._options.kind.value)
        large = owner in (KeyKind.P384, KeyKind.RSA3072)
        return To2Options(
            kex=self._options.kex or suites_for(owner)[0],
            cipher=self._options.cipher or (CipherSuite.A256GCM if large else CipherSuite.A128GCM),
            max_message=self._options.max_message,
            max_service_info=self._options.max_service_info,
            allow_reuse=self._options.allow_reuse,
            pss=self._memory.pss,
        )

    @property
    def _credential(self) -> DeviceCredential:
        return thaw(DeviceCredential, self._memory.credential)

    @property
    def _signer(self) -> SoftSigner:
        return SoftSigner.from_pkcs8(self._memory.key)

    def _keep(self, memory: FdoMemory) -> None:
        self._memory = memory
        self._around.store.save(self.serial, memory)

    def _tell(self, name: str, **values: str | int | float) -> None:
        self._around.progress.event(name, self.serial, **values)


def _request(signer: SoftSigner, serial: str) -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, serial[:64]),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial[:64]),
        ]
    )
    digest = SHA384() if signer.public.kind is KeyKind.P384 else SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(signer.private_key, digest)
    return request.public_bytes(Encoding.DER)


def _line(text: str) -> str:
    """The other side's own words, as much as fits one line."""
    return "".join(letter for letter in text if letter.isprintable())[:TEXT_MAX_LENGTH]


def _words(error: Exception) -> str:
    if isinstance(error, Reported):
        names = {code.value: code.name for code in ErrorCode}
        name = names.get(error.code, "unknown")
        return f"error {error.code} {name} after message {error.previous}: {_line(error.text)}".rstrip(": ")
    return f"{error}"
