"""Settings of FDO, keys, manufacturers, groups, dry runs, and the page of a device that has a voucher."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from typing import Any

import pytest
from account_world import XSS, colleague, decent, signed_in
from api_world import Side
from cryptography import x509
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from engine_world import House
from fdo_house import Thing, factory
from pages_world import tags, text

from bootstrap.bindings.vouchers import settle
from bootstrap.wire.keys import KeyKind, SoftSigner
from devices.models import (
    ApiToken,
    AuditEntry,
    Device,
    DeviceFile,
    DeviceState,
    FdoSettings,
    Group,
    Membership,
    Onboarding,
    OwnerKey,
    Role,
    TrustedManufacturer,
    Voucher,
)
from devices.services.fdo import fdo_settings_save, fdo_setup, manufacturer_trust
from devices.services.groups import group_save
from devices.services.owner_keys import owner_key_active, owner_key_make, public_pem
from devices.services.people import token_find
from devices.services.plans import plan_save
from portal.finding import finding

__all__ = ["factory"]
pytestmark = pytest.mark.django_db
TABS = ["settings-fdo", "settings-keys", "settings-makers", "settings-groups"]
PRIVATE = SoftSigner.generate(KeyKind.P384)


@pytest.fixture
def ours() -> Side:
    return Side("Acme")


@pytest.fixture
def mine(ours: Side) -> Membership:
    return Membership.objects.get(organization=ours.organization, user=ours.owner)


@pytest.fixture
def owner(ours: Side) -> Client:
    return signed_in("owner@acme.example.com")


def form_of(row: FdoSettings, **changes: Any) -> dict[str, Any]:
    """What the browser would send of the settings form."""
    fields = {
        name: getattr(row, name)
        for name in (
            "di_key_kind",
            "to0_wait_seconds",
            "rv_admission",
            "rv_max_wait_seconds",
            "service_info_max",
        )
    }
    fields |= {name: "on" for name in ("manufacturer_on", "rendezvous_on", "owner_on") if getattr(row, name)}
    return fields | changes


def said(action: str) -> int:
    return AuditEntry.objects.filter(action=action).count()


class TestBorder:
    """Who reads, who changes, and that nobody sees another organization's."""

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
    def test_who_may_not_manage_reads_and_changes_nothing(self, ours: Side, role: str) -> None:
        fdo_setup(ours.organization, None)
        key = owner_key_active(ours.organization)
        group = group_save(ours.organization, None, name="Plant")
        assert key is not None
        client = colleague(ours.organization, role)
        for name in TABS:
            decent(client.get(reverse(name)))
        decent(client.get(reverse("settings-key", args=[key.pk])))
        before = AuditEntry.objects.count()
        maker = TrustedManufacturer.objects.get()
        for place in (
            *(reverse(name) for name in TABS),
            *(reverse(name) for name in ("settings-fdo-setup", "settings-fdo-renew", "settings-maker-trust")),
            reverse("settings-key-import"),
            *(reverse(f"settings-key-{deed}", args=[key.pk]) for deed in ("rotate", "retire")),
            *(reverse(name, args=[maker.pk]) for name in ("settings-maker", "settings-maker-distrust")),
            *(reverse(name, args=[group.pk]) for name in ("settings-group", "settings-group-delete")),
        ):
            answer = client.post(place, {"name": "x", "purpose": "owner", "kind": "P-256"})
            assert answer.status_code == 403, place
        assert AuditEntry.objects.count() == before

    def test_the_address_of_the_line_is_no_viewers_business(self, ours: Side) -> None:
        token = fdo_setup(ours.organization, None).di_token
        assert token in colleague(ours.organization, Role.OPERATOR).get("/settings/fdo").content.decode()
        assert token not in colleague(ours.organization, Role.VIEWER).get("/settings/fdo").content.decode()

    def test_another_organizations_plan_device_and_group_do_not_exist(
        self, ours: Side, owner: Client
    ) -> None:
        theirs = Side("Zenith")
        ids = theirs.everything()
        group = group_save(theirs.organization, None, name="Zenith plant")
        mine = ours.device("A-1")
        assert owner.get(f"/plans/{ids['plans']}/try").status_code == 404
        for field, value in (("group", group.pk), ("plan", ids["plans"])):
            assert owner.post(f"/devices/{mine.pk}/rename", {field: value}).status_code == 422
        answer = owner.post("/settings/groups", {"name": "G", "plan": ids["plans"]})
        assert "Select a valid choice" in text(answer)
        own = plan_save(ours.organization, None, name="p", items=[])
        Device.objects.update(method="fdo")
        for typed in ("Zenith-serial", "lamp", f"%23{ids['devices']}"):
            page = text(owner.get(f"/plans/{own.pk}/try?device={typed}"))
            assert "No FDO device fits" in page
            assert "Zenith lamp" not in page

    def test_looking_sets_nothing_up(self, ours: Side, owner: Client) -> None:
        page = text(owner.get("/settings/fdo"))
        assert "Set everything up" in page
        assert not FdoSettings.objects.exists()


