"""Keys of an organization: sealed or in a token, made, brought in, retired, rotated, exported."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from bootstrap.errors import LocalError, NotAuthenticated
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, SoftSigner, default_algorithm
from devices import pkcs11
from devices.keys import fingerprint_of, public_of, signer_of
from devices.models import AuditEntry, FdoSettings, Membership, Organization, OwnerKey, Revision
from devices.models.keys import KIND_CHOICES
from devices.services.fdo import (
    di_token_renew,
    fdo_settings,
    fdo_settings_save,
    fdo_setup,
    manufacturer_distrust,
    manufacturer_trust,
)
from devices.services.owner_keys import (
    owner_key_active,
    owner_key_from_token,
    owner_key_import,
    owner_key_make,
    owner_key_pem,
    owner_key_retire,
    owner_key_rotate,
    public_in,
)
from devices.services.people import organization_create, user_ensure

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1234"
pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Membership:
    user = user_ensure("owner@example.com")
    return Membership.objects.get(organization=organization_create("Mine", user), user=user)


@pytest.fixture
def mine(owner: Membership) -> Organization:
    return owner.organization


def pem_of(key: object) -> bytes:
    return key.private_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_the_kinds_of_the_model_are_those_of_the_wire() -> None:
    assert [kind for kind, _label in KIND_CHOICES] == [kind.value for kind in KeyKind]


@pytest.mark.parametrize("kind", [kind.value for kind in KeyKind])
def test_a_made_key_signs_and_its_public_half_verifies(mine: Organization, kind: str) -> None:
    key = owner_key_make(mine, None, kind)
    algorithm = default_algorithm(KeyKind(kind))
    signature = signer_of(OwnerKey.objects.get(pk=key.pk)).sign(algorithm, b"to1d")
    public_of(key).verify(algorithm, b"to1d", signature)
    with pytest.raises(NotAuthenticated):
        public_of(key).verify(algorithm, b"to1e", signature)


def test_the_private_half_is_sealed_and_bound_to_its_public_half(mine: Organization) -> None:
    one, other = owner_key_make(mine, None), owner_key_make(mine, None)
    assert b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" not in bytes(one.sealed or b"")  # no PKCS#8 in clear
    OwnerKey.objects.filter(pk=one.pk).update(sealed=other.sealed)
    with pytest.raises(LocalError):
        signer_of(OwnerKey.objects.get(pk=one.pk))


def test_a_deed_is_audited_and_the_doors_hear_of_it(mine: Organization, owner: Membership) -> None:
    before = Revision.objects.get().number
    key = owner_key_make(mine, owner.user, "P-384", name="factory")
    assert Revision.objects.get().number > before
    entry = AuditEntry.objects.get(action="owner-key.made")
    assert entry.detail == {"kind": "P-384", "purpose": "owner", "backend": "sealed", "name": "factory"}
    assert entry.target == key.fingerprint[:32]


@pytest.mark.parametrize("form", ["TraditionalOpenSSL", "PKCS8"])
def test_a_key_brought_along_is_the_same_key(mine: Organization, form: str) -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )
    key = owner_key_import(mine, None, pem)
    assert (key.kind, key.fingerprint) == ("P-384", fingerprint_of(SoftSigner(private).public))
    with pytest.raises(ValidationError, match="here already"):
        owner_key_import(mine, None, pem)


def test_the_same_key_may_sign_as_manufacturer_too(mine: Organization) -> None:
    pem = pem_of(ec.generate_private_key(ec.SECP256R1()))
    owner_key_import(mine, None, pem)
    assert owner_key_import(mine, None, pem, purpose="manufacturer").purpose == "manufacturer"


def test_a_key_under_a_password_needs_it(mine: Organization) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame"),
    )
    for wrong in ("", "sesame"):
        with pytest.raises(ValidationError):
            owner_key_import(mine, None, pem, wrong)
    assert owner_key_import(mine, None, pem, "open sesame").kind == "P-256"


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"hello",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem_of(ed25519.Ed25519PrivateKey.generate()),
        pem_of(ec.generate_private_key(ec.SECP521R1())),
        pem_of(rsa.generate_private_key(65537, 1024)),
    ],
)
def test_what_is_no_key_of_ours_is_refused(mine: Organization, pem: bytes) -> None:
    with pytest.raises(ValidationError):
        owner_key_import(mine, None, pem)
    assert not OwnerKey.objects.exists()


@pytest.mark.parametrize(
    "words",
    [{"kind": "P-521"}, {"kind": ""}, {"pss": True}, {"encoding": "pgp"}, {"purpose": "none"}],
)
def test_what_no_key_can_be_is_refused(mine: Organization, words: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        owner_key_make(mine, None, **words)  # type: ignore[arg-type]
    assert not OwnerKey.objects.exists()


def test_retiring_takes_a_key_out_of_choice_and_not_out_of_use(mine: Organization) -> None:
    key = owner_key_make(mine, None)
    owner_key_retire(key, None)
    owner_key_retire(key, None)
    assert key.state == "retired"
    assert key.retired_at
    assert owner_key_active(mine) is None
    assert signer_of(key).public == public_of(key)
    assert AuditEntry.objects.filter(action="owner-key.retired").count() == 1


def test_rotation_makes_a_key_like_the_old_one(mine: Organization) -> None:
    old = owner_key_make(mine, None, "RSA-2048", pss=True, encoding="cosekey", name="line 1")
    fresh = owner_key_rotate(old, None)
    assert (fresh.kind, fresh.pss, fresh.encoding, fresh.name) == ("RSA-2048", True, "cosekey", "line 1")
    assert fresh.fingerprint != old.fingerprint
    assert owner_key_active(mine, kind="RSA-2048") == fresh


def test_the_newest_active_key_of_a_kind_is_chosen(mine: Organization) -> None:
    first, second = owner_key_make(mine, None, "P-256"), owner_key_make(mine, None, "P-384")
    assert owner_key_active(mine) == second
    assert owner_key_active(mine, kind="P-256") == first
    other = organization_create("Other", user_ensure("other@example.com"))
    assert owner_key_active(other) is None


@pytest.mark.parametrize("encoding", ["x509", "x5chain"])
def test_an_exported_key_is_what_the_next_manufacturer_can_read(mine: Organization, encoding: str) -> None:
    key = owner_key_make(mine, None, encoding=encoding)
    pem = owner_key_pem(key)
    handle, chain = public_in(pem.encode())
    assert handle.der == bytes(key.public)
    assert (len(chain) == 1) == (encoding == "x5chain")
    assert ("CERTIFICATE" in pem) == (encoding == "x5chain")


def test_a_device_ca_has_a_certificate_for_as_long_as_devices_live(mine: Organization) -> None:
    key = owner_key_make(mine, None, purpose="device-ca")
    certificate = x509.load_der_x509_certificate(bytes(key.certificate or b""))
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.days > 29 * 365
    assert PublicKeyHandle.from_certificate(bytes(key.certificate or b"")) == public_of(key)


@pytest.mark.parametrize("text", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"])
def test_what_is_no_public_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValidationError):
        public_in(text)


def test_a_key_that_ends_in_a_white_octet_is_read_whole() -> None:
    key = SoftSigner.generate(KeyKind.P256)
    while key.public.der[-1] not in b" \t\r\n":
        key = SoftSigner.generate(KeyKind.P256)
    handle, _chain = public_in(key.public.der)
    assert handle.der == key.public.der


# What the organization does


def test_setup_makes_an_organization_manufacturer_and_owner(mine: Organization) -> None:
    row = fdo_setup(mine, None, rendezvous="http://rv.example.com:8041/", key_kind="P-384")
    again = fdo_setup(mine, None, rendezvous="http://rv.example.com:8041", key_kind="P-384")
    assert (row.manufacturer_on, row.owner_on, row.di_default) == (True, True, True)
    assert again.rendezvous_urls == ["http://rv.example.com:8041"]
    assert again.di_token == row.di_token != ""
    assert sorted(OwnerKey.objects.values_list("purpose", "kind")) == [
        ("device-ca", "P-384"),
        ("manufacturer", "P-384"),
        ("owner", "P-384"),
    ]
    maker = OwnerKey.objects.get(purpose="manufacturer")
    assert mine.trusted_manufacturers.get().fingerprint == maker.fingerprint


def test_only_one_organization_serves_devices_that_name_no_line(mine: Organization) -> None:
    other = organization_create("Other", user_ensure("other@example.com"))
    fdo_setup(mine, None)
    assert fdo_setup(other, None).di_default is False
    with pytest.raises(ValidationError):
        fdo_settings_save(other, None, di_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        FdoSettings.objects.filter(organization=other).update(di_default=True)


def test_a_new_di_address_ends_the_old_one_and_is_not_in_clear(mine: Organization) -> None:
    old = fdo_setup(mine, None).di_token
    row = di_token_renew(mine, None)
    assert old != row.di_token
    assert row.di_token.encode() not in bytes(row.di_token_sealed or b"")


@pytest.mark.parametrize(
    "fields",
    [
        {"rendezvous_urls": ["rv.example.com"]},
        {"rendezvous_urls": ["ftp://rv.example.com"]},
        {"rendezvous_urls": ["http://rv.example.com/fdo"]},
        {"rendezvous_urls": ["http://rv.example.com:99999"]},
        {"rendezvous_urls": "http://rv.example.com"},
        {"rendezvous_urls": ["http://rv.example.com"] * 9},
        {"rendezvous_urls": [7]},
        {"di_networks": ["everywhere"]},
        {"to0_wait_seconds": 1},
        {"service_info_max": 100},
        {"rv_admission": "everybody"},
        {"di_key_kind": "P-521"},
    ],
)
def test_a_setting_that_cannot_work_is_refused(mine: Organization, fields: dict[str, object]) -> None:
    before = FdoSettings.objects.values().get(pk=fdo_settings(mine).pk)
    with pytest.raises(ValidationError):
        fdo_settings_save(mine, None, **fields)
    assert FdoSettings.objects.values().get() == before


def test_trust_is_given_once_named_and_taken_back(mine: Organization) -> None:
    public = SoftSigner.generate(KeyKind.P256).public.der
    manufacturer_trust(mine, None, public)
    row = manufacturer_trust(mine, None, public, "Acme")
    assert mine.trusted_manufacturers.get().name == "Acme"
    manufacturer_distrust(row, None)
    assert not mine.trusted_manufacturers.exists()
    said = AuditEntry.objects.filter(action__startswith="manufacturer.").order_by("pk")
    assert list(said.values_list("action", flat=True)) == [
        "manufacturer.trusted",
        "manufacturer.named",
        "manufacturer.distrusted",
    ]


# A PKCS#11 token


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A token of SoftHSM with one key of each kind; the library reads its place once for each process."""
    if shutil.which("softhsm2-util") is None or not Path(MODULE).exists():
        message = "softhsm2 is not installed: run deploy/test-packages as root"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "vault", "--pin", PIN, "--so-pin", "5678"],
        check=True,
        capture_output=True,
    )
    for number, kind in enumerate(KeyKind, 1):
        path = folder / f"{kind.value}.pem"
        signer = SoftSigner.generate(kind)
        path.write_bytes(pem_of(signer.private_key))
        words = ["--import", str(path), "--token", "vault", "--label", kind.value, "--id", f"0{number}"]
        subprocess.run(["softhsm2-util", *words, "--pin", PIN], check=True, capture_output=True)
    yield folder
    pkcs11.forget()
    os.environ.pop("SOFTHSM2_CONF")


