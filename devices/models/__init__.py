"""Every noun of what exists, one file each."""

from devices.models.access import AccessPoint, ApiToken, OneTimeLink, Realm, Revision
from devices.models.audit import AuditEntry
from devices.models.devices import Claim, Device, DeviceState, ExpectedSerial, Identifier
from devices.models.owners import Membership, Organization, Role, User
from devices.models.plans import Onboarding, OnboardingStep, Plan, PlanVersion

__all__ = [
    "AccessPoint",
    "ApiToken",
    "AuditEntry",
    "Claim",
    "Device",
    "DeviceState",
    "ExpectedSerial",
    "Identifier",
    "Membership",
    "Onboarding",
    "OnboardingStep",
    "OneTimeLink",
    "Organization",
    "Plan",
    "PlanVersion",
    "Realm",
    "Revision",
    "Role",
    "User",
]
