"""Plays the person: claims devices through the portal's API, as a phone page would."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx

from bootstrap.simulator.summary import Stopped

CONNECTIONS = 16
"""At most so many claims at once: the API is for people, the devices come in their thousands elsewhere."""
TRIES = 8
MAX_WAIT_SECONDS = 30.0
_LATER = frozenset({429, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Person:
    """One signed-in person with an API token."""

    def __init__(self, portal: str, token: str) -> None:
        loopback = urlsplit(portal).hostname in _LOOPBACK
        self._url = f"{portal.rstrip('/')}/api/v1/claims"
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            limits=httpx.Limits(max_connections=CONNECTIONS),
            timeout=httpx.Timeout(30, pool=None),
            verify=not loopback,
        )

    async def claim(self, code: str) -> None:
        """Say "mine" to the code a device shows; merges with the old record when asked. Raises Stopped."""
        answer = await self._post({"code": code})
        if answer.status_code == 409 and "merge_with" in _json(answer):
            answer = await self._post({"code": code, "merge": True})
        _check(answer)

    async def claim_when_known(self, code: str) -> None:
        """Like ``claim``, for a device that its maker is just about to announce. Raises Stopped."""
        for _attempt in range(TRIES):
            answer = await self._post({"code": code})
            if answer.status_code != 404:
                break
            await asyncio.sleep(0.5)
        _check(answer)

    async def code_for(self, serial: str) -> str:
        """The code that the device with this printed serial shall read. Raises Stopped."""
        request: dict[str, Any] = {"serial": serial, "direction": "server-to-device"}
        answer = await self._post(request)
        if answer.status_code == 409 and "merge_with" in _json(answer):
            answer = await self._post(request | {"merge": True})
        _check(answer)
        code = _json(answer).get("code")
        if not isinstance(code, str):
            raise Stopped("claim: answer without a code")
        return code

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    async def _post(self, request: dict[str, Any]) -> httpx.Response:
        """One request; comes back as told on 429 and 503, and when the portal restarts."""
        for attempt in range(TRIES):
            wait = min(0.5 * 2**attempt, MAX_WAIT_SECONDS)
            try:
                answer = await self._client.post(self._url, json=request)
            except httpx.TransportError as error:
                failure = f"claim: {type(error).__name__}"
            else:
                if answer.status_code not in _LATER:
                    return answer
                failure = f"claim: HTTP {answer.status_code}"
                wait = retry_after(answer, wait)
            await asyncio.sleep(wait)
        raise Stopped(failure)


def retry_after(answer: httpx.Response, default: float) -> float:
    """Seconds of a Retry-After header, between 0.1 and MAX_WAIT_SECONDS."""
    value = answer.headers.get("Retry-After", "")
    seconds = float(value) if value.isdigit() else default
    return min(max(seconds, 0.1), MAX_WAIT_SECONDS)


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise Stopped(f"claim: {_json(answer).get('code') or f'HTTP {answer.status_code}'}")


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
