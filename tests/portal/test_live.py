"""Live updates: from a datagram of any process to the right browsers, and to no others."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.db import transaction
from django.test import Client

from bootstrap.engine.events import event_write
from bootstrap.engine.live import publish, socket_path
from bootstrap.engine.models import Event, Session
from bootstrap.engine.store import Committed
from devices.models import Device, Membership
from devices.services.people import membership_ensure, organization_create, user_ensure
from portal.asgi import Application
from portal.live import NOT_ALLOWED, Bridge

pytestmark = pytest.mark.django_db(transaction=True)
HOST = b"portal.example.org"
NOW = datetime(2026, 11, 3, tzinfo=UTC)

PATIENCE_SECONDS = 30
"""Only a hang takes that long; a busy machine may take a few."""


class Watched:
    """An organization with a device, its session and a signed-in owner."""

    def __init__(self, name: str) -> None:
        self.user = user_ensure(f"owner@{name.lower()}.example.com")
        self.organization = organization_create(name, self.user)
        self.device = Device.objects.create(organization=self.organization, method="eap-noob")
        self.session = Session.objects.create(
            **{"protocol": "eap-noob", "locator": name, "organization": self.organization},
            **{"device": self.device, "state": b"", "version": 1, "messages": 1},
            **{"created_at": NOW, "seen_at": NOW},
        )

    def cookie(self, chosen: int | None = None) -> bytes:
        client = Client()
        client.force_login(self.user)
        if chosen:
            session = client.session
            session["organization"] = chosen
            session.save()
        return f"sessionid={client.cookies['sessionid'].value}".encode()

    def line(self) -> Event:
        return event_write(self.device, "claim.confirmed", session_id=self.session.pk)


@pytest.fixture
def mine() -> Watched:
    return Watched("Mine")


@pytest.fixture
def theirs() -> Watched:
    return Watched("Theirs")


def no_device(*_what: Any) -> Any:
    raise AssertionError("no device speaks here")


class Browser(ApplicationCommunicator):
    """The browser's end of one WebSocket."""

    def __init__(self, path: str, cookie: bytes = b"", origin: bytes = b"https://" + HOST) -> None:
        address, _mark, query = path.partition("?")
        headers = [(b"host", HOST), (b"cookie", cookie)]
        if origin:
            headers.append((b"origin", origin))
        scope = {"type": "websocket", "path": address, "query_string": query.encode(), "headers": headers}
        super().__init__(Application(no_device), scope | {"subprotocols": []})

    async def connect(self) -> tuple[bool, Any]:
        """Whether it was let in, and the code it was closed with."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(PATIENCE_SECONDS)
        return answer["type"] == "websocket.accept", answer.get("code")

    async def hear(self) -> dict[str, Any]:
        answer = await self.receive_output(PATIENCE_SECONDS)
        assert answer["type"] == "websocket.send", answer
        found: dict[str, Any] = json.loads(answer["text"])
        return found

    async def say(self, text: str | None = None, octets: bytes | None = None) -> None:
        await self.send_input({"type": "websocket.receive", "text": text, "bytes": octets})

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wait(5)


@asynccontextmanager
async def connected(path: str, cookie: bytes) -> AsyncIterator[Browser]:
    page = Browser(path, cookie)
    assert (await page.connect())[0]
    yield page
    await page.leave()


@asynccontextmanager
async def bridge() -> AsyncIterator[Bridge]:
    opened = Bridge()
    opened.open()
    yield opened
    opened.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def fresh() -> None:
        get_channel_layer().channels.clear()
        get_channel_layer().groups.clear()
        await test()

    asyncio.run(fresh())


def close_code(path: str, cookie: bytes, origin: bytes = b"https://" + HOST) -> tuple[bool, Any]:
    async def knock() -> tuple[bool, Any]:
        return await Browser(path, cookie, origin).connect()

    return asyncio.run(knock())


def poke(of: Watched, event: int) -> Committed:
    return Committed(of.session.pk, of.device.pk, of.organization.pk, (event,))


@pytest.mark.parametrize("kind", ["device", "session", "organization"])
def test_a_change_reaches_whoever_watches_its_device_session_or_organization(
    mine: Watched, theirs: Watched, kind: str
) -> None:
    paths = {
        "device": f"/live/device/{mine.device.pk}",
        "session": f"/live/session/{mine.session.pk}",
        "organization": "/live/organization",
    }
    cookie = mine.cookie()

    async def watch() -> None:
        async with bridge(), connected(paths[kind], cookie) as page:
            publish([poke(theirs, 6), poke(mine, 7)])
            assert await page.hear() == {"event": 7, "device": mine.device.pk}
            assert await page.receive_nothing()

    run(watch)


def test_a_person_in_two_organizations_watches_the_chosen_one(mine: Watched, theirs: Watched) -> None:
    membership_ensure(theirs.organization, mine.user, "viewer")
    first, chosen = mine.cookie(), mine.cookie(theirs.organization.pk)

    async def watch() -> None:
        async with (
            bridge(),
            connected("/live/organization", first) as one,
            connected("/live/organization", chosen) as other,
        ):
            publish([poke(mine, 1), poke(theirs, 2)])
            assert (await one.hear())["event"] == 1
            assert (await other.hear())["event"] == 2

    run(watch)


def test_what_was_missed_is_told_on_connecting(mine: Watched) -> None:
    first, last = mine.line(), mine.line()
    cookie = mine.cookie()

    async def watch() -> None:
        for path in (
            f"/live/device/{mine.device.pk}",
            "/live/organization",
            f"/live/session/{mine.session.pk}",
        ):
            for after in (
                "",
                f"?after={first.pk}",
                "?after=0",
                "?after=nonsense",
                "?after=-1",
                f"?after={'9' * 30}",
            ):
                async with connected(path + after, cookie) as page:
                    assert await page.hear() == {"event": last.pk}
            async with connected(f"{path}?after={last.pk}", cookie) as page:
                assert await page.receive_nothing()

    run(watch)


def test_another_organizations_device_looks_like_none(mine: Watched, theirs: Watched) -> None:
    theirs.line()
    cookie = mine.cookie()
    for path in (
        f"/live/device/{theirs.device.pk}",
        f"/live/session/{theirs.session.pk}",
        "/live/device/999999999999999999",
        "/live/session/0",
    ):
        assert close_code(path, cookie) == (False, NOT_ALLOWED)


def test_a_choice_of_anothers_organization_falls_back_to_ones_own(mine: Watched, theirs: Watched) -> None:
    cookie = mine.cookie(theirs.organization.pk)

    async def watch() -> None:
        async with bridge(), connected("/live/organization", cookie) as page:
            publish([poke(theirs, 1), poke(mine, 2)])
            assert (await page.hear())["event"] == 2

    run(watch)


def test_who_belongs_to_no_organization_watches_nothing(mine: Watched) -> None:
    cookie = mine.cookie()
    Membership.objects.all().delete()
    assert close_code("/live/organization", cookie) == (False, NOT_ALLOWED)


@pytest.mark.parametrize("cookie", [b"", b"sessionid=nonsense", b"\xff\xfe"])
def test_nobody_watches_unless_signed_in(mine: Watched, cookie: bytes) -> None:
    assert close_code(f"/live/device/{mine.device.pk}", cookie) == (False, NOT_ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        *(b"", b"null", b"https://evil.example", b"https://portal.example.org.evil.example"),
        *(b"https://portal.example.org:1", b"portal.example.org", b"\xff"),
    ],
)
def test_a_page_of_another_site_opens_nothing(mine: Watched, origin: bytes) -> None:
    assert close_code(f"/live/device/{mine.device.pk}", mine.cookie(), origin) == (False, NOT_ALLOWED)


def test_whatever_a_browser_says_is_ignored(mine: Watched) -> None:
    cookie = mine.cookie()

    async def watch() -> None:
        async with bridge(), connected("/live/organization", cookie) as page:
            for text in ("nonsense", "{}", '{"type": "poke", "event": 1}', "[" * 10_000):
                await page.say(text)
            await page.say(octets=b"\xff\x00")
            publish([poke(mine, 3)])
            assert (await page.hear())["event"] == 3

    run(watch)


def test_a_datagram_that_is_no_poke_harms_nobody(mine: Watched) -> None:
    cookie = mine.cookie()

    async def watch() -> None:
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        async with bridge(), connected("/live/organization", cookie) as page:
            for raw in (b"", b"nonsense", b"\xff", b"[]", b"7", b"{}", b'{"event": "x"}', b"x" * 5000):
                sender.sendto(raw, str(socket_path()))
            good = {"event": 9, "session": None, "device": None, "organization": mine.organization.pk}
            sender.sendto(json.dumps(good).encode(), str(socket_path()))
            assert await page.hear() == {"event": 9, "device": None}
        sender.close()

    run(watch)


def test_a_bridge_takes_over_from_one_that_was_killed(mine: Watched) -> None:
    cookie = mine.cookie()

    async def watch() -> None:
        async with bridge(), bridge(), connected("/live/organization", cookie) as page:
            publish([poke(mine, 4)])
            assert (await page.hear())["event"] == 4
        assert socket_path().stat().st_mode & 0o777 == 0o600

    run(watch)


def test_publishing_to_nobody_is_harmless(mine: Watched) -> None:
    socket_path().unlink(missing_ok=True)
    publish([poke(mine, 1), Committed(1, None, None, ())])


def test_a_line_is_told_after_its_commit_and_not_if_it_is_undone(mine: Watched) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket_path().unlink(missing_ok=True)
    listener.bind(str(socket_path()))
    listener.setblocking(False)
    try:
        with transaction.atomic():
            mine.line()
            transaction.set_rollback(True)
        with pytest.raises(BlockingIOError):
            listener.recv(4096)
        with transaction.atomic():
            line = mine.line()
            with pytest.raises(BlockingIOError):
                listener.recv(4096)
        assert json.loads(listener.recv(4096)) == {
            "event": line.pk,
            "session": mine.session.pk,
            "device": mine.device.pk,
            "organization": mine.organization.pk,
        }
    finally:
        listener.close()
        socket_path().unlink(missing_ok=True)
