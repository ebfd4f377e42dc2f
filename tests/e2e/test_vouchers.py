"""A file of vouchers dropped on the page: the job, the manufacturer that nobody knows, the report, the way back."""

from __future__ import annotations

import base64
import csv
import io
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from bootstrap.wire.keys import PublicKeyHandle, SoftSigner
from tests.e2e.chrome import Person
from tests.e2e.looks import SCREENS, THEMES, examine
from tests.fdo_portal import eventually
from tests.live_portal import LivePortal
from tests.voucher_world import Maker, pem

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

ROBIN = "robin@example.org"
WORKS = "Northern works"
_SETUP = """
from devices.models import Organization
from devices.services.owner_keys import owner_key_make
from devices.services.fdo import fdo_setup, manufacturer_trust
organization = Organization.objects.get(name={name!r})
fdo_setup(organization, None)
key = owner_key_make(organization, None, name="Northern 2026")
for public, name in {trusted!r}:
    manufacturer_trust(organization, None, bytes.fromhex(public), name)
print(bytes(key.public).hex())
"""
DROP = """([zone, name, content]) => {
  const octets = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([octets], name));
  const target = document.querySelector(zone);
  for (const type of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


@dataclass
class Trade:
    """A works with an owner key, a manufacturer that it trusts and one that it does not know."""

    acme: Maker
    newcomer: Maker
    owner: PublicKeyHandle
    made: int = 0

    def vouchers(self, maker: Maker, count: int, entries: int = 2) -> list[bytes]:
        start = self.made
        self.made += count
        return [
            maker.made_for(self.owner, entries, f"NW-{number:05}") for number in range(start, start + count)
        ]


@pytest.fixture(scope="module")
def trade(portal: LivePortal) -> Trade:
    portal.token(ROBIN, WORKS)
    # Vouchers of the one are registered at this portal, those of the other where nobody answers.
    acme, newcomer = Maker(urls=(portal.portal,)), Maker()
    trusted = [(acme.signer.public.der.hex(), "Acme GmbH")]
    said = portal.manage("shell", "-v0", "-c", _SETUP.format(name=WORKS, trusted=trusted))
    return Trade(acme, newcomer, PublicKeyHandle.from_spki(bytes.fromhex(said)))


def drop(person: Person, name: str, content: bytes, zone: str = "body") -> None:
    person.page.evaluate(DROP, [zone, name, base64.b64encode(content).decode()])


def ended(person: Person, state: str = "done") -> dict[str, int]:
    """Wait until the job's page says so by itself; its three numbers."""
    person.page.wait_for_selector(f"[data-over][data-state={state}]", timeout=60_000)
    return counts(person)


def counts(person: Person) -> dict[str, int]:
    shown = person.page.locator("[data-count]")
    return {
        one.get_attribute("data-count") or "": int(one.inner_text().replace(",", "")) for one in shown.all()
    }


def test_a_dropped_file_becomes_devices_and_can_be_taken_back(
    people: Callable[..., Person], trade: Trade, tmp_path: Path
) -> None:
    content = pem(*trade.vouchers(trade.acme, 12), *trade.vouchers(trade.newcomer, 5))
    person = people(ROBIN, viewport=SCREENS["desktop"])
    person.open("/vouchers")
    drop(person, "order 4711.pem", content)
    person.page.wait_for_url("**/jobs/*")
    assert ended(person) == {"added": 12, "already-here": 0, "rejected": 5}
    assert person.heading() == "order 4711.pem"
    assert "12 of 17 are in. 5 need you." in person.page.locator("main").inner_text()

    assert person.page.locator(".trust .digits").inner_text().replace(" ", "")
    person.page.get_by_label("Call it").fill("Newcomer Oy")
    person.tap("Trust this manufacturer")
    person.page.wait_for_load_state()
    assert ended(person) == {"added": 17, "already-here": 0, "rejected": 0}
    assert "All 17 vouchers are in." in person.page.locator("main").inner_text()

    with person.page.expect_download() as download:
        person.page.get_by_role("link", name="Report as CSV").click()
    lines = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert [line["outcome"] for line in lines] == ["added"] * 17

    place = person.page.url
    person.page.get_by_role("link", name="See the 17 vouchers").click()
    assert person.page.locator("tr.link").count() == 17
    person.open(place)
    person.page.get_by_text("Undo this import…").click()
    person.tap("Undo this import")
    ended(person, "undone")
    person.open("/vouchers")
    assert person.page.locator("tr.link").count() == 0


