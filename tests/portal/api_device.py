"""A whole EAP-NOOB device and the real engine, joined in memory inside the test's own transaction."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from bootstrap.bindings import bindings
from bootstrap.bindings.directory import Directory
from bootstrap.contract import Inbound, Reply, Verdict, Via
from bootstrap.engine.admission import Admission
from bootstrap.engine.models import Session
from bootstrap.engine.onboarding import sweep
from bootstrap.engine.service import Engine
from bootstrap.engine.store import Change, Committed, Record
from bootstrap.engine.store import django as rows
from bootstrap.protocols.eap_noob import device, sticker
from bootstrap.protocols.eap_noob.constants import Direction
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.wire.eap import EapType, response
from devices.services.env import live_env


class TransactionStore:
    """The engine's statements inside the test's transaction, so that nothing outlives the test."""

    def load(self, protocol: str, *, token: bytes | None, locator: str | None) -> Record | None:
        """One session by name."""
        return rows.load(protocol, token=token, locator=locator)

    async def commit(self, change: Change) -> Committed | None:
        """Apply a change."""
        return rows.commit(change)


def at_once(work: Coroutine[Any, Any, Reply]) -> Reply:
    """Run what never waits; there is no event loop, so the ORM may be used."""
    try:
        work.send(None)
    except StopIteration as done:
        reply: Reply = done.value
        return reply
    raise AssertionError("it waited")


def work() -> None:
    """What the worker does when the door rings, done at once."""
    sweep(live_env().now)


@dataclass
class Device:
    """A device out of its box."""

    serial: str
    organization_id: int | None = None
    """Whose access point relays it."""
    direction: Direction = Direction.BOTH
    state: device.DeviceAssociation = field(default_factory=device.initial_state)
    rounds: int = 0

    @property
    def facts(self) -> device.DeviceFacts:
        """What it says of itself, and which directions it can do."""
        info = {"Manufacturer": "Acme", "Model": "Thermo T2", "SerialNumber": self.serial}
        return device.DeviceFacts(peer_info=json.dumps(info), dirs=self.direction, dirp=self.direction)

    def connect(self) -> Verdict:
        """One conversation from identity to Success or Failure."""
        directory = Directory()
        directory.refresh()
        engine = Engine(TransactionStore(), bindings(directory), Admission(1000, 1000), live_env, work)
        peer = EapNoobPeer(self.state, self.facts, live_env, self._keep)
        body = response(0, EapType.IDENTITY, device.identity(self.state, self.facts).encode()).encode()
        token = ""
        while True:
            self.rounds += 1
            assert self.rounds < 40
            message = Inbound(body, Via.HTTPS, "192.0.2.9", token=token, organization_id=self.organization_id)
            reply = at_once(engine.handle("eap", message))
            answer = peer.respond(reply.body)
            if reply.verdict is not Verdict.CONTINUE or answer is None:
                self.state = peer.state
                return reply.verdict
            body, token = answer, reply.token

    def _keep(self, state: device.DeviceAssociation) -> None:
        self.state = state

    def shows(self) -> str:
        """The URL in its QR code."""
        self.state, _oob, url = device.oob_output(self.state, self.facts, live_env())
        assert url is not None
        return url

    def reads(self, code: str) -> None:
        """It reads a code of the portal's."""
        self.state = device.oob_input(self.state, sticker.decode(code)).state

    @property
    def session(self) -> Session:
        """The row that the engine keeps of it."""
        return Session.objects.get(protocol="eap-noob", locator=self.state.peer_id)


def waiting(serial: str = "T2-0042", **fields: Any) -> Device:
    """A device that has had its Initial Exchange and waits for a person."""
    thing = Device(serial, **fields)
    assert thing.connect() is Verdict.REJECT
    return thing
