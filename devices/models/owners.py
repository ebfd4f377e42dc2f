"""Who owns things: people, organizations, and a person's role in one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    """Makes people; the mail address is their name."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A person; without a password they sign in by passkey or mail code."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Support staff."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in."""

    email = models.EmailField(_("mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = []

    def __str__(self) -> str:
        return self.name or self.email


class Role(models.TextChoices):
    """What a person may do in one organization; each includes the ones after it."""

    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    OPERATOR = "operator", _("Operator")
    VIEWER = "viewer", _("Viewer")


class Organization(models.Model):
    """Owner of devices, plans, access points and everything else; the border nothing crosses."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # SleepTime policy (RFC 9140 section 3.3.2): how soon a waiting device asks again, in seconds.
    sleep_attended_seconds = models.PositiveSmallIntegerField(
        _("while somebody is likely to stand there"), default=5, validators=[MaxValueValidator(3600)]
    )
    sleep_hour_seconds = models.PositiveSmallIntegerField(
        _("during the first hours"), default=60, validators=[MaxValueValidator(3600)]
    )
    sleep_idle_seconds = models.PositiveSmallIntegerField(
        _("after that"), default=600, validators=[MaxValueValidator(3600)]
    )
    noob_timeout_seconds = models.PositiveIntegerField(
        _("a code we show stays valid"),
        default=3600,
        validators=[MinValueValidator(60), MaxValueValidator(86400)],
    )
    oob_retries = models.PositiveSmallIntegerField(
        _("wrong codes before a device starts over"),
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
    )
    forward_secrecy = models.BooleanField(_("fresh keys at every reconnect"), default=True)
    expected_serials_only = models.BooleanField(
        _("accept only serial numbers on the expected list"), default=False
    )
    silence_reminder_seconds = models.PositiveIntegerField(
        _("remind when a confirmed device stays silent for"), default=180, validators=[MinValueValidator(10)]
    )

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in an organization."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.OPERATOR)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "organization"], name="one_role_per_person")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.organization}"

    @property
    def may_read(self) -> bool:
        """See devices and history."""
        return True

    @property
    def may_claim(self) -> bool:
        """Add devices and act on them."""
        return self.role in (Role.OWNER, Role.ADMIN, Role.OPERATOR)

    @property
    def may_import(self) -> bool:
        """Bring vouchers in and hand them on."""
        return self.may_claim

    @property
    def may_manage(self) -> bool:
        """Change plans, access points, realms, people and policies."""
        return self.role in (Role.OWNER, Role.ADMIN)
