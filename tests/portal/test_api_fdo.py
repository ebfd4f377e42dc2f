"""Keys, FDO settings, manufacturers, groups, tags and files over the API. No secret comes out of any of them."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import Side
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate
from rest_framework.test import APIClient

from bootstrap.wire.keys import KeyKind, SoftSigner
from devices.keys import signer_of
from devices.models import AuditEntry, Device, FdoSettings, Group, OwnerKey, TrustedManufacturer
from devices.services.owner_keys import owner_key_make, public_in, public_pem

pytestmark = pytest.mark.django_db
KINDS = [kind.value for kind in KeyKind]


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


def call(client: APIClient, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    """JSON in, JSON out, with the status that is expected."""
    answer = getattr(client, method)(f"/api/v1/{path}", body, format="json")
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def private_pem(signer: SoftSigner, password: bytes = b"") -> str:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    text = signer.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
    )
    return text.decode()


class TestOwnerKeys:
    """Made, brought along, rotated, retired."""

    def test_a_key_is_made_with_what_is_asked(self, mine: Side) -> None:
        plain = call(mine.client, "post", "owner-keys", {}, 201)
        assert (plain["kind"], plain["encoding"], plain["purpose"]) == ("P-256", "x509", "owner")
        assert (plain["pss"], plain["state"], plain["backend"]) == (False, "active", "sealed")
        wanted = {"kind": "P-384", "encoding": "x5chain", "purpose": "owner", "name": "2027"}
        made = call(mine.client, "post", "owner-keys", wanted, 201)
        assert {field: made[field] for field in wanted} == wanted
        assert (made["certified"], plain["certified"]) == (True, False)
        assert call(mine.client, "get", f"owner-keys/{made['id']}") == made
        assert [row["id"] for row in call(mine.client, "get", "owner-keys")["results"]] == [
            made["id"],
            plain["id"],
        ]

    def test_rsa_with_pss(self, mine: Side) -> None:
        made = call(mine.client, "post", "owner-keys", {"kind": "RSA-2048", "pss": True}, 201)
        assert (made["kind"], made["pss"]) == ("RSA-2048", True)
        assert "pss" in call(mine.client, "post", "owner-keys", {"pss": True}, 400)["fields"]

    def test_the_public_half_is_a_file(self, mine: Side) -> None:
        made = call(mine.client, "post", "owner-keys", {"encoding": "x5chain"}, 201)
        bare = call(mine.client, "post", "owner-keys", {}, 201)
        key = OwnerKey.objects.get(pk=made["id"])
        place = f"/api/v1/owner-keys/{made['id']}/pem"
        for query in ("", "?type=certificate"):
            answer = mine.client.get(place + query)
            assert answer["Content-Type"] == "application/x-pem-file"
            load_pem_x509_certificate(answer.content)
        alone = mine.client.get(place + "?type=key").content
        assert public_in(alone)[0].der == bytes(key.public)
        assert b"PUBLIC KEY" in mine.client.get(f"/api/v1/owner-keys/{bare['id']}/pem").content
        call(mine.client, "get", f"owner-keys/{bare['id']}/pem?type=certificate", status=404)
        call(mine.client, "get", f"owner-keys/{bare['id']}/pem?type=private", status=400)

    def test_rotating_answers_the_new_one_and_retires_the_old(self, mine: Side) -> None:
        old = call(mine.client, "post", "owner-keys", {"kind": "P-384", "name": "Line"}, 201)
        fresh = call(mine.client, "post", f"owner-keys/{old['id']}/rotate", status=201)
        assert (fresh["kind"], fresh["name"], fresh["state"]) == ("P-384", "Line", "active")
        assert fresh["fingerprint"] != old["fingerprint"]
        gone = call(mine.client, "get", f"owner-keys/{old['id']}")
        assert (gone["state"], bool(gone["retired_at"])) == ("retired", True)
        assert call(mine.client, "post", f"owner-keys/{fresh['id']}/retire")["state"] == "retired"
        assert call(mine.client, "post", f"owner-keys/{fresh['id']}/retire")["state"] == "retired"

    @pytest.mark.parametrize("password", ["", "correct horse"])
    def test_a_key_is_brought_along_and_never_shown(self, mine: Side, password: str) -> None:
        signer = SoftSigner.generate(KeyKind.P384)
        body = {"pem": private_pem(signer, password.encode()), "name": "Brought"}
        body |= {"password": password} if password else {}
        made = call(mine.client, "post", "owner-keys", body, 201)
        assert made["kind"] == "P-384"
        assert signer_of(OwnerKey.objects.get()).public.der == signer.public.der
        secret = "".join(private_pem(signer).splitlines()[1:-1])[-40:]
        for path in ("owner-keys", f"owner-keys/{made['id']}", f"owner-keys/{made['id']}/pem", "audit"):
            content = mine.client.get(f"/api/v1/{path}").content.decode()
            assert "PRIVATE" not in content
            assert secret not in content
            assert "correct horse" not in content
        again = call(mine.client, "post", "owner-keys", body, 400)
        assert list(again["fields"]) == ["pem"]

    @pytest.mark.parametrize(
        "body",
        [
            {"kind": "P-521"},
            {"encoding": "x"},
            {"purpose": "admin"},
            {"pem": "nonsense"},
            {"pem": "x", "kind": "P-256"},
            {"password": "x"},
            {"fingerprint": "0" * 64},
            {"name": "x" * 81},
        ],
    )
    def test_what_is_no_key_is_refused_by_field(self, mine: Side, body: Any) -> None:
        said = call(mine.client, "post", "owner-keys", body, 400)
        assert set(said["fields"]) <= {*body, "password", "kind", "pem"}
        assert not OwnerKey.objects.exists()

    def test_an_own_manufacturer_key_is_trusted_from_the_start(self, mine: Side) -> None:
        made = call(mine.client, "post", "owner-keys", {"purpose": "manufacturer"}, 201)
        fresh = call(mine.client, "post", f"owner-keys/{made['id']}/rotate", status=201)
        trusted = {row["fingerprint"] for row in call(mine.client, "get", "manufacturers")["results"]}
        assert trusted == {made["fingerprint"], fresh["fingerprint"]}

    def test_only_owners_and_admins_touch_keys(self, mine: Side) -> None:
        key = owner_key_make(mine.organization, mine.owner)
        operator = mine.as_role("operator")
        assert call(operator, "get", f"owner-keys/{key.pk}")["fingerprint"] == key.fingerprint
        for path in ("owner-keys", f"owner-keys/{key.pk}/rotate", f"owner-keys/{key.pk}/retire"):
            call(operator, "post", path, {}, 403)
        call(mine.as_role("admin"), "post", f"owner-keys/{key.pk}/retire")
        for method in ("put", "patch", "delete"):
            call(mine.client, method, f"owner-keys/{key.pk}", {}, 405)


class TestFdo:
    """One object of settings."""

    def test_it_is_always_there_and_changes_field_by_field(self, mine: Side) -> None:
        before = call(mine.client, "get", "fdo")
        assert (before["owner_on"], before["manufacturer_on"], before["di_address"]) == (True, False, "")
        changes: dict[str, Any] = {
            "rendezvous_on": False,
            "reuse_credentials": True,
            "di_networks": ["192.0.2.7/24"],
            "rendezvous_urls": ["http://rv.example.com:8041/"],
            "to0_wait_seconds": 3600,
            "rv_admission": "trusted",
            "service_info_max": 1300,
        }
        after = call(mine.client, "patch", "fdo", changes)
        normal = {"di_networks": ["192.0.2.0/24"], "rendezvous_urls": ["http://rv.example.com:8041"]}
        assert after == before | changes | normal
        assert call(mine.client, "get", "fdo/") == after
        assert AuditEntry.objects.filter(action="fdo.changed").count() == 1

    @pytest.mark.parametrize(
        "body",
        [
            {"to0_wait_seconds": 1},
            {"to0_wait_seconds": 2**32},
            {"service_info_max": 10},
            {"di_networks": ["nonsense"]},
            {"di_networks": ["192.0.2.0/24"] * 9},
            {"di_networks": "192.0.2.0/24"},
            {"rendezvous_urls": ["nowhere"]},
            {"rendezvous_urls": ["http://x/path"]},
            {"rv_admission": "nobody"},
            {"di_key_kind": "P-521"},
            {"di_token": "mine"},
            {"di_address": "mine"},
        ],
    )
    def test_what_cannot_be_is_refused_by_field(self, mine: Side, body: Any) -> None:
        before = call(mine.client, "get", "fdo")
        said = call(mine.client, "patch", "fdo", body, 400)
        assert {field.partition(".")[0] for field in said["fields"]} == set(body)
        assert call(mine.client, "get", "fdo") == before

    def test_one_step_makes_a_manufacturer_and_twice_is_once(self, mine: Side) -> None:
        done = call(mine.client, "post", "fdo/setup", {"key_kind": "P-384"})
        assert (done["manufacturer_on"], done["di_key_kind"], done["di_default"]) == (True, "P-384", True)
        assert "/di/" in done["di_address"]
        assert OwnerKey.objects.count() == len(OwnerKey.Purpose)
        again = call(mine.client, "post", "fdo/setup", {"key_kind": "P-384"})
        assert again == done
        assert OwnerKey.objects.count() == len(OwnerKey.Purpose)

    def test_setting_up_again_keeps_the_rendezvous_that_was_chosen(self, mine: Side) -> None:
        chosen = {"rendezvous": "http://rv.example.com:8041"}
        assert call(mine.client, "post", "fdo/setup", chosen)["rendezvous_urls"] == [chosen["rendezvous"]]
        assert call(mine.client, "post", "fdo/setup", {})["rendezvous_urls"] == [chosen["rendezvous"]]
        call(mine.client, "post", "fdo/setup", {"rendezvous": "nowhere"}, 400)

    def test_the_di_address_can_be_another_and_is_not_for_viewers(self, mine: Side) -> None:
        first = call(mine.client, "post", "fdo/setup", {})["di_address"]
        second = call(mine.client, "post", "fdo/renew")["di_address"]
        assert first != second
        assert FdoSettings.objects.get().di_token == second.rpartition("/")[2]
        assert call(mine.as_role("operator"), "get", "fdo")["di_address"] == second
        assert call(mine.as_role("viewer"), "get", "fdo")["di_address"] == ""

    def test_only_owners_and_admins_change_it(self, mine: Side) -> None:
        operator = mine.as_role("operator")
        call(operator, "patch", "fdo", {"owner_on": False}, 403)
        for path in ("fdo/setup", "fdo/renew"):
            call(operator, "post", path, {}, 403)
        assert call(operator, "get", "fdo")["owner_on"] is True
        for method in ("post", "put", "delete"):
            call(mine.client, method, "fdo", {}, 405)

    def test_two_organizations_have_two(self, mine: Side) -> None:
        theirs = Side("Theirs")
        call(theirs.client, "post", "fdo/setup", {"rendezvous": "http://theirs.example.com"})
        assert call(mine.client, "get", "fdo")["rendezvous_urls"] == []
        assert "di_default" in call(mine.client, "patch", "fdo", {"di_default": True}, 400)["fields"]


class TestManufacturers:
    """Whom the organization believes."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_key_is_trusted_named_and_distrusted(self, mine: Side, kind: str) -> None:
        public = SoftSigner.generate(KeyKind(kind)).public
        body = {"pem": public_pem(public.der), "name": "Acme"}
        made = call(mine.client, "post", "manufacturers", body, 201)
        assert public_in(made["pem"].encode())[0].der == public.der
        named = call(mine.client, "post", "manufacturers", body | {"name": "Acme Ltd"})
        assert named == made | {"name": "Acme Ltd"}
        assert call(mine.client, "get", "manufacturers")["results"] == [named]
        call(mine.client, "delete", f"manufacturers/{made['id']}", status=204)
        assert not TrustedManufacturer.objects.exists()

    def test_a_certificate_will_do(self, mine: Side) -> None:
        key = owner_key_make(mine.organization, None, purpose="device-ca")
        text = mine.client.get(f"/api/v1/owner-keys/{key.pk}/pem?type=certificate").content.decode()
        made = call(mine.client, "post", "manufacturers", {"pem": text}, 201)
        assert made["fingerprint"] == key.fingerprint

    @pytest.mark.parametrize(
        "body", [{}, {"pem": ""}, {"pem": "x"}, {"fingerprint": "0" * 64}, {"pem": "x" * 70_000}]
    )
    def test_what_is_no_key_is_refused(self, mine: Side, body: Any) -> None:
        assert call(mine.client, "post", "manufacturers", body, 400)["fields"]

    def test_a_private_key_is_not_a_public_one(self, mine: Side) -> None:
        text = private_pem(SoftSigner.generate(KeyKind.P256))
        answer = call(mine.client, "post", "manufacturers", {"pem": text}, 400)
        assert text[40:60] not in str(answer)

    def test_an_operator_reads(self, mine: Side) -> None:
        operator = mine.as_role("operator")
        public = SoftSigner.generate(KeyKind.P256).public
        call(operator, "post", "manufacturers", {"pem": public_pem(public.der)}, 403)
        assert call(operator, "get", "manufacturers")["results"] == []


