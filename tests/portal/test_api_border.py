"""Nothing of another organization is read, changed or even admitted to exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from api_world import Side, rows_left
from django.urls import URLPattern, get_resolver

from portal.api.urls import router

pytestmark = pytest.mark.django_db
METHODS = ("get", "post", "put", "patch", "delete")
WITHOUT_IDS = {"audit", "fdo", "me", "waiting"}


@pytest.fixture
def two() -> tuple[Side, Side]:
    return Side("Mine"), Side("Theirs")


def routes_with_id() -> list[str]:
    """Every route of the API that names a row, with ``{id}`` in it, and ``{file}`` of a device."""
    found = []
    for pattern in router.urls:
        assert isinstance(pattern, URLPattern)
        text = str(pattern.pattern)
        if "(?P<pk>" in text:
            path = re.sub(r"\(\?P<pk>[^)]*\)", "{id}", text)
            path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", path)
            found.append("/api/v1/" + path.strip("^$").replace("/?", ""))
    return found


def test_every_noun_with_rows_is_walked() -> None:
    walked = {path.split("/")[3] for path in routes_with_id()}
    assert walked == {noun for noun, _view, _name in router.registry} - WITHOUT_IDS
    assert get_resolver().resolve("/api/v1/devices/1").view_name == "api-devices-detail"


@pytest.mark.parametrize("path", routes_with_id())
def test_another_organizations_row_is_not_there(two: tuple[Side, Side], path: str) -> None:
    mine, theirs = two
    mine.everything()
    ids = theirs.everything()
    noun = path.split("/")[3]
    codes = set()
    for method in METHODS:
        place = path.format(id=ids[noun], file=ids["files"])
        answer = getattr(mine.client, method)(place, {}, format="json")
        assert answer.status_code in (404, 405), (method, path, answer.json())
        assert method != "get" or answer.status_code == 404 or "{id}/" in path, "a row can be read"
        codes.add(answer.json()["code"])
    assert "API-404" in codes
    assert all(rows_left(ids))


@pytest.mark.parametrize("noun", [noun for noun, _view, _name in router.registry])
def test_a_list_shows_only_ones_own(two: tuple[Side, Side], noun: str) -> None:
    mine, theirs = two
    mine.everything()
    theirs.everything()
    answer = mine.client.get(f"/api/v1/{noun}")
    assert answer.status_code == 200
    assert "theirs" not in json.dumps(answer.json()).lower()


def test_a_device_cannot_take_another_organizations_plan(two: tuple[Side, Side]) -> None:
    mine, theirs = two
    own, foreign = mine.everything(), theirs.everything()
    answer = mine.client.patch(f"/api/v1/devices/{own['devices']}", {"plan": foreign["plans"]}, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["plan"]


def test_a_stranger_is_seen_by_the_organization_whose_way_it_came(two: tuple[Side, Side]) -> None:
    mine, theirs = two
    stranger = mine.session(serial="STRANGER")
    nobodys = mine.session(organization=None)
    assert mine.client.get(f"/api/v1/sessions/{stranger.pk}").status_code == 200
    assert theirs.client.get(f"/api/v1/sessions/{stranger.pk}").status_code == 404
    assert mine.client.get(f"/api/v1/sessions/{nobodys.pk}").status_code == 404


def test_a_session_goes_out_of_sight_when_its_device_belongs_to_others(two: tuple[Side, Side]) -> None:
    mine, theirs = two
    session = mine.session(device=theirs.device())
    assert mine.client.get(f"/api/v1/sessions/{session.pk}").status_code == 404
    assert mine.client.get(f"/api/v1/sessions/{session.pk}/events").status_code == 404


def test_nobody_sees_a_colleagues_tokens(two: tuple[Side, Side]) -> None:
    mine, _theirs = two
    mine.as_role("admin")
    shown: list[dict[str, Any]] = mine.client.get("/api/v1/tokens").json()["results"]
    assert [row["id"] for row in shown] == [mine.owner.api_tokens.get().pk]


def test_a_token_does_not_reach_the_persons_other_organizations(two: tuple[Side, Side]) -> None:
    mine, theirs = two
    theirs.organization.memberships.create(user=mine.owner, role="owner")
    shown = mine.client.get("/api/v1/organizations").json()["results"]
    assert [row["name"] for row in shown] == ["Mine"]
    path = f"/api/v1/organizations/{theirs.organization.pk}"
    assert mine.client.patch(path, {"name": "Ours"}, format="json").status_code == 404
