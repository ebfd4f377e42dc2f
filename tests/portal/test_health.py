"""/healthz: green while every heart beats, red when one has stopped."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import pytest
from django.conf import settings

from portal.health import STALE_SECONDS, beat_forever, beats, health, healthz, heart_path


@pytest.fixture(autouse=True)
def hearts() -> Any:
    """Every heart beats now; gone afterwards."""
    for name in settings.DOORS:
        heart_path(name).touch()
    yield
    for name in settings.DOORS:
        heart_path(name).unlink(missing_ok=True)


def ask(method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(healthz({"method": method}, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_it_is_green_while_every_heart_beats() -> None:
    status, headers, body = ask()
    assert (status, headers[b"content-type"], headers[b"cache-control"]) == (
        200,
        b"application/json",
        b"no-store",
    )
    assert json.loads(body) == {
        "status": "ok",
        "version": settings.VERSION,
        "doors": dict.fromkeys(["web", "devices", "coap", "radius", "worker"], "up"),
    }
    assert int(headers[b"content-length"]) == len(body)


@pytest.mark.parametrize("name", ["web", "devices", "coap", "radius", "worker"])
@pytest.mark.parametrize("how", ["stopped", "never"])
def test_it_is_red_when_one_heart_has_stopped(name: str, how: str) -> None:
    if how == "never":
        heart_path(name).unlink()
    else:
        long_ago = time.time() - STALE_SECONDS - 1
        os.utime(heart_path(name), (long_ago, long_ago))
    status, _headers, body = ask()
    assert status == 503
    found = json.loads(body)
    assert found["status"] == "failing"
    assert [door for door, state in found["doors"].items() if state == "down"] == [name]


def test_only_the_doors_that_are_expected_count(settings: Any) -> None:
    heart_path("radius").unlink()
    settings.DOORS = ["web", "coap"]
    assert health()[0] == 200


def test_head_gets_the_same_without_a_body() -> None:
    status, headers, body = ask("HEAD")
    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0


def test_a_heart_beats_while_its_loop_runs_and_not_longer() -> None:
    heart_path("web").unlink()

    async def live() -> None:
        beating = asyncio.create_task(beat_forever("web"))
        await asyncio.sleep(0.05)
        assert beats("web")
        beating.cancel()

    asyncio.run(live())
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(heart_path("web"), (long_ago, long_ago))
    assert not beats("web")
