"""Server and device joined in memory, for the tests beside this file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from bootstrap.contract import Env
from bootstrap.protocols.eap_noob import NoobError, device, server
from bootstrap.wire.frozen import freeze, thaw

START = datetime(2026, 1, 1, tzinfo=UTC)
SERVER_INFO = '{"Type":"onward","ServerName":"Test","ServerURL":"https://noob.example.org/c"}'
PEER_INFO = '{"Type":"sensor","SerialNumber":"DU-9999","Manufacturer":"Acme","Model":"S1"}'
FACTS = server.Facts(server_info=SERVER_INFO)
DEVICE_FACTS = device.DeviceFacts(peer_info=PEER_INFO)


def counted_random(seed: bytes = b"seed") -> Callable[[int], bytes]:
    """Different octets at every call, the same in every run."""
    calls = iter(range(10**9))
    return lambda n: hashlib.shake_128(seed + next(calls).to_bytes(8, "big")).digest(n)


def scripted(*values: bytes) -> Callable[[int], bytes]:
    """The given octets, one after the other; the length asked for must fit."""
    left = list(values)

    def random(n: int) -> bytes:
        value = left.pop(0)
        assert len(value) == n
        return value

    return random


@dataclass
class Conversation:
    """What happened between Type 1 and the end."""

    requests: list[bytes] = field(default_factory=list)
    responses: list[bytes] = field(default_factory=list)
    steps: list[server.NoobStep] = field(default_factory=list)
    device_steps: list[device.DeviceStep] = field(default_factory=list)

    @property
    def last(self) -> server.NoobStep:
        return self.steps[-1]

    @property
    def types(self) -> list[int]:
        return [server_type(r) for r in self.requests]

    @property
    def notes(self) -> list[str]:
        return [n.code for s in self.steps for n in s.notes]


def server_type(type_data: bytes) -> int:
    return int(type_data.split(b'"Type":')[1].split(b",")[0].rstrip(b"}"))


Tamper = Callable[[int, bytes], bytes]


def same(index: int, type_data: bytes) -> bytes:
    return type_data


@dataclass
class Pair:
    """One server association and one device; states go through freeze and thaw at every step."""

    facts: server.Facts = FACTS
    device_facts: device.DeviceFacts = DEVICE_FACTS
    server: server.ServerAssociation = field(default_factory=server.initial_state)
    device: device.DeviceAssociation = field(default_factory=device.initial_state)
    now: datetime = START
    random: Callable[[int], bytes] = field(default_factory=counted_random)

    @property
    def env(self) -> Env:
        return Env(self.now, self.random)

    @property
    def states(self) -> tuple[int, int]:
        return self.server.state, self.device.state

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def ask(self, request: bytes) -> device.DeviceStep:
        step = device.step(self.device, request, self.device_facts, self.env)
        self.device = thaw(device.DeviceAssociation, freeze(step.state))
        return step

    def answer(self, response: bytes) -> server.NoobStep:
        nai = device.identity(self.device, self.device_facts)
        try:
            message = server.decode(response)
        except NoobError as error:
            step = server.refuse(self.server, error)
        else:
            step = server.step(self.server, message, nai, self.facts, self.env)
        self.server = thaw(server.ServerAssociation, freeze(step.state))
        return step

    def talk(
        self,
        to_device: Tamper = same,
        to_server: Tamper = same,
        stop_before: int | None = None,
        lose_response: int | None = None,
    ) -> Conversation:
        """One EAP conversation. ``stop_before`` loses request n for good, ``lose_response`` response n."""
        log = Conversation()
        request: bytes | None = server.start()
        while request is not None:
            index = len(log.requests)
            if index == stop_before:
                self.device = device.on_failure(self.device)
                return log
            assert index < 10, "a conversation that does not end"
            log.requests.append(request)
            answer = self.ask(to_device(index, request))
            log.device_steps.append(answer)
            log.responses.append(answer.response)
            if index == lose_response:
                self.device = device.on_failure(self.device)
                return log
            step = self.answer(to_server(index, answer.response))
            log.steps.append(step)
            request = step.request
        ended = device.on_success if log.last.result is server.Result.SUCCESS else device.on_failure
        self.device = ended(self.device)
        return log

    def deliver_to_server(self) -> server.OobResult:
        self.device, oob, _ = device.oob_output(self.device, self.device_facts, self.env)
        result = server.oob_receive(self.server, oob, self.env, self.facts)
        self.server = result.state
        return result

    def deliver_to_device(self) -> device.DeviceOobResult:
        self.server, oob = server.oob_make(self.server, self.env, self.facts)
        result = device.oob_input(self.device, oob, self.device_facts)
        self.device = result.state
        return result

    def bootstrap(self) -> Conversation:
        """Initial Exchange, OOB message from the device, Completion Exchange."""
        self.talk()
        self.deliver_to_server()
        log = self.talk()
        assert self.states == (4, 4), log.notes
        return log

    def reconnect(self) -> Conversation:
        self.device = device.rekey(self.device)
        return self.talk()


def pair(server_state: int = 0, device_state: int = 0, dirp: int = 3) -> Pair:
    """A pair in the two states, each reached by real exchanges; together they need not be consistent."""
    servers, devices = _prepared(dirp)
    return Pair(
        device_facts=replace(DEVICE_FACTS, dirp=dirp),
        server=servers[server_state],
        device=devices[device_state],
        random=counted_random(b"later"),
    )


@cache
def _prepared(dirp: int) -> tuple[dict[int, server.ServerAssociation], dict[int, device.DeviceAssociation]]:
    made = Pair(device_facts=replace(DEVICE_FACTS, dirp=dirp))
    made.talk()
    waiting_server = made.server
    made.deliver_to_server()
    received_server, waiting_device = made.server, made.device
    made.server = waiting_server
    made.deliver_to_device()
    issuing_server, received_device = made.server, made.device
    made.server, made.device = received_server, waiting_device
    made.talk()
    assert made.states == (4, 4)
    servers = {
        0: server.reset(waiting_server),
        1: issuing_server,
        2: replace(received_server, noobs=issuing_server.noobs),
        3: server.to_reconnecting(made.server),
        4: made.server,
    }
    devices = {
        0: device.initial_state(),
        1: waiting_device,
        2: received_device,
        3: device.rekey(made.device),
    }
    return servers, devices
