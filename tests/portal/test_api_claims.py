"""Claims through the API, with real devices on the other side of the real engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_device import waiting
from api_world import Side
from rest_framework.test import APIClient

from bootstrap.bindings.limits import WRONG_PER_MINUTE
from bootstrap.contract import Verdict
from bootstrap.engine.models import Session
from bootstrap.protocols.eap_noob.constants import Direction
from devices.models import Claim, Device
from devices.services.access import expected_serials_add, organization_update
from devices.services.people import membership_ensure, user_ensure

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def claim(client: Any, **body: Any) -> Any:
    return client.post("/api/v1/claims", body, format="json")


def look(client: Any, code: str) -> Any:
    return client.post("/api/v1/claims/look", {"code": code}, format="json")


def test_a_code_is_looked_at_then_claimed_and_the_device_completes(mine: Side) -> None:
    thing = waiting("T2-0042")
    code = thing.shows()
    seen = look(mine.client, code)
    assert seen.status_code == 200
    assert (seen.json()["serial"], seen.json()["manufacturer"]) == ("T2-0042", "Acme")
    assert seen.json()["session"] == thing.session.pk
    assert not Device.objects.exists()
    made = claim(mine.client, code=code, name="Hall", room="House")
    assert made.status_code == 201
    body = made.json()
    assert (body["direction"], body["assurance"], body["state"]) == (
        "device-to-server",
        "fresh-code",
        "accepted",
    )
    assert (body["device"]["name"], body["device"]["state"]) == ("Hall", "onboarding")
    assert "code" not in body
    assert thing.connect() is Verdict.ACCEPT
    path = f"/api/v1/devices/{body['device']['id']}"
    lines = mine.client.get(f"{path}/events").json()["results"]
    assert "claim.confirmed" in [line["code"] for line in lines]
    assert mine.client.get(f"{path}/sessions").json()["results"][0]["serial"] == "T2-0042"
    assert mine.client.get(f"/api/v1/claims/{body['id']}").json()["device"]["id"] == body["device"]["id"]


def test_the_same_code_again_is_the_same_claim(mine: Side) -> None:
    thing = waiting()
    code = thing.shows()
    first = claim(mine.client, code=code)
    again = claim(mine.client, code=code)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert thing.connect() is Verdict.ACCEPT
    late = claim(mine.client, code=code)
    assert (late.status_code, late.json()["id"]) == (200, first.json()["id"])
    assert (Device.objects.count(), Claim.objects.count()) == (1, 1)


def test_a_colleague_and_another_organization_hear_different_things(mine: Side) -> None:
    thing = waiting()
    code = thing.shows()
    made = claim(mine.client, code=code).json()
    colleague = claim(mine.as_role("operator"), code=code)
    assert (colleague.status_code, colleague.json()["code"]) == (409, "CLM-108")
    assert colleague.json()["device"] == made["device"]["id"]
    other = claim(Side("Theirs").client, code=code)
    assert (other.status_code, other.json()["code"]) == (409, "CLM-109")
    assert other.json()["message"] == "This device already has an owner."
    assert set(other.json()) == {"code", "message", "fix"}


def test_wrong_codes_count_down_and_the_last_one_resets(mine: Side) -> None:
    organization_update(mine.organization, mine.owner, oob_retries=2)
    thing = waiting()
    code = thing.shows()
    wrong = code[:-1] + ("A" if code[-1] != "A" else "Q")
    assert look(mine.client, wrong).status_code == 422
    first = claim(mine.client, code=wrong)
    assert (first.status_code, first.json()["code"], first.json()["tries_left"]) == (422, "CLM-104", 1)
    last = claim(mine.client, code=wrong)
    assert (last.status_code, last.json()["code"]) == (422, "CLM-105")
    assert not Device.objects.exists()
    assert claim(mine.client, code=code).status_code in (404, 410)


def test_who_guesses_is_slowed_down_and_told_for_how_long(mine: Side) -> None:
    answers = [claim(mine.client, code=f"nonsense {number}") for number in range(WRONG_PER_MINUTE + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {400}
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "CLM-117")
    assert int(answers[-1]["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [("hello", 400, "CLM-101"), ("DPP:K:abc;;", 400, "CLM-102"), ("MT:Y.K9042C00KA0648G00", 400, "CLM-102")],
)
def test_other_codes_are_named(mine: Side, code: str, status: int, problem: str) -> None:
    answer = claim(mine.client, code=code)
    assert (answer.status_code, answer.json()["code"]) == (status, problem)


def test_a_code_of_nobody_is_not_found(mine: Side) -> None:
    thing = waiting()
    code = thing.shows()
    Session.objects.all().delete()
    for answer in (claim(mine.client, code=code), look(mine.client, code)):
        assert (answer.status_code, answer.json()["code"]) == (404, "CLM-103")


def test_a_serial_off_the_list_is_stopped(mine: Side) -> None:
    organization_update(mine.organization, mine.owner, expected_serials_only=True)
    expected_serials_add(mine.organization, mine.owner, ["GOOD"])
    bad, good = waiting("BAD"), waiting("GOOD")
    refused = claim(mine.client, code=bad.shows())
    assert (refused.status_code, refused.json()["code"], refused.json()["serial"]) == (403, "CLM-112", "BAD")
    assert claim(mine.client, code=good.shows()).status_code == 201


def test_a_device_that_was_here_before_is_merged_when_a_person_says_so(mine: Side) -> None:
    first = claim(mine.client, code=waiting("T2-1").shows(), name="Hall").json()
    code = waiting("T2-1").shows()
    assert look(mine.client, code).json()["merge_with"] == first["device"]["id"]
    asked = claim(mine.client, code=code)
    assert (asked.status_code, asked.json()["code"]) == (409, "CLM-113")
    assert asked.json()["merge_with"] == first["device"]["id"]
    merged = claim(mine.client, code=code, merge=True)
    assert merged.status_code == 201
    assert (merged.json()["device"]["id"], merged.json()["device"]["name"]) == (first["device"]["id"], "Hall")
    other = claim(mine.client, code=waiting("T2-1").shows(), merge=False).json()
    assert other["device"]["id"] != first["device"]["id"]


def test_a_code_for_the_device_to_read_onboards_it(mine: Side) -> None:
    thing = waiting("T2-9", direction=Direction.SERVER_TO_PEER)
    made = claim(mine.client, serial="T2-9", direction="server-to-device", name="Hall")
    assert made.status_code == 201
    body = made.json()
    assert body["code"].startswith("https://")
    assert (body["state"], body["direction"], body["device"]["name"]) == ("open", "server-to-device", "Hall")
    assert body["expires_at"]
    shown = mine.client.get(f"/api/v1/claims/{body['id']}")
    assert b"https://" not in shown.content
    thing.reads(body["code"])
    assert thing.connect() is Verdict.ACCEPT
    assert mine.client.get(f"/api/v1/claims/{body['id']}").json()["state"] == "completed"
    assert mine.client.get(f"/api/v1/devices/{body['device']['id']}").json()["state"] == "onboarded"


def test_an_offered_code_dies_when_it_is_withdrawn(mine: Side) -> None:
    thing = waiting("T2-9", direction=Direction.SERVER_TO_PEER)
    made = claim(mine.client, serial="T2-9").json()
    assert mine.client.delete(f"/api/v1/claims/{made['id']}").status_code == 204
    assert mine.client.get(f"/api/v1/claims/{made['id']}").status_code == 404
    thing.reads(made["code"])
    assert thing.connect() is Verdict.REJECT
    assert not Device.objects.exists()


def test_a_claim_that_went_further_is_not_withdrawn(mine: Side) -> None:
    made = claim(mine.client, code=waiting().shows()).json()
    refused = mine.client.delete(f"/api/v1/claims/{made['id']}")
    assert refused.status_code == 409
    assert Claim.objects.get().state == "accepted"


def test_removing_a_device_withdraws_its_codes(mine: Side) -> None:
    thing = waiting("T2-9", direction=Direction.SERVER_TO_PEER)
    made = claim(mine.client, serial="T2-9").json()
    assert mine.client.delete(f"/api/v1/devices/{made['device']['id']}").status_code == 204
    thing.reads(made["code"])
    assert thing.connect() is Verdict.REJECT
    assert not Claim.objects.filter(state="open").exists()


def test_a_serial_nobody_has_or_several_have_is_said_so(mine: Side) -> None:
    nobody = claim(mine.client, serial="NONE")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "CLM-114")
    sessions = {waiting("TWIN").session.pk, waiting("TWIN").session.pk}
    several = claim(mine.client, serial="TWIN")
    assert (several.status_code, several.json()["code"]) == (409, "CLM-115")
    assert set(several.json()["candidates"]) == sessions


def test_a_device_that_cannot_read_gets_no_code(mine: Side) -> None:
    waiting("MUTE", direction=Direction.PEER_TO_SERVER)
    answer = claim(mine.client, serial="MUTE")
    assert (answer.status_code, answer.json()["code"]) == (409, "CLM-116")


def test_those_who_came_the_organizations_own_way_wait_for_it_alone(mine: Side) -> None:
    thing = waiting("OWN", organization_id=mine.organization.pk)
    waiting("ANY")
    shown = mine.client.get("/api/v1/waiting").json()
    assert [row["serial"] for row in shown["results"]] == ["OWN"]
    assert (shown["results"][0]["own_way"], shown["next"]) == (True, None)
    theirs = Side("Theirs")
    assert theirs.client.get("/api/v1/waiting").json()["results"] == []
    session = shown["results"][0]["session"]
    assert session == thing.session.pk
    assert claim(theirs.client, session=session).status_code == 404
    assert claim(mine.client, session=session).status_code == 201
    assert mine.client.get("/api/v1/waiting").json()["results"] == []


def test_looking_at_a_code_keeps_the_device_from_being_pushed_out(mine: Side) -> None:
    thing = waiting()
    look(mine.client, thing.shows())
    session = thing.session
    assert session.guarded_until is not None
    assert session.guarded_until - session.created_at > timedelta(minutes=10)


def test_a_person_claims_in_a_browser_too(mine: Side) -> None:
    browser = APIClient()
    browser.force_login(mine.owner, backend="django.contrib.auth.backends.ModelBackend")
    made = claim(browser, code=waiting().shows())
    assert made.status_code == 201
    assert Claim.objects.get().person == mine.owner


def test_a_viewer_neither_looks_nor_claims(mine: Side) -> None:
    code = waiting().shows()
    viewer = mine.as_role("viewer")
    assert [look(viewer, code).json()["code"], claim(viewer, code=code).json()["code"]] == ["CLM-111"] * 2
    assert not Device.objects.exists()


def test_a_person_in_two_organizations_claims_for_the_tokens_one(mine: Side) -> None:
    theirs = Side("Theirs")
    membership_ensure(theirs.organization, user_ensure(mine.owner.email), "owner")
    made = claim(mine.client, code=waiting().shows()).json()
    assert Device.objects.get(pk=made["device"]["id"]).organization == mine.organization
