"""The engine over the SQLite store without any door: what one message costs before a transport touches it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time

from bench.measure import Row
from bootstrap.contract import Inbound, Reply, Via
from bootstrap.protocols.eap_noob import device
from bootstrap.simulator.eap_peer import EapNoobPeer
from bootstrap.simulator.transport import IDENTITY_REQUEST

TOGETHER = 50
"""Conversations at once: what comes in together shares a commit."""


def measure(conversations: int) -> list[Row]:
    """One row: every message of Waiting Exchanges, whose device side costs next to nothing."""
    folder = tempfile.mkdtemp(prefix="onward-bench-")
    os.environ.update(
        ONWARD_DATA_DIR=folder, ONWARD_LOG_LEVEL="ERROR", DJANGO_SETTINGS_MODULE="portal.settings"
    )
    import django  # noqa: PLC0415 (settings come first)

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    from devices.services.env import live_env  # noqa: PLC0415
    from portal.runtime import Runtime  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    runtime = Runtime()

    states = [device.initial_state() for _number in range(TOGETHER)]

    async def converse(number: int) -> int:
        """One conversation of one device; how many messages the engine answered."""
        peer = EapNoobPeer(states[number], device.DeviceFacts(), live_env, lambda state: None)
        reply, count = Reply(IDENTITY_REQUEST), 0
        while (answer := peer.respond(reply.body)) is not None:
            inbound = Inbound(answer, Via.HTTPS, "127.0.0.1", token=reply.token)
            reply = await runtime.engine.handle("eap", inbound)
            count += 1
        states[number] = peer.state
        return count

    async def run() -> Row:
        async def everybody() -> int:
            return sum(await asyncio.gather(*(converse(number) for number in range(TOGETHER))))

        await everybody()  # the Initial Exchanges
        started = time.process_time()
        count = sum([await everybody() for _round in range(max(1, conversations // TOGETHER))])
        spent = time.process_time() - started
        return Row("engine and SQLite store, no door: one Waiting message", count, spent)

    row = asyncio.run(run())
    runtime.close()
    shutil.rmtree(folder, ignore_errors=True)
    return [row]