@pytest.fixture
def token(softhsm: Path, settings: object) -> Path:
    settings.PKCS11_MODULE, settings.PKCS11_PIN = MODULE, PIN  # type: ignore[attr-defined]
    return softhsm


CASES = [
    (KeyKind.P256, False),
    (KeyKind.P384, False),
    (KeyKind.RSA2048, False),
    (KeyKind.RSA2048, True),
    (KeyKind.RSA3072, False),
    (KeyKind.RSA3072, True),
]


@pytest.mark.peer
@pytest.mark.parametrize(("kind", "pss"), CASES)
def test_a_key_in_a_token_signs_what_its_public_half_verifies(
    mine: Organization, token: Path, kind: KeyKind, pss: bool
) -> None:
    key = owner_key_from_token(mine, None, f"pkcs11:token=vault;object={kind.value}", pss=pss)
    assert (key.kind, key.backend, key.sealed) == (kind.value, "pkcs11", None)
    algorithm = default_algorithm(kind, pss=pss)
    signature = signer_of(OwnerKey.objects.get(pk=key.pk)).sign(algorithm, b"to1d")
    public_of(key).verify(algorithm, b"to1d", signature)
    ours = SoftSigner.from_pem((token / f"{kind.value}.pem").read_bytes())
    assert ours.public == public_of(key)


