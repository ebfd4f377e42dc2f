"""Why a voucher cannot be taken, sold or registered, beyond what ``protocols/fdo/voucher`` finds wrong in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bootstrap.protocols.fdo.voucher import CODES


class AdmitProblem(StrEnum):
    """Stable codes, shown small under the sentence and sent by the API."""

    NOT_OURS = "VCH-118"
    """It ends in a key that is not one of this organization's; ``owner`` (fingerprint)."""
    UNTRUSTED = "VCH-119"
    """Nobody here trusts its manufacturer yet; ``manufacturer`` (fingerprint)."""
    NO_VOUCHER = "VCH-160"
    """Nothing in the upload is one."""
    OTHER_BYTES = "VCH-203"
    """Another voucher for the same GUID is here; ``here`` and ``this`` (SHA-256 of both)."""
    TAKEN = "VCH-204"
    """The GUID is in use elsewhere; never says where."""
    SOLD = "VCH-206"
    """The organization has sold this device on, and this voucher is from before."""


PROBLEMS: dict[str, tuple[str, str]] = CODES | {
    "VCH-203": (
        "Another voucher for the same device is here already.",
        "Compare the two fingerprints with the seller's. Delete the voucher that is here to take this one.",
    ),
    "VCH-204": (
        "This device's GUID is in use already.",
        "Another account brought a voucher for it first. Ask the seller who owns the device.",
    ),
    "VCH-206": (
        "You have sold this device on, and this voucher is from before.",
        "If you bought it back, ask the seller for the voucher that is extended to you again.",
    ),
    "VCH-301": (
        "The voucher ends in this key already.",
        "Choose the next owner's key, not your own.",
    ),
    "VCH-302": (
        "The next owner's key is of another kind than the voucher's.",
        "All keys of a voucher have one type and size. Ask the next owner for such a key.",
    ),
    "VCH-303": (
        "This voucher is history: another one has taken its place.",
        "Open the device's current voucher.",
    ),
    "VCH-304": (
        "The device has another voucher by now.",
        "Nothing to do; delete that one first if you want this one back.",
    ),
    "VCH-305": (
        "The voucher wants the next owner's certificate, not only the key.",
        "Ask the next owner for the certificate chain of the key, as PEM.",
    ),
    "VCH-306": (
        "The key that owns this voucher cannot be used now.",
        "If it is in a token, connect it; if it was taken away, restore it.",
    ),
    "TO0-102": (
        "The registration cannot be signed: the owner key does not open.",
        "If it is in a token, connect it; if it was taken away, restore it.",
    ),
    "TO0-103": (
        "The rendezvous server does not answer.",
        "Check that its address is right and reachable from here. We keep trying.",
    ),
    "TO0-104": (
        "The rendezvous server refused the registration.",
        "Ask its operator whether it takes vouchers of this manufacturer and of your owner key.",
    ),
    "JOB-100": (
        "Something went wrong here.",
        "Nothing was lost: import the same file again, it goes on where it stopped.",
    ),
    "JOB-101": (
        "The uploaded file cannot be read any more.",
        "Upload it again; what is here already is not added twice.",
    ),
}
"""Code to sentence and fix, those of vouchers and files included."""


class VoucherRefused(Exception):
    """A deed with a voucher that cannot be done now, with what the sentence needs. Nothing was changed."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(f"{code}: {PROBLEMS[code][0]}")
        self.code = str(code)
        self.detail = detail
