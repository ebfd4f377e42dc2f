"""Vouchers over the API: handed in through the real server and its spool, and what becomes of them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_world import Side, program
from rest_framework.test import APIClient
from voucher_world import Maker, maker, pem

from bootstrap.bindings.vouchers import jobs
from bootstrap.protocols.fdo.voucher import Voucher as Parsed
from bootstrap.wire.keys import PublicKeyHandle, SoftSigner
from devices.keys import public_of
from devices.models import ApiToken, Device, Job, OwnerKey, Voucher
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make, public_in, public_pem
from devices.services.people import token_create
from tests.fdo_portal import FdoPortal, eventually

__all__ = ["maker"]
MEGABYTE = 1 << 20
BOUNDARY = "onward-test"
OVER = ("done", "failed", "cancelled")


# Through the whole server: router, spool, threads of Django, worker.


@pytest.fixture(scope="module")
def portal() -> Iterator[FdoPortal]:
    started = FdoPortal.start()
    yield started
    started.live.stop()


@pytest.fixture(scope="module")
def owner(portal: FdoPortal, maker: Maker) -> PublicKeyHandle:
    """The portal's owner key; the maker is trusted, by the API alone."""
    text = public_pem(maker.signer.public.der)
    made = portal.call("POST", "manufacturers", {"pem": text, "name": "Acme"})
    assert made["fingerprint"]
    [key] = [k for k in portal.call("GET", "owner-keys")["results"] if k["purpose"] == "owner"]
    return public_in(portal.call("GET", f"owner-keys/{key['id']}/pem"))[0]


def over(portal: FdoPortal, job: dict[str, Any]) -> dict[str, Any]:
    """The job when it has ended."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = portal.call("GET", f"jobs/{job['id']}")
        return found if found["state"] in OVER else None

    return dict(eventually(look, 60, "job"))


def counts(job: dict[str, Any]) -> tuple[str, int, int, int, int]:
    return job["state"], job["total"], job["added"], job["already_here"], job["rejected"]


def form(content: bytes, name: str, **fields: str) -> bytes:
    """multipart/form-data, RFC 7578."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return b"".join([*parts, head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])