def test_without_a_script_the_form_does_the_same(
    people: Callable[..., Person], trade: Trade, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.pem", tmp_path / "second.cbor"
    first.write_bytes(pem(*trade.vouchers(trade.acme, 2)))
    second.write_bytes(trade.vouchers(trade.acme, 1)[0])
    person = people(ROBIN, java_script_enabled=False)
    person.open("/vouchers/import")
    person.page.get_by_label("Batch name").fill("Spring order")
    person.page.locator("input[type=file]").set_input_files([first, second])
    person.page.get_by_role("button", name="Import", exact=True).click()
    person.page.wait_for_url("**/jobs")
    assert person.page.locator("tr.link").filter(has_text="Spring order").count() == 2


def test_several_files_are_several_jobs_and_what_fails_stays_in_sight(
    people: Callable[..., Person], trade: Trade, tmp_path: Path
) -> None:
    person = people(ROBIN)
    person.open("/vouchers/import")
    good = tmp_path / "lot a.pem"
    good.write_bytes(pem(*trade.vouchers(trade.acme, 1)))
    more = tmp_path / "lot b.pem"
    more.write_bytes(pem(*trade.vouchers(trade.acme, 1)))
    person.page.locator("input[type=file]").set_input_files([good, more])
    person.page.wait_for_url("**/jobs")
    rows = person.page.locator("tr.link").all_inner_texts()
    assert "lot b.pem" in rows[0]
    assert "lot a.pem" in rows[1]
    person.page.wait_for_selector("table[data-over]")


def test_a_voucher_is_sold_on_to_a_pasted_key(people: Callable[..., Person], trade: Trade) -> None:
    person = people(ROBIN, viewport=SCREENS["desktop"])
    person.open("/vouchers")
    drop(person, "one.pem", pem(*trade.vouchers(trade.acme, 1, entries=3)))
    person.page.wait_for_url("**/jobs/*")
    ended(person)
    person.page.locator("#job-rows a").first.click()
    expect(person.page.locator(".chain > li")).to_have_count(4)
    assert "Acme GmbH" in person.page.locator(".chain > li").first.inner_text()
    assert "yours" in person.page.locator(".chain > li").last.inner_text()

    person.page.get_by_text("Sell it on…").click()
    person.page.get_by_label("Next owner's public key").fill("nonsense")
    with person.page.expect_response(lambda answer: answer.status == 422):
        person.tap("Sell on")
    buyer = SoftSigner.generate(trade.acme.kind)
    person.page.get_by_label("Next owner's public key").fill(_pem_of(buyer.public))
    person.tap("Sell on")
    person.page.wait_for_load_state()
    expect(person.page.locator(".chain > li")).to_have_count(5)
    assert "This device is the next owner's." in person.page.locator("main").inner_text()
    with person.page.expect_download() as download:
        person.page.get_by_role("link", name="Download PEM").click()
    assert download.value.path().read_text().startswith("-----BEGIN OWNERSHIP VOUCHER-----")


def _pem_of(public: PublicKeyHandle) -> str:
    body = base64.encodebytes(public.der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"


@pytest.fixture(scope="module")
def shown(portal: LivePortal, trade: Trade) -> dict[str, str]:
    """Pages as they may look after a day: a job with reasons, vouchers of every state."""
    token = portal.token(ROBIN, WORKS)

    def call(
        method: str, path: str, body: bytes | None = None, kind: str = "application/octet-stream"
    ) -> dict:
        request = urllib.request.Request(f"{portal.portal}/api/v1/{path}", data=body, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    stranger = SoftSigner.generate(trade.acme.kind)
    third = Maker()
    broken = bytearray(trade.vouchers(trade.acme, 1)[0])
    broken[-60] ^= 1
    lot = [
        *trade.vouchers(trade.acme, 30, entries=3),
        *trade.vouchers(third, 6),
        trade.acme.made_for(stranger.public, 2, "NW-77001"),
        trade.acme.made_for(stranger.public, 2, "NW-77002"),
        bytes(broken),
    ]
    upload = httpx.post(
        f"{portal.portal}/api/v1/vouchers",
        headers={"Authorization": f"Bearer {token}"},
        data={"label": "Order 4711, Hamburg"},
        files={"file": ("order-4711.pem", pem(*lot))},
    )
    job = upload.json()
    eventually(lambda: call("GET", f"jobs/{job['id']}")["state"] == "done", 60)
    again = call("POST", "vouchers", pem(*lot[:30]))
    eventually(lambda: call("GET", f"jobs/{again['id']}")["state"] == "done", 60)
    rows = call("GET", f"jobs/{job['id']}/rows?outcome=added")["results"]
    first, second, third_one = (row["voucher"] for row in rows[:3])
    key = json.dumps({"owner": _pem_of(stranger.public)}).encode()
    sold = call("POST", f"vouchers/{second}/extend", key, "application/json")
    call("DELETE", f"vouchers/{third_one}")
    return {
        "vouchers": "/vouchers",
        "vouchers-all": "/vouchers?state=all",
        "vouchers-none-found": "/vouchers?q=zzz",
        "voucher": f"/vouchers/{first}",
        "voucher-sold": f"/vouchers/{sold['id']}",
        "voucher-deleted": f"/vouchers/{third_one}",
        "voucher-import": "/vouchers/import",
        "jobs": "/jobs",
        "job": f"/jobs/{job['id']}",
        "job-again": f"/jobs/{again['id']}",
        "job-rejected": f"/jobs/{job['id']}?outcome=rejected&code=VCH-118",
    }


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_of_vouchers_is_without_fault(
    people: Callable[..., Person], shown: dict[str, str], screen: str, theme: str
) -> None:
    person = people(ROBIN, viewport=SCREENS[screen], color_scheme=theme)
    wrong: list[str] = []
    for name, path in shown.items():
        person.open(path)
        wrong += examine(person, name, screen, theme)
        person.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        wrong += examine(person, f"{name}-all", screen, theme)
    assert wrong == [], "\n".join(wrong)