class TestGroups:
    """Devices that get the same things."""

    def test_a_group_is_made_changed_and_deleted_and_its_devices_stay(self, mine: Side) -> None:
        plan = call(mine.client, "post", "plans", {"name": "P", "items": []}, 201)["id"]
        made = call(mine.client, "post", "groups", {"name": "Turku"}, 201)
        assert (made["name"], made["plan"]) == ("Turku", None)
        changed = call(mine.client, "patch", f"groups/{made['id']}", {"plan": plan})
        assert (changed["name"], changed["plan"]) == ("Turku", plan)
        assert call(mine.client, "patch", f"groups/{made['id']}", {"name": "Oulu"})["plan"] == plan
        device = mine.device("SN-1")
        call(mine.client, "patch", f"devices/{device.pk}", {"group": made["id"]})
        mine.device("SN-2")
        found = call(mine.client, "get", f"devices?group={made['id']}")["results"]
        assert [row["serial"] for row in found] == ["SN-1"]
        call(mine.client, "delete", f"groups/{made['id']}", status=204)
        assert call(mine.client, "get", f"devices/{device.pk}")["group"] is None

    @pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 81}, {"name": "A", "plan": 10**9}])
    def test_what_is_no_group_is_refused(self, mine: Side, body: Any) -> None:
        assert call(mine.client, "post", "groups", body, 400)["fields"]

    def test_two_of_one_name_are_refused(self, mine: Side) -> None:
        call(mine.client, "post", "groups", {"name": "A"}, 201)
        assert list(call(mine.client, "post", "groups", {"name": " A "}, 400)["fields"]) == ["name"]

    def test_nothing_of_another_organization_goes_in(self, mine: Side) -> None:
        foreign = Side("Theirs").everything()
        own = mine.everything()
        call(mine.client, "patch", f"devices/{own['devices']}", {"group": foreign["groups"]}, 400)
        call(mine.client, "patch", f"groups/{own['groups']}", {"plan": foreign["plans"]}, 400)
        call(mine.client, "post", "groups", {"name": "B", "plan": foreign["plans"]}, 400)
        assert call(mine.client, "get", f"devices?group={foreign['groups']}")["results"] == []
        assert Group.objects.get(pk=own["groups"]).plan_id == own["plans"]