def curl(portal: FdoPortal, program: str, *words: str, stdin: bytes = b"") -> tuple[int, Any]:
    """Status and body of a request by the real curl, as a factory's script makes it."""
    done = subprocess.run(
        [program, "-sS", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {portal.token}", *words],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=True,
    )
    body, _newline, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(body)


def status_of(portal: FdoPortal, method: str, path: str, body: bytes = b"", token: str | None = None) -> int:
    """The status alone, with another token or none."""
    request = urllib.request.Request(f"{portal.url}{path}", data=body or None, method=method)
    request.add_header("Content-Type", "application/octet-stream")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return 0  # refused while the body was still on its way


def test_a_bare_body_becomes_known_devices(portal: FdoPortal, owner: PublicKeyHandle, maker: Maker) -> None:
    content = pem(*(maker.made_for(owner, 2, f"BARE-{n}") for n in range(3)))
    job = portal.call("POST", "vouchers", content, "application/octet-stream")
    assert (job["kind"], job["upload_size"]) == ("voucher-import", len(content))
    assert counts(over(portal, job)) == ("done", 3, 3, 0, 0)
    again = portal.call("POST", "vouchers", content, "application/x-pem-file")
    assert counts(over(portal, again)) == ("done", 3, 0, 3, 0)
    [device] = portal.call("GET", "devices?serial=BARE-1")["results"]
    assert (device["state"], device["method"], device["manufacturer"]) == ("known", "fdo", "Acme")


def test_a_form_brings_a_name_and_a_label(portal: FdoPortal, owner: PublicKeyHandle, maker: Maker) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(2):
            archive.writestr(f"{number}.pem", pem(maker.made_for(owner, 1, f"FORM-{number}")))
    body = form(packed.getvalue(), "lot 7.zip", label="Lot 7")
    job = over(portal, portal.call("POST", "vouchers", body, f"multipart/form-data; boundary={BOUNDARY}"))
    assert counts(job) == ("done", 2, 2, 0, 0)
    assert (job["upload_name"], job["label"]) == ("lot 7.zip", "Lot 7")
    rows = portal.call("GET", f"jobs/{job['id']}/rows")["results"]
    assert [(row["serial"], row["outcome"]) for row in rows] == [("FORM-0", "added"), ("FORM-1", "added")]
    found = portal.call("GET", f"vouchers?job={job['id']}")["results"]
    assert [row["serial"] for row in found] == ["FORM-1", "FORM-0"]


def test_curl_puts_a_file_by_its_name(
    portal: FdoPortal,
    owner: PublicKeyHandle,
    maker: Maker,
    tmp_path: Path,
    find_peer: Callable[[str], str],
) -> None:
    lot = tmp_path / "lot-8.pem"
    lot.write_bytes(pem(maker.made_for(owner, 1, "CURL-1")))
    status, job = curl(portal, find_peer("curl"), "-T", str(lot), f"{portal.url}/api/v1/vouchers/files/")
    assert (status, job["upload_name"], job["upload_size"]) == (202, "lot-8.pem", lot.stat().st_size)
    assert counts(over(portal, job)) == ("done", 1, 1, 0, 0)


def test_curl_puts_what_it_does_not_know_the_length_of(
    portal: FdoPortal, owner: PublicKeyHandle, maker: Maker, find_peer: Callable[[str], str]
) -> None:
    content = pem(maker.made_for(owner, 1, "CURL-2"))
    place = f"{portal.url}/api/v1/vouchers/files/stream.pem"
    status, job = curl(portal, find_peer("curl"), "-T", "-", place, stdin=content)
    assert (status, job["upload_size"]) == (202, len(content))
    assert counts(over(portal, job)) == ("done", 1, 1, 0, 0)


def test_twenty_megabytes_come_through_for_those_who_say_who_they_are(
    portal: FdoPortal, owner: PublicKeyHandle, maker: Maker
) -> None:
    words = b"Vouchers of lot 9, in no order.\n" * (20 * MEGABYTE // 32)
    content = words + pem(maker.made_for(owner, 1, "LARGE-1"))
    job = portal.call("POST", "vouchers", content, "application/octet-stream")
    assert job["upload_size"] == len(content) > 20 * MEGABYTE
    assert counts(over(portal, job)) == ("done", 1, 1, 0, 0)
    for method, path, token in (
        ("POST", "/api/v1/vouchers", None),
        ("PUT", "/api/v1/vouchers/files/x.pem", None),
        ("POST", "/api/v1/plans", portal.token),
        ("PUT", "/api/v1/vouchers", None),
    ):
        assert status_of(portal, method, path, content, token) in (0, 413), path
    for token in ("", "onw_nonsense"):
        assert status_of(portal, "POST", "/api/v1/vouchers", content, token) in (0, 401, 413)
    assert not list((portal.live.folder / "uploads").glob(".*"))


def test_a_bomb_is_a_job_that_failed_and_the_portal_goes_on(portal: FdoPortal) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"{number}.pem", bytes(64 * MEGABYTE))
    assert len(packed.getvalue()) < MEGABYTE
    began = time.monotonic()
    job = over(portal, portal.call("POST", "vouchers", packed.getvalue(), "application/zip"))
    assert (job["added"], job["already_here"]) == (0, 0)
    said = portal.call("GET", f"jobs/{job['id']}/causes")
    assert job["error_code"] == "VCH-153" or [one["code"] for one in said] == ["VCH-153"]
    assert time.monotonic() - began < 20
    assert portal.call("GET", "me")["role"] == "owner"


def test_a_token_for_vouchers_hands_in_and_looks_and_nothing_else(
    portal: FdoPortal, owner: PublicKeyHandle, maker: Maker
) -> None:
    made = portal.call("POST", "tokens", {"name": "line 4", "scope": "vouchers"})
    assert made["scope"] == "vouchers"
    line = FdoPortal(portal.live, token=made["token"])
    content = pem(maker.made_for(owner, 1, "LINE-1"))
    job = over(line, line.call("PUT", "vouchers/files/line.pem", content, "application/octet-stream"))
    assert counts(job) == ("done", 1, 1, 0, 0)
    [voucher] = line.call("GET", f"vouchers?job={job['id']}")["results"]
    for path in (f"jobs/{job['id']}/rows", f"jobs/{job['id']}/report", f"vouchers/{voucher['id']}"):
        assert line.call("GET", path)
    one, device = f"vouchers/{voucher['id']}", voucher["device"]
    closed = [
        *(("GET", path) for path in ("devices", f"devices/{device}", "plans", "audit", "tokens", "fdo")),
        *(("GET", path) for path in ("owner-keys", "manufacturers", "members", "claims", "sessions")),
        *(("POST", path) for path in ("tokens", "claims", "claims/look", "fdo/setup", "manufacturers")),
        *(("POST", f"{one}/{deed}") for deed in ("extend", "register", "restore")),
        *(("POST", f"jobs/{job['id']}/{deed}") for deed in ("undo", "cancel", "trust")),
        *(("DELETE", path) for path in (one, f"devices/{device}")),
        ("PATCH", "fdo"),
    ]
    for method, path in closed:
        body = b"" if method in ("GET", "DELETE") else b"{}"
        assert status_of(portal, method, f"/api/v1/{path}", body, made["token"]) == 403, path
    assert portal.call("GET", one)["state"] in ("stored", "registered")


# Inside the test's own transaction: what follows from it.


@pytest.fixture
def mine(db: None) -> Side:
    return Side("Mine")


@pytest.fixture
def key(mine: Side) -> OwnerKey:
    return owner_key_make(mine.organization, None)


def brought(side: Side, content: bytes, name: str = "lot.pem", client: APIClient | None = None) -> int:
    """Handed in over the API, and run as the worker would; the job's id."""
    path = f"/api/v1/vouchers/files/{name}"
    answer = (client or side.client).put(path, content, content_type="application/octet-stream")
    assert answer.status_code == 202, answer.content
    job = int(answer.json()["id"])
    assert answer["Location"] == f"/api/v1/jobs/{job}"
    jobs.import_run(job)
    return job


def get(side: Side, path: str) -> Any:
    answer = side.client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def post(client: APIClient, path: str, body: Any = None) -> Any:
    return client.post(f"/api/v1/{path}", body, format="json")


def test_one_fix_for_every_row_trust_the_maker(mine: Side, key: OwnerKey, maker: Maker) -> None:
    lot = [maker.made_for(public_of(key), 1, f"SN-{n}") for n in range(3)]
    job = brought(mine, pem(*lot))
    [cause] = get(mine, f"jobs/{job}/causes")
    assert (cause["code"], cause["rows"]) == ("VCH-119", 3)
    rows = get(mine, f"jobs/{job}/rows?outcome=rejected")["results"]
    assert all(row["sentence"] and row["fix"] for row in rows)
    [fingerprint] = {row["detail"]["manufacturer"] for row in rows}
    operator = mine.as_role("operator")
    assert post(operator, f"jobs/{job}/trust", {"fingerprint": fingerprint}).status_code == 403
    for body in ({}, {"fingerprint": "x"}, {"fingerprint": "0" * 64}, {"fingerprint": fingerprint, "x": 1}):
        answer = post(mine.client, f"jobs/{job}/trust", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "API-400")
    assert not get(mine, "manufacturers")["results"]
    answer = post(mine.client, f"jobs/{job}/trust", {"fingerprint": fingerprint, "name": "Acme"})
    assert answer.status_code == 200
    jobs.jobs_run()
    again = get(mine, f"jobs/{job}")
    assert (again["state"], again["added"], again["rejected"]) == ("done", 3, 0)
    [trusted] = get(mine, "manufacturers")["results"]
    assert (trusted["name"], trusted["fingerprint"]) == ("Acme", fingerprint)
    assert public_in(trusted["pem"].encode())[0].der == maker.signer.public.der


def test_undo_takes_an_import_back_once(mine: Side, key: OwnerKey, maker: Maker) -> None:
    manufacturer_trust(mine.organization, None, maker.signer.public.der)
    job = brought(mine, pem(maker.made_for(public_of(key), 1)))
    assert get(mine, f"jobs/{job}")["undoable"] is True
    answer = post(mine.client, f"jobs/{job}/undo")
    assert (answer.status_code, answer.json()["state"], answer.json()["undoable"]) == (200, "undone", False)
    assert not Voucher.objects.filter(current=True).exists()
    assert post(mine.client, f"jobs/{job}/undo").status_code == 400


def test_an_import_whose_device_has_been_here_stays(mine: Side, key: OwnerKey, maker: Maker) -> None:
    manufacturer_trust(mine.organization, None, maker.signer.public.der)
    job = brought(mine, pem(maker.made_for(public_of(key), 1)))
    Device.objects.update(state="onboarded")
    assert get(mine, f"jobs/{job}")["undoable"] is False
    assert post(mine.client, f"jobs/{job}/undo").status_code == 400
    assert Voucher.objects.filter(current=True).count() == 1


def test_a_report_runs_nothing_in_a_spreadsheet(mine: Side) -> None:
    packed = io.BytesIO()
    names = ["=HYPERLINK(1).pem", "+1.pem", "-2+3.pem", "@SUM(1).pem", "\tx.pem", "plain.pem"]
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(
                name, b"-----BEGIN OWNERSHIP VOUCHER-----\nAA==\n-----END OWNERSHIP VOUCHER-----\n"
            )
    job = brought(mine, packed.getvalue(), "lot.zip")
    answer = mine.client.get(f"/api/v1/jobs/{job}/report")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="job-{job}.csv"'
    lines = list(csv.reader(io.StringIO(b"".join(answer).decode())))
    assert len(lines) == 1 + len(names)
    assert {len(line) for line in lines} == {8}
    for cell in (cell for line in lines for cell in line):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), cell
    told = json.loads(b"".join(mine.client.get(f"/api/v1/jobs/{job}/report?type=json")))
    assert (told["total"], told["rejected"], len(told["rows"])) == (6, 6, 6)
    assert mine.client.get(f"/api/v1/jobs/{job}/report?type=exe").status_code == 400


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"", "application/octet-stream"),
        (b"", "application/json"),
        (b'{"file": "x"}', "application/json"),
        (b"[]", "application/json"),
        (b"x", f"multipart/form-data; boundary={BOUNDARY}"),
        (
            form(b"x", "a.pem").replace(b'name="file"', b'name="files"'),
            f"multipart/form-data; boundary={BOUNDARY}",
        ),
        (form(b"", "a.pem"), f"multipart/form-data; boundary={BOUNDARY}"),
    ],
)
def test_what_is_no_file_is_said_and_queues_nothing(mine: Side, content: bytes, media_type: str) -> None:
    answer = mine.client.post("/api/v1/vouchers", content, content_type=media_type)
    assert (answer.status_code, answer.json()["code"]) == (400, "API-400")
    assert not Job.objects.exists()