@pytest.mark.peer
@pytest.mark.parametrize("kind", [KeyKind.RSA2048, KeyKind.RSA3072])
def test_a_token_opens_what_was_encrypted_to_its_key_and_nothing_else(
    mine: Organization, token: Path, kind: KeyKind
) -> None:
    """SoftHSM knows OAEP with SHA-1 only, so this goes through the bare operation."""
    signer = signer_of(owner_key_from_token(mine, None, f"pkcs11:token=vault;object={kind.value}"))
    sealed = signer.public.encrypt_oaep(bytes(range(32)))
    assert signer.decrypt_oaep(sealed) == bytes(range(32))
    for wrong in (bytes(len(sealed)), sealed[:-1] + bytes([sealed[-1] ^ 1]), b"short"):
        with pytest.raises(NotAuthenticated):
            signer.decrypt_oaep(wrong)


@pytest.mark.peer
@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=vault;object=nothing",
        "pkcs11:token=elsewhere;object=P-256",
        "pkcs11:token=vault",
        "pkcs11:object=P-256",
        "pkcs11:token=vault;object=P-256?pin-value=1234",
        "pkcs11:token=vault;object=P-256;slot-id=1",
        "http://vault",
    ],
)
def test_a_uri_that_names_no_key_is_refused(mine: Organization, token: Path, uri: str) -> None:
    with pytest.raises(ValidationError) as caught:
        owner_key_from_token(mine, None, uri)
    assert PIN not in str(caught.value)


