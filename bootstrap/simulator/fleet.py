"""Many devices at once: started at a rate, stopped by a deadline or by Ctrl-C, counted at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Protocol

from bootstrap.errors import OnwardError
from bootstrap.simulator.progress import Progress
from bootstrap.simulator.summary import Stopped, Summary


class SimulatedDevice(Protocol):
    """One device of any protocol."""

    serial: str

    @property
    def phase(self) -> str:
        """What it is doing, in the words a timeout is reported with."""
        ...

    async def run(self) -> None:
        """From switched on to onboarded. Raises Stopped."""
        ...


async def run_fleet(
    devices: Sequence[SimulatedDevice],
    rate: float,
    timeout_seconds: float,
    progress: Progress,
    goal: str = "onboarded",
) -> Summary:
    """Run every device to its end; ``rate`` devices start per second. Never raises: the summary tells."""
    summary = Summary(len(devices), goal=goal)
    tasks = [
        asyncio.create_task(_run(device, number / rate, timeout_seconds, progress, summary))
        for number, device in enumerate(devices)
    ]
    with _interruptible(tasks):
        await asyncio.gather(*tasks, return_exceptions=True)
    if never_started := sum(task.cancelled() for task in tasks):
        summary.failed["interrupted"] += never_started
    return summary


async def _run(
    device: SimulatedDevice, delay: float, timeout_seconds: float, progress: Progress, summary: Summary
) -> None:
    try:
        await asyncio.sleep(delay)
        start = time.monotonic()
        async with asyncio.timeout(timeout_seconds):
            await device.run()
    except Stopped as stopped:
        reason = stopped.reason
    except TimeoutError:
        reason = f"timeout while {device.phase}"
    except asyncio.CancelledError:
        reason = "interrupted"
    except OnwardError as error:
        reason = f"{type(error).__name__}: {error}"
    except Exception as error:  # a bug of the simulator must not end the other devices
        traceback.print_exc(file=sys.stderr)
        reason = f"simulator: {type(error).__name__}"
    else:
        seconds = time.monotonic() - start
        summary.seconds.append(seconds)
        progress.event(summary.end, device.serial, seconds=round(seconds, 3))
        return
    summary.failed[reason] += 1
    progress.event("failed", device.serial, reason=reason)


@contextlib.contextmanager
def _interruptible(tasks: Sequence[asyncio.Task[None]]) -> Iterator[None]:
    """SIGINT and SIGTERM end the devices, not the program: the summary still comes."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for task in tasks:
            task.cancel()

    signals = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in signals:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in signals:
                loop.remove_signal_handler(number)
