"""Settings and plans: who opens them, what they change, what they never show."""

from __future__ import annotations

import base64
import csv
import io
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from devices.models import (
    AccessPoint,
    ApiToken,
    AuditEntry,
    ExpectedSerial,
    Membership,
    OneTimeLink,
    Plan,
    PlanVersion,
    Realm,
    Role,
)
from devices.services.access import access_point_secret, organization_update
from devices.services.people import invitation_create, membership_ensure, token_find, user_ensure
from devices.services.plans import FILE_MAX_LENGTH, plan_save
from tests.portal.account_world import XSS, colleague, decent, signed_in
from tests.portal.api_world import Side

pytestmark = pytest.mark.django_db

READ_BY_ALL = [
    "settings",
    "settings-people",
    "settings-access-points",
    "settings-realms",
    "settings-serials",
    "settings-tokens",
    "settings-audit",
    "plans",
]


@pytest.fixture
def ours() -> Side:
    return Side("Acme")


@pytest.fixture
def theirs() -> Side:
    return Side("Zenith")


@pytest.fixture
def owner(ours) -> Client:
    return signed_in("owner@acme.example.com")


def places(side: Side) -> dict[str, list[str]]:
    """Addresses with the ids of this side's rows: those that are read, and those that only managers open."""
    ids = side.everything()
    other = membership_ensure(
        side.organization, user_ensure(f"second@{side.name.lower()}.example.com"), Role.ADMIN
    )
    link, _text = invitation_create(side.organization, side.owner, "new@example.com", Role.VIEWER)
    return {
        "read": [reverse("plan", args=[ids["plans"]]), reverse("plan-version", args=[ids["plans"], 1])],
        "manage": [
            reverse("settings-person-remove", args=[other.pk]),
            reverse("settings-access-point", args=[ids["access-points"]]),
            reverse("settings-access-point-delete", args=[ids["access-points"]]),
            reverse("settings-realm", args=[ids["realms"]]),
            reverse("settings-realm-delete", args=[ids["realms"]]),
            reverse("plan-edit", args=[ids["plans"]]),
            reverse("plan-delete", args=[ids["plans"]]),
        ],
        "press": [
            reverse("settings-role", args=[other.pk]),
            reverse("settings-invitation-withdraw", args=[link.pk]),
            reverse("plan-default", args=[ids["plans"]]),
        ],
        "own": [reverse("settings-token-revoke", args=[ids["tokens"]])],
    }


def counts() -> list[int]:
    """How much of everything there is."""
    tables = (
        AccessPoint,
        ApiToken,
        ExpectedSerial,
        Membership,
        OneTimeLink,
        Plan,
        PlanVersion,
        Realm,
        AuditEntry,
    )
    return [table.objects.count() for table in tables]


def test_an_owner_opens_every_page(ours, owner):
    found = places(ours)
    for place in (
        [reverse(name) for name in READ_BY_ALL] + found["read"] + found["manage"] + [reverse("plan-new")]
    ):
        answer = owner.get(place)
        assert answer.status_code == 200, place
        decent(answer)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_may_not_manage_reads_but_every_change_is_explained(ours, role):
    found = places(ours)
    client = colleague(ours.organization, role)
    for place in [reverse(name) for name in READ_BY_ALL] + found["read"]:
        answer = client.get(place)
        assert answer.status_code == 200, place
        decent(answer)
    before = counts()
    for place in [*found["manage"], reverse("plan-new")]:
        assert client.get(place).status_code == 403, place
    pressed = [
        reverse(name) for name in READ_BY_ALL if name not in ("settings-tokens", "settings-audit", "plans")
    ]
    for place in [
        *pressed,
        *found["manage"],
        *found["press"],
        reverse("settings-serials-remove"),
        reverse("plan-new"),
    ]:
        answer = client.post(place, {"name": "x", "role": "owner", "email": "a@example.com", "serials": "x"})
        assert answer.status_code == 403, place
        assert "Ask a manager" in decent(answer)
    assert counts() == before


def test_another_organizations_rows_are_not_there(ours, owner, theirs):
    found = places(theirs)
    before = counts()
    for place in found["read"] + found["manage"]:
        assert owner.get(place).status_code == 404, place
    for place in found["manage"] + found["press"] + found["own"]:
        assert owner.post(place, {"role": "viewer", "name": "taken"}).status_code == 404, place
    assert counts() == before
    for name in READ_BY_ALL:
        assert "enith" not in owner.get(reverse(name)).content.decode(), name


