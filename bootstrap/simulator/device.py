"""The life of one simulated EAP-NOOB device, from switched on to onboarded (RFC 9140 section 3.2)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bootstrap.contract import Env
from bootstrap.errors import MalformedMessage
from bootstrap.protocols import provisioning
from bootstrap.protocols.eap_noob import device, sticker
from bootstrap.protocols.eap_noob.constants import (
    ERROR_INFO,
    NEEDS_A_PERSON,
    SLEEP_TIME_DEFAULT_SECONDS,
    Direction,
    NoobErrorCode,
    OobOutcome,
    PeerState,
)
from bootstrap.protocols.provisioning.device import DeviceState
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.simulator.person import Person
from bootstrap.simulator.plan import PlanTaker
from bootstrap.simulator.progress import Progress
from bootstrap.simulator.store import Memory, Store
from bootstrap.simulator.summary import Stopped
from bootstrap.simulator.ways import Ways
from bootstrap.wire.frozen import freeze, thaw

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)
MAX_REFUSALS = 4
"""Conversations in a row that the server may end without progress."""
MAX_RESETS = 1
"""Times that the person, if played, presses the reset button of one device."""
LOOK_SECONDS = 30.0
"""How often a waiting device looks whether its code must be renewed."""
_NETWORK = frozenset({"unreachable", "no-answer", "busy", "busy-429", "busy-503", "http-404", "http-409"})
"""Ends of a conversation that say nothing about this device: it tries again for as long as it may."""

_PHASES = {
    PeerState.UNREGISTERED: "introducing itself",
    PeerState.WAITING_FOR_OOB: "waiting for the code to be claimed",
    PeerState.OOB_RECEIVED: "completing",
    PeerState.RECONNECTING: "reconnecting",
    PeerState.REGISTERED: "taking its plan",
}


def system_env() -> Env:
    """The machine's clock and randomness."""
    return Env(datetime.now(UTC), os.urandom)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all devices of a run share."""

    ways: Ways
    store: Store[Memory]
    progress: Progress
    person: Person | None = None
    provision_url: str = ""
    """Overrides what the server says; empty to listen to the server."""
    reconnects: int = 0
    env: Callable[[], Env] = system_env


class EapNoobDevice:
    """One device. Its memory is written before anything that depends on it is sent (section 6.9)."""

    def __init__(self, serial: str, facts: device.DeviceFacts, around: Surroundings) -> None:
        self.serial = serial
        self._facts = facts
        self._around = around
        self._memory = Memory()
        self._state = device.initial_state()
        self._sleep_time = SLEEP_TIME_DEFAULT_SECONDS
        self._shown: sticker.Oob | None = None
        self._claimed = False
        self._typed: asyncio.Task[str] | None = None
        self._refusals = 0
        self._resets = 0
        self._why = ""
        self._start = time.monotonic()

    @property
    def phase(self) -> str:
        """What it is doing, for a timeout's reason."""
        return _PHASES[PeerState(self._state.state)]

    async def run(self) -> None:
        """From switched on to onboarded, then the reconnects that were asked for. Raises Stopped."""
        self._wake_up()
        await self._bootstrap()
        await self._provision()
        for number in range(1, self._around.reconnects + 1):
            self._remember(device.rekey(self._state))
            await self._bootstrap()
            self._tell("reconnected", round=number, rounds=self._around.reconnects)
            await self._provision()

    def _wake_up(self) -> None:
        self._start = time.monotonic()
        memory = self._around.store.load(self.serial)
        if memory is None or not memory.association:
            self._tell("started")
            return
        self._memory = memory
        self._state = device.on_failure(thaw(device.DeviceAssociation, memory.association))
        self._tell("resumed", state=self._state.state)

    async def _bootstrap(self) -> None:
        """Conversation after conversation until one ends in EAP-Success."""
        back_off = iter(BACK_OFF_SECONDS)
        while not await self._authenticated():
            if self._state.state == PeerState.WAITING_FOR_OOB:
                back_off = iter(BACK_OFF_SECONDS)
                await self._out_of_band()
            else:
                seconds = next(back_off, BACK_OFF_SECONDS[-1])
                self._tell("retry", seconds=seconds, reason=self._why)
                await asyncio.sleep(seconds)
        if self._typed:
            self._typed.cancel()

    async def _authenticated(self) -> bool:
        """One conversation; True after EAP-Success. Raises Stopped when no other can do better."""
        before = self._state
        peer = EapNoobPeer(before, self._facts, self._around.env, self._remember)
        result = await self._around.ways.transport.authenticate(peer)
        peer.close(result.success)
        if peer.sleep_time is not None:
            self._sleep_time = peer.sleep_time
        if peer.succeeded and peer.keys:
            self._take_keys(peer.state, peer.keys)
            if result.msk_confirmed is False:
                raise Stopped("the server's MSK is another one")
            self._refusals = 0
            self._tell("bootstrapped", peer_id=self._state.peer_id)
            return True
        self._remember(peer.state)
        if self._state.peer_id != before.peer_id and self._state.state == PeerState.WAITING_FOR_OOB:
            self._claimed = False
            self._tell("initial", peer_id=self._state.peer_id, dirp=self._state.dirp)
        if before.state == PeerState.OOB_RECEIVED and self._state.state == PeerState.WAITING_FOR_OOB:
            self._claimed = False
        self._judge(peer.error_code, result.reason)
        return False

    def _judge(self, error_code: int | None, reason: str) -> None:
        """Whether it is worth going on after a conversation without success."""
        self._why = reason or "rejected by the server"
        if error_code is not None:
            self._why = f"error {error_code}: {ERROR_INFO.get(error_code, 'private use')}"
        elif reason in _NETWORK:
            return
        elif not reason and self._state.state == PeerState.WAITING_FOR_OOB:
            self._refusals = 0
            return
        if error_code == NoobErrorCode.STATE_MISMATCH and self._around.person and self._resets < MAX_RESETS:
            self._reset()
        elif error_code in NEEDS_A_PERSON or self._refusals + 1 >= MAX_REFUSALS:
            raise Stopped(self._why)
        self._refusals += 1

    def _take_keys(self, state: device.DeviceAssociation, keys: device.DeviceKeys) -> None:
        """The association and the keys of the plan in one write; AMSK is not kept."""
        url = self._around.provision_url or _provision_url(state.server_info, self._around.ways.scheme)
        material = DeviceState(state.peer_id, provisioning.derive(keys.amsk))
        self._memory = replace(self._memory, provision_url=url, provisioning=freeze(material))
        self._remember(state)

    async def _provision(self) -> None:
        if not self._memory.provision_url:
            return
        taker = PlanTaker(
            serial=self.serial,
            ways=self._around.ways,
            env=self._around.env,
            progress=self._around.progress,
            root=self._around.store.root(self.serial),
            memory=self._memory,
            keep=self._keep,
            uptime=lambda: time.monotonic() - self._start,
        )
        await taker.take()

    async def _out_of_band(self) -> None:
        """State 1: show or take the code, then wait until the server may be asked again (SleepTime)."""
        until = time.monotonic() + self._sleep_time
        if self._state.dirp & Direction.PEER_TO_SERVER:
            await self._show_code()
        elif self._around.person and not self._claimed:
            self._enter_code(await self._around.person.code_for(self.serial))
        elif not self._around.person:
            await self._read_code(until)
        if self._state.state == PeerState.WAITING_FOR_OOB:
            self._tell("waiting", seconds=max(0, round(until - time.monotonic())))
        look = min(LOOK_SECONDS, self._facts.noob_timeout_seconds / 4)
        while self._state.state == PeerState.WAITING_FOR_OOB and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, look))
            if self._state.dirp & Direction.PEER_TO_SERVER:
                await self._show_code()

    async def _show_code(self) -> None:
        """A new code at half of NoobTimeout (section 3.2.3); the person, if played, claims the first."""
        state, oob, url = device.oob_output(self._state, self._facts, self._around.env())
        if oob != self._shown:
            self._remember(state)
            self._shown = oob
            self._tell("code", url=url or f"?{sticker.encode_query(oob)}", peer_id=oob.peer_id)
        if self._around.person and not self._claimed:
            await self._around.person.claim(url or f"?{sticker.encode_query(oob)}")
            self._claimed = True
            self._tell("claimed")

    async def _read_code(self, until: float) -> None:
        """From standard input, while the waiting goes on."""
        while (left := until - time.monotonic()) > 0:
            if self._typed is None:
                self._tell("wants-code")
                self._typed = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
            done, _ = await asyncio.wait({self._typed}, timeout=left)
            if not done:
                return
            line = self._typed.result().strip()
            if not line:
                raise Stopped("standard input ended before a code came")
            self._typed = None
            if self._enter_code(line):
                return

    def _enter_code(self, code: str) -> bool:
        """The OOB message from the server's side; True when it leads on."""
        try:
            oob = sticker.decode(code)
        except MalformedMessage as error:
            return self._refuse_code(str(error))
        found = device.oob_input(self._state, oob, self._facts)
        self._remember(found.state)
        if found.outcome is not OobOutcome.ACCEPTED:
            return self._refuse_code(found.outcome)
        self._claimed = True
        self._tell("code-entered")
        return True

    def _refuse_code(self, why: str) -> bool:
        if self._around.person:
            raise Stopped(f"code from the portal: {why}")
        self._tell("code-refused", reason=why)
        return False

    def _reset(self) -> None:
        """The person presses the device's reset button (sections 3.6.3 and 6.9)."""
        self._resets += 1
        self._tell("reset")
        self._memory = Memory()
        self._claimed, self._shown = False, None
        self._remember(device.reset(self._state))

    def _remember(self, state: device.DeviceAssociation) -> None:
        self._state = state
        self._keep(replace(self._memory, association=freeze(state)))

    def _keep(self, memory: Memory) -> None:
        self._memory = memory
        self._around.store.save(self.serial, memory)

    def _tell(self, name: str, **values: str | int | float) -> None:
        self._around.progress.event(name, self.serial, **values)


def _provision_url(server_info: str, scheme: str) -> str:
    """Where ServerInfo says that the plan is, over CoAP if the device came that way; empty for nowhere."""
    addresses = json.loads(server_info or "{}").get("Onward")
    if not isinstance(addresses, dict):
        return ""
    url = addresses.get("coap") if scheme == "coap" else addresses.get("https")
    url = url or addresses.get("https") or addresses.get("coap")
    return url if isinstance(url, str) else ""
