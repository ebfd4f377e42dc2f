"""Ways in: realms and access points for devices, tokens and one-time links for people and programs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from devices.models.owners import Organization


class Realm(models.Model):
    """A NAI realm that belongs to an organization: ``noob@<name>`` (RFC 9140 section 3.3.1, RFC 7542)."""

    class Reading(models.TextChoices):
        """Which published reading of an ambiguous sentence the devices of this realm follow."""

        RFC = "rfc", _("RFC text")
        LEGACY = "legacy", _("Older implementations")

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="realms")
    name = models.CharField(_("realm"), max_length=120, unique=True)
    kdf_datalength = models.CharField(
        _("key derivation counts SuppPrivInfo (section 3.5)"),
        max_length=8,
        choices=Reading.choices,
        default=Reading.RFC,
    )
    reconnect_nai = models.CharField(
        _("reconnect MAC contains the NAI (section 3.3.2)"),
        max_length=8,
        choices=Reading.choices,
        default=Reading.RFC,
    )
    assign_to_new_devices = models.BooleanField(_("give new devices this realm"), default=False)

    def __str__(self) -> str:
        return self.name


class AccessPoint(models.Model):
    """A RADIUS client: who may relay devices to us, and for whom."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="access_points")
    name = models.CharField(_("name"), max_length=80, blank=True)
    address = models.CharField(
        _("address or network"), max_length=64, help_text=_("192.0.2.7 or 192.0.2.0/24")
    )
    secret = models.BinaryField()
    """Shared secret, sealed."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["address"], name="one_access_point_per_address")]

    def __str__(self) -> str:
        return self.name or self.address


class ApiToken(models.Model):
    """A program's key to the API, acting as a person in one organization."""

    class Scope(models.TextChoices):
        """How much of what the person may do."""

        ALL = "", _("Everything the person may do")
        VOUCHERS = "vouchers", _("Hand in vouchers, and see how that went")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80, blank=True)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the token: it is 256 random bits, so a slow hash would add nothing."""
    hint = models.CharField(max_length=12)
    scope = models.CharField(max_length=16, choices=Scope.choices, default=Scope.ALL, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name or 'token'} {self.hint}…"


class OneTimeLink(models.Model):
    """A link that works once: the first owner's welcome, an invitation."""

    class Purpose(models.TextChoices):
        """What opening the link leads to."""

        FIRST_OWNER = "first-owner", _("First owner")
        INVITATION = "invitation", _("Invitation")

    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    digest = models.CharField(max_length=64, unique=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, null=True, blank=True)
    role = models.CharField(max_length=16, blank=True)
    email = models.EmailField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.purpose} until {self.expires_at:%Y-%m-%d}"


class Revision(models.Model):
    """One row that counts changes of what the doors keep in memory (owners, realms, access points, plans)."""

    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
