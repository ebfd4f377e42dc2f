"""The real engine over the real store, one organization, and devices that are the protocols' own peers."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from django.core.cache import cache
from django.db import connection

from bootstrap.bindings import bindings, claims, local
from bootstrap.bindings.directory import Directory
from bootstrap.contract import Env, Inbound, Reply, Verdict, Via
from bootstrap.engine import onboarding
from bootstrap.engine.admission import Admission
from bootstrap.engine.models import Session
from bootstrap.engine.service import Engine
from bootstrap.engine.store import Committed
from bootstrap.engine.store.sqlite import SqliteStore
from bootstrap.protocols import provisioning
from bootstrap.protocols.eap_noob import Oob, device, sticker
from bootstrap.protocols.provisioning import device as plan_taker
from bootstrap.protocols.provisioning.messages import Answer, ItemResult, PlanDocument
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.simulator.transport import IDENTITY_REQUEST
from bootstrap.wire.eap import EapCode, EapPacket
from devices.models import Membership, Organization, Role
from devices.services.people import membership_ensure, organization_create, user_ensure

T = TypeVar("T")


@dataclass
class Clock:
    """The engine's time; runs only when told. People's deeds have the real clock, so it starts there."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def env(self) -> Env:
        return Env(self.now, os.urandom)

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


class House:
    """Store, directory, bindings and engine of one door process."""

    def __init__(self, burst: int = 10_000) -> None:
        self.clock = Clock()
        self.published: list[Committed] = []
        self.rung = 0
        self.store = SqliteStore(connection.settings_dict["NAME"], published=self.published.extend)
        self.directory = Directory()
        self.directory.refresh()
        self.bindings = bindings(self.directory)
        admission = Admission(0.001, burst)
        self.engine = Engine(self.store, self.bindings, admission, self.clock.env, self._ring)
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def handle(self, slug: str, body: bytes, **inbound: Any) -> Reply:
        """One message through the engine."""
        words = {"via": Via.HTTPS, "source": "192.0.2.9"} | inbound
        return self.run(self.engine.handle(slug, Inbound(body, **words)))

    def eap(self, body: bytes, token: str = "", **inbound: Any) -> Reply:
        return self.handle("eap", body, token=token, **inbound)

    def _ring(self) -> None:
        self.rung += 1

    def work(self) -> int:
        """What the worker does when the bell rings, or every two seconds."""
        return onboarding.sweep(max(self.clock.now, datetime.now(UTC)))

    def close(self) -> None:
        self._runner.close()
        self.store.close()


def owner_of(name: str) -> Membership:
    """A new organization and its owner's membership."""
    user = user_ensure(f"owner@{name.lower()}.example.com")
    return Membership.objects.get(organization=organization_create(name, user), user=user)


def colleague(organization: Organization, role: str = Role.OPERATOR, name: str = "colleague") -> Membership:
    user = user_ensure(f"{name}@{organization.pk}.example.com")
    return membership_ensure(organization, user, role)


