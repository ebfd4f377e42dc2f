"""Signing in and up, the first owner, invitations, one's own account."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import allauth
import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from cryptography.hazmat.primitives.asymmetric import ec
from django.core import mail
from django.core.cache import cache
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from devices.models import Membership, OneTimeLink, Organization, Role, User
from devices.services.people import (
    first_owner_link,
    invitation_create,
    membership_ensure,
    organization_create,
    user_ensure,
)
from tests.portal.account_world import XSS, decent, patterns, signed_in

pytestmark = pytest.mark.django_db
WELCOME = {"email": "Ada@Example.com", "name": "Kitchen team"}


@pytest.fixture(autouse=True)
def _no_limits_left_over():
    cache.clear()


def newest_code() -> str:
    """The six digits in the subject of the newest mail."""
    return re.match(r"(\d{6}) ", mail.outbox[-1].subject).group(1)


@pytest.fixture
def ada() -> User:
    user = user_ensure("ada@example.com")
    organization_create("Kitchen team", user)
    return user


def test_the_welcome_link_works_once_and_looking_does_not_use_it():
    token = first_owner_link()
    place = reverse("welcome", args=[token])
    client = Client()
    for _look in range(3):
        assert client.head(place).status_code == 200
        decent(client.get(place))
    assert not User.objects.exists()
    answer = client.post(place, WELCOME)
    assert (answer.status_code, answer["Location"]) == (302, reverse("welcome-passkey"))
    user = User.objects.get()
    assert user.email == "ada@example.com"
    assert Membership.objects.get().role == Role.OWNER
    assert EmailAddress.objects.get(user=user).verified
    decent(client.get(reverse("welcome-passkey")))
    assert client.get(reverse("devices")).status_code == 200
    late = Client()
    for answer in (late.get(place), late.post(place, WELCOME | {"email": "eve@example.com"})):
        assert answer.status_code == 410
        decent(answer)
    assert User.objects.count() == 1


def test_a_welcome_with_mistakes_uses_nothing():
    place = reverse("welcome", args=[first_owner_link()])
    text = decent(Client().post(place, {"email": "nobody", "name": ""}))
    assert 'id="id_email_error"' in text
    assert 'value="nobody"' in text
    assert OneTimeLink.objects.get().used_at is None


def test_an_unknown_welcome_link_is_dead():
    assert Client().get(reverse("welcome", args=["x" * 32])).status_code == 410
    assert Client().get(reverse("join", args=["x" * 32])).status_code == 410


def test_signing_in_by_mail_code(ada):
    client = Client()
    decent(client.get(reverse("account_login")))
    answer = client.post(reverse("account_login"), {"login": "ada@example.com"}, follow=True)
    assert 'autocomplete="one-time-code"' in decent(answer)
    assert len(mail.outbox) == 1
    assert newest_code() in mail.outbox[0].body
    wrong = client.post(
        reverse("account_confirm_login_code"), {"code": "000000" if newest_code() != "000000" else "1"}
    )
    assert 'id="id_code_error"' in decent(wrong)
    answer = client.post(reverse("account_confirm_login_code"), {"code": newest_code()})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get(reverse("me")).status_code == 200
    assert EmailAddress.objects.get(user=ada).verified


def test_three_wrong_codes_end_the_attempt(ada):
    client = Client()
    client.post(reverse("account_login"), {"login": "ada@example.com"})
    right = newest_code()
    for _try in range(3):
        client.post(reverse("account_confirm_login_code"), {"code": "12345"})
    client.post(reverse("account_confirm_login_code"), {"code": right})
    assert client.get(reverse("me")).status_code == 302


def test_signing_in_says_nothing_about_who_exists(ada):
    pages = []
    for email in ("ada@example.com", "eve@example.com"):
        answer = Client().post(reverse("account_login"), {"login": email}, follow=True)
        tokens = r'value="\w{64}"|"X-CSRFToken": "\w+"'
        pages.append((answer.redirect_chain, re.sub(tokens, "", decent(answer)).replace(email, "")))
    assert pages[0] == pages[1]
    assert "no account" in mail.outbox[-1].subject


def test_a_new_person_starts_with_an_organization_of_their_own():
    taken = organization_create("grace's devices", user_ensure("x@example.com"))
    client = Client()
    answer = client.post(reverse("account_signup"), {"email": "Grace@example.com"}, follow=True)
    assert "Confirm your mail address" in decent(answer)
    assert not Membership.objects.exclude(organization=taken).exists()
    answer = client.post(reverse("account_email_verification_sent"), {"code": newest_code()})
    assert answer.status_code == 302
    membership = Membership.objects.get(user__email="grace@example.com")
    assert (membership.organization.name, membership.role) == ("grace's devices 2", Role.OWNER)
    assert client.get(reverse("devices")).status_code == 200


def test_signing_up_twice_tells_the_owner_of_the_address_only(ada):
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
    client = Client()
    answer = client.post(reverse("account_signup"), {"email": "ada@example.com"}, follow=True)
    assert "Confirm your mail address" in decent(answer)
    assert mail.outbox[-1].subject == "You have an account already"


def test_a_claim_that_waits_is_said_and_returned_to(ada):
    client = Client()
    answer = client.get(reverse("landing") + "?P=" + "p" * 22 + "&N=" + "A" * 22 + "&H=" + "A" * 22)
    waiting = answer["Location"]
    assert "Sign in to add this device" in decent(client.get(reverse("account_login")))
    assert "add this device" in decent(client.get(reverse("account_signup")))
    client.post(reverse("account_login"), {"login": "ada@example.com"})
    answer = client.post(reverse("account_confirm_login_code"), {"code": newest_code()})
    assert answer["Location"] == waiting


def test_next_is_followed_inside_the_portal_only(ada):
    for wanted, reached in (("/plans", "/plans"), ("https://evil.example/", "/")):
        client = Client()
        decent(client.get(reverse("account_login"), {"next": wanted}))
        client.post(reverse("account_login"), {"login": "ada@example.com", "next": wanted})
        answer = client.post(reverse("account_confirm_login_code"), {"code": newest_code(), "next": wanted})
        assert answer["Location"] == reached
        cache.clear()


def test_a_password_is_possible_but_never_demanded(ada):
    client = signed_in("ada@example.com")
    client.post(
        reverse("account_set_password"), {"password1": "purple kettle 7", "password2": "purple kettle 7"}
    )
    other = Client()
    text = decent(other.post(reverse("account_login"), {"login": "ada@example.com", "password": "wrong one"}))
    assert "do not fit together" in text
    EmailAddress.objects.update_or_create(
        user=ada, email=ada.email, defaults={"verified": True, "primary": True}
    )
    answer = other.post(reverse("account_login"), {"login": "ada@example.com", "password": "purple kettle 7"})
    assert answer["Location"] == "/"
    assert other.get(reverse("me")).status_code == 200


def invite(organization: Organization, role: str = Role.OPERATOR) -> str:
    """Where an invitation is answered."""
    _link, token = invitation_create(
        organization, User.objects.get(email="ada@example.com"), "new@example.com", role
    )
    return reverse("join", args=[token])


def test_an_invitation_is_kept_over_sign_up_and_taken_once(ada):
    organization = Organization.objects.get()
    place = invite(organization)
    client = Client()
    text = decent(client.get(place))
    assert "Kitchen team" in text
    assert "email=new%40example.com" in text
    client.post(reverse("account_signup"), {"email": "new@example.com"})
    answer = client.post(reverse("account_email_verification_sent"), {"code": newest_code()})
    assert answer["Location"] == place
    assert not Membership.objects.filter(user__email="new@example.com").exists()
    assert "Operator" in decent(client.get(place))
    answer = client.post(place)
    assert answer["Location"] == reverse("devices")
    membership = Membership.objects.get(user__email="new@example.com")
    assert (membership.organization, membership.role) == (organization, Role.OPERATOR)
    assert signed_in("third@example.com").get(place).status_code == 410
    assert Organization.objects.count() == 1


def test_looking_at_an_invitation_does_not_take_it(ada):
    place = invite(Organization.objects.get())
    client = signed_in("new@example.com")
    for _look in range(2):
        assert client.head(place).status_code == 200
        decent(client.get(place))
    assert not Membership.objects.filter(user__email="new@example.com").exists()


def test_a_member_does_not_burn_an_invitation(ada):
    place = invite(Organization.objects.get(), Role.VIEWER)
    assert signed_in("ada@example.com").post(place).status_code == 302
    assert OneTimeLink.objects.get().used_at is None
    assert Membership.objects.get(user=ada).role == Role.OWNER


def test_the_admin_page_makes_the_link_and_shows_it_once(ada, settings):
    client = signed_in("ada@example.com")
    client.post(reverse("settings-people"), {"email": "new@example.com", "role": "viewer"})
    text = decent(client.get(reverse("settings-people")))
    place = re.search(r"https?://[^/]+(/join/[\w-]+)", text).group(1)
    assert place not in client.get(reverse("settings-people")).content.decode()
    assert place in mail.outbox[-1].body
    guest = signed_in("new@example.com")
    assert guest.post(place).status_code == 302
    assert Membership.objects.get(user__email="new@example.com").role == Role.VIEWER


def test_an_invitation_can_be_withdrawn(ada):
    place = invite(Organization.objects.get())
    client = signed_in("ada@example.com")
    client.post(reverse("settings-invitation-withdraw", args=[OneTimeLink.objects.get().pk]))
    assert signed_in("new@example.com").post(place).status_code == 410


def test_a_new_organization_becomes_the_current_one(ada):
    client = signed_in("ada@example.com")
    assert 'id="id_name_error"' in decent(client.post(reverse("organization-new"), {"name": "Kitchen team"}))
    assert client.post(reverse("organization-new"), {"name": "Lab"})["Location"] == reverse("devices")
    assert "Lab" in client.get(reverse("settings")).content.decode()
    assert Membership.objects.get(organization__name="Lab").role == Role.OWNER


def test_somebody_without_an_organization_is_asked_for_one():
    client = signed_in("lone@example.com")
    assert client.get(reverse("settings"))["Location"] == reverse("organization-new")
    decent(client.get(reverse("organization-new")))
    decent(client.get(reverse("me")))


def test_without_a_mail_server_the_page_says_where_the_code_is(ada, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    client = Client()
    answer = client.post(reverse("account_login"), {"login": "ada@example.com"}, follow=True)
    assert "no mail server" in decent(answer)
    (file,) = tmp_path.iterdir()
    code = re.search(r"^Subject: (\d{6}) ", file.read_text(), re.MULTILINE).group(1)
    assert client.post(reverse("account_confirm_login_code"), {"code": code})["Location"] == "/"


def credential() -> dict[str, object]:
    """A passkey as a browser registers it, of a key that exists."""
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    data = AttestedCredentialData.create(Aaguid(b"\0" * 16), b"credential-id-16", public)
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    told = AuthenticatorData.create(sha256(b"testserver").digest(), flags, 0, data)
    client = CollectedClientData.create("webauthn.create", b"challenge", "http://testserver")
    attestation = AttestationObject.create("none", told, {})
    return {
        "id": websafe_encode(b"credential-id-16"),
        "rawId": websafe_encode(b"credential-id-16"),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(bytes(client)),
            "attestationObject": websafe_encode(bytes(attestation)),
        },
        "clientExtensionResults": {},
    }


def with_everything(user: User) -> None:
    """A password, a confirmed address, and a passkey with an ugly name."""
    user.set_password("purple kettle 7")
    user.save()
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    Authenticator.objects.create(
        user=user, type=Authenticator.Type.WEBAUTHN, data={"name": XSS, "credential": credential()}
    )


ALLAUTH = [
    "account_login",
    "account_logout",
    "account_inactive",
    "account_signup",
    "account_reauthenticate",
    "account_email",
    "account_email_verification_sent",
    "account_change_password",
    "account_set_password",
    "account_reset_password",
    "account_confirm_login_code",
    "account_reset_password_from_key_done",
    "account_reset_password_done",
    "account_signup_by_passkey",
    "account_request_login_code",
    "mfa_index",
    "mfa_authenticate",
    "mfa_reauthenticate",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_activate_totp",
    "mfa_deactivate_totp",
    "mfa_list_webauthn",
    "mfa_add_webauthn",
    "mfa_reauthenticate_webauthn",
    "mfa_login_webauthn",
    "mfa_signup_webauthn",
]
WITH_ARGUMENTS = {
    "account_reset_password_from_key": {"uidb36": "1", "key": "set-password"},
    "mfa_remove_webauthn": {"pk": 1},
    "mfa_edit_webauthn": {"pk": 1},
}
NO_PAGE = {"mfa_download_recovery_codes"}


def test_the_list_of_allauths_addresses_is_whole():
    names = {pattern.name for pattern in patterns("account/") if pattern.name}
    assert names == {*ALLAUTH, *WITH_ARGUMENTS, *NO_PAGE}


def ours(answer) -> None:
    """A page of ours, or a way to one."""
    if answer.status_code in (301, 302):
        assert answer["Location"].startswith("/"), answer["Location"]
        return
    text = decent(answer)
    # A page for something that this person does not have: explained, never a server error.
    assert answer.status_code in (200, 403, 404)
    names = [template.name for template in answer.templates]
    assert "focus.html" in names or "base.html" in names, names
    assert not any(str(name).startswith("allauth/") for name in names), names
    assert "css/tokens.css" in text


@pytest.mark.parametrize("name", ALLAUTH)
def test_every_page_of_allauth_is_ours(ada, name):
    ours(Client().get(reverse(name)))
    plain = signed_in("ada@example.com")
    ours(plain.get(reverse(name)))
    with_everything(ada)
    client = signed_in("ada@example.com")
    ours(client.get(reverse(name)))
    client.post(reverse("account_reauthenticate"), {"password": "purple kettle 7"})
    ours(client.get(reverse(name)))


@pytest.mark.parametrize("name", WITH_ARGUMENTS)
def test_pages_of_one_passkey_and_one_reset_link_are_ours(ada, name):
    with_everything(ada)
    key = Authenticator.objects.get()
    arguments = {"pk": key.pk} if "pk" in WITH_ARGUMENTS[name] else WITH_ARGUMENTS[name]
    client = signed_in("ada@example.com")
    client.post(reverse("account_reauthenticate"), {"password": "purple kettle 7"})
    answer = client.get(reverse(name, kwargs=arguments))
    assert answer.status_code == 200
    ours(answer)
    if "pk" in arguments:
        stranger = signed_in("eve@example.com")
        assert stranger.get(reverse(name, kwargs=arguments)).status_code == 404


def test_every_account_page_extends_our_own_layout():
    """Also those that no test above can reach: whatever allauth names, our folder has."""
    shipped = Path(allauth.__file__).parent / "templates"
    unreachable = re.compile(r"phone|base_|snippets|mfa/index|authenticator_list|email_change|trust|/base")
    for kind in ("account", "mfa"):
        for file in sorted((shipped / kind).rglob("*.html")):
            name = file.relative_to(shipped).as_posix()
            if not unreachable.search(name):
                assert str(shipped) not in get_template(name).origin.name, name


def totp_code(secret: str) -> str:
    """What the app would show now."""
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def test_an_authenticator_app_is_a_second_step_and_is_kept_sealed(ada):
    client = Client()
    client.post(reverse("account_login"), {"login": "ada@example.com"})
    client.post(reverse("account_confirm_login_code"), {"code": newest_code()})
    page = client.get(reverse("mfa_activate_totp"))
    secret = re.search(r"<code>(\w+)</code>", decent(page)).group(1)
    answer = client.post(reverse("mfa_activate_totp"), {"code": totp_code(secret)})
    assert answer["Location"] == reverse("mfa_view_recovery_codes")
    codes = re.findall(r"^\s*(\d{8})$|>(\d{8})", decent(client.get(answer["Location"])), re.MULTILINE)
    assert len(codes) == 10
    assert secret not in str(Authenticator.objects.get(type="totp").data)
    assert TOTP(Authenticator.objects.get(type="totp")).instance.data["secret"]
    other = Client()
    other.post(reverse("account_login"), {"login": "ada@example.com"})
    answer = other.post(reverse("account_confirm_login_code"), {"code": newest_code()})
    assert answer["Location"] == reverse("mfa_authenticate")
    decent(other.get(answer["Location"]))
    assert 'id="id_code_error"' in decent(other.post(answer["Location"], {"code": "000"}))
    recovery = RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes()[0]
    assert other.post(answer["Location"], {"code": recovery})["Location"] == "/"
    assert other.get(reverse("me")).status_code == 200
    assert "9 unused" in decent(client.get(reverse("me")))


def test_a_passkey_alone_does_not_lock_the_mail_code_out(ada):
    Authenticator.objects.create(
        user=ada, type="webauthn", data={"name": "Laptop", "credential": credential()}
    )
    client = Client()
    client.post(reverse("account_login"), {"login": "ada@example.com"})
    assert client.post(reverse("account_confirm_login_code"), {"code": newest_code()})["Location"] == "/"


def test_my_name_is_changed_and_mine_alone(ada):
    other = user_ensure("b@example.com")
    membership_ensure(Organization.objects.get(), other, Role.VIEWER)
    client = signed_in("ada@example.com")
    assert client.post(reverse("me"), {"name": "Ada L.", "email": "evil@example.com"}).status_code == 302
    ada.refresh_from_db()
    assert (ada.name, ada.email) == ("Ada L.", "ada@example.com")
    assert "Ada L." in decent(client.get(reverse("me")))


def test_signing_out_needs_the_button(ada):
    client = signed_in("ada@example.com")
    decent(client.get(reverse("account_logout")))
    assert client.get(reverse("me")).status_code == 200
    client.post(reverse("account_logout"))
    assert client.get(reverse("me")).status_code == 302


def test_welcome_join_and_sign_in_need_csrf(ada):
    token = invite(Organization.objects.get())
    client = signed_in("new@example.com", enforce_csrf_checks=True)
    assert client.post(token).status_code == 403
    stranger = Client(enforce_csrf_checks=True)
    for name in ("account_login", "account_signup", "mfa_login_webauthn"):
        assert stranger.post(reverse(name), {"login": "ada@example.com"}).status_code == 403
    assert not mail.outbox


def test_changing_how_one_signs_in_needs_a_fresh_proof(ada):
    """A browser that was left open long ago adds no passkey."""
    with_everything(ada)
    client = signed_in("ada@example.com")
    answer = client.get(reverse("mfa_add_webauthn"))
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    client.post(reverse("account_reauthenticate"), {"password": "purple kettle 7"})
    decent(client.get(reverse("mfa_add_webauthn")))


def test_mails_name_the_portals_own_address_whatever_a_request_says(ada, settings):
    settings.PORTAL_URL = "https://portal.example.org"
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
    ada.set_password("purple kettle 7")
    ada.save()
    for name, body in (
        ("account_reset_password", {"email": "ada@example.com"}),
        ("account_login", {"login": "eve@example.com"}),
        ("account_signup", {"email": "ada@example.com"}),
        ("account_login", {"login": "ada@example.com"}),
    ):
        Client(headers={"host": "evil.example"}).post(reverse(name), body)
    assert len(mail.outbox) == 4
    for message in mail.outbox:
        assert "https://portal.example.org" in message.body
        assert "evil.example" not in message.body + message.subject
    place = re.search(r"https://portal.example.org(/\S+)", mail.outbox[0].body).group(1)
    answer = Client().get(place, follow=True)
    assert "Set a new password" in decent(answer)


def test_who_asks_too_often_reads_so_on_a_page_of_ours():
    client = Client()
    answers = [client.post(reverse("account_signup"), {"email": f"p{n}@example.com"}) for n in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert "too often" in decent(refused[0])