def test_serials_of_another_organization_stay(owner, theirs):
    theirs.everything()
    owner.post(reverse("settings-serials-remove"), {"serial": ["Zenith-expected"]})
    assert ExpectedSerial.objects.filter(serial="Zenith-expected").exists()


def test_strangers_are_sent_to_sign_in(ours):
    found = places(ours)
    for place in [reverse(name) for name in READ_BY_ALL] + found["read"] + found["manage"] + [reverse("me")]:
        answer = Client().get(place)
        assert answer.status_code == 302, place
        assert answer["Location"].startswith("/account/login/?next="), place


def test_every_button_needs_its_csrf_token(ours):
    found = places(ours)
    client = signed_in("owner@acme.example.com", enforce_csrf_checks=True)
    before = counts()
    pressed = [reverse(name) for name in READ_BY_ALL if name not in ("plans", "settings-audit")]
    more = [reverse(name) for name in ("settings-serials-remove", "settings-audit-verify", "plan-new", "me")]
    for place in pressed + more + found["manage"] + found["press"] + found["own"]:
        assert client.post(place, {"name": "x"}).status_code == 403, place
    assert counts() == before


def test_buttons_are_not_links(ours, owner):
    for place in [
        *places(ours)["press"],
        reverse("settings-serials-remove"),
        reverse("settings-audit-verify"),
    ]:
        assert owner.get(place).status_code == 405, place


def test_what_people_write_is_text(ours, owner):
    organization_update(ours.organization, ours.owner, name=XSS)
    ours.owner.name = XSS
    ours.owner.save()
    owner.post(
        reverse("settings-access-points"), {"name": XSS, "address": "192.0.2.9", "secret": "long enough"}
    )
    owner.post(reverse("settings-serials"), {"serials": XSS, "note": XSS})
    owner.post(reverse("settings-tokens"), {"name": XSS, "lifetime_days": 30})
    content = base64.b64encode(XSS.encode()).decode()
    items = [
        {"kind": "network", "value": {"ssid": XSS, "security": "open", "passphrase": XSS}},
        {"kind": "config", "value": {"key": XSS, "value": XSS}},
        {
            "kind": "file",
            "value": {"path": "/" + XSS.replace("/", ""), "content": content},
        },
    ]
    plan = plan_save(ours.organization, ours.owner, name=XSS[:80], items=items)
    assert ExpectedSerial.objects.filter(serial=XSS).exists()
    more = [
        reverse("plan", args=[plan.pk]),
        reverse("plan-edit", args=[plan.pk]),
        reverse("plan-delete", args=[plan.pk]),
    ]
    for place in [reverse(name) for name in READ_BY_ALL] + [*more, reverse("me")]:
        text = decent(owner.get(place))
        assert "<script>alert" not in text, place
        assert "&lt;script&gt;alert" in text, place


def test_policies_are_saved_and_mistakes_stay_on_the_page(ours, owner):
    good = {
        "name": "Kitchen team",
        "sleep_attended_seconds": 7,
        "sleep_hour_seconds": 60,
        "sleep_idle_seconds": 600,
        "noob_timeout_seconds": 1800,
        "oob_retries": 3,
        "silence_reminder_seconds": 60,
        "expected_serials_only": "on",
    }
    answer = owner.post(reverse("settings"), good)
    assert answer.status_code == 302
    ours.organization.refresh_from_db()
    assert (ours.organization.name, ours.organization.sleep_attended_seconds) == ("Kitchen team", 7)
    assert ours.organization.expected_serials_only
    assert not ours.organization.forward_secrecy
    answer = owner.post(reverse("settings"), good | {"sleep_idle_seconds": 3601, "name": "Changed"})
    text = decent(answer)
    assert 'value="3601"' in text
    assert 'id="id_sleep_idle_seconds_error"' in text
    ours.organization.refresh_from_db()
    assert ours.organization.name == "Kitchen team"


def test_an_access_points_secret_goes_in_and_never_comes_out(ours, owner):
    place = reverse("settings-access-points")
    assert (
        owner.post(place, {"name": "Hall", "address": "192.0.2.7", "secret": "correct horse"}).status_code
        == 302
    )
    point = AccessPoint.objects.get()
    assert access_point_secret(point) == b"correct horse"
    change = reverse("settings-access-point", args=[point.pk])
    for page in (place, change):
        assert "correct horse" not in owner.get(page).content.decode()
    owner.post(change, {"name": "Stairs", "secret": ""})
    point.refresh_from_db()
    assert (point.name, access_point_secret(point)) == ("Stairs", b"correct horse")
    owner.post(change, {"name": "Stairs", "secret": "battery staple"})
    point.refresh_from_db()
    assert access_point_secret(point) == b"battery staple"
    answer = owner.post(place, {"name": "Attic", "address": "not an address", "secret": "1234567"})
    text = decent(answer)
    assert 'id="id_address_error"' in text
    assert 'value="Attic"' in text
    assert "1234567" not in text
    owner.post(reverse("settings-access-point-delete", args=[point.pk]))
    assert not AccessPoint.objects.exists()


