"""Every noun of what exists, one file each."""

from devices.models.access import AccessPoint, ApiToken, OneTimeLink, Realm, Revision
from devices.models.audit import AuditEntry
from devices.models.devices import (
    Claim,
    Device,
    DeviceFile,
    DeviceState,
    ExpectedSerial,
    Group,
    Identifier,
)
from devices.models.jobs import Job, JobRow
from devices.models.keys import FdoSettings, OwnerKey, TrustedManufacturer
from devices.models.owners import Membership, Organization, Role, User
from devices.models.plans import Onboarding, OnboardingStep, Plan, PlanVersion
from devices.models.vouchers import Registration, Voucher

__all__ = [
    "AccessPoint",
    "ApiToken",
    "AuditEntry",
    "Claim",
    "Device",
    "DeviceFile",
    "DeviceState",
    "ExpectedSerial",
    "FdoSettings",
    "Group",
    "Identifier",
    "Job",
    "JobRow",
    "Membership",
    "Onboarding",
    "OnboardingStep",
    "OneTimeLink",
    "Organization",
    "OwnerKey",
    "Plan",
    "PlanVersion",
    "Realm",
    "Registration",
    "Revision",
    "Role",
    "TrustedManufacturer",
    "User",
    "Voucher",
]
