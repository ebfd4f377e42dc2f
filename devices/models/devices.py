"""One physical thing, what finds it, and who said it is theirs."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from devices import vault
from devices.models.owners import Organization


class DeviceState(models.TextChoices):
    """One vocabulary in pages, API, command line and logs. Presence is another column."""

    KNOWN = "known", _("Known")
    WAITING = "waiting", _("Waiting for you")
    ONBOARDING = "onboarding", _("Onboarding")
    STUCK = "stuck", _("Stuck")
    ONBOARDED = "onboarded", _("Onboarded")
    SUSPENDED = "suspended", _("Suspended")
    TRANSFERRING = "transferring", _("Transferring")
    REVOKED = "revoked", _("Revoked")
    RETIRED = "retired", _("Retired")


class Group(models.Model):
    """Devices of an organization that get the same things."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(_("name"), max_length=80)
    plan = models.ForeignKey("devices.Plan", on_delete=models.SET_NULL, null=True, blank=True)
    """For its devices without a plan of their own; empty means the organization's default one."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="group_name_once")]

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """One physical thing of one organization.

    ``state``, ``step`` and ``reason`` are written in one place only, ``devices.services.progress``.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="devices")
    name = models.CharField(_("name"), max_length=80, blank=True)
    room = models.CharField(_("room"), max_length=80, blank=True)
    serial = models.CharField(_("serial number"), max_length=120, blank=True, db_index=True)
    serial_confirmed = models.BooleanField(default=False)
    """A person compared it with the printed label, or it was expected; else it is the device's own word."""
    manufacturer = models.CharField(_("manufacturer"), max_length=120, blank=True)
    model = models.CharField(_("model"), max_length=120, blank=True)
    method = models.CharField(_("method"), max_length=32)
    via = models.CharField(_("came in over"), max_length=16, blank=True)
    plan = models.ForeignKey("devices.Plan", on_delete=models.SET_NULL, null=True, blank=True)
    """Its own plan; empty means its group's, and else the organization's default one."""
    group = models.ForeignKey(Group, on_delete=models.SET_NULL, null=True, blank=True, related_name="devices")
    tags = models.JSONField(_("tags"), default=dict, blank=True)
    """Short texts by name, for templates of plans and for finding: ``{"site": "Turku"}``."""

    state = models.CharField(max_length=16, choices=DeviceState.choices, default=DeviceState.WAITING)
    step = models.CharField(max_length=64, blank=True)
    """Code of the newest timeline line that moved it."""
    reason = models.CharField(max_length=64, blank=True)
    """Catalogue code of why it is stuck."""
    state_since = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="device_org_newest"),
            models.Index(fields=["organization", "state", "-id"], name="device_org_state"),
            models.Index(fields=["organization", "serial"], name="device_org_serial"),
        ]

    def __str__(self) -> str:
        return self.name or self.title

    @property
    def title(self) -> str:
        """What to call it when nobody has named it."""
        return (
            " ".join(part for part in (self.manufacturer, self.model) if part) or self.serial or str(self.pk)
        )


class Identifier(models.Model):
    """A name that finds a device, of any method; every claim goes through this one table."""

    class Kind(models.TextChoices):
        """What sort of name it is."""

        PEER_ID = "peer-id", "EAP-NOOB PeerId"
        SERIAL = "serial", _("Serial number")
        MAC = "mac", "EUI-48"
        FDO_GUID = "fdo-guid", "FDO GUID"

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="identifiers")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    value = models.CharField(max_length=160)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device", "kind", "value"], name="one_identifier_per_device"),
            # A PeerId is ours and never repeated; a serial or MAC is only somebody's word.
            models.UniqueConstraint(
                fields=["kind", "value"], condition=models.Q(kind="peer-id"), name="one_device_per_peer_id"
            ),
        ]
        indexes = [models.Index(fields=["kind", "value"], name="identifier_lookup")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class DeviceFile(models.Model):
    """A file that a device sent us, like a log by fdo.upload."""

    _CONTEXT = b"device file"

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=255)
    """The device's own word for it. Untrusted text."""
    sealed = models.BinaryField()
    length = models.PositiveIntegerField()
    sha384 = models.CharField(max_length=96)
    received_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["device", "-id"], name="device_file_newest")]

    def __str__(self) -> str:
        return self.name

    @property
    def content(self) -> bytes:
        """The file."""
        return vault.unseal(bytes(self.sealed), self._CONTEXT)

    @content.setter
    def content(self, content: bytes) -> None:
        self.sealed = vault.seal(content, self._CONTEXT)
        self.length = len(content)
        self.sha384 = hashlib.sha384(content).hexdigest()


class ExpectedSerial(models.Model):
    """A serial number the organization expects; the defence against misbinding (RFC 9140 section 7.6)."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="expected_serials")
    serial = models.CharField(max_length=120)
    note = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "serial"], name="expected_once")]

    def __str__(self) -> str:
        return self.serial


class Claim(models.Model):
    """A person saying "mine", with the evidence and the assurance that it gives."""

    class Direction(models.TextChoices):
        """Which way the code travels."""

        DEVICE_TO_SERVER = "device-to-server", _("Device shows the code")
        SERVER_TO_DEVICE = "server-to-device", _("Portal shows the code")

    class State(models.TextChoices):
        """How far the claim has come."""

        OPEN = "open", _("Code shown")
        ACCEPTED = "accepted", _("Code accepted")
        COMPLETED = "completed", _("Device proved itself")
        EXPIRED = "expired", _("Expired")

    class Assurance(models.TextChoices):
        """How strong the evidence is, strongest first."""

        FRESH_CODE = "fresh-code", _("Fresh code from the device")
        STICKER_SECRET = "sticker-secret", _("Secret on a sticker")
        STICKER = "sticker", _("Name on a sticker")
        SERIAL_ONLY = "serial-only", _("Serial number only")

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="claims")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="claims")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    session_id = models.BigIntegerField(db_index=True)
    """The engine's session this claim speaks of."""
    direction = models.CharField(max_length=20, choices=Direction.choices)
    assurance = models.CharField(max_length=20, choices=Assurance.choices)
    state = models.CharField(max_length=12, choices=State.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.person} claims {self.device}"
