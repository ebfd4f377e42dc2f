"""What is allowed but will not work well in the field: advice, never a reason to refuse."""

from __future__ import annotations

from dataclasses import dataclass

ADVICE: dict[str, tuple[str, str]] = {
    "RVI-101": (
        "The rendezvous information is empty: the device will not look for its owner.",
        "Let the manufacturer set at least one rendezvous server.",
    ),
    "RVI-102": (
        "A directive does not say which protocol to use (variable 12).",
        "Set the protocol to HTTP or HTTPS; without it devices assume bare TLS, and some then find no server.",
    ),
    "RVI-103": (
        "A directive uses a protocol that hardly any device speaks.",
        "Use HTTP or HTTPS.",
    ),
    "RVI-104": (
        "A directive names no port for devices (variable 3).",
        "Write the port even if it is the usual one.",
    ),
    "RVI-105": (
        "A directive names no port for owners (variable 4).",
        "Write the port even if it is the usual one.",
    ),
    "RVI-106": (
        "A directive has neither a host name nor an IP address.",
        "Give at least one of variables 2 and 5, unless an external mechanism finds the server.",
    ),
    "RVI-107": (
        "A directive has an IPv6 address, which some devices refuse.",
        "Use a host name, or an IPv4 address.",
    ),
    "RVI-108": (
        "A directive has an IPv4 address in 16 octets, which some devices refuse.",
        "Write IPv4 addresses in 4 octets.",
    ),
    "RVI-109": (
        "Every directive for devices bypasses the rendezvous server.",
        "The devices go straight to the address in the voucher; the owner cannot be anywhere else.",
    ),
    "RVI-110": (
        "No directive is for devices.",
        "Remove the owner-only mark from at least one directive.",
    ),
    "RVI-111": (
        "No directive is for owners, so the owner can register nowhere.",
        "Remove the device-only mark from a directive, unless all of them bypass the rendezvous server.",
    ),
    "RVI-112": (
        "A variable stands twice in one directive.",
        "Keep one; implementations disagree on which of them counts.",
    ),
    "RVI-113": (
        "A variable has a value that cannot be read.",
        "Let the manufacturer write the value in the form that the specification gives.",
    ),
    "RVI-114": (
        "A directive holds a variable that the specification does not know.",
        "Remove it; devices pass over it at best.",
    ),
    "RVI-115": (
        "A Wi-Fi password travels in clear in this voucher.",
        "Whoever sees the voucher sees the password; use a network made for onboarding only.",
    ),
    "RVI-116": (
        "The host name is local to one machine.",
        "A device elsewhere cannot reach it; use a name that the device can resolve.",
    ),
    "VLT-101": (
        "The voucher has no transfer of ownership yet.",
        "Some owner servers refuse such a voucher; extend it once, even if only to yourself.",
    ),
    "VLT-102": (
        "The hashes are not as wide as the keys ask for.",
        "The type follows the smaller of the device's and the owner's key; some devices accept no other.",
    ),
    "VLT-103": (
        "The hash over the device certificates is of another type than the other hashes.",
        "Devices with one type of hash only may refuse this voucher.",
    ),
    "VLT-104": (
        "The owners' keys are encoded in different ways.",
        "Each key should have the encoding of the manufacturer's; small devices read one only.",
    ),
    "VLT-105": (
        "The owners' keys are of different types.",
        "Each key should carry the type of the manufacturer's; small devices read one only.",
    ),
    "VLT-106": (
        "An entry carries an empty byte string as extra information.",
        "One device implementation stops at it; leave it out instead.",
    ),
    "VLT-107": (
        "An entry came without its COSE tag.",
        "We send it with the tag, which is how others hash it; the device may still refuse.",
    ),
    "VLT-108": (
        "The device's key and the owner's key are of different strength.",
        "It works, but the specification recommends keys of one strength.",
    ),
    "VLT-109": (
        "The voucher is long: devices read every transfer one by one.",
        "Ask the manufacturer for a fresh voucher, or sell on with fewer stops.",
    ),
    "VLT-110": (
        "A key in COSE form is wrapped or leaves its type out.",
        "We read it; some devices do not. Ask whoever wrote it to follow the specification.",
    ),
    "VLT-111": (
        "A device certificate is signed with SHA-1.",
        "The voucher's own hash protects it here; elsewhere such a chain may be refused.",
    ),
}
"""Code to sentence and what helps: RVI about rendezvous information, VLT about the rest of a voucher."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One piece of advice."""

    code: str
    sentence: str
    fix: str
    where: str = ""
    """``directive 2``, ``entry 1``: counted from 1, for people."""

    @classmethod
    def of(cls, code: str, where: str = "") -> LintFinding:
        return cls(code, *ADVICE[code], where)