class TestFdo:
    """Switches, leases, the address."""

    def test_one_press_sets_everything_up(self, ours: Side, owner: Client) -> None:
        owner.post("/settings/fdo/setup", {"key_kind": "P-384"})
        row = FdoSettings.objects.get(organization=ours.organization)
        assert all((row.manufacturer_on, row.rendezvous_on, row.owner_on, row.di_default))
        assert {key.kind for key in OwnerKey.objects.all()} == {"P-384"}
        assert row.di_token in owner.get("/settings/fdo").content.decode()
        assert TrustedManufacturer.objects.count() == 1

    def test_setting_up_keeps_the_rendezvous_servers_and_refuses_a_strange_key(
        self, ours: Side, owner: Client
    ) -> None:
        fdo_settings_save(ours.organization, None, rendezvous_urls=["http://rv.example.com"])
        owner.post("/settings/fdo/setup", {"key_kind": "P-999"})
        assert not OwnerKey.objects.exists()
        owner.post("/settings/fdo/setup", {"key_kind": "P-256"})
        assert FdoSettings.objects.get().rendezvous_urls == ["http://rv.example.com"]

    def test_everything_is_saved_by_the_service(self, ours: Side, owner: Client) -> None:
        row = fdo_setup(ours.organization, None)
        body = form_of(
            row,
            rendezvous_urls="http://rv.example.com:8041\r\n\r\n https://b.example.com ",
            di_networks="192.0.2.7/24\n2001:db8::/32",
            to0_wait_seconds="3600",
            reuse_credentials="on",
            rv_admission="trusted",
        )
        del body["rendezvous_on"]
        assert owner.post("/settings/fdo", body)["Location"] == "/settings/fdo"
        row.refresh_from_db()
        assert row.rendezvous_urls == ["http://rv.example.com:8041", "https://b.example.com"]
        assert row.di_networks == ["192.0.2.0/24", "2001:db8::/32"]
        assert (row.to0_wait_seconds, row.reuse_credentials, row.rv_admission) == (3600, True, "trusted")
        assert (row.rendezvous_on, row.owner_on, row.di_default) == (False, True, False)
        assert said("fdo.changed") == 2

    @pytest.mark.parametrize(
        ("field", "value", "answer"),
        [
            ("rendezvous_urls", "ftp://x", "Write an address like"),
            ("rendezvous_urls", "http://x/path", "Write an address like"),
            ("di_networks", "here", "Write a network like"),
            ("di_networks", XSS, "Write a network like"),
            ("rendezvous_urls", "http://a\n" * 9, "At most 8"),
            ("service_info_max", "12", "256"),
            ("service_info_max", "many", "Enter a whole number"),
            ("to0_wait_seconds", "1", "Select a valid choice"),
            ("rv_admission", "nobody", "Select a valid choice"),
        ],
    )
    def test_what_cannot_be_is_said_at_its_field(
        self, ours: Side, owner: Client, field: str, value: str, answer: str
    ) -> None:
        row = fdo_setup(ours.organization, None)
        before = FdoSettings.objects.values().get()
        page = owner.post("/settings/fdo", form_of(row, **{field: value}))
        assert page.status_code == 200
        assert answer in decent(page)
        wrong = [a["name"] for tag, a in tags(page) if a.get("aria-invalid") == "true"]
        assert wrong == [field]
        assert FdoSettings.objects.values().get() == before

    def test_a_lease_that_is_no_usual_one_stays(self, ours: Side, owner: Client) -> None:
        row = fdo_settings_save(ours.organization, None, to0_wait_seconds=12_345)
        assert "12345 seconds" in text(owner.get("/settings/fdo"))
        owner.post("/settings/fdo", form_of(row))
        row.refresh_from_db()
        assert row.to0_wait_seconds == 12_345

    def test_only_one_organization_has_the_devices_that_name_none(self, ours: Side, owner: Client) -> None:
        fdo_setup(Side("Zenith").organization, None)
        row = fdo_setup(ours.organization, None)
        page = text(owner.post("/settings/fdo", form_of(row, di_default="on")))
        assert "Another organization is the default one already." in page

    def test_the_address_is_renewed_after_a_question(self, ours: Side, owner: Client) -> None:
        old = fdo_setup(ours.organization, None).di_token
        decent(owner.get("/settings/fdo/renew"))
        assert FdoSettings.objects.get().di_token == old
        owner.post("/settings/fdo/renew")
        assert FdoSettings.objects.get().di_token != old
        assert said("fdo.di-address-renewed") == 1

    def test_an_owner_without_a_key_is_told(self, ours: Side, owner: Client) -> None:
        fdo_settings_save(ours.organization, None, owner_on=True)
        assert "no owner key yet" in text(owner.get("/settings/fdo"))
        owner_key_make(ours.organization, None)
        assert "no owner key yet" not in text(owner.get("/settings/fdo"))


