"""Claims of devices with a voucher, by a program."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import Side
from voucher_world import Maker, maker, pem

from bootstrap.bindings.vouchers.jobs import import_create, import_run
from devices.keys import public_of
from devices.models import Claim, Voucher
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make

__all__ = ["maker"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def voucher_of(side: Side, maker: Maker, serial: str) -> Voucher:
    manufacturer_trust(side.organization, None, maker.signer.public.der, "Acme")
    content = maker.made_for(public_of(owner_key_make(side.organization, None)), 1, serial)
    import_run(import_create(side.organization, None, [pem(content)]).pk)
    return Voucher.objects.get(organization=side.organization, serial=serial)


def post(side: Side, path: str, body: Any, status: int) -> Any:
    answer = side.client.post(f"/api/v1/{path}", body, format="json")
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_sticker_is_looked_at_claimed_and_claimed_again(mine: Side, maker: Maker) -> None:
    voucher = voucher_of(mine, maker, "SN-1")
    code = f"https://portal.example.com/d/{voucher.guid}"
    seen = post(mine, "claims/look", {"code": code}, 200)
    assert (seen["method"], seen["serial"], seen["guid"]) == ("fdo", "SN-1", voucher.guid)
    assert (seen["state"], seen["seen_at"]) == ("known", None)
    made = post(mine, "claims", {"code": code, "name": "Hall", "room": "Ground"}, 201)
    assert (made["device"]["id"], made["device"]["name"]) == (voucher.device_id, "Hall")
    assert (made["assurance"], made["state"], made["direction"]) == (
        "sticker",
        "accepted",
        "device-to-server",
    )
    again = post(mine, "claims", {"code": "SN-1"}, 200)
    assert again == made
    assert Claim.objects.count() == 1


def test_a_whole_voucher_is_a_code_too(mine: Side, maker: Maker) -> None:
    voucher = voucher_of(mine, maker, "SN-1")
    made = post(mine, "claims", {"code": pem(bytes(voucher.content)).decode()}, 201)
    assert made["device"]["id"] == voucher.device_id


def test_a_voucher_of_others_is_none(mine: Side, maker: Maker) -> None:
    theirs = voucher_of(Side("Theirs"), maker, "SN-2")
    bodies = []
    for code in (theirs.guid, "0" * 32):
        for path in ("claims", "claims/look"):
            bodies.append(post(mine, path, {"code": code}, 404))
    assert all(body == bodies[0] for body in bodies)
    assert set(bodies[0]) == {"code", "message", "fix"}
    assert bodies[0]["code"] == "CLM-119"
