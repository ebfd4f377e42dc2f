"""Codes of real devices on their way to the claim page."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.test import Client

from bootstrap.engine.models import Event, Session
from devices.models import AuditEntry, Claim, Device


def landing(code: str) -> str:
    """Path and query that the phone's camera app opens."""
    return "/n?" + urlsplit(code).query


def scan(client: Client, code: str) -> str:
    """Open the code's link; where it leads."""
    answer = client.get(landing(code))
    assert answer.status_code == 303
    return str(answer["Location"])


def spoiled(code: str, name: str) -> str:
    """The same link with another value of the same form for one parameter."""
    query = dict(parse_qsl(urlsplit(code).query))
    query[name] = ("B" if query[name][0] == "A" else "A") + query[name][1:]
    return f"https://portal.example/n?{urlencode(query)}"


def protocol_rows() -> list[Any]:
    """What must not change before somebody says yes."""
    columns = ("pk", "version", "state", "phase", "device", "messages")
    rows = [
        tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
        for row in Session.objects.values_list(*columns)
    ]
    return [
        rows,
        Event.objects.count(),
        Device.objects.count(),
        Claim.objects.count(),
        AuditEntry.objects.count(),
    ]