class TestKeys:
    """Made, brought, rotated, retired; private halves never leave."""

    @pytest.mark.parametrize("purpose", OwnerKey.Purpose.values)
    def test_a_key_is_made_shown_and_rotated(self, ours: Side, owner: Client, purpose: str) -> None:
        body = {"purpose": purpose, "kind": "P-256", "name": XSS, "encoding": "x509"}
        place = owner.post("/settings/keys", body)["Location"]
        key = OwnerKey.objects.get()
        assert (place, key.purpose) == (f"/settings/keys/{key.pk}", purpose)
        page = decent(owner.get(place))
        assert "<script>alert" not in page
        assert key.fingerprint in page
        decent(owner.get("/settings/keys"))
        decent(owner.get(f"{place}/rotate"))
        fresh = owner.post(f"{place}/rotate")["Location"]
        key.refresh_from_db()
        assert key.state == "retired"
        assert fresh != place
        assert OwnerKey.objects.filter(state="active", purpose=purpose, name=XSS).count() == 1
        trusted = {row.fingerprint for row in TrustedManufacturer.objects.all()}
        made = {row.fingerprint for row in OwnerKey.objects.filter(purpose="manufacturer")}
        assert trusted == made

    def test_pss_is_for_rsa(self, ours: Side, owner: Client) -> None:
        body = {"purpose": "owner", "kind": "P-256", "encoding": "x509", "pss": "on"}
        assert "PSS is for RSA keys." in decent(owner.post("/settings/keys", body))
        assert not OwnerKey.objects.exists()

    def test_its_public_half_is_downloaded_and_nothing_else(self, ours: Side, owner: Client) -> None:
        key = owner_key_make(ours.organization, None, purpose="device-ca")
        answer = owner.get(f"/settings/keys/{key.pk}/public.pem")
        assert answer.content.decode() == public_pem(bytes(key.public))
        assert "attachment" in answer["Content-Disposition"]
        certificate = x509.load_pem_x509_certificate(
            owner.get(f"/settings/keys/{key.pk}/certificate.pem").content
        )
        assert certificate.subject
        plain = owner_key_make(ours.organization, None)
        assert owner.get(f"/settings/keys/{plain.pk}/certificate.pem").status_code == 404
        everything = b"".join(
            owner.get(place).content
            for place in ("/settings/keys", f"/settings/keys/{key.pk}", f"/settings/keys/{key.pk}/public.pem")
        )
        assert b"PRIVATE" not in everything

    @pytest.mark.parametrize("as_file", [True, False])
    def test_a_key_is_brought_along(self, ours: Side, owner: Client, as_file: bool) -> None:
        pem = (
            b"-----BEGIN PRIVATE KEY-----\n"
            + base64.encodebytes(PRIVATE.to_pkcs8())
            + b"-----END PRIVATE KEY-----\n"
        )
        body: dict[str, Any] = {"purpose": "owner", "encoding": "x509", "name": "Old one"}
        body |= {"file": SimpleUploadedFile("k.pem", pem)} if as_file else {"pem": pem.decode()}
        answer = owner.post("/settings/keys/import", body)
        key = OwnerKey.objects.get()
        assert answer["Location"] == f"/settings/keys/{key.pk}"
        assert bytes(key.public) == PRIVATE.public.der
        assert pem.splitlines()[1] not in owner.get(answer["Location"]).content
        if not as_file:
            again = decent(owner.post("/settings/keys/import", body))
            assert "This key is here already." in again

    @pytest.mark.parametrize(
        "pem", ["", "   ", "no key", XSS, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
    )
    def test_what_is_no_key_is_refused(self, ours: Side, owner: Client, pem: str) -> None:
        answer = owner.post("/settings/keys/import", {"purpose": "owner", "encoding": "x509", "pem": pem})
        assert answer.status_code == 200
        assert "<script>alert" not in decent(answer)
        assert not OwnerKey.objects.exists()

    def test_retiring_the_last_one_says_what_follows(self, ours: Side, owner: Client) -> None:
        key = owner_key_make(ours.organization, None)
        page = text(owner.get(f"/settings/keys/{key.pk}/retire"))
        assert "your only active key" in page
        owner.post(f"/settings/keys/{key.pk}/retire")
        key.refresh_from_db()
        assert key.state == "retired"
        assert owner.get(f"/settings/keys/{key.pk}/retire")["Location"] == f"/settings/keys/{key.pk}"
        assert "Rotate" not in text(owner.get(f"/settings/keys/{key.pk}"))

    def test_vouchers_are_counted_where_they_end(self, ours: Side, owner: Client) -> None:
        key = owner_key_make(ours.organization, None)
        for number in range(3):
            Voucher.objects.create(
                organization=ours.organization,
                guid=f"{number:032x}",
                digest=f"{number:064x}",
                content=b"",
                owner_fingerprint=key.fingerprint,
                current=number < 2,
            )
        assert "2 vouchers end in it" in text(owner.get("/settings/keys"))


class TestManufacturers:
    """Trust after a look."""

    PEM = public_pem(PRIVATE.public.der)

    def look(self, owner: Client, **body: Any) -> Any:
        return owner.post("/settings/manufacturers", {"pem": self.PEM} | body)

    def test_nothing_is_trusted_before_the_fingerprint_was_shown(self, ours: Side, owner: Client) -> None:
        page = self.look(owner)
        shown = [a["title"] for tag, a in tags(page) if a.get("class") == "fingerprint"]
        assert not TrustedManufacturer.objects.exists()
        hidden = next(a["value"] for tag, a in tags(page) if a.get("name") == "public")
        owner.post("/settings/manufacturers/trust", {"public": hidden, "name": XSS})
        row = TrustedManufacturer.objects.get()
        assert shown == [row.fingerprint]
        assert row.organization == ours.organization
        page_text = decent(owner.get("/settings/manufacturers"))
        assert "<script>alert" not in page_text
        assert "trusted already" in text(self.look(owner))

    def test_a_file_will_do(self, ours: Side, owner: Client) -> None:
        file = SimpleUploadedFile("maker.der", PRIVATE.public.der)
        assert "Compare the fingerprint" in text(self.look(owner, pem="", file=file))

    @pytest.mark.parametrize(
        "pem", ["", "nothing", XSS, "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"]
    )
    def test_what_is_no_key_is_refused(self, ours: Side, owner: Client, pem: str) -> None:
        page = self.look(owner, pem=pem)
        assert "<script>alert" not in decent(page)
        assert [a["name"] for _t, a in tags(page) if a.get("aria-invalid") == "true"] == ["pem"]

    @pytest.mark.parametrize("public", ["", "AAAA", "ä", XSS])
    def test_a_forged_second_step_trusts_nobody(self, ours: Side, owner: Client, public: str) -> None:
        answer = owner.post("/settings/manufacturers/trust", {"public": public, "name": "x"})
        assert answer["Location"] == "/settings/manufacturers"
        assert not TrustedManufacturer.objects.exists()

    def test_it_is_renamed_and_distrusted(self, ours: Side, owner: Client) -> None:
        row = manufacturer_trust(ours.organization, None, PRIVATE.public.der, "Lamps")
        owner.post(f"/settings/manufacturers/{row.pk}", {"name": "Lamps & Co"})
        row.refresh_from_db()
        assert row.name == "Lamps & Co"
        decent(owner.get(f"/settings/manufacturers/{row.pk}/distrust"))
        assert TrustedManufacturer.objects.exists()
        owner.post(f"/settings/manufacturers/{row.pk}/distrust")
        assert not TrustedManufacturer.objects.exists()
        assert said("manufacturer.distrusted") == 1


class TestGroups:
    """Made, changed, gone; and what a device has of them."""

    def test_a_group_gives_its_devices_a_plan(self, ours: Side, owner: Client) -> None:
        plan = plan_save(ours.organization, None, name="Site", items=[])
        owner.post("/settings/groups", {"name": XSS, "plan": plan.pk})
        group = Group.objects.get()
        device = ours.device("A-1")
        assert owner.post(f"/devices/{device.pk}/rename", {"group": group.pk}).status_code == 204
        device.refresh_from_db()
        assert device.group == group
        for place in ("/settings/groups", f"/settings/groups/{group.pk}", f"/devices/{device.pk}"):
            assert "<script>alert" not in decent(owner.get(place))
        owner.post(f"/settings/groups/{group.pk}", {"name": "Turku", "plan": ""})
        group.refresh_from_db()
        assert (group.name, group.plan) == ("Turku", None)
        assert "1 device stays" in text(owner.get(f"/settings/groups/{group.pk}/delete"))
        owner.post(f"/settings/groups/{group.pk}/delete")
        device.refresh_from_db()
        assert device.group is None
        assert (said("group.saved"), said("group.deleted")) == (2, 1)

    def test_two_of_one_name_are_refused_by_a_sentence(self, ours: Side, owner: Client) -> None:
        group_save(ours.organization, None, name="Turku")
        assert "Another group has this name." in decent(owner.post("/settings/groups", {"name": " Turku "}))
        assert Group.objects.count() == 1

    @pytest.mark.parametrize(
        ("typed", "kept"),
        [
            ("site = Turku\r\nrow=7", {"row": "7", "site": "Turku"}),
            ("\n a.b-c_d = x = y \n\n", {"a.b-c_d": "x = y"}),
            ("site = <b>&\"'", {"site": "<b>&\"'"}),
            ("", {}),
        ],
    )
    def test_tags_are_lines(self, ours: Side, owner: Client, typed: str, kept: dict[str, str]) -> None:
        device = ours.device("A-1", tags={"old": "1"})
        assert owner.post(f"/devices/{device.pk}/rename", {"tags": typed}).status_code == 204
        device.refresh_from_db()
        assert device.tags == kept
        page = decent(owner.get(f"/devices/{device.pk}"))
        assert "<b>&" not in page

    @pytest.mark.parametrize(
        "typed",
        ["site", "= x", "site =", "a b = c", "s = 1\ns = 2", "x = " + "y" * 201, "${x} = y", "ä = b", "a = \x07",
         "\n".join(f"t{n} = 1" for n in range(33))],
    )  # fmt: skip
    def test_what_is_no_tag_is_refused_in_words(self, ours: Side, owner: Client, typed: str) -> None:
        device = ours.device("A-1", tags={"old": "1"})
        answer = owner.post(f"/devices/{device.pk}/rename", {"tags": typed})
        assert (answer.status_code, answer["Content-Type"]) == (422, "text/plain; charset=utf-8")
        assert answer.content
        device.refresh_from_db()
        assert device.tags == {"old": "1"}


ITEMS = [
    {"id": "wifi", "kind": "network",
     "value": {"ssid": "Hall", "security": "wpa2-psk", "passphrase": "very-secret-words"}},
    {"id": "say", "kind": "command", "value": {"command": "echo", "args": "${serial} ${tag.site}", "output": "yes"}},
    {"id": "log", "kind": "collect", "value": {"name": "/var/log/${serial}.log", "may_fail": "yes"}},
    {"id": "os", "kind": "fetch", "value": {"name": "/tmp/x", "url": "https://example.com/${devmod.os}"}},
    {"id": "cert", "kind": "certificate", "value": {}},
    {"id": "raw", "kind": "file", "value": {"path": "/x", "content": "/w==", "mode": "600"}},
]  # fmt: skip


class TestDryRun:
    """What one device would get."""

    @pytest.fixture
    def plan(self, ours: Side) -> int:
        return int(plan_save(ours.organization, None, name="Line", items=ITEMS).pk)

    def device(self, ours: Side, **fields: Any) -> Device:
        return Device.objects.create(
            organization=ours.organization, method="fdo", **{"serial": "SN-7"} | fields
        )

    def test_a_missing_tag_is_an_error_of_its_item_alone(self, ours: Side, owner: Client, plan: int) -> None:
        device = self.device(ours)
        page = text(owner.get(f"/plans/{plan}/try?device=SN-7"))
        assert "This device has nothing called ${tag.site}" in page
        assert "/var/log/SN-7.log" in page
        assert "https://example.com/‹devmod.os›" in page
        Device.objects.filter(pk=device.pk).update(tags={"site": XSS})
        answer = owner.get(f"/plans/{plan}/try?device=SN-7")
        assert "<script>alert" not in decent(answer)
        assert "nothing called" not in text(answer)

    def test_secrets_are_for_who_may_manage(self, ours: Side, owner: Client, plan: int) -> None:
        self.device(ours)
        assert "very-secret-words" in text(owner.get(f"/plans/{plan}/try?device=SN-7"))
        viewer = colleague(ours.organization, Role.VIEWER).get(f"/plans/{plan}/try?device=SN-7")
        assert "very-secret-words" not in viewer.content.decode()
        assert "/etc/onward/network.d/wifi.json" in text(viewer)

    def test_the_device_is_found_by_number_serial_name_or_part(
        self, ours: Side, owner: Client, plan: int
    ) -> None:
        one, two = self.device(ours, name="Hall lamp"), self.device(ours, serial="SN-8", name="Hall lamp")
        for typed in (f"%23{one.pk}", "SN-7", "N-7"):
            assert "echo" not in text(owner.get(f"/plans/{plan}/try?device={typed}")).partition("Dry run")[0]
            assert "/var/log/SN-7.log" in text(owner.get(f"/plans/{plan}/try?device={typed}"))
        both = text(owner.get(f"/plans/{plan}/try?device=Hall lamp"))
        assert "Which one?" in both
        assert two.serial in both
        for nobody in ("zzz", "%23999999999", "%23" + "9" * 30, "%00", "<script>"):
            page = decent(owner.get(f"/plans/{plan}/try?device={nobody}"))
            assert "/var/log" not in page

    def test_a_device_of_another_method_is_none(self, ours: Side, owner: Client, plan: int) -> None:
        ours.device("NOOB-1")
        assert "No FDO device fits" in text(owner.get(f"/plans/{plan}/try?device=NOOB-1"))

    def test_the_plan_that_it_really_has_is_named(self, ours: Side, owner: Client, plan: int) -> None:
        other = plan_save(ours.organization, None, name="Other", items=[])
        self.device(ours, group=group_save(ours.organization, None, name="G", plan=other))
        assert "this device gets the plan Other" in text(owner.get(f"/plans/{plan}/try?device=SN-7"))


class TestPlanEditor:
    """Kinds that only FDO has."""

    def body(self, kind: str, **values: str) -> dict[str, Any]:
        return {"name": "P", "row": "a", "item-a-kind": kind} | {f"item-a-{k}": v for k, v in values.items()}

    def test_a_command_is_saved_with_its_ticks(self, ours: Side, owner: Client) -> None:
        owner.post(
            "/plans/new", self.body("command", command="reboot", args="-f '${tag.why}'", may_fail="yes")
        )
        plan = ours.organization.plans.get(name="P")
        assert plan.current is not None
        assert plan.current.items[0]["value"] == {
            "command": "reboot",
            "args": "-f '${tag.why}'",
            "may_fail": "yes",
        }
        page = owner.get(f"/plans/{plan.pk}/edit")
        ticked = [a["name"] for tag, a in tags(page) if a.get("type") == "checkbox" and "checked" in a]
        assert ticked == ["item-0-may_fail"]
        decent(owner.get(f"/plans/{plan.pk}"))

    @pytest.mark.parametrize(
        ("kind", "values", "field"),
        [
            ("command", {"command": "x", "args": "${seriel}"}, "args"),
            ("command", {"command": "x", "args": "'open"}, "args"),
            ("command", {"args": "x"}, "command"),
            ("collect", {"name": "/x/${devmod.colour}"}, "name"),
            ("fetch", {"name": "/x", "url": "ftp://x"}, "url"),
            ("fetch", {"name": "/x", "url": "https://x", "sha384": "abc"}, "sha384"),
        ],
    )
    def test_a_slip_is_said_under_its_field(
        self, ours: Side, owner: Client, kind: str, values: dict[str, str], field: str
    ) -> None:
        page = owner.post("/plans/new", self.body(kind, **values))
        assert page.status_code == 200
        assert [a["name"] for _t, a in tags(page) if a.get("aria-invalid") == "true"] == [f"item-a-{field}"]
        assert not ours.organization.plans.exists()


def voucher_of(device: Device, **fields: Any) -> Voucher:
    return Voucher.objects.create(
        organization=device.organization, device=device, guid=f"{device.pk:032x}", digest=f"{device.pk:064x}",
        content=b"", **fields,
    )  # fmt: skip


class TestDevicePage:
    """Every state of a device that has a voucher."""

    @pytest.fixture
    def device(self, ours: Side) -> Device:
        fdo_settings_save(ours.organization, None, owner_on=True)
        device = Device.objects.create(
            organization=ours.organization, method="fdo", serial="SN-1", state=DeviceState.KNOWN
        )
        Onboarding.objects.create(device=device, started_at=timezone.now(), step_since=timezone.now())
        return device

    def page(self, owner: Client, device: Device) -> str:
        answer = owner.get(f"/devices/{device.pk}")
        decent(answer)
        return text(answer)

    def test_it_finds_us_until_the_lease_ends(self, owner: Client, device: Device) -> None:
        until = timezone.now() + timedelta(days=7)
        voucher = voucher_of(device)
        voucher.registrations.create(url="http://rv.example.com", state="registered", lease_until=until)
        page = self.page(owner, device)
        assert "Waiting for the device" in page
        assert "http://rv.example.com" in page
        assert f"It finds us there until {until:%-d %b %Y, %H:%M}" in page
        assert "Waiting for the device to find us." in page

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"state": "due"}, "Being registered"),
            ({"state": "off"}, "Not registered there any more"),
            ({"state": "failing", "last_error_code": "TO0-103", "last_error": XSS}, "does not answer"),
            (
                {"state": "registered", "lease_until": timezone.now() - timedelta(hours=1)},
                "Not to be found there now",
            ),
        ],
    )
    def test_why_it_does_not_is_said(
        self, owner: Client, device: Device, fields: dict[str, Any], words: str
    ) -> None:
        voucher_of(device).registrations.create(url="http://rv.example.com", **fields)
        assert words in self.page(owner, device)
        found = finding(device)
        assert found is not None
        assert found.hopeless == (fields["state"] != "due")

    def test_a_failure_while_an_old_lease_runs_is_not_hopeless(self, owner: Client, device: Device) -> None:
        until = timezone.now() + timedelta(hours=1)
        voucher_of(device).registrations.create(url="http://x", state="failing", lease_until=until)
        assert "It finds us there until" in self.page(owner, device)
        assert not finding(device).hopeless  # type: ignore[union-attr]

    def test_what_stands_in_the_way_has_a_sentence(self, ours: Side, owner: Client, device: Device) -> None:
        assert "Its voucher is not in use here" in self.page(owner, device)
        voucher = voucher_of(device, state="extended-away")
        assert "went to the next owner" in self.page(owner, device)
        Voucher.objects.filter(pk=voucher.pk).update(state="stored")
        assert "names no server to ask" in self.page(owner, device)
        fdo_settings_save(ours.organization, None, owner_on=False)
        page = self.page(owner, device)
        assert "The owner's role is off" in page
        assert "It cannot find us yet" in page
        viewer = text(colleague(ours.organization, Role.VIEWER).get(f"/devices/{device.pk}"))
        assert "Ask a manager." in viewer

    @pytest.mark.parametrize("state", sorted(set(DeviceState.values) - {"known", "waiting"}))
    def test_once_it_came_nothing_is_said_of_finding(self, owner: Client, device: Device, state: str) -> None:
        voucher_of(device).registrations.create(url="http://rv.example.com", state="due")
        Device.objects.filter(pk=device.pk).update(state=state, reason="fdo.item-failed")
        assert "Where it asks for its owner" not in self.page(owner, device)

    def test_results_and_outputs_are_shown_and_hostile_ones_are_text(
        self, owner: Client, device: Device
    ) -> None:
        results = [
            {"id": "say", "ok": True, "detail": "echo: exit code 0", "exit_code": 0},
            {"id": XSS, "ok": False, "detail": XSS},
        ]
        Onboarding.objects.filter(device=device).update(results=results)
        Device.objects.filter(pk=device.pk).update(state="onboarded")
        now = timezone.now()
        for name, content, at in (
            ("say.out", b"first run", now - timedelta(days=1)),
            ("say.out", f"{XSS}\x1b[31m\xff".encode("latin-1") + b"x" * 5000, now),
            ("say.err", b"warning: hot", now),
            ("/var/log/boot.log", b"log", now),
        ):
            file = DeviceFile(device=device, name=name, received_at=at)
            file.content = content
            file.save()
        answer = owner.get(f"/devices/{device.pk}")
        page = decent(answer)
        assert "<script>alert" not in page
        assert "\x1b" not in page
        words = text(answer)
        assert "What it printed" in words
        assert "warning: hot" in words
        assert "first run" not in words
        assert "All of it" in words
        assert "/var/log/boot.log" in words
        fragment = owner.get(f"/devices/{device.pk}/progress")
        assert "warning: hot" in fragment.content.decode()

    def test_results_of_any_shape_do_not_break_the_page(self, owner: Client, device: Device) -> None:
        Onboarding.objects.filter(device=device).update(
            results=[{}, "x", {"id": 7, "ok": 1, "exit_code": "a"}]
        )
        self.page(owner, device)