class TestDevices:
    """Tags and files."""

    def test_tags_are_all_replaced(self, mine: Side) -> None:
        device = mine.device("SN-1")
        place = f"devices/{device.pk}"
        assert call(mine.client, "get", place)["tags"] == {}
        tags = {"site": "Turku", "floor": " 3"}
        assert call(mine.client, "patch", place, {"tags": tags})["tags"] == tags
        assert call(mine.client, "patch", place, {"name": "Lamp"})["tags"] == tags
        assert call(mine.client, "patch", place, {"tags": {}})["tags"] == {}

    @pytest.mark.parametrize(
        "tags", [None, [], "x", {"": "x"}, {"a b": "x"}, {"a": ""}, {"a": []}, {"a": "x" * 201}]
    )
    def test_what_is_no_tag_is_refused_by_field(self, mine: Side, tags: Any) -> None:
        device = mine.device("SN-1")
        said = call(mine.client, "patch", f"devices/{device.pk}", {"tags": tags}, 400)
        assert {field.partition(".")[0] for field in said["fields"]} == {"tags"}
        assert Device.objects.get().tags == {}

    def test_files_are_listed_and_downloaded(self, mine: Side) -> None:
        device = mine.device("SN-1")
        first, second = mine.file(device), mine.file(device)
        second.name = '../../etc/«pass»"wd\n.log'
        second.save()
        shown = call(mine.client, "get", f"devices/{device.pk}/files")["results"]
        assert [row["id"] for row in shown] == [second.pk, first.pk]
        assert set(shown[0]) == {"id", "name", "length", "sha384", "received_at"}
        answer = mine.client.get(f"/api/v1/devices/{device.pk}/files/{second.pk}")
        assert answer.content == b"log of Mine"
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"] == 'attachment; filename="_pass__wd_.log"'

    def test_a_file_belongs_to_its_device(self, mine: Side) -> None:
        one, other = mine.device("SN-1"), mine.device("SN-2")
        file = mine.file(one)
        for pk in (file.pk, file.pk + 1, 10**17):
            call(mine.client, "get", f"devices/{other.pk}/files/{pk}", status=404)


class TestTokens:
    """What a token may do is part of what it is."""

    def test_a_scope_is_chosen_and_shown(self, mine: Side) -> None:
        made = call(mine.client, "post", "tokens", {"name": "line", "scope": "vouchers"}, 201)
        plain = call(mine.client, "post", "tokens", {"name": "all"}, 201)
        assert (made["scope"], plain["scope"]) == ("vouchers", "")
        shown = {row["id"]: row["scope"] for row in call(mine.client, "get", "tokens")["results"]}
        assert shown[made["id"]] == "vouchers"
        assert "scope" in call(mine.client, "post", "tokens", {"scope": "everything"}, 400)["fields"]

    def test_a_narrow_token_makes_no_wider_one(self, mine: Side) -> None:
        made = call(mine.client, "post", "tokens", {"scope": "vouchers"}, 201)
        line = APIClient()
        line.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
        call(line, "post", "tokens", {}, 403)
        assert call(line, "get", "me")["token"]["scope"] == "vouchers"
