"""People, organizations, tokens, links and members: devices/services/people.py and members.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.utils import timezone

from devices.models import ApiToken, AuditEntry, Membership, OneTimeLink, Organization, Role, User
from devices.services.audit import audit_verify
from devices.services.members import membership_remove, membership_role_change
from devices.services.people import (
    TOKEN_PREFIX,
    first_owner_link,
    first_owner_welcome,
    invitation_accept,
    invitation_create,
    link_find,
    membership_ensure,
    organization_create,
    token_create,
    token_find,
    token_revoke,
    user_ensure,
)


@pytest.fixture
def owner(db: None) -> Membership:
    user = user_ensure("Owner@Example.com")
    return Membership.objects.get(organization=organization_create("Mine", user), user=user)


def member(organization: Organization, role: str, name: str = "friend") -> Membership:
    return membership_ensure(organization, user_ensure(f"{name}@example.com"), role)


# People.


def test_a_person_is_one_whatever_the_spelling(owner: Membership) -> None:
    assert user_ensure("OWNER@example.COM") == owner.user
    assert owner.user.email == "owner@example.com"
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["", "x", "a b@example.com", "a@", "x" * 300 + "@example.com"])
def test_what_is_no_mail_address_is_nobody(db: None, email: str) -> None:
    with pytest.raises(ValidationError):
        user_ensure(email)
    assert User.objects.count() == 0


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "Mine"])
def test_an_organization_needs_a_name_of_its_own(owner: Membership, name: str) -> None:
    with pytest.raises(ValidationError):
        organization_create(name, owner.user)
    assert Organization.objects.count() == 1


def test_being_added_twice_changes_no_role(owner: Membership) -> None:
    first = member(owner.organization, Role.VIEWER)
    assert member(owner.organization, Role.ADMIN) == first
    assert Membership.objects.get(pk=first.pk).role == Role.VIEWER
    assert AuditEntry.objects.filter(action="member.added").count() == 1


# Tokens.


def test_a_token_is_shown_once_and_kept_nowhere(owner: Membership) -> None:
    token, text = token_create(owner.user, owner.organization, "script")
    assert text.startswith(TOKEN_PREFIX)
    assert len(text) > 40
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM devices_apitoken")
        assert text not in str(cursor.fetchall())
    assert text not in str(list(AuditEntry.objects.values()))
    assert text.startswith(token.hint)
    assert token_find(text) == token


@pytest.mark.parametrize("change", [lambda t: "", lambda t: t[:-1], lambda t: t.upper(), lambda t: t + " "])
def test_a_token_that_is_not_quite_it_is_none(owner: Membership, change: Callable[[str], str]) -> None:
    _token, text = token_create(owner.user, owner.organization)
    assert token_find(change(text)) is None


def test_a_token_ends_when_revoked_expired_or_its_person_is_gone(owner: Membership) -> None:
    revoked, first = token_create(owner.user, owner.organization)
    _expired, second = token_create(owner.user, owner.organization, lifetime=timedelta(seconds=-1))
    _asleep, third = token_create(owner.user, owner.organization)
    token_revoke(revoked, owner.user)
    User.objects.update(is_active=False)
    assert [token_find(text) for text in (first, second, third)] == [None, None, None]


def test_using_a_token_is_noted_about_once_a_minute(owner: Membership) -> None:
    token, text = token_create(owner.user, owner.organization)
    token_find(text)
    first = ApiToken.objects.get().last_used_at
    token_find(text)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    token_find(text)
    assert ApiToken.objects.get().last_used_at > first
    assert token.hint != text


# Links that work once.


def test_the_first_owner_is_welcomed_once(db: None) -> None:
    text = first_owner_link()
    assert text is not None
    assert link_find(text, OneTimeLink.Purpose.FIRST_OWNER) is not None
    assert link_find(text, OneTimeLink.Purpose.INVITATION) is None
    user = first_owner_welcome(text, "me@example.com", "Home")
    assert user is not None
    assert Membership.objects.get().role == Role.OWNER
    assert first_owner_welcome(text, "you@example.com", "Yours") is None
    assert link_find(text, OneTimeLink.Purpose.FIRST_OWNER) is None
    assert first_owner_link() is None
    assert (User.objects.count(), Organization.objects.count()) == (1, 1)


def test_a_new_welcome_link_kills_the_old_one(db: None) -> None:
    old, new = first_owner_link(), first_owner_link()
    assert old is not None
    assert new is not None
    assert first_owner_welcome(old, "me@example.com", "Home") is None
    assert first_owner_welcome(new, "me@example.com", "Home") is not None


def test_a_welcome_link_that_came_after_the_first_owner_is_dead(db: None) -> None:
    text = first_owner_link()
    organization_create("Other", user_ensure("first@example.com"))
    assert text is not None
    assert first_owner_welcome(text, "me@example.com", "Home") is None


def test_a_welcome_that_fails_leaves_the_link_alive(db: None) -> None:
    text = first_owner_link()
    assert text is not None
    for email, name in (("not mail", "Home"), ("me@example.com", "")):
        with pytest.raises(ValidationError):
            first_owner_welcome(text, email, name)
    assert (User.objects.count(), Organization.objects.count()) == (0, 0)
    assert first_owner_welcome(text, "me@example.com", "Home") is not None


def test_a_link_dies_of_age(owner: Membership) -> None:
    _link, text = invitation_create(owner.organization, owner.user, "friend@example.com", Role.ADMIN)
    OneTimeLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert link_find(text, OneTimeLink.Purpose.INVITATION) is None
    assert invitation_accept(text, user_ensure("friend@example.com")) is None


def test_an_invitation_brings_one_person_in_with_its_role(owner: Membership) -> None:
    link, text = invitation_create(owner.organization, owner.user, "Friend@Example.com", Role.ADMIN)
    assert (link.email, link.role) == ("friend@example.com", Role.ADMIN)
    assert text not in str(list(OneTimeLink.objects.values()) + list(AuditEntry.objects.values()))
    friend, other = user_ensure("friend@example.com"), user_ensure("other@example.com")
    joined = invitation_accept(text, friend)
    assert joined is not None
    assert (joined.organization, joined.role) == (owner.organization, Role.ADMIN)
    assert invitation_accept(text, other) is None
    assert invitation_accept("x", other) is None
    assert audit_verify(owner.organization) is None


@pytest.mark.parametrize(
    ("email", "role"), [("x", Role.ADMIN), ("a@example.com", "king"), ("a@example.com", "")]
)
def test_an_invitation_names_a_person_and_a_role(owner: Membership, email: str, role: str) -> None:
    with pytest.raises(ValidationError):
        invitation_create(owner.organization, owner.user, email, role)
    assert OneTimeLink.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_many_who_open_one_link_at_once_one_gets_in() -> None:
    text = first_owner_link()
    assert text is not None
    results: list[Any] = [None] * 6
    start = threading.Barrier(6)

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = first_owner_welcome(text, f"p{number}@example.com", f"Home {number}")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result is not None for result in results) == 1
    assert (User.objects.count(), Organization.objects.count(), Membership.objects.count()) == (1, 1, 1)


# Members.


def test_the_last_owner_stays_owner(owner: Membership) -> None:
    with pytest.raises(ValidationError):
        membership_role_change(owner, owner, Role.ADMIN)
    with pytest.raises(ValidationError):
        membership_remove(owner, owner)
    second = member(owner.organization, Role.OWNER)
    membership_role_change(owner, second, Role.VIEWER)
    assert Membership.objects.get(pk=owner.pk).role == Role.VIEWER
    assert audit_verify(owner.organization) is None


def test_only_an_owner_makes_and_unmakes_owners(owner: Membership) -> None:
    admin = member(owner.organization, Role.ADMIN, "admin")
    viewer = member(owner.organization, Role.VIEWER, "viewer")
    member(owner.organization, Role.OWNER, "second")
    for deed in (
        lambda: membership_role_change(viewer, admin, Role.OWNER),
        lambda: membership_role_change(owner, admin, Role.VIEWER),
        lambda: membership_remove(owner, admin),
    ):
        with pytest.raises(PermissionDenied):
            deed()
    with pytest.raises(ValidationError):
        membership_role_change(viewer, owner, "king")
    assert membership_role_change(viewer, owner, Role.OWNER).role == Role.OWNER


def test_who_leaves_loses_the_tokens_of_this_organization_only(owner: Membership) -> None:
    friend = member(owner.organization, Role.ADMIN)
    other = organization_create("Other", friend.user)
    _gone, here = token_create(friend.user, owner.organization)
    _kept, there = token_create(friend.user, other)
    membership_remove(friend, owner)
    assert token_find(here) is None
    assert token_find(there) is not None


def test_roles_say_what_a_person_may() -> None:
    may = {role: Membership(role=role) for role in Role.values}
    assert [role for role, m in may.items() if m.may_claim] == ["owner", "admin", "operator"]
    assert [role for role, m in may.items() if m.may_manage] == ["owner", "admin"]
    assert all(m.may_read for m in may.values())
