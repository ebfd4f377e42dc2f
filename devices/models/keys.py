"""Keys that sign for an organization, what it does in FDO, and which manufacturers it believes."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from devices import vault
from devices.models.owners import Organization

FINGERPRINT_LENGTH = 64
"""SHA-256 of a SubjectPublicKeyInfo, hexadecimal."""
KIND_CHOICES = [(kind, kind) for kind in ("P-256", "P-384", "RSA-2048", "RSA-3072")]
"""bootstrap.wire.keys.KeyKind, in its order."""
DAY_SECONDS = 86_400


class OwnerKey(models.Model):
    """A key pair of the organization. The private half is sealed here or stays in a PKCS#11 token; either way
    ``devices.keys.signer_of`` is the only way to it."""

    class Purpose(models.TextChoices):
        """What it signs."""

        OWNER = "owner", _("Owner: vouchers end in it")
        MANUFACTURER = "manufacturer", _("Manufacturer: vouchers begin with it")
        DEVICE_CA = "device-ca", _("Device CA: signs device certificates")

    class Backend(models.TextChoices):
        """Where the private half is."""

        SEALED = "sealed", _("Sealed in the database")
        PKCS11 = "pkcs11", _("PKCS#11 token")

    class State(models.TextChoices):
        """Whether new vouchers may end in it. A retired key still serves the vouchers it has."""

        ACTIVE = "active", _("Active")
        RETIRED = "retired", _("Retired")

    class Encoding(models.TextChoices):
        """How vouchers carry the public half (FDO 1.1 section 3.3.4, pkEnc)."""

        X509 = "x509", "X509"
        X5CHAIN = "x5chain", "X5CHAIN"
        COSEKEY = "cosekey", "COSEKEY"

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="owner_keys")
    name = models.CharField(_("name"), max_length=80, blank=True)
    kind = models.CharField(_("type"), max_length=16, choices=KIND_CHOICES)
    encoding = models.CharField(_("encoding"), max_length=8, choices=Encoding.choices, default=Encoding.X509)
    pss = models.BooleanField(_("RSA signatures are PSS"), default=False)
    purpose = models.CharField(_("purpose"), max_length=16, choices=Purpose.choices, default=Purpose.OWNER)
    public = models.BinaryField()
    """SubjectPublicKeyInfo, DER."""
    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    backend = models.CharField(max_length=8, choices=Backend.choices, default=Backend.SEALED)
    sealed = models.BinaryField(null=True)
    """PKCS#8, sealed; with the sealed backend only."""
    pkcs11_uri = models.CharField(max_length=500, blank=True)
    """RFC 7512, without a PIN; with the PKCS#11 backend only."""
    certificate = models.BinaryField(null=True)
    """DER: of the device CA, and of a key that vouchers carry as X5CHAIN."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "purpose", "fingerprint"], name="owner_key_once_per_purpose"
            )
        ]
        indexes = [models.Index(fields=["fingerprint"], name="owner_key_fingerprint")]

    def __str__(self) -> str:
        return f"{self.name or self.kind} {self.fingerprint[:16]}"


class FdoSettings(models.Model):
    """What the organization does in FIDO Device Onboard; each role can be off."""

    class Admission(models.TextChoices):
        """Whose vouchers our rendezvous takes (TO0)."""

        ANY_OWN = "any-own", _("Vouchers that one of this organization's owner keys holds")
        TRUSTED = "trusted", _("Devices of trusted manufacturers")
        ANY = "any", _("Every sound voucher")

    _TOKEN_CONTEXT = b"fdo di token"

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="fdo")
    manufacturer_on = models.BooleanField(_("manufacturer (DI)"), default=False)
    rendezvous_on = models.BooleanField(_("rendezvous (TO0, TO1)"), default=True)
    owner_on = models.BooleanField(_("owner (TO2)"), default=True)

    di_token_sealed = models.BinaryField(null=True)
    """The part of the DI address that names the organization's line; ``di_token`` opens it."""
    di_default = models.BooleanField(_("devices that name no line are ours"), default=False)
    di_networks = models.JSONField(_("networks that may run DI"), default=list, blank=True)
    """Texts like 192.0.2.0/24; empty: from anywhere."""
    di_key_kind = models.CharField(
        _("manufacturer key type"), max_length=16, choices=KIND_CHOICES, default=KIND_CHOICES[0][0]
    )

    rendezvous_urls = models.JSONField(_("rendezvous servers for new devices"), default=list, blank=True)
    """Empty: the portal's own."""
    to0_wait_seconds = models.PositiveIntegerField(
        _("lease asked of a rendezvous server, in seconds"),
        default=7 * DAY_SECONDS,
        validators=[MinValueValidator(60), MaxValueValidator(2**32 - 1)],
    )
    reuse_credentials = models.BooleanField(_("devices keep their credential (reuse)"), default=False)
    rv_max_wait_seconds = models.PositiveIntegerField(
        _("longest lease our rendezvous gives, in seconds"),
        default=30 * DAY_SECONDS,
        validators=[MinValueValidator(60), MaxValueValidator(2**32 - 1)],
    )
    rv_admission = models.CharField(
        _("our rendezvous takes"), max_length=8, choices=Admission.choices, default=Admission.ANY_OWN
    )
    service_info_max = models.PositiveIntegerField(
        _("largest service-info message from a device, in octets"),
        default=16_000,
        validators=[MinValueValidator(256), MaxValueValidator(64_000)],
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["di_default"], condition=models.Q(di_default=True), name="one_default_di"
            )
        ]

    def __str__(self) -> str:
        return f"FDO of {self.organization}"

    @property
    def di_token(self) -> str:
        """The secret part of the organization's DI address; empty while there is none."""
        if not self.di_token_sealed:
            return ""
        return vault.unseal(bytes(self.di_token_sealed), self._TOKEN_CONTEXT).decode()

    @di_token.setter
    def di_token(self, token: str) -> None:
        self.di_token_sealed = vault.seal(token.encode(), self._TOKEN_CONTEXT) if token else None


class TrustedManufacturer(models.Model):
    """A manufacturer key whose vouchers the organization accepts."""

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="trusted_manufacturers"
    )
    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    public = models.BinaryField()
    """SubjectPublicKeyInfo, DER."""
    name = models.CharField(_("name"), max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "fingerprint"], name="manufacturer_trusted_once")
        ]

    def __str__(self) -> str:
        return self.name or self.fingerprint[:16]