@pytest.mark.django_db(transaction=True)
def test_a_whole_onboarding_is_told_on_the_page(factory: House, mine: Membership, owner: Client) -> None:
    """The real engine and device: results, decoded messages, and a dry run with the device's own words."""
    plan = plan_save(mine.organization, None, name="Line", is_default=True, items=ITEMS[1:3])
    factory.directory.refresh()
    thing = Thing(factory)
    device = thing.admit(mine, tags={"site": "Turku"})
    thing.effects.files["/var/log/SN-1.log"] = b"booted\n"
    now = timezone.now()
    Onboarding.objects.create(device=device, started_at=now, step_since=now, due_at=now)
    thing.to2()
    settle.settle_to2(device.pk)
    page = text(owner.get(f"/devices/{device.pk}"))
    assert "The device proved itself" in page
    assert "What it printed" in page
    assert "/var/log/SN-1.log" in page
    line = device.events.get(code="fdo.prove-device")
    shown = owner.get(f"/devices/{device.pk}/messages/{line.pk}")
    assert "/ TO2.ProveDevice (64) /" in decent(shown)
    with_os = plan_save(mine.organization, None, name="Os", items=[ITEMS[3]])
    assert "https://example.com/linux" in text(owner.get(f"/plans/{with_os.pk}/try?device=SN-1"))
    assert "echo SN-1 Turku" in text(owner.get(f"/plans/{plan.pk}/try?device=SN-1"))


class TestTokens:
    """A line in a factory gets a token for vouchers alone."""

    def test_the_scope_goes_to_the_service(self, ours: Side, owner: Client) -> None:
        owner.post("/settings/tokens", {"name": "Line 4", "lifetime_days": "365", "scope": "vouchers"})
        page = owner.get("/settings/tokens")  # which shows it once
        assert "vouchers only" in text(page)
        made = re.search(r"onw_[\w-]{43}", page.content.decode())
        assert made is not None
        token = token_find(made[0])
        assert token is not None
        assert (token.scope, token.name) == ("vouchers", "Line 4")

    def test_without_a_choice_it_may_do_everything(self, ours: Side, owner: Client) -> None:
        owner.post("/settings/tokens", {"name": "All", "lifetime_days": "30"})
        assert ApiToken.objects.get(name="All").scope == ""

    def test_an_unknown_scope_is_refused(self, ours: Side, owner: Client) -> None:
        decent(owner.post("/settings/tokens", {"name": "X", "lifetime_days": "30", "scope": "root"}))
        assert not ApiToken.objects.filter(name="X").exists()
