"""No page shows or changes anything of another organization, or of anybody before sign-in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from api_device import waiting
from api_world import Side, rows_left
from django.urls import URLPattern, get_resolver
from pages_world import browser, colleague

from bootstrap.bindings import claims
from devices.models import Device, Membership, Organization, Role
from devices.services.people import invitation_create
from portal.pages.urls import urlpatterns

pytestmark = pytest.mark.django_db
OPEN = {"home", "theme", "manifest", "landing", "landing-fdo", "welcome", "join", "claim", "claim-different"}
"""For everybody: they know nothing of anybody, or prove themselves by a random name."""
NOUNS = {
    "devices": "devices",
    "offers": "claims",
    "plans": "plans",
    "vouchers": "vouchers",
    "jobs": "jobs",
    "settings/access-points": "access-points",
    "settings/realms": "realms",
    "settings/groups": "groups",
    "settings/keys": "owner-keys",
    "settings/manufacturers": "manufacturers",
    "settings/people": "members",
    "settings/invitations": "invitations",
    "settings/tokens": "tokens",
}
"""Beginning of a path to the noun whose id it takes."""


def pages() -> Iterator[URLPattern]:
    """Every page of ours; allauth's own are walked by its tests."""
    for pattern in urlpatterns:
        if isinstance(pattern, URLPattern) and not str(pattern.pattern).startswith("account/"):
            yield pattern


def numbered(path: str) -> str:
    """With 1 for every number that belongs to the row: a version, a line of history, a file."""
    return re.sub(r"<int:(number|event|file)>", "1", path)


def with_id() -> list[str]:
    """Paths that name a row, ``{id}`` in its place."""
    found = []
    for pattern in pages():
        text = str(pattern.pattern)
        if "<int:pk>" in text:
            found.append("/" + numbered(text.replace("<int:pk>", "{id}")))
    return found


def noun(path: str) -> str:
    """Which ids a path takes."""
    return NOUNS[path.strip("/").partition("/{id}")[0]]


@pytest.fixture
def two() -> tuple[Side, Side]:
    return Side("Mine"), Side("Theirs")


def everything(side: Side) -> dict[str, int]:
    """One row of every noun, with what only pages know."""
    ids = side.everything()
    link, _text = invitation_create(side.organization, side.owner, "guest@example.com", Role.VIEWER)
    thing = waiting(f"{side.name}-reads", organization_id=side.organization.pk)
    membership = Membership.objects.get(user=side.owner, organization=side.organization)
    offer = claims.offer(membership, session_id=thing.session.pk)
    return ids | {"invitations": link.pk, "claims": offer.claim_id}


def test_the_walk_knows_every_page() -> None:
    assert {noun(path) for path in with_id()} <= set(NOUNS.values())
    assert {"/devices/{id}", "/offers/{id}"} <= set(with_id())
    assert get_resolver().resolve("/devices/1").url_name == "device"


@pytest.mark.parametrize("path", with_id())
def test_another_organizations_row_is_not_there(two: tuple[Side, Side], path: str) -> None:
    mine, theirs = two
    ids = everything(theirs)
    owner = browser(mine.owner)
    before = rows_left(ids), list(Device.objects.values()), list(Organization.objects.values())
    place = path.format(id=ids[noun(path)])
    answers = [owner.get(place), owner.post(place, {"name": "ours", "role": "owner", "merge": "yes"})]
    assert {answer.status_code for answer in answers} <= {404, 405}
    assert 404 in {answer.status_code for answer in answers}
    for answer in answers:
        assert b"Theirs" not in answer.content
    assert (rows_left(ids), list(Device.objects.values()), list(Organization.objects.values())) == before


@pytest.mark.parametrize("pattern", list(pages()), ids=lambda pattern: pattern.name)
def test_a_list_shows_only_ones_own(two: tuple[Side, Side], pattern: URLPattern) -> None:
    mine, theirs = two
    ids = everything(mine)
    everything(theirs)
    path = "/" + numbered(str(pattern.pattern)).replace("<str:", "{").replace(">", "}")
    if "<int:pk}" in path:
        path = path.replace("<int:pk}", str(ids[noun(path.replace("<int:pk}", "{id}"))]))
    answer = browser(mine.owner).get(path.replace("{name}", "x").replace("{token}", "x"))
    assert answer.status_code < 500
    assert b"Theirs" not in answer.getvalue()


@pytest.mark.parametrize("pattern", list(pages()), ids=lambda pattern: pattern.name)
def test_before_sign_in_there_is_only_sign_in(two: tuple[Side, Side], pattern: URLPattern) -> None:
    if pattern.name in OPEN:
        return
    mine, _theirs = two
    ids = everything(mine)
    path = "/" + numbered(str(pattern.pattern))
    if "<int:pk>" in path:
        path = path.replace("<int:pk>", str(ids[noun(path.replace("<int:pk>", "{id}"))]))
    before = rows_left(ids), list(Device.objects.values())
    for answer in (browser().get(path), browser().post(path, {"name": "changed"})):
        assert answer.status_code in (302, 405)
        assert answer.status_code == 405 or answer["Location"].startswith("/account/login/")
    assert (rows_left(ids), list(Device.objects.values())) == before


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize(
    "path",
    [path for path in with_id() if path.startswith(("/plans", "/settings"))],
)
def test_who_may_not_manage_changes_nothing(two: tuple[Side, Side], path: str, role: str) -> None:
    mine, _theirs = two
    ids = everything(mine)
    person = browser(colleague(mine, role))
    before = rows_left(ids), list(Organization.objects.values())
    answer = person.post(path.format(id=ids[noun(path)]), {"name": "changed", "role": "owner"})
    assert answer.status_code in (403, 404, 405)
    assert (rows_left(ids), list(Organization.objects.values())) == before


def test_a_viewer_changes_no_device(two: tuple[Side, Side]) -> None:
    mine, _theirs = two
    device = mine.device("SN-1", name="Lamp")
    viewer = browser(colleague(mine, Role.VIEWER))
    assert viewer.get(f"/devices/{device.pk}").status_code == 200
    assert viewer.post(f"/devices/{device.pk}/rename", {"name": "Mine now"}).status_code == 403
    assert viewer.post(f"/devices/{device.pk}/retire").status_code == 403
    device.refresh_from_db()
    assert (device.name, device.state) == ("Lamp", "waiting")


def test_a_device_takes_no_plan_of_another_organization(two: tuple[Side, Side]) -> None:
    mine, theirs = two
    device, foreign = mine.device("SN-1"), theirs.everything()["plans"]
    browser(mine.owner).post(f"/devices/{device.pk}/rename", {"plan": foreign})
    device.refresh_from_db()
    assert device.plan is None