@dataclass
class Lamp:
    """One device: EAP-NOOB peer first, then the taker of its plan."""

    house: House
    serial: str = "SN-1"
    dirp: int = 1
    wants_plan: bool = True
    way: dict[str, Any] = field(default_factory=dict)
    """How its messages come: source, organization_id, via."""
    state: device.DeviceAssociation = field(default_factory=device.initial_state)
    facts: device.DeviceFacts = field(init=False)
    plan_keys: plan_taker.DeviceState | None = None
    replies: list[Reply] = field(default_factory=list)
    error_code: int | None = None
    applied: int = 0

    def __post_init__(self) -> None:
        info: dict[str, Any] = {"SerialNumber": self.serial, "Manufacturer": "Acme", "Model": "Lamp"}
        if self.wants_plan:
            info["Provisioning"] = 1
        self.facts = device.DeviceFacts(
            peer_info=json.dumps(info, separators=(",", ":")), dirp=self.dirp, dirs=self.dirp
        )

    def converse(self) -> Verdict:
        """One EAP conversation from identity to Success or Failure."""
        return self.hear_the_end(*self.until_the_end())

    def peer(self) -> EapNoobPeer:
        return EapNoobPeer(self.state, self.facts, self.house.clock.env, lambda state: None)

    def until_the_end(self) -> tuple[EapNoobPeer, Reply]:
        """Everything but hearing the last packet."""
        peer, request, token = self.peer(), IDENTITY_REQUEST, ""
        for _round in range(10):
            answer = peer.respond(request)
            assert answer is not None
            reply = self.house.eap(answer, token, **self.way)
            self.replies.append(reply)
            request, token = reply.body, reply.token
            if EapPacket.decode(request).code in (EapCode.SUCCESS, EapCode.FAILURE):
                return peer, reply
        raise AssertionError("the conversation does not end")

    def hear_the_end(self, peer: EapNoobPeer, reply: Reply) -> Verdict:
        peer.respond(reply.body)
        self.state, self.error_code = peer.state, peer.error_code
        if reply.verdict is Verdict.ACCEPT:
            assert peer.keys is not None
            assert reply.msk == peer.keys.msk
            self.plan_keys = plan_taker.DeviceState(self.state.peer_id, provisioning.derive(peer.keys.amsk))
        return reply.verdict

    def code(self) -> str:
        """What its display shows."""
        self.state, _oob, url = device.oob_output(self.state, self.facts, self.house.clock.env())
        assert url is not None
        return url

    def read(self, code: str) -> None:
        """Take a code from the portal."""
        result = device.oob_input(self.state, sticker.decode(code), self.facts)
        assert result.outcome == "accepted", result.outcome
        self.state = result.state

    def wrong_code(self) -> str:
        """A code that names this device and does not fit."""
        oob = sticker.decode(self.code())
        return sticker.encode(Oob(oob.peer_id, oob.noob, bytes(16)), "https://portal.example.org/n")

    def arrive(self) -> Lamp:
        """Switched on: the Initial Exchange."""
        assert self.converse() is Verdict.REJECT
        assert self.error_code is None
        return self

    def session(self, protocol: str = "eap-noob") -> Session:
        return Session.objects.get(protocol=protocol, locator=self.state.peer_id)

    # Provisioning

    def ask(self, sealed: tuple[plan_taker.DeviceState, bytes]) -> Answer:
        """One sealed request and its opened answer."""
        self.plan_keys, body = sealed
        reply = self.house.handle("provisioning", body, operation=self.plan_keys.locator)
        self.plan_keys, answer = plan_taker.read_answer(self.plan_keys, reply.body)
        return answer

    def fetch(self) -> Answer:
        assert self.plan_keys is not None
        answer = self.ask(plan_taker.fetch(self.plan_keys, self.house.clock.env(), self.applied))
        if isinstance(answer, PlanDocument):
            self.plan = answer
        return answer

    def report(self, failed: tuple[str, ...] = ()) -> Answer:
        results = tuple(ItemResult(item.id, item.id not in failed, "") for item in self.plan.items)
        assert self.plan_keys is not None
        self.applied = self.plan.plan_version
        return self.ask(plan_taker.report(self.plan_keys, self.applied, results, self.house.clock.env()))

    def check_in(self) -> Answer:
        assert self.plan_keys is not None
        return self.ask(plan_taker.check_in(self.plan_keys, self.applied, 60, self.house.clock.env()))

    def take_plan(self) -> None:
        self.fetch()
        self.report()
        self.check_in()

    def onboard(self, membership: Membership, **claim: Any) -> Any:
        """The whole way; returns the devices.Device."""
        self.arrive()
        found = claims.confirm(self.code(), membership, **claim)
        assert self.converse() is Verdict.ACCEPT
        self.house.work()
        if self.wants_plan:
            self.take_plan()
        self.house.work()
        found.refresh_from_db()
        return found


def two_way(serial: str, house: House, **words: Any) -> Lamp:
    """A device that shows a code and reads one."""
    return Lamp(house, serial, dirp=3, **words)


def reader(serial: str, house: House, **words: Any) -> Lamp:
    """A device that only reads codes."""
    return Lamp(house, serial, dirp=2, **words)


def elsewhere(sql: str) -> None:
    """One statement on a connection of its own, as another process would."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute(sql)
    other.close()


def forget_directories() -> None:
    """People's side of the bindings caches by revision, and a rolled back test gives numbers out again."""
    local.BINDING.forget()


@pytest.fixture
def mine(transactional_db: None) -> Membership:
    """The owner of the organization called Mine."""
    return owner_of("Mine")


@pytest.fixture
def house(mine: Membership) -> Iterator[House]:
    """The engine, with Mine in its directory, on the test database that Django made."""
    forget_directories()
    cache.clear()
    built = House()
    yield built
    built.close()


def rows() -> dict[str, int]:
    """How many rows of each engine table there are."""
    with connection.cursor() as cursor:
        counts = {}
        for table in ("engine_session", "engine_event"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            counts[table] = cursor.fetchone()[0]
    return counts
