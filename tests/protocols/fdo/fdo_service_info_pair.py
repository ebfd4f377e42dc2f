"""An owner and a device that exchange service info in memory; the owner's state is frozen between messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cbor2

from bootstrap.protocols.fdo.service_info import (
    KV,
    Action,
    ActionResult,
    CsrAuthority,
    Devmod,
    OwnerModules,
    Quirks,
    advance,
)
from bootstrap.protocols.fdo.service_info.device import DeviceModules, EffectFailed, Ran, Traits
from bootstrap.wire.frozen import freeze, thaw

DEVMOD = Devmod(
    os="linux",
    arch="amd64",
    version="Debian 12",
    device="lamp",
    sn="S-1",
    sn_form="bytes",
    sep=";",
    bin="amd64",
)


@dataclass
class Workbench:
    """A device's insides: files in a dict, programs and URLs as tables."""

    files: dict[str, bytes] = field(default_factory=dict)
    programs: dict[str, Callable[[tuple[str, ...]], Ran]] = field(default_factory=dict)
    urls: dict[str, bytes] = field(default_factory=dict)
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    request: bytes | None = None
    certificates: list[tuple[bytes, bytes]] = field(default_factory=list)
    full: bool = False

    def write_file(self, name: str, content: bytes) -> None:
        if self.full:
            raise EffectFailed("no space left")
        self.files[name] = content

    def read_file(self, name: str) -> bytes:
        if name not in self.files:
            raise EffectFailed(f"no file {name}")
        return self.files[name]

    def run(self, command: str, args: tuple[str, ...]) -> Ran:
        self.ran.append((command, args))
        if command not in self.programs:
            raise EffectFailed("no such program")
        return self.programs[command](args)

    def fetch(self, url: str) -> bytes:
        if url not in self.urls:
            raise EffectFailed("expected status 200, got 404")
        return self.urls[url]

    def certificate_request(self) -> bytes | None:
        return self.request

    def certificate(self, certificate: bytes, authorities: bytes) -> None:
        self.certificates.append((certificate, authorities))


@dataclass
class Log:
    """What went over the wire, and what came of it."""

    rounds: int = 0
    results: list[ActionResult] = field(default_factory=list)
    to_device: list[KV] = field(default_factory=list)
    to_owner: list[KV] = field(default_factory=list)
    state: OwnerModules = field(default_factory=OwnerModules)
    state_peak: int = 0

    @property
    def by_id(self) -> dict[str, ActionResult]:
        assert len({r.id for r in self.results}) == len(self.results)
        return {r.id: r for r in self.results}


def run(
    actions: Sequence[Action] | Callable[[Devmod], Sequence[Action]],
    bench: Workbench,
    *,
    owner_limit: int = 1300,
    device_limit: int = 1300,
    devmod: Devmod = DEVMOD,
    modules: Sequence[str] | None = None,
    traits: Traits | None = None,
    quirks: Quirks | None = None,
    csr: CsrAuthority | None = None,
    log: Log | None = None,
    rounds: int = 20_000,
) -> Log:
    """Both sides until the owner is done; ``owner_limit`` bounds messages 69, ``device_limit`` messages 68."""
    log = log or Log()
    choice = {} if modules is None else {"modules": modules}
    device = DeviceModules(devmod, bench, device_limit, traits=traits, **choice)
    said = device.first()
    blob = freeze(log.state)
    while True:
        log.rounds += 1
        assert log.rounds < rounds, "the two never finish"
        assert len(cbor2.dumps([said.is_more, [list(kv) for kv in said.kvs]])) <= device_limit
        log.to_owner += said.kvs
        answer = advance(thaw(OwnerModules, blob), said.kvs, said.is_more, actions, owner_limit, quirks, csr)
        log.state = answer.state
        blob = freeze(answer.state)
        log.state_peak = max(log.state_peak, len(blob))
        assert (
            len(cbor2.dumps([answer.is_more, answer.is_done, [list(kv) for kv in answer.kvs]])) <= owner_limit
        )
        assert not (said.is_more and answer.kvs), "the owner spoke although the device had more to say"
        assert not (answer.is_done and (answer.is_more or answer.kvs))
        log.to_device += answer.kvs
        log.results += answer.results
        if answer.is_done:
            return log
        answered = device.receive(answer.is_more, answer.kvs)
        assert not (answer.is_more and answered.kvs), "the device spoke although the owner had more to say"
        said = answered