def test_an_address_that_is_somebody_elses_is_refused(owner, theirs):
    theirs.everything()
    address = AccessPoint.objects.get().address
    answer = owner.post(reverse("settings-access-points"), {"address": address, "secret": "correct horse"})
    assert "already registered" in decent(answer)
    assert AccessPoint.objects.get().organization == theirs.organization


def test_realms_are_added_changed_and_given_up(ours, owner):
    place = reverse("settings-realms")
    body = {"name": "devices.example.com", "kdf_datalength": "legacy", "reconnect_nai": "rfc"}
    owner.post(place, body)
    realm = Realm.objects.get(organization=ours.organization)
    assert (realm.kdf_datalength, realm.assign_to_new_devices) == ("legacy", False)
    change = body | {"kdf_datalength": "rfc", "assign_to_new_devices": "on", "name": "other.example.com"}
    owner.post(reverse("settings-realm", args=[realm.pk]), change)
    realm.refresh_from_db()
    assert (realm.name, realm.kdf_datalength, realm.assign_to_new_devices) == (
        "devices.example.com",
        "rfc",
        True,
    )
    assert "of your own" in decent(owner.post(place, body | {"name": "eap-noob.arpa"}))
    owner.post(reverse("settings-realm-delete", args=[realm.pk]))
    assert not Realm.objects.exists()


def test_serials_are_pasted_paged_and_removed(ours, owner):
    place = reverse("settings-serials")
    owner.post(place, {"serials": "\r\n".join(f" SN-{n:03} " for n in range(120)), "note": "order 7"})
    assert ExpectedSerial.objects.filter(organization=ours.organization, note="order 7").count() == 120
    seen: list[str] = []
    page = place
    while page:
        text = decent(owner.get(page))
        seen += re.findall(r'name="serial" value="([^"]+)"', text)
        older = re.search(r'href="(\?before=\d+)"', text)
        page = place + older.group(1) if older else ""
    assert sorted(seen) == [f"SN-{n:03}" for n in range(120)]
    owner.post(reverse("settings-serials-remove"), {"serial": ["SN-000", "SN-001"]})
    assert ExpectedSerial.objects.count() == 118
    assert 'id="id_serials_error"' in decent(owner.post(place, {"serials": "x" * 121}))
    for nonsense in ("0", "-1", "²", "9" * 40, "x"):
        assert owner.get(place, {"before": nonsense}).status_code == 200


def test_a_token_is_shown_once(ours, owner):
    place = reverse("settings-tokens")
    answer = owner.post(place, {"name": "nightly", "lifetime_days": "30"})
    assert answer.status_code == 302
    text = re.search(r"onw_[\w-]{30,}", decent(owner.get(place))).group()
    token = token_find(text)
    assert token is not None
    assert (token.user, token.organization) == (ours.owner, ours.organization)
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
    again = owner.get(place)
    assert text not in again.content.decode()
    assert "no-store" in again["Cache-Control"]
    owner.post(reverse("settings-token-revoke", args=[token.pk]))
    assert token_find(text) is None


def test_a_viewer_has_tokens_and_nobody_ends_a_colleagues(ours, owner):
    viewer = colleague(ours.organization, Role.VIEWER)
    assert viewer.post(reverse("settings-tokens"), {"name": "mine", "lifetime_days": "0"}).status_code == 302
    token = ApiToken.objects.get(name="mine")
    assert token.expires_at is None
    assert owner.post(reverse("settings-token-revoke", args=[token.pk])).status_code == 404
    assert "mine" not in owner.get(reverse("settings-tokens")).content.decode()


def test_roles_change_and_the_last_owner_stays(ours, owner):
    mine = Membership.objects.get(organization=ours.organization, user=ours.owner)
    found = membership_ensure(ours.organization, user_ensure("b@example.com"), Role.VIEWER)
    owner.post(reverse("settings-role", args=[found.pk]), {"role": "admin"})
    found.refresh_from_db()
    assert found.role == Role.ADMIN
    for place, body in (("settings-role", {"role": "viewer"}), ("settings-person-remove", {})):
        answer = owner.post(reverse(place, args=[mine.pk]), body, follow=True)
        assert "at least one owner" in decent(answer)
    mine.refresh_from_db()
    assert mine.role == Role.OWNER
    owner.post(reverse("settings-role", args=[found.pk]), {"role": "emperor"})
    found.refresh_from_db()
    assert found.role == Role.ADMIN