@pytest.mark.peer
def test_a_token_signs_its_own_certificate(mine: Organization, token: Path) -> None:
    key = owner_key_from_token(mine, None, "pkcs11:token=vault;object=P-384", encoding="x5chain")
    certificate = x509.load_der_x509_certificate(bytes(key.certificate or b""))
    certificate.verify_directly_issued_by(certificate)
    assert PublicKeyHandle.from_certificate(bytes(key.certificate or b"")) == public_of(key)


@pytest.mark.peer
def test_a_token_key_is_found_by_its_id(mine: Organization, token: Path) -> None:
    assert owner_key_from_token(mine, None, "pkcs11:token=vault;id=%02").kind == "P-384"


@pytest.mark.peer
def test_a_token_that_is_away_is_our_fault_and_its_return_is_noticed(mine: Organization, token: Path) -> None:
    key = owner_key_from_token(mine, None, "pkcs11:token=vault;object=P-256")
    signer = signer_of(key)
    pkcs11.forget()
    public_of(key).verify(-7, b"again", signer.sign(-7, b"again"))


def test_without_a_library_the_operator_hears_which_setting(mine: Organization) -> None:
    with pytest.raises(ValidationError, match="ONWARD_PKCS11_MODULE"):
        owner_key_from_token(mine, None, "pkcs11:token=vault;object=P-256")
