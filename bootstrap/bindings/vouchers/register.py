"""TO0 done right: the owner registers every current voucher at every rendezvous its RVInfo names, before the lease
ends, again and again until it works, and a person can see how it stands.

The portal's own rendezvous is asked over HTTP like any other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from bootstrap.bindings.vouchers.hand_over import owner_signer
from bootstrap.contract import Level
from bootstrap.engine.events import event_write
from bootstrap.errors import LocalError, OnwardError, PeerError
from bootstrap.protocols.fdo import owner_client
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.protocols.fdo.constants import TransportProtocol
from bootstrap.protocols.fdo.messages.to0 import RvTo2Addr
from bootstrap.wire.keys import Signer
from devices.models import FdoSettings, Registration, User, Voucher
from devices.services.audit import audit_write
from devices.services.fdo import fdo_settings

BATCH = 64
AT_ONCE = 8
TIMEOUT_SECONDS = 15.0
RENEW_AT = 0.8
"""Of the lease: time for several tries before it ends."""
BACKOFF_FIRST = timedelta(seconds=10)
BACKOFF_MAX = timedelta(hours=1)
JITTER = 0.25
BODY_MAX_LENGTH = 65_535
log = structlog.get_logger(__name__)
_jitter = random.Random()  # noqa: S311 (spreads load; no secret)


@dataclass(frozen=True, slots=True)
class _Task:
    """One registration, ready to go: nothing of it needs the database."""

    id: int
    url: str
    wait_seconds: int
    voucher: vouchers.Voucher = field(repr=False)
    signer: Signer = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of it."""

    id: int
    wait_seconds: int = 0
    code: str = ""
    text: str = ""


def register_due(now: datetime, limit: int = BATCH) -> int:
    """Whatever is due now, a batch; returns how many were tried."""
    due = list(
        Registration.objects.filter(next_at__lte=now)
        .exclude(state=Registration.State.OFF)
        .select_related("voucher", "voucher__organization")
        .order_by("next_at", "pk")[:limit]
    )
    if not due:
        return 0
    tasks, failed = _prepare(due)
    results = asyncio.run(_register(tasks))
    for result in [*failed, *results]:
        _settle(result)
    return len(due)


def register_now(voucher: Voucher, actor: User | None) -> int:
    """A person will not wait: all of a voucher's registrations are due. Returns how many there are."""
    with transaction.atomic():
        rows = Registration.objects.filter(voucher=voucher, voucher__current=True)
        rows = rows.exclude(voucher__state=Voucher.State.EXTENDED_AWAY)
        count = rows.update(state=Registration.State.DUE, next_at=timezone.now(), attempts=0)
        audit_write(voucher.organization, actor, "voucher.register-now", voucher.guid, addresses=count)
    return count


def _prepare(due: Iterable[Registration]) -> tuple[list[_Task], list[_Result]]:
    """Voucher, key and wish of every registration; what cannot even be tried is a failure with a reason."""
    tasks: list[_Task] = []
    failed: list[_Result] = []
    policies: dict[int, FdoSettings] = {}
    signers: dict[str, Signer] = {}
    for row in due:
        voucher = row.voucher
        policy = policies.setdefault(voucher.organization_id, fdo_settings(voucher.organization))
        if not policy.owner_on or not voucher.current:
            Registration.objects.filter(pk=row.pk).update(state=Registration.State.OFF, next_at=None)
            continue
        try:
            signer = signers.get(voucher.owner_fingerprint) or owner_signer(voucher)[1]
            signers[voucher.owner_fingerprint] = signer
            parsed = registrable(vouchers.Voucher.decode(bytes(voucher.content)), signer)
            tasks.append(_Task(row.pk, row.url, policy.to0_wait_seconds, parsed, signer))
        except OnwardError as error:
            failed.append(_Result(row.pk, code="TO0-102", text=str(error)))
    return tasks, failed


def registrable(voucher: vouchers.Voucher, signer: Signer) -> vouchers.Voucher:
    """A voucher that was never extended, as TO2 leaves it, is extended to its owner's own key: rendezvous servers
    refuse one without entries (fdo.md 3.4)."""
    if voucher.entries:
        return voucher
    return vouchers.extend(voucher, signer, voucher.header.manufacturer_key)


async def _register(tasks: list[_Task]) -> list[_Result]:
    gate = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE * 2)
    # What is signed and verified is in the messages: TLS here hides them, its names prove nothing more.
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, verify=False) as client:  # noqa: S501

        async def one(task: _Task) -> _Result:
            async with gate:
                return await _to0(client, task)

        return list(await asyncio.gather(*(one(task) for task in tasks)))


