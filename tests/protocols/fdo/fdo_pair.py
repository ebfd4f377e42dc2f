"""A device and our servers in memory: what the engine does around a step, and a road that loses, repeats and
flips."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fdo_hand import OTHER_RVINFO, RVINFO, ca, certificate, env, key, public, request
from fdo_service_info_pair import DEVMOD, Workbench

from bootstrap.contract import Env, Note
from bootstrap.errors import PeerError
from bootstrap.protocols.fdo import owner_client
from bootstrap.protocols.fdo.constants import KeyEncoding, MessageType
from bootstrap.protocols.fdo.crypto.kex import suites_for
from bootstrap.protocols.fdo.device import (
    DeviceCredential,
    DiDevice,
    Finished,
    To1Device,
    To2Device,
    To2Options,
    error_for,
)
from bootstrap.protocols.fdo.messages import (
    AppStart,
    DeviceMfgInfo,
    ErrorMessage,
    HelloDevice,
    HelloRv,
    OwnerSign,
    ProveToRv,
    RvTo2Addr,
    SetHmac,
    To0Hello,
    To1d,
)
from bootstrap.protocols.fdo.server import (
    OwnerFacts,
    OwnerMaterial,
    OwnerMessage,
    OwnerState,
    di,
    rendezvous,
    step,
)
from bootstrap.protocols.fdo.service_info.device import DeviceModules
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind, SoftSigner

Send = tuple[int, bytes]
ADDRESS = RvTo2Addr(None, "owner.example", 443, 5)
RESENDS_MAX = 50


class Lost(Exception):
    """A message, or its answer, did not arrive."""


@dataclass
class Road:
    """What happens between the two; every chance is of 0 to 1."""

    random: random.Random = field(default_factory=random.Random)
    lose: float = 0.0
    """Of the request, and again of the reply."""
    repeat: float = 0.0
    """Of the request: the second copy comes right after the first."""
    delay: float = 0.0
    """Of an old request to come once more before the present one."""
    flip: float = 0.0
    """Of one bit, in the request or in the reply."""
    old: list[Send] = field(default_factory=list)
    messages: int = 0

    def carry(self, number: int, body: bytes, portal: Portal) -> Send:
        """A request to its reply. Raises Lost."""
        self.messages += 1
        if self.old and self._chance(self.delay):
            portal.receive(*self.random.choice(self.old))
        self.old.append((number, body))
        if self._chance(self.lose):
            raise Lost
        answer = portal.receive(number, self._flipped(body))
        if self._chance(self.repeat):
            assert portal.receive(number, body)
        if self._chance(self.lose):
            raise Lost
        return answer[0], self._flipped(answer[1])

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def _flipped(self, body: bytes) -> bytes:
        if not body or not self._chance(self.flip):
            return body
        flipped = bytearray(body)
        flipped[self.random.randrange(len(flipped))] ^= 1 << self.random.randrange(8)
        return bytes(flipped)


@dataclass
class Session:
    """One row of the store."""

    material: OwnerMaterial
    state: bytes = field(default_factory=lambda: freeze(OwnerState()))
    digest: Send | None = None
    reply: Send | None = None


@dataclass
class Portal:
    """The owner's sessions, each message answered as the engine does: the same request, the same reply; an
    error stores nothing."""

    kind: KeyKind
    facts: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    present: str = ""
    """GUID of the session whose conversation this is."""
    notes: list[Note] = field(default_factory=list)
    finished: int = 0
    steps: int = 0
    random: Callable[[int], bytes] = field(default_factory=lambda: random.Random(11).randbytes)

    def add(self, voucher: Voucher) -> None:
        """Import a voucher."""
        self.sessions[voucher.guid.hex()] = Session(OwnerMaterial(voucher.encode()))

    def voucher(self, guid: bytes) -> Voucher:
        return Voucher.decode(self.sessions[guid.hex()].material.voucher)

    def state(self, guid: bytes) -> OwnerState:
        return thaw(OwnerState, self.sessions[guid.hex()].state)

    def receive(self, number: int, body: bytes) -> Send:
        """One request to its reply, or to message 255."""
        try:
            return self._answer(number, body)
        except PeerError as error:
            return MessageType.ERROR, ErrorMessage.of(error, number).encode()

    def _answer(self, number: int, body: bytes) -> Send:
        if number == MessageType.TO2_HELLO_DEVICE:
            self.present = HelloDevice.decode(body).guid.hex()
        session = self.sessions.get(self.present)
        if session is None:
            return MessageType.ERROR, ErrorMessage(6, number, "Not found").encode()
        if session.digest == (number, body) and session.reply is not None:
            return session.reply
        self.steps += 1
        outcome = step(
            thaw(OwnerState, session.state),
            OwnerMessage(number, body),
            self._facts(session),
            Env(env(100).now, self.random),
        )
        self.notes += outcome.notes
        session.state = freeze(outcome.state)
        session.digest, session.reply = (number, body), (number + 1, outcome.reply.body)
        if outcome.next is not None:
            made = thaw(OwnerMaterial, outcome.next.material)
            following = self.sessions.get(outcome.next.locator)
            if following is None:
                self.sessions[outcome.next.locator] = Session(made)
            else:
                following.material = made
        self.finished += number == MessageType.TO2_DONE
        return session.reply

    def _facts(self, session: Session) -> OwnerFacts:
        held = {key(self.kind, name).public.der: key(self.kind, name) for name in ("owner", "owner2")}
        values: dict[str, Any] = {
            "guid": bytes.fromhex(self.present),
            "voucher": lambda: Voucher.decode(session.material.voucher),
            "signer": held.get,
            "owner2": (key(self.kind, "owner2"), public(self.kind, "owner2")),
            "rvinfo": OTHER_RVINFO,
        }
        return OwnerFacts(**(values | self.facts))


@dataclass
class Thing:
    """A device: its keys, its credential, its insides."""

    signer: SoftSigner
    credential: DeviceCredential
    options: To2Options
    bench: Workbench = field(default_factory=Workbench)
    random: Callable[[int], bytes] = field(default_factory=lambda: random.Random(12).randbytes)
    max_service_info: int | None = None

    def run(self, to1d: To1d | None = None) -> To2Device:
        return To2Device(
            self.credential,
            self.signer,
            to1d,
            lambda limit: DeviceModules(DEVMOD, self.bench, limit),
            self.random,
            self.options,
        )

    def onboard(self, portal: Portal, road: Road | None = None, to1d: To1d | None = None) -> Finished:
        """One TO2. Raises PeerError, and Lost when a message does not get through at all."""
        road = road or Road()
        run = self.run(to1d)
        said: Send | Finished = run.begin()
        while not isinstance(said, Finished):
            number, body = said
            answer = self._carried(number, body, portal, road)
            try:
                said = run.receive(*answer)
            except PeerError as error:
                told = error_for(error, answer[0])
                if told is not None:
                    portal.receive(MessageType.ERROR, told)
                raise
        self.credential = said.credential
        return said

    def _carried(self, number: int, body: bytes, portal: Portal, road: Road) -> Send:
        for _try in range(RESENDS_MAX):
            try:
                return road.carry(number, body, portal)
            except Lost:
                continue
        raise Lost


def factory(
    kind: KeyKind,
    encoding: KeyEncoding = KeyEncoding.X509,
    pss: bool = False,
    device_kind: KeyKind | None = None,
) -> di.DiFacts:
    signer, root = ca(device_kind or kind)
    return di.DiFacts(
        signer=key(kind, "manufacturer"),
        manufacturer_key=public(kind, "manufacturer", encoding, pss),
        device_ca=signer,
        device_ca_chain=(root,),
        rvinfo=RVINFO,
        extend_to=(public(kind, "owner", encoding, pss),),
    )


def initialize(facts: di.DiFacts, kind: KeyKind, options: To2Options) -> tuple[Thing, Voucher]:
    """DI in memory."""
    signer = key(kind, "device")
    info = DeviceMfgInfo(10, 1, "S-1", "lamp", request(signer))
    made = DiDevice(info, b"s" * 32, kind)
    number, body = made.begin()
    answer, pending = di.open_(AppStart.decode(body), facts, env(seed=1))
    said = made.receive(number + 1, answer)
    assert isinstance(said, tuple)
    outcome = di.finish(thaw(di.DiPending, freeze(pending)), SetHmac.decode(said[1]), facts, env(2))
    credential = made.receive(said[0] + 1, outcome.reply.body)
    assert isinstance(credential, DeviceCredential)
    thing = Thing(signer, credential, options)
    return thing, Voucher.decode(outcome.state.voucher)


def registered(voucher: Voucher, kind: KeyKind) -> rendezvous.RvState:
    """TO0 in memory."""
    holder = next(k for k in (key(kind), key(kind, "owner2")) if k.public == voucher.owner_key.handle())
    client = owner_client.To0Client(voucher, holder, (ADDRESS,), 600)
    facts = rendezvous.RvFacts(lambda _voucher: True)
    number, body = client.begin()
    answer, pending = rendezvous.to0_hello(To0Hello.decode(body), facts, env())
    said = client.receive(number + 1, answer)
    assert isinstance(said, tuple)
    outcome = rendezvous.to0_owner_sign(None, pending, OwnerSign.decode(said[1]), facts, env(1))
    accepted = client.receive(said[0] + 1, outcome.reply.body)
    assert accepted == owner_client.Accepted(600)
    return outcome.state


def redirected(thing: Thing, state: rendezvous.RvState) -> To1d:
    """TO1 in memory."""
    client = To1Device(thing.credential, thing.signer, pss=thing.options.pss)
    facts = rendezvous.RvFacts(lambda _voucher: True)
    number, body = client.begin()
    answer, pending = rendezvous.to1_hello(state, HelloRv.decode(body), facts, env(3))
    said = client.receive(number + 1, answer)
    assert isinstance(said, tuple)
    outcome = rendezvous.to1_prove(state, pending, ProveToRv.decode(said[1]), facts, env(4))
    to1d = client.receive(said[0] + 1, outcome.reply.body)
    assert isinstance(to1d, To1d)
    assert to1d.addresses == (ADDRESS,)
    return to1d


def pair(
    kind: KeyKind = KeyKind.P256,
    *,
    encoding: KeyEncoding = KeyEncoding.X509,
    pss: bool = False,
    device_kind: KeyKind | None = None,
    options: dict[str, Any] | None = None,
    **facts: Any,
) -> tuple[Thing, Portal]:
    """A device out of the factory, and the portal that owns it."""
    chosen = replace(
        To2Options(suites_for(kind)[0], pss=pss and not (device_kind or kind).is_ec), **(options or {})
    )
    thing, voucher = initialize(factory(kind, encoding, pss, device_kind), device_kind or kind, chosen)
    if encoding is KeyEncoding.X5CHAIN:
        assert certificate(kind, "owner2")
    portal = Portal(kind, {"owner2": (key(kind, "owner2"), public(kind, "owner2", encoding, pss))} | facts)
    portal.add(voucher)
    return thing, portal
