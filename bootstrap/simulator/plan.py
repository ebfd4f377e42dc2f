"""A simulated device gets its plan, applies it, says what became of it, and checks in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bootstrap.contract import Env
from bootstrap.errors import PeerError
from bootstrap.protocols.provisioning import Ack, ItemResult, PlanDocument, Refusal, RefusalCode, device
from bootstrap.protocols.provisioning.messages import Answer
from bootstrap.simulator.apply import plan_apply
from bootstrap.simulator.progress import Progress
from bootstrap.simulator.store import Memory
from bootstrap.simulator.summary import Stopped
from bootstrap.simulator.ways import Later, Ways
from bootstrap.wire.frozen import freeze, thaw

FIRMWARE = "simulator/1"
CAPABILITIES = ("network", "server", "config", "file", "certificate")
_MAX_PAUSE_SECONDS = 30.0
"""However long a server says to wait for a plan: somebody is watching this device."""

Build = Callable[[device.DeviceState, Env], tuple[device.DeviceState, bytes]]


@dataclass(slots=True)
class PlanTaker:
    """The provisioning half of one device's life."""

    serial: str
    ways: Ways
    env: Callable[[], Env]
    progress: Progress
    root: Path
    memory: Memory
    keep: Callable[[Memory], None]
    uptime: Callable[[], float]

    async def take(self) -> None:
        """Until the server knows that every item is applied and the device is online. Raises Stopped."""
        while not (await self._fetched() and await self._reported()):
            pass
        failed = [f"{id}: {detail}" for id, ok, detail in self.memory.results if not ok]
        if failed:
            raise Stopped(f"plan item failed: {failed[0]}")
        await self.check_in()

    async def check_in(self) -> None:
        """Say from normal operation that all is well; fetches again when the plan has moved on."""

        def build(state: device.DeviceState, env: Env) -> tuple[device.DeviceState, bytes]:
            return device.check_in(state, self.memory.plan_version, int(self.uptime()), env, FIRMWARE)

        answer = await self._ask_fresh(build)
        if isinstance(answer, Ack):
            self.progress.event("online", self.serial, next_seconds=answer.next_check_in_seconds)
            return
        await self.take()

    async def _fetched(self) -> bool:
        """Whether the newest plan is applied; False after a pause because there is none yet."""

        def build(state: device.DeviceState, env: Env) -> tuple[device.DeviceState, bytes]:
            return device.fetch(state, env, self.memory.plan_version, CAPABILITIES)

        answer = await self._ask(build)
        if isinstance(answer, Refusal):
            pause = min(max(answer.retry_after_seconds, 1), _MAX_PAUSE_SECONDS)
            self.progress.event("no-plan", self.serial, seconds=pause)
            await asyncio.sleep(pause)
            return False
        if isinstance(answer, PlanDocument):
            self._apply(answer)
        return True

    def _apply(self, plan: PlanDocument) -> None:
        version = plan.plan_version
        self.progress.event("plan", self.serial, version=version, items=len(plan.items))
        results = plan_apply(plan, self.root, self.serial)
        for result in results:
            outcome = result.detail if result.ok else f"failed, {result.detail}"
            self.progress.event("item", self.serial, id=result.id, ok=result.ok, outcome=outcome)
        stored = tuple((result.id, result.ok, result.detail) for result in results)
        self._remember(plan_version=version, results=stored, reported=False)

    async def _reported(self) -> bool:
        """Whether the server has the results; False when it wants the device to fetch again."""
        if self.memory.reported:
            return True
        version = self.memory.plan_version
        results = tuple(ItemResult(*result) for result in self.memory.results)

        def build(state: device.DeviceState, env: Env) -> tuple[device.DeviceState, bytes]:
            return device.report(state, version, results, env)

        if not isinstance(await self._ask_fresh(build), Ack):
            return False
        self._remember(reported=True)
        self.progress.event("reported", self.serial, version=version)
        return True

    async def _ask_fresh(self, build: Build) -> Answer:
        """``_ask``, once more with the challenge of the refusal when an answer was lost before."""
        answer = await self._ask(build)
        if isinstance(answer, Refusal) and answer.code is RefusalCode.STALE_CHALLENGE:
            answer = await self._ask(build)
        return answer

    async def _ask(self, build: Build) -> Answer:
        """One request, sent again unchanged until something comes back. Raises Stopped."""
        before = thaw(device.DeviceState, self.memory.provisioning)
        state, body = build(before, self.env())
        while True:
            try:
                reply = await self.ways.send(self.memory.provision_url, state.locator, body)
                break
            except Later as later:
                self.progress.event("retry", self.serial, seconds=later.seconds, reason=str(later))
                await asyncio.sleep(later.seconds)
        try:
            state, answer = device.read_answer(state, reply)
        except PeerError as error:
            raise Stopped(f"provisioning: answer is {type(error).__name__}") from error
        self._remember(provisioning=freeze(state))
        return answer

    def _remember(self, **changes: object) -> None:
        self.memory = replace(self.memory, **changes)  # type: ignore[arg-type]
        self.keep(self.memory)
