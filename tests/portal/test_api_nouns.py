"""What admins edit, and what everybody asks about themselves."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from api_world import ITEMS, Side
from django.utils import timezone
from rest_framework.test import APIClient

from devices.models import AccessPoint, ApiToken, AuditEntry, Membership, OneTimeLink, PlanVersion, Role
from devices.services.access import access_point_secret
from devices.services.people import invitation_accept, membership_ensure, token_create, user_ensure
from portal.api.urls import router

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def post(side: Side, path: str, body: Any) -> Any:
    return side.client.post(f"/api/v1/{path}", body, format="json")


def patch(side: Side, path: str, body: Any) -> Any:
    return side.client.patch(f"/api/v1/{path}", body, format="json")


def test_the_root_names_every_noun_and_each_address_answers(mine: Side) -> None:
    nouns = APIClient().get("/api/v1/").json()
    assert set(nouns) == {noun for noun, _view, _name in router.registry} | {"schema"}
    for address in nouns.values():
        assert not address.endswith("/")
        assert mine.client.get(address).status_code == 200
        assert mine.client.get(address + "/").status_code == 200


def test_a_post_is_taken_with_and_without_a_slash(mine: Side) -> None:
    assert post(mine, "plans", {"name": "One", "items": []}).status_code == 201
    assert post(mine, "plans/", {"name": "Two", "items": []}).status_code == 201


def test_a_plan_gets_a_version_for_each_change_of_its_items(mine: Side) -> None:
    plan = post(mine, "plans", {"name": "Kitchen", "items": ITEMS}).json()
    assert (plan["version"], plan["is_default"]) == (1, True)
    assert [item["id"] for item in plan["items"]] == ["network-1", "server-2"]
    assert patch(mine, f"plans/{plan['id']}", {"name": "Bath"}).json()["version"] == 1
    changed = patch(mine, f"plans/{plan['id']}", {"items": ITEMS[:1]}).json()
    assert (changed["name"], changed["version"], len(changed["items"])) == ("Bath", 2, 1)
    versions = mine.client.get(f"/api/v1/plans/{plan['id']}/versions").json()["results"]
    assert [version["number"] for version in versions] == [2, 1]
    assert mine.client.get(f"/api/v1/plans/{plan['id']}").json() == changed


def test_there_is_one_default_plan(mine: Side) -> None:
    first = post(mine, "plans", {"name": "A", "items": []}).json()
    second = post(mine, "plans", {"name": "B", "items": [], "is_default": True}).json()
    shown = {plan["id"]: plan["is_default"] for plan in mine.client.get("/api/v1/plans").json()["results"]}
    assert shown == {first["id"]: False, second["id"]: True}
    assert mine.client.delete(f"/api/v1/plans/{second['id']}").status_code == 204
    assert not PlanVersion.objects.filter(plan_id=second["id"]).exists()


@pytest.mark.parametrize(
    "items",
    [
        {},
        "x",
        ["x"],
        [{}],
        [{"kind": "nonsense", "value": {}}],
        [{"kind": ["network"], "value": {}}],
        [{"kind": "network", "value": {"ssid": "x"}}],
        [{"kind": "network", "value": {"ssid": "x", "security": "wep"}}],
        [{"kind": "server", "value": {"name": "x", "url": "nowhere"}}],
        [{"kind": "config", "value": {"key": "x", "value": "y", "more": "z"}}],
        [{"kind": "config", "value": {"key": {"deep": 1}, "value": "y"}}],
        [{"kind": "file", "value": {"path": "/../etc/passwd", "content": ""}}],
        [{"kind": "file", "value": {"path": "/x", "content": "not base64!"}}],
        [{"kind": "config", "id": "a", "value": {"key": "x", "value": "y"}}] * 2,
        [{"kind": "certificate", "value": {}, "extra": 1}],
        [{"kind": "certificate", "value": {}}] * 101,
    ],
)
def test_a_plan_that_no_device_could_take_is_refused(mine: Side, items: Any) -> None:
    answer = post(mine, "plans", {"name": "P", "items": items})
    assert answer.status_code == 400
    assert all(field.startswith("items") for field in answer.json()["fields"])
    assert mine.client.get("/api/v1/plans").json()["results"] == []


def test_two_plans_of_one_name_are_refused_with_a_sentence(mine: Side) -> None:
    post(mine, "plans", {"name": "P", "items": []})
    answer = post(mine, "plans", {"name": "P", "items": []})
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_file_in_a_plan_comes_back_as_it_was_sent(mine: Side) -> None:
    content = base64.b64encode(bytes(range(256)) * 200).decode()
    item = {"kind": "file", "value": {"path": "/etc/x", "content": content}}
    plan = post(mine, "plans", {"name": "P", "items": [item]}).json()
    assert plan["items"][0]["value"]["content"] == content


def test_an_access_point_keeps_its_secret_to_itself(mine: Side) -> None:
    body = {"address": "192.0.2.77/24", "secret": " spaces count ", "name": "Hall"}
    made = post(mine, "access-points", body)
    assert made.status_code == 201
    assert made.json()["address"] == "192.0.2.0/24"
    assert "secret" not in made.json()
    point = AccessPoint.objects.get()
    assert access_point_secret(point) == b" spaces count "
    renamed = patch(mine, f"access-points/{point.pk}", {"name": "Attic"})
    assert renamed.json()["name"] == "Attic"
    assert access_point_secret(AccessPoint.objects.get()) == b" spaces count "
    again = post(mine, "access-points", {"address": "192.0.2.0/24", "secret": "another secret"})
    assert (again.status_code, again.json()["id"]) == (200, point.pk)
    assert access_point_secret(AccessPoint.objects.get()) == b"another secret"
    assert mine.client.delete(f"/api/v1/access-points/{point.pk}").status_code == 204
    assert not AccessPoint.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"address": "nowhere", "secret": "s3cret-s3cret"}, "address"),
        ({"address": "192.0.2.1", "secret": "short"}, "secret"),
        ({"address": "192.0.2.1"}, "secret"),
        ({"secret": "s3cret-s3cret"}, "address"),
    ],
)
def test_a_wrong_access_point_is_refused_by_field(mine: Side, body: dict[str, str], field: str) -> None:
    answer = post(mine, "access-points", body)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


def test_an_address_or_realm_of_others_is_taken_and_never_says_whose(mine: Side) -> None:
    theirs = Side("Theirs")
    post(theirs, "access-points", {"address": "192.0.2.1", "secret": "s3cret-s3cret"})
    post(theirs, "realms", {"name": "d.example.com"})
    for path, body in (
        ("access-points", {"address": "192.0.2.1", "secret": "s3cret-other"}),
        ("realms", {"name": "d.example.com"}),
    ):
        answer = post(mine, path, body)
        assert answer.status_code == 400
        assert b"Theirs" not in answer.content
    assert access_point_secret(AccessPoint.objects.get()) == b"s3cret-s3cret"


def test_a_realm_says_how_its_devices_read_the_rfc(mine: Side) -> None:
    made = post(mine, "realms", {"name": "D.example.com", "kdf_datalength": "legacy"})
    assert made.status_code == 201
    assert made.json()["name"] == "d.example.com"
    assert (made.json()["kdf_datalength"], made.json()["reconnect_nai"]) == ("legacy", "rfc")
    path = f"realms/{made.json()['id']}"
    assert patch(mine, path, {"reconnect_nai": "legacy"}).json()["kdf_datalength"] == "legacy"
    assert patch(mine, path, {"name": "other.example.com"}).status_code == 400
    assert post(mine, "realms", {"name": "d.example.com"}).status_code == 200
    assert post(mine, "realms", {"name": "noob.eap.arpa"}).status_code == 400
    assert mine.client.delete(f"/api/v1/{path}").status_code == 204


def test_expected_serials_add_up(mine: Side) -> None:
    assert post(mine, "expected-serials", {"serials": ["A", "B", "A"]}).json() == {"added": 2, "known": 0}
    assert post(mine, "expected-serials", {"serials": ["B", "C"], "note": "van"}).json() == {
        "added": 1,
        "known": 1,
    }
    shown = mine.client.get("/api/v1/expected-serials").json()["results"]
    assert [row["serial"] for row in shown] == ["C", "B", "A"]
    assert shown[0]["note"] == "van"
    found = mine.client.get("/api/v1/expected-serials?serial=B").json()["results"]
    assert mine.client.delete(f"/api/v1/expected-serials/{found[0]['id']}").status_code == 204
    assert len(mine.client.get("/api/v1/expected-serials").json()["results"]) == 2
    assert post(mine, "expected-serials", {"serials": []}).status_code == 400


def test_policies_change_within_their_limits(mine: Side) -> None:
    path = f"organizations/{mine.organization.pk}"
    changed = patch(mine, path, {"sleep_attended_seconds": 4, "expected_serials_only": True}).json()
    assert (changed["sleep_attended_seconds"], changed["expected_serials_only"]) == (4, True)
    assert changed["role"] == "owner"
    wrong = patch(
        mine, path, {"sleep_attended_seconds": 3601, "oob_retries": 0, "silence_reminder_seconds": 2**40}
    )
    assert set(wrong.json()["fields"]) == {
        "sleep_attended_seconds",
        "oob_retries",
        "silence_reminder_seconds",
    }


def test_a_person_founds_an_organization_and_owns_it(mine: Side) -> None:
    made = post(mine, "organizations", {"name": "Second"})
    assert (made.status_code, made.json()["role"]) == (201, "owner")
    assert Membership.objects.get(organization__name="Second").user == mine.owner
    taken = post(mine, "organizations", {"name": "Second"})
    assert list(taken.json()["fields"]) == ["name"]
    browser = APIClient()
    browser.force_login(mine.owner, backend="django.contrib.auth.backends.ModelBackend")
    shown = browser.get("/api/v1/organizations").json()["results"]
    assert [row["name"] for row in shown] == ["Second", "Mine"]


def test_an_invitation_works_once(mine: Side) -> None:
    made = post(mine, "members", {"email": "New@example.com", "role": "operator"}).json()
    text = made["link"].rpartition("/join/")[2]
    assert made["link"].startswith("http://testserver/join/")
    assert (made["email"], made["role"]) == ("new@example.com", "operator")
    joined = invitation_accept(text, user_ensure("new@example.com"))
    assert joined is not None
    assert joined.role == "operator"
    assert invitation_accept(text, user_ensure("new@example.com")) is None
    emails = {row["user"]["email"] for row in mine.client.get("/api/v1/members").json()["results"]}
    assert emails == {"owner@mine.example.com", "new@example.com"}


def test_admins_do_not_make_or_unmake_owners(mine: Side) -> None:
    admin = mine.as_role("admin")
    owner = Membership.objects.get(role=Role.OWNER)
    viewer_client = mine.as_role("viewer")
    viewer = Membership.objects.get(role=Role.VIEWER)
    invite = {"email": "x@example.com", "role": "owner"}
    assert admin.post("/api/v1/members", invite, format="json").status_code == 403
    assert admin.patch(f"/api/v1/members/{viewer.pk}", {"role": "owner"}, format="json").status_code == 403
    assert admin.patch(f"/api/v1/members/{owner.pk}", {"role": "viewer"}, format="json").status_code == 403
    assert admin.delete(f"/api/v1/members/{owner.pk}").status_code == 403
    assert not OneTimeLink.objects.exists()
    promoted = admin.patch(f"/api/v1/members/{viewer.pk}", {"role": "operator"}, format="json")
    assert promoted.json()["role"] == "operator"
    assert admin.delete(f"/api/v1/members/{viewer.pk}").status_code == 204
    assert viewer_client.get("/api/v1/me").status_code == 401
    assert not ApiToken.objects.filter(user=viewer.user).exists()


def test_the_last_owner_stays(mine: Side) -> None:
    owner = Membership.objects.get()
    assert patch(mine, f"members/{owner.pk}", {"role": "admin"}).status_code == 400
    assert mine.client.delete(f"/api/v1/members/{owner.pk}").status_code == 400
    membership_ensure(mine.organization, user_ensure("second@example.com"), "owner")
    assert patch(mine, f"members/{owner.pk}", {"role": "admin"}).json()["role"] == "admin"


def test_a_tokens_text_is_shown_once_and_works(mine: Side) -> None:
    made = post(mine, "tokens", {"name": "CI", "lifetime_days": 30}).json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    me = client.get("/api/v1/me").json()
    assert (me["token"]["id"], me["user"]["email"], me["role"]) == (made["id"], mine.owner.email, "owner")
    assert made["token"] not in client.get("/api/v1/tokens").content.decode()
    assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert client.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("body", [{}, {"lifetime_days": 3650}])
def test_a_token_makes_none_that_outlives_it(mine: Side, body: dict[str, int]) -> None:
    token, text = token_create(mine.owner, mine.organization, lifetime=timedelta(days=1))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    made = ApiToken.objects.get(pk=client.post("/api/v1/tokens", body, format="json").json()["id"])
    assert made.expires_at is not None
    assert token.expires_at is not None
    assert timezone.now() < made.expires_at <= token.expires_at + timedelta(seconds=1)


def test_the_audit_log_names_deeds_and_notices_tampering(mine: Side) -> None:
    device = mine.device()
    patch(mine, f"devices/{device.pk}", {"name": "Lamp"})
    newest = mine.client.get("/api/v1/audit").json()["results"][0]
    assert (newest["action"], newest["target"]) == ("device.changed", str(device.pk))
    assert (newest["actor_name"], newest["detail"]) == (mine.owner.email, {"name": "Lamp"})
    assert mine.client.get("/api/v1/audit/verify").json() == {"ok": True, "broken_at": None}
    AuditEntry.objects.filter(pk=newest["id"]).update(detail={"name": "Bulb"})
    assert mine.client.get("/api/v1/audit/verify").json() == {"ok": False, "broken_at": newest["id"]}
