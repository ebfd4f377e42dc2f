"""Everything that can be wrong with a voucher or with the file it came in: code, sentence, what helps."""

from __future__ import annotations

from bootstrap.errors import MalformedMessage

from ..constants import InvalidVoucher

CODES: dict[str, tuple[str, str]] = {
    "VCH-101": (
        "This is not an ownership voucher.",
        "Export the voucher again from the manufacturer's system, as PEM or CBOR.",
    ),
    "VCH-102": (
        "The voucher is of another version than FDO 1.1.",
        "Ask the manufacturer for a voucher of version 101; drafts and FDO 1.0 have another layout.",
    ),
    "VCH-103": (
        "The header of the voucher cannot be read.",
        "Export the voucher again; if it stays, the manufacturer's system writes it wrongly.",
    ),
    "VCH-104": (
        "The voucher is larger than 64 KiB.",
        "Ask the manufacturer for shorter certificate chains or fewer transfers.",
    ),
    "VCH-105": (
        "The device's HMAC over the header has the wrong form.",
        "Run device initialization again, or ask the manufacturer for the complete voucher.",
    ),
    "VCH-106": (
        "The voucher mixes different types of hashes.",
        "Every hash in a voucher is of one type; whoever extended it used the wrong one. Ask them again.",
    ),
    "VCH-107": (
        "The voucher has no device certificate.",
        "Devices with EPID keys cannot be onboarded here; ask for a voucher with a device certificate.",
    ),
    "VCH-108": (
        "The device certificates are not those that the header names.",
        "The certificates were exchanged after manufacturing. Ask the manufacturer for the original voucher.",
    ),
    "VCH-109": (
        "The chain of device certificates is broken.",
        "Each certificate has to be signed by the next one. Ask the manufacturer for the complete chain.",
    ),
    "VCH-110": (
        "The key in the device's certificate is not supported.",
        "Supported are P-256, P-384, RSA-2048 and RSA-3072.",
    ),
    "VCH-111": (
        "A transfer of ownership in the voucher cannot be read.",
        "Export the voucher again; if it stays, ask whoever sold the device.",
    ),
    "VCH-112": (
        "A transfer of ownership belongs to another device.",
        "Entries of two vouchers were mixed up. Ask whoever sold the device for its own voucher.",
    ),
    "VCH-113": (
        "A transfer of ownership does not continue the one before it.",
        "An entry is missing, changed or out of order. Ask whoever sold the device for the whole voucher.",
    ),
    "VCH-114": (
        "A transfer of ownership is not signed by the owner before it.",
        "Somebody else than the owner extended the voucher. Ask whoever sold the device.",
    ),
    "VCH-115": (
        "A key in the voucher is unusable, or of another kind than the manufacturer's.",
        "Ask for the voucher to be extended to a key of the manufacturer's kind and size.",
    ),
    "VCH-116": (
        "The voucher has more than 255 transfers of ownership.",
        "No device can onboard with it; ask the manufacturer for a fresh voucher.",
    ),
    "VCH-117": (
        "The manufacturer's key in the voucher is unusable.",
        "Ask the manufacturer for a voucher with a P-256, P-384, RSA-2048 or RSA-3072 key.",
    ),
    "VCH-118": (
        "The voucher belongs to a key that is not yours.",
        "Send your owner key to whoever sold the device and ask them to extend the voucher to it.",
    ),
    "VCH-119": (
        "The manufacturer of this voucher is not trusted yet.",
        "Compare the fingerprint of its key with what the manufacturer published, then trust it.",
    ),
    "VCH-120": (
        "The manufacturer's certificate chain is broken.",
        "Each certificate has to be signed by the next one. Ask the manufacturer for the complete chain.",
    ),
    "VCH-121": (
        "The header, or the device's HMAC over it, was changed after the first transfer.",
        "Ask whoever sold the device for the voucher as it was.",
    ),
    "VCH-122": (
        "The rendezvous information in the voucher cannot be read.",
        "Ask the manufacturer for a voucher with rendezvous information as the specification has it.",
    ),
    "VCH-151": (
        "The file holds too many vouchers.",
        "Divide it: one upload takes 1,000,000 vouchers.",
    ),
    "VCH-152": (
        "The file unpacks to more than can be taken at once.",
        "Divide it into smaller archives.",
    ),
    "VCH-153": (
        "The archive is packed more tightly than vouchers can be.",
        "Vouchers hardly compress, so this is something else. Pack the voucher files alone.",
    ),
    "VCH-154": (
        "There is an archive inside the archive.",
        "Unpack it and upload its files.",
    ),
    "VCH-155": (
        "The archive is encrypted or packed by a method that is not supported.",
        "Use zip or tar.gz without a password.",
    ),
    "VCH-156": (
        "The archive is damaged.",
        "Upload it again; if it stays, pack it again.",
    ),
    "VCH-157": (
        "This file is too large to be a voucher.",
        "Upload vouchers only; one has at most 64 KiB.",
    ),
    "VCH-158": (
        "This PEM block is no voucher and was passed over.",
        "Nothing to do, if the file is meant to hold keys or certificates as well. Never share private keys.",
    ),
    "VCH-159": (
        "This PEM block is damaged.",
        "Copy the text again with its first and last line.",
    ),
    "VCH-160": (
        "The file holds no voucher.",
        "Upload PEM, CBOR, or a zip or tar.gz of those.",
    ),
    "VCH-161": (
        "This member of the archive is no ordinary file and was passed over.",
        "Pack the voucher files themselves, not links to them.",
    ),
}
"""Code to sentence and fix: 1xx below 150 about one voucher, from 150 about the file around it."""


def sentence(code: str) -> str:
    """What is wrong."""
    return CODES[code][0]


def fix(code: str) -> str:
    """What helps."""
    return CODES[code][1]


class VoucherMalformed(MalformedMessage):
    """A voucher that cannot be read; ``code`` says which part."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {CODES[code][0]}" + (f" ({detail})" if detail else ""))
        self.code = code
        self.detail = detail


class VoucherProblem(InvalidVoucher):
    """A voucher that can be read but does not hold; ``code`` says why, ``entry`` where (from 0)."""

    def __init__(self, code: str, detail: str = "", entry: int | None = None) -> None:
        super().__init__(f"{code}: {CODES[code][0]}" + (f" ({detail})" if detail else ""))
        self.code = code
        self.detail = detail
        self.entry = entry