async def _to0(client: httpx.AsyncClient, task: _Task) -> _Result:
    """TO0 with one server. Every way it can fail is a result."""
    try:
        to0 = owner_client.To0Client(task.voucher, task.signer, to2_addresses(), task.wait_seconds)
        number, body = to0.begin()
        token = ""
        while True:
            number, body, token = await _exchange(client, task.url, number, body, token)
            following = to0.receive(number, body)
            if not isinstance(following, tuple):
                return _Result(task.id, wait_seconds=following.wait_seconds)
            number, body = following
    except httpx.HTTPError as error:
        return _Result(task.id, code="TO0-103", text=str(error) or type(error).__name__)
    except (PeerError, LocalError) as error:
        return _Result(task.id, code="TO0-104", text=str(error))


async def _exchange(
    client: httpx.AsyncClient, url: str, number: int, body: bytes, token: str
) -> tuple[int, bytes, str]:
    headers = {"Content-Type": "application/cbor", "Message-Type": str(number)}
    if token:
        headers["Authorization"] = token
    target = f"{url.rstrip('/')}/fdo/101/msg/{number}"
    async with client.stream("POST", target, content=body, headers=headers) as reply:
        received = b""
        async for chunk in reply.aiter_bytes():
            received += chunk
            if len(received) > BODY_MAX_LENGTH:
                raise PeerError("the reply is longer than 65535 octets")
        text = reply.headers.get("Message-Type", "")
        if not text.isdigit():
            raise PeerError(f"HTTP {reply.status_code} without Message-Type: no rendezvous server there?")
        return int(text), received, reply.headers.get("Authorization", token)


def to2_addresses() -> tuple[RvTo2Addr, ...]:
    """Where devices find this owner: the portal's address, and the device TLS port."""
    urls = [settings.PORTAL_URL or "http://localhost:8000", settings.DEVICES_URL]
    return tuple(address_of(url) for url in dict.fromkeys(urls) if url)


def address_of(url: str) -> RvTo2Addr:
    """``http://198.51.100.4:8000`` or ``https://portal.example.org`` as RVTO2AddrEntry."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    transport = TransportProtocol.HTTPS if secure else TransportProtocol.HTTP
    port = parts.port or (443 if secure else 80)
    host = parts.hostname or ""
    try:
        return RvTo2Addr(ip_address(host).packed, None, port, transport)
    except ValueError:
        return RvTo2Addr(None, host, port, transport)


def _settle(result: _Result) -> None:
    """Write what became of it, and when to look again."""
    now = timezone.now()
    with transaction.atomic():
        row = (
            Registration.objects.select_for_update(of=("self",))
            .select_related("voucher__device")
            .filter(pk=result.id)
            .exclude(state=Registration.State.OFF)
            .first()
        )
        if row is None:
            return
        if result.code:
            _failed(row, result, now)
        else:
            _registered(row, result, now)
        row.save()


def _registered(row: Registration, result: _Result, now: datetime) -> None:
    first = row.state != Registration.State.REGISTERED
    lease = timedelta(seconds=min(result.wait_seconds, 2**31))
    row.state, row.attempts, row.last_error_code, row.last_error = Registration.State.REGISTERED, 0, "", ""
    row.registered_at, row.lease_until = now, now + lease
    # Never at once: a server that grants no time at all would be asked without end.
    row.next_at = now + max(lease * (RENEW_AT - JITTER / 5 * _jitter.random()), BACKOFF_FIRST)
    Voucher.objects.filter(pk=row.voucher_id, state=Voucher.State.STORED).update(
        state=Voucher.State.REGISTERED
    )
    if first and row.voucher.device is not None:
        event_write(
            row.voucher.device,
            "voucher.registered",
            Level.SUCCESS,
            url=row.url,
            seconds=result.wait_seconds,
        )


def _failed(row: Registration, result: _Result, now: datetime) -> None:
    first = row.state != Registration.State.FAILING
    row.state = Registration.State.FAILING
    row.last_error_code, row.last_error = result.code[:32], result.text[:300]
    row.attempts += 1
    row.next_at = now + backoff(row.attempts)
    log.warning("to0.failed", registration=row.pk, url=row.url, code=result.code, error=result.text)
    if first and row.voucher.device is not None:
        event_write(
            row.voucher.device, "voucher.register-failed", Level.WARNING, url=row.url, reason=result.code
        )


def backoff(attempts: int) -> timedelta:
    """Twice as long each time, an hour at most, a quarter more or less."""
    seconds = BACKOFF_FIRST.total_seconds() * 2 ** min(attempts - 1, 20)
    base = min(timedelta(seconds=seconds), BACKOFF_MAX)
    return base * (1 + _jitter.uniform(-JITTER, JITTER))
