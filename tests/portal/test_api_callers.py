"""Who may call: tokens, browsers, roles, and how often."""

from __future__ import annotations

from datetime import timedelta

import pytest
from api_world import ITEMS, Side
from django.core.cache import cache
from django.utils import timezone
from rest_framework.test import APIClient

from devices.models import ApiToken
from devices.services.people import token_create, user_ensure
from portal.api import throttling

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def test_without_a_token_the_answer_says_how_to_send_one() -> None:
    answer = APIClient().get("/api/v1/devices")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="onward"'
    assert answer.json()["code"] == "API-401"
    assert "Bearer onw_" in answer.json()["fix"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer onw_wrong",
        "Token onw_wrong",
        "Bearer \u00e4\u00f6",
        "Bearer " + "x" * 9000,
    ],
)
def test_a_bad_token_is_refused(header: str) -> None:
    answer = APIClient().get("/api/v1/devices", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
def test_both_spellings_of_the_scheme_are_taken(mine: Side, scheme: str) -> None:
    _token, text = token_create(mine.owner, mine.organization)
    answer = APIClient().get("/api/v1/me", HTTP_AUTHORIZATION=f"{scheme} {text}")
    assert answer.json()["organization"]["name"] == "Mine"


def test_expired_revoked_and_orphaned_tokens_are_dead(mine: Side) -> None:
    token = ApiToken.objects.get()
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert mine.client.get("/api/v1/me").status_code == 401
    ApiToken.objects.update(expires_at=None)
    mine.organization.memberships.all().delete()
    assert mine.client.get("/api/v1/me").status_code == 401
    mine.organization.memberships.create(user=mine.owner, role="owner")
    assert mine.client.get("/api/v1/me").status_code == 200
    token.delete()
    assert mine.client.get("/api/v1/me").status_code == 401


def test_an_inactive_persons_token_is_dead(mine: Side) -> None:
    mine.owner.is_active = False
    mine.owner.save()
    assert mine.client.get("/api/v1/me").status_code == 401


def test_a_browser_reads_with_its_session_and_writes_with_a_csrf_token(mine: Side) -> None:
    device = mine.device()
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(mine.owner, backend="django.contrib.auth.backends.ModelBackend")
    path = f"/api/v1/devices/{device.pk}"
    assert browser.get(path).status_code == 200
    refused = browser.patch(path, {"name": "Lamp"}, format="json")
    assert refused.status_code == 403
    assert refused.json()["code"] == "API-403"
    browser.cookies["csrftoken"] = secret = "a" * 32
    assert browser.patch(path, {"name": "Lamp"}, format="json", HTTP_X_CSRFTOKEN=secret).status_code == 200


def test_a_person_of_no_organization_is_told_so() -> None:
    browser = APIClient()
    browser.force_login(user_ensure("alone@example.com"), backend="django.contrib.auth.backends.ModelBackend")
    assert browser.get("/api/v1/me").json()["organization"] is None
    answer = browser.get("/api/v1/devices")
    assert answer.status_code == 403
    assert "organization" in answer.json()["message"]
    assert browser.post("/api/v1/claims", {"code": "x"}, format="json").status_code == 403


READS = ["devices", "sessions", "claims", "waiting", "plans", "access-points", "realms", "expected-serials"]
READS += ["organizations", "members", "tokens", "audit", "audit/verify", "me"]


@pytest.mark.parametrize("role", ["owner", "admin", "operator", "viewer"])
def test_every_role_reads_everything(mine: Side, role: str) -> None:
    mine.everything()
    client = mine.as_role(role)
    assert {noun: client.get(f"/api/v1/{noun}").status_code for noun in READS} == dict.fromkeys(READS, 200)


ADMIN_DEEDS = [
    ("post", "plans", {"name": "New", "items": []}),
    ("patch", "plans/{plans}", {"name": "Other"}),
    ("delete", "plans/{plans}", {}),
    ("post", "access-points", {"address": "198.51.100.1", "secret": "s3cret-s3cret"}),
    ("patch", "access-points/{access-points}", {"name": "Hall"}),
    ("delete", "access-points/{access-points}", {}),
    ("post", "realms", {"name": "other.example.com"}),
    ("patch", "realms/{realms}", {"assign_to_new_devices": True}),
    ("delete", "realms/{realms}", {}),
    ("post", "expected-serials", {"serials": ["A"]}),
    ("delete", "expected-serials/{expected-serials}", {}),
    ("patch", "organizations/{organizations}", {"oob_retries": 6}),
    ("post", "members", {"email": "new@example.com", "role": "viewer"}),
]
CLAIM_DEEDS = [("patch", "devices/{devices}", {"name": "Lamp"}), ("delete", "devices/{devices}", {})]


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_DEEDS + CLAIM_DEEDS)
@pytest.mark.parametrize("role", ["owner", "admin", "operator", "viewer"])
def test_a_role_may_do_what_it_says(
    mine: Side, role: str, method: str, path: str, body: dict[str, object]
) -> None:
    ids = mine.everything()
    answer = getattr(mine.as_role(role), method)("/api/v1/" + path.format_map(ids), body, format="json")
    allowed = role in ("owner", "admin") or (role == "operator" and (method, path, body) in CLAIM_DEEDS)
    assert (answer.status_code < 300) is allowed, answer.content
    if not allowed:
        assert answer.status_code == 403
        assert answer.json()["code"] == "API-403"


def test_a_viewer_hears_in_a_claims_words_that_it_may_not_claim(mine: Side) -> None:
    answer = mine.as_role("viewer").post("/api/v1/claims", {"code": "anything"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "CLM-111")


def test_passphrases_are_shown_to_those_who_may_change_them(mine: Side) -> None:
    plan = mine.client.post("/api/v1/plans", {"name": "P", "items": ITEMS}, format="json").json()
    assert plan["items"][0]["value"]["passphrase"] == "correct horse"
    for path in (f"/api/v1/plans/{plan['id']}", f"/api/v1/plans/{plan['id']}/versions", "/api/v1/plans"):
        shown = mine.as_role("operator").get(path)
        assert b"Kitchen" in shown.content
        assert b"correct horse" not in shown.content


def test_too_many_requests_are_put_off(mine: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(throttling, "PER_MINUTE", 3)
    monkeypatch.setattr(throttling.time, "time", lambda: 1_000_000_010.0)
    answers = [mine.client.get("/api/v1/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1]["Retry-After"] == str(60 - 1_000_000_010 % 60)
    assert answers[-1].json()["code"] == "API-429"
    assert mine.as_role("viewer").get("/api/v1/me").status_code == 200
    cache.clear()