def test_an_admin_neither_makes_nor_unmakes_owners(ours):
    admin = colleague(ours.organization, Role.ADMIN)
    mine = Membership.objects.get(organization=ours.organization, user=ours.owner)
    answer = admin.post(reverse("settings-role", args=[mine.pk]), {"role": "viewer"}, follow=True)
    assert "Only an owner" in decent(answer)
    admin.post(reverse("settings-person-remove", args=[mine.pk]))
    mine.refresh_from_db()
    assert mine.role == Role.OWNER
    admin.post(reverse("settings-people"), {"email": "c@example.com", "role": "owner"})
    assert not OneTimeLink.objects.exists()


def test_anybody_may_leave(ours):
    viewer = colleague(ours.organization, Role.VIEWER)
    mine = Membership.objects.get(user__email="viewer@colleagues.example.com")
    decent(viewer.get(reverse("settings-person-remove", args=[mine.pk])))
    assert viewer.post(reverse("settings-person-remove", args=[mine.pk]))["Location"] == "/me"
    assert not Membership.objects.filter(pk=mine.pk).exists()
    assert viewer.get(reverse("me")).status_code == 200


def test_the_audit_log_is_verified_and_taken_along(ours, owner):
    # A name that a spreadsheet would run.
    owner.post(reverse("settings-tokens"), {"name": "x", "lifetime_days": "30"})
    plan_save(ours.organization, ours.owner, name="=1+1", items=[])
    answer = owner.post(reverse("settings-audit-verify"), follow=True)
    assert "each fits" in decent(answer)
    table = b"".join(owner.get(reverse("settings-audit-csv")).streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == AuditEntry.objects.filter(organization=ours.organization).count()
    assert "'=1+1" in [row["target"] for row in rows]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    AuditEntry.objects.filter(target="=1+1").update(target="nothing")
    broken = AuditEntry.objects.get(target="nothing").pk
    answer = owner.post(reverse("settings-audit-verify"), follow=True)
    assert f"Entry {broken} does not fit" in decent(answer)


def row(mark: str, kind: str, /, **values: str) -> dict[str, str]:
    """One row as the editor sends it."""
    return {f"item-{mark}-kind": kind} | {f"item-{mark}-{name}": text for name, text in values.items()}


def test_a_plan_with_every_kind_is_made_edited_and_read(ours, owner):
    body = {"name": "Kitchen", "row": ["a", "b", "c", "d", "e"]}
    body |= row("a", "network", ssid="Kitchen", security="wpa2-psk", passphrase="correct horse")
    body |= row("b", "server", name="mqtt", url="mqtts://broker.example.com")
    body |= row("c", "config", key="report.seconds", value="60")
    body |= row("d", "file", path="/etc/app.conf", mode="644")
    body |= row("e", "certificate", wanted="on")
    upload = SimpleUploadedFile("app.conf", b"level = 3\n")
    answer = owner.post(reverse("plan-new"), body | {"item-d-content": upload})
    plan = Plan.objects.get()
    assert answer["Location"] == reverse("plan", args=[plan.pk])
    assert plan.is_default
    kinds = [item["kind"] for item in plan.current.items]
    assert kinds == ["network", "server", "config", "file", "certificate"]
    assert base64.b64decode(plan.current.items[3]["value"]["content"]) == b"level = 3\n"
    text = decent(owner.get(reverse("plan", args=[plan.pk])))
    assert "correct horse" in text
    assert "level = 3" in text
    seen = decent(colleague(ours.organization, Role.VIEWER).get(reverse("plan", args=[plan.pk])))
    assert "correct horse" not in seen
    assert "broker.example.com" in seen


def stored(plan: Plan) -> dict[str, object]:
    """What the editor sends when nothing is touched."""
    body: dict[str, object] = {"name": plan.name, "row": []}
    for number, item in enumerate(plan.current.items):
        values = {name: text for name, text in item["value"].items() if name != "content"}
        body |= row(str(number), item["kind"], id=item["id"], wanted="on", **values)
        body["row"].append(str(number))
    return body


def test_an_edit_makes_a_version_and_keeps_files_that_were_not_chosen_again(ours, owner):
    content = base64.b64encode(b"\x00\x01").decode()
    items = [
        {"kind": "file", "value": {"path": "/a", "content": content}},
        {"kind": "config", "value": {"key": "k", "value": "v"}},
    ]
    plan = plan_save(ours.organization, ours.owner, name="P", items=items)
    edit = reverse("plan-edit", args=[plan.pk])
    body = stored(plan)
    assert owner.post(edit, body).status_code == 302
    assert PlanVersion.objects.filter(plan=plan).count() == 1
    body["row"] += ["n"]
    body |= row("n", "config", key="two", value="2") | {"item-0-path": "/b", "item-1-remove": "on"}
    assert owner.post(edit, body).status_code == 302
    plan.refresh_from_db()
    assert plan.current.number == 2
    assert [item["value"] for item in plan.current.items] == [
        {"path": "/b", "content": content},
        {"key": "two", "value": "2"},
    ]
    old = decent(owner.get(reverse("plan-version", args=[plan.pk, 1])))
    assert "This is version 1" in old
    assert owner.get(reverse("plan-version", args=[plan.pk, 9])).status_code == 404


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("network", {"ssid": "", "security": "open", "passphrase": "x"}, "ssid"),
        ("network", {"ssid": "x", "security": "wep"}, "security"),
        ("server", {"name": "m", "url": "broker"}, "url"),
        ("config", {"key": "k", "value": ""}, "value"),
        ("config", {"key": "k", "value": "v" * 5000}, "value"),
        ("file", {"path": "etc/x", "kept": "AAAA"}, "path"),
        ("file", {"path": "/x", "content": "", "kept": ""}, "content"),
        ("file", {"path": "/x", "kept": "AAAA", "mode": "rwx"}, "mode"),
        ("file", {"path": "/x", "kept": "AAAA", "mode": "7777"}, "mode"),
    ],
)
def test_a_mistake_stands_under_its_field_and_nothing_is_lost(owner, kind, values, field):
    body = (
        {"name": "P", "row": ["q", "r"]}
        | row("q", kind, **values)
        | row("r", "config", key="kept", value="1")
    )
    text = decent(owner.post(reverse("plan-new"), body))
    assert f'id="item-q-{field}_error"' in text
    assert 'value="kept"' in text
    assert not Plan.objects.exists()