def test_a_name_with_nul_is_refused(mine: Side) -> None:
    answer = mine.client.put("/api/v1/vouchers/files/a%00b", b"x", content_type="application/octet-stream")
    assert answer.status_code == 400
    assert not Job.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_who_may_claim_may_hand_in(mine: Side, role: str) -> None:
    answer = mine.as_role(role).put("/api/v1/vouchers/files/a", b"x", content_type="application/octet-stream")
    assert answer.status_code == (403 if role == "viewer" else 202)


def test_a_voucher_taken_apart_sold_and_brought_back(mine: Side, key: OwnerKey, maker: Maker) -> None:
    manufacturer_trust(mine.organization, None, maker.signer.public.der, "Acme")
    content = maker.made_for(public_of(key), 2, "SN-1")
    brought(mine, pem(content))
    [row] = get(mine, "vouchers?q=SN-")["results"]
    whole = get(mine, f"vouchers/{row['id']}")
    first, *_resellers, last = whole["owners"]
    assert (first["role"], first["name"], first["ours"]) == ("manufacturer", "Acme", False)
    assert (last["role"], last["ours"]) == ("2", True)
    assert (whole["entries"], whole["state"], len(whole["certificates"])) == (2, "stored", 2)
    assert whole["rendezvous"]
    assert [one["state"] for one in whole["registrations"]] == ["due"]
    for kind, octets in (("pem", pem(content)), ("cbor", content)):
        answer = mine.client.get(f"/api/v1/vouchers/{row['id']}/file?type={kind}")
        assert answer.content == octets
        assert answer["Content-Disposition"] == f'attachment; filename="{row["guid"]}.{kind}"'
    assert mine.client.delete(f"/api/v1/vouchers/{row['id']}").status_code == 204
    assert get(mine, f"vouchers/{row['id']}")["state"] == "deleted"
    assert post(mine.client, f"vouchers/{row['id']}/restore").json()["state"] == "stored"
    assert post(mine.client, f"vouchers/{row['id']}/register").json() == {"due": 1}
    buyer = SoftSigner.generate(maker.kind).public
    sold = post(mine.client, f"vouchers/{row['id']}/extend", {"owner": public_pem(buyer.der)})
    assert (sold.status_code, sold.json()["state"]) == (201, "extended-away")
    bought = mine.client.get(f"/api/v1/vouchers/{sold.json()['id']}/file?type=cbor").content
    assert Parsed.decode(bought).owner_key.handle().der == buyer.der
    again = post(mine.client, f"vouchers/{row['id']}/extend", {"owner": public_pem(buyer.der)})
    assert (again.status_code, again.json()["code"]) == (409, "VCH-303")
    history = get(mine, f"vouchers/{row['id']}/history")
    assert [one["state"] for one in history] == ["extended-away", "superseded"]


def test_a_narrow_token_is_narrow_in_process_too(mine: Side) -> None:
    _token, text = token_create(mine.owner, mine.organization, "line", scope=ApiToken.Scope.VOUCHERS)
    line = APIClient()
    line.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    brought(mine, b"nothing", client=line)
    refused = line.get("/api/v1/devices")
    assert (refused.status_code, refused.json()["code"]) == (403, "API-403")
    assert "hand in vouchers" in refused.json()["message"]
    assert program(mine.owner, mine.organization).get("/api/v1/devices").status_code == 200
