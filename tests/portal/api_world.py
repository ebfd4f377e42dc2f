"""Two organizations that own one of everything, and programs with tokens of every role."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.core.cache import cache
from rest_framework.test import APIClient

from bootstrap.bindings.vouchers.admit import voucher_words
from bootstrap.engine.models import Event, Session
from devices.examine import examine
from devices.models import (
    AccessPoint,
    Claim,
    Device,
    DeviceFile,
    ExpectedSerial,
    Group,
    Identifier,
    Job,
    JobRow,
    Membership,
    Onboarding,
    Organization,
    OwnerKey,
    Plan,
    Realm,
    Registration,
    Role,
    TrustedManufacturer,
    User,
    Voucher,
)
from devices.services.access import access_point_save, expected_serials_add, realm_save
from devices.services.fdo import manufacturer_trust
from devices.services.groups import group_save
from devices.services.owner_keys import owner_key_make
from devices.services.people import membership_ensure, organization_create, token_create, user_ensure
from devices.services.plans import plan_save

THEN = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
ITEMS = [
    {"kind": "network", "value": {"ssid": "Kitchen", "security": "wpa2-psk", "passphrase": "correct horse"}},
    {"kind": "server", "value": {"name": "mqtt", "url": "mqtts://broker.example.com"}},
]


VECTORS = Path(__file__).parents[1] / "vectors" / "fdo" / "vouchers.json"


@lru_cache(maxsize=1)
def voucher_vectors() -> tuple[bytes, ...]:
    """Vouchers that go-fdo made."""
    return tuple(bytes.fromhex(one["voucher"]) for one in json.loads(VECTORS.read_text())["vouchers"])


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

    def voucher(self, device: Device | None = None) -> Voucher:
        """A voucher with the import that brought it, and its registration."""
        vectors = voucher_vectors()
        words = voucher_words(examine(vectors[Voucher.objects.count() % len(vectors)]))
        words["serial"] = f"{self.name}-sold"
        job = Job.objects.create(
            organization=self.organization,
            kind=Job.Kind.VOUCHER_IMPORT,
            state=Job.State.DONE,
            label=f"{self.name} lot",
            author=self.owner,
            total=1,
            done=1,
            added=1,
        )
        voucher = Voucher.objects.create(organization=self.organization, device=device, job=job, **words)
        JobRow.objects.create(
            job=job,
            number=1,
            name=f"{self.name}.pem",
            guid=voucher.guid,
            serial=voucher.serial,
            outcome="added",
            voucher=voucher,
        )
        Registration.objects.create(voucher=voucher, url=f"http://{self.name.lower()}.example.com:8041")
        return voucher

    def file(self, device: Device) -> DeviceFile:
        """A file that the device sent."""
        file = DeviceFile(device=device, name=f"{self.name}.log", received_at=THEN)
        file.content = f"log of {self.name}".encode()
        file.save()
        return file

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
        voucher = self.voucher(device)
        key = owner_key_make(self.organization, self.owner, name=f"{self.name} key")
        maker = manufacturer_trust(self.organization, self.owner, bytes(key.public), f"{self.name} maker")
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
            "vouchers": voucher.pk,
            "jobs": voucher.job_id,
            "owner-keys": key.pk,
            "manufacturers": maker.pk,
            "groups": group_save(self.organization, self.owner, name=f"{self.name} group", plan=plan).pk,
            "files": self.file(device).pk,
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
        "vouchers": Voucher,
        "jobs": Job,
        "owner-keys": OwnerKey,
        "manufacturers": TrustedManufacturer,
        "groups": Group,
        "files": DeviceFile,
    }
    return [tables[noun].objects.filter(pk=ids[noun]).exists() for noun in tables]