def test_a_file_that_is_too_large_is_refused(owner):
    body = {"name": "P", "row": ["q"]} | row("q", "file", path="/x")
    large = SimpleUploadedFile("x", b"0" * (FILE_MAX_LENGTH + 1))
    text = decent(owner.post(reverse("plan-new"), body | {"item-q-content": large}))
    assert "larger than 512 kB" in text
    assert not Plan.objects.exists()


def test_an_uploaded_file_survives_a_mistake_elsewhere(owner):
    body = {"name": "", "row": ["q"]} | row("q", "file", path="/x")
    text = decent(
        owner.post(reverse("plan-new"), body | {"item-q-content": SimpleUploadedFile("x", b"hello")})
    )
    kept = re.search(r'type="hidden" name="item-q-kept" value="([^"]+)"', text).group(1)
    owner.post(reverse("plan-new"), body | {"name": "P", "item-q-kept": kept, "item-q-content": ""})
    assert base64.b64decode(Plan.objects.get().current.items[0]["value"]["content"]) == b"hello"


def test_only_the_rows_without_scripts_ask_whether_a_certificate_is_wanted(owner):
    text = decent(owner.get(reverse("plan-new")))
    scripts = text[text.index("<template") :]
    assert 'type="hidden" name="item-ROWKEY-wanted"' in scripts
    assert 'type="checkbox" name="item-new4-wanted"' in text[: text.index("<template")]


def test_blank_rows_and_unknown_ones_are_not_items(owner):
    body = {"name": "P", "row": ["1", "2", "3", "4"]}
    body |= (
        row("1", "network", ssid="", security="wpa2-psk") | row("2", "certificate") | row("3", "virus", x="y")
    )
    owner.post(reverse("plan-new"), body)
    assert Plan.objects.get().current.items == []


def test_two_plans_do_not_share_a_name(ours, owner):
    plan_save(ours.organization, ours.owner, name="P", items=[])
    assert "Another plan has this name" in decent(owner.post(reverse("plan-new"), {"name": "P"}))


def test_the_default_moves_and_a_plan_goes(ours, owner):
    first = plan_save(ours.organization, ours.owner, name="A", items=[])
    second = plan_save(ours.organization, ours.owner, name="B", items=[])
    owner.post(reverse("plan-default", args=[second.pk]))
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_default, second.is_default) == (False, True)
    assert "default plan" in decent(owner.get(reverse("plan-delete", args=[second.pk])))
    owner.post(reverse("plan-delete", args=[first.pk]))
    assert list(Plan.objects.values_list("name", flat=True)) == ["B"]
