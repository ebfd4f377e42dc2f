"""Two organizations that own one of everything, and programs with tokens of every role."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.cache import cache
from rest_framework.test import APIClient

from bootstrap.engine.models import Event, Session
from devices.models import (
    AccessPoint,
    Claim,
    Device,
    ExpectedSerial,
    Identifier,
    Membership,
    Onboarding,
    Organization,
    Plan,
    Realm,
    Role,
    User,
)
from devices.services.access import access_point_save, expected_serials_add, realm_save
from devices.services.people import membership_ensure, organization_create, token_create, user_ensure
from devices.services.plans import plan_save

THEN = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
ITEMS = [
    {"kind": "network", "value": {"ssid": "Kitchen", "security": "wpa2-psk", "passphrase": "correct horse"}},
    {"kind": "server", "value": {"name": "mqtt", "url": "mqtts://broker.example.com"}},
]


def program(user: User, organization: Organization) -> APIClient:
    """A client that sends a fresh token of this person."""
    _token, text = token_create(user, organization, "test")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


@dataclass
class Side:
    """One organization, its owner, and its rows."""

    name: str
    organization: Organization = field(init=False)
    owner: User = field(init=False)
    client: APIClient = field(init=False)

    def __post_init__(self) -> None:
        # Limits count by id, and rows that were rolled back give their ids again.
        cache.clear()
        slug = self.name.lower()
        self.owner = user_ensure(f"owner@{slug}.example.com")
        self.organization = organization_create(self.name, self.owner)
        self.client = program(self.owner, self.organization)

    def as_role(self, role: str) -> APIClient:
        """A program of a colleague with this role."""
        user = user_ensure(f"{role}@{self.name.lower()}.example.com")
        membership_ensure(self.organization, user, role)
        return program(user, self.organization)

    def device(self, serial: str = "SN-1", **fields: Any) -> Device:
        """A device with session, events, identifiers, onboarding and claim."""
        device = Device.objects.create(
            organization=self.organization, serial=serial, method="eap-noob", manufacturer="Acme", **fields
        )
        session = self.session(device=device, serial=serial)
        Identifier.objects.create(device=device, kind="peer-id", value=session.locator)
        Onboarding.objects.create(device=device, started_at=THEN, step_since=THEN)
        Claim.objects.create(
            organization=self.organization,
            device=device,
            person=self.owner,
            session_id=session.pk,
            direction="device-to-server",
            assurance="fresh-code",
            state="accepted",
        )
        for code in ("eap-noob.initial", "claim.confirmed"):
            self.event(session, code, device=device)
        return device

    def session(self, **fields: Any) -> Session:
        """A session row as the store would write it."""
        row = {
            "protocol": "eap-noob",
            "locator": f"peer-{Session.objects.count()}",
            "organization": self.organization,
            "via": "https",
            "source": "192.0.2.9",
            "phase": "Waiting for OOB",
            "milestone": "waiting",
            "state": b"SEALED-STATE",
            "material": b"SEALED-MATERIAL",
            "token": f"token-{Session.objects.count()}".encode(),
            "version": 1,
            "messages": 3,
            "created_at": THEN,
            "seen_at": THEN,
        }
        return Session.objects.create(**row | fields)

    def event(self, session: Session, code: str, **fields: Any) -> Event:
        """One line of history."""
        row = {"session": session, "organization": self.organization, "at": THEN, "code": code}
        return Event.objects.create(**row | {"level": "info", "detail": {}, "via": "https"} | fields)

    def everything(self) -> dict[str, int]:
        """One row of each noun: its collection in the API and its id."""
        device = self.device(f"{self.name}-serial", name=f"{self.name} lamp")
        slug = self.name.lower()
        point = access_point_save(
            self.organization,
            self.owner,
            address=f"192.0.2.{self.organization.pk % 250 + 1}",
            secret="s3cret-s3cret",
        )
        realm = realm_save(self.organization, self.owner, name=f"devices.{slug}.example.com")
        expected_serials_add(self.organization, self.owner, [f"{self.name}-expected"])
        plan = plan_save(self.organization, self.owner, name=f"{self.name} plan", items=ITEMS)
        return {
            "devices": device.pk,
            "sessions": Session.objects.get(device=device).pk,
            "claims": Claim.objects.get(device=device).pk,
            "access-points": point.pk,
            "realms": realm.pk,
            "expected-serials": ExpectedSerial.objects.get(organization=self.organization).pk,
            "plans": plan.pk,
            "organizations": self.organization.pk,
            "members": Membership.objects.get(organization=self.organization, role=Role.OWNER).pk,
            "tokens": self.owner.api_tokens.first().pk,
        }


def rows_left(ids: dict[str, int]) -> list[bool]:
    """Whether each of the rows that ``everything`` made is still there."""
    tables = {
        "devices": Device,
        "sessions": Session,
        "claims": Claim,
        "access-points": AccessPoint,
        "realms": Realm,
        "expected-serials": ExpectedSerial,
        "plans": Plan,
        "organizations": Organization,
        "members": Membership,
    }
    return [tables[noun].objects.filter(pk=ids[noun]).exists() for noun in tables]
