"""Whatever arrives, the answer is a clean error in the one shape."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from api_world import Side
from django.conf import settings
from django.db import connection
from rest_framework.test import APIClient

from bootstrap.bindings.problems import ClaimProblem
from portal.catalogue import PROBLEMS

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> APIClient:
    return Side("Mine").client


def check(answer: Any, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.content
    body: dict[str, Any] = answer.json()
    assert isinstance(body["code"], str)
    assert isinstance(body["message"], str)
    assert body["message"]
    assert isinstance(body["fix"], str)
    assert all(isinstance(text, str) for texts in body.get("fields", {}).values() for text in texts)
    return body


BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"[1]",
    b'"x"',
    b"1e999",
    b"NaN",
    b'{"code": NaN}',
    b'{"code": "\\u0000"}',
    b'{"code": "\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"\\u0000": 1}',
    b"\xff\xfe\x00",
    b'{"code": "\xff"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"session": ' + b"9" * 5000 + b"}",
    b'{"session": 9223372036854775808}',
    b'{"session": -1}',
    b'{"session": 1e300}',
    b'{"code": {"deep": []}}',
    b'{"code": true}',
    b'{"code": "x", "merge": "perhaps"}',
    b'{"code": "x", "name": 5e-324, "room": []}',
    b'{"serial": "x", "session": 1}',
    b'{"code": "x", "direction": "server-to-device"}',
    b'{"serial": "x", "direction": "device-to-server"}',
    b'{"direction": "sideways", "code": "x"}',
    b'{"code": "' + b"x" * 5000 + b'"}',
]


@pytest.mark.parametrize("path", ["claims", "claims/look", "plans", "access-points", "realms", "members"])
@pytest.mark.parametrize("body", BODIES, ids=[str(body[:30]) for body in BODIES])
def test_any_body_is_taken_or_refused_cleanly(client: APIClient, path: str, body: bytes) -> None:
    answer = client.generic("POST", f"/api/v1/{path}", body, content_type="application/json")
    assert check(answer, 400)["code"] in ("API-400", "CLM-101")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=base64", "application/json; charset=x", "application/json"]
)
def test_the_charset_of_json_is_utf_8_whatever_is_said(client: APIClient, content_type: str) -> None:
    body = json.dumps({"name": "Küche", "items": []}, ensure_ascii=False).encode()
    answer = client.generic("POST", "/api/v1/plans", body, content_type=content_type)
    assert answer.json()["name"] == "Küche"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "x"]
)
def test_other_media_types_are_not_read(client: APIClient, content_type: str) -> None:
    answer = client.generic("POST", "/api/v1/plans", b"a=b", content_type=content_type)
    assert check(answer, 415)["code"] == "API-415"


def test_a_body_over_the_limit_is_refused(client: APIClient) -> None:
    body = b'{"name": "' + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'
    answer = client.generic("POST", "/api/v1/plans", body, content_type="application/json")
    assert check(answer, 413)["code"] == "API-413"


@pytest.mark.parametrize(
    "name", ["0", "-1", "1.5", "x", "%00", "9" * 18, "9" * 19, "9" * 400, "%D9%A1", "%ff", "..", "1%0a"]
)
@pytest.mark.parametrize("noun", ["devices", "sessions", "claims", "plans", "organizations", "tokens"])
def test_any_id_is_found_or_not(client: APIClient, noun: str, name: str) -> None:
    assert check(client.get(f"/api/v1/{noun}/{name}"), 404)["code"] == "API-404"


@pytest.mark.parametrize("path", ["nothing", "devices/1/nothing", "devices//1", "schema/x", "%00", "\u2603"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options", "patch"])
def test_unknown_addresses_answer_in_json_to_anybody(path: str, method: str) -> None:
    assert check(getattr(APIClient(), method)(f"/api/v1/{path}"), 404)["code"] == "API-404"


def test_other_methods_and_media_types_are_named(client: APIClient) -> None:
    refused = client.put("/api/v1/devices", {}, format="json")
    assert check(refused, 405)["code"] == "API-405"
    assert "GET" in refused["Allow"]
    assert check(client.options("/api/v1/devices"), 405)["code"] == "API-405"
    assert check(client.get("/api/v1/devices", HTTP_ACCEPT="text/html"), 406)["code"] == "API-406"


def test_errors_are_in_the_language_of_the_request(client: APIClient) -> None:
    with_language = client.get("/api/v1/devices/1", HTTP_ACCEPT_LANGUAGE="tlh, en;q=0.5")
    assert check(with_language, 404)["message"] == "There is nothing here."


def test_every_problem_of_a_claim_has_a_status() -> None:
    assert set(PROBLEMS) == set(ClaimProblem)
    assert all(400 <= entry.status < 500 for entry in PROBLEMS.values())


def test_the_reference_page_gives_the_same_statuses() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `CLM-")]
    told = {code: int(row[2]) for row in rows for code in re.findall(r"CLM-\d+", row[1])}
    assert told == {problem.value: entry.status for problem, entry in PROBLEMS.items()}


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the trigger that plays the other writer is SQLite's"
)
def test_two_at_once_are_a_conflict_not_a_fault(client: APIClient) -> None:
    """The unique constraint decides a race that the checks before it cannot see."""
    client.post("/api/v1/plans", {"name": "P", "items": []}, format="json")
    other = client.post("/api/v1/plans", {"name": "Q", "items": []}, format="json").json()["id"]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TRIGGER race BEFORE UPDATE ON devices_plan WHEN NEW.name = 'R' BEGIN "
            "SELECT RAISE(ABORT, 'UNIQUE constraint failed: devices_plan.name'); END"
        )
    try:
        answer = client.patch(f"/api/v1/plans/{other}", {"name": "R"}, format="json")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER race")
    assert check(answer, 409)["code"] == "API-409"
