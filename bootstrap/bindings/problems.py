"""Why a claim cannot go on. The sentences, fixes and buttons are in portal/catalogue.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class ClaimProblem(StrEnum):
    """Stable codes, shown small under the sentence and sent by the API."""

    UNREADABLE = "CLM-101"
    """No kind of code that we know."""
    NOT_YET = "CLM-102"
    """A kind we know but cannot take yet; ``kind``."""
    UNKNOWN_DEVICE = "CLM-103"
    """Nobody with that name waits here: never came, expired, or meant for another portal."""
    WRONG_CODE = "CLM-104"
    """The fingerprint does not match; ``tries_left``."""
    WRONG_CODE_RESET = "CLM-105"
    """It did not match for the last time: the device starts over with a new code."""
    EXPIRED = "CLM-106"
    """The code is too old."""
    ALREADY_MINE = "CLM-107"
    """This person added it; ``device``."""
    ADDED_BY_COLLEAGUE = "CLM-108"
    """It is in this organization already; ``device``, ``at``."""
    OTHER_OWNER = "CLM-109"
    """Another organization has it; never says which."""
    ALREADY_RECEIVED = "CLM-110"
    """The same code came before; nothing more to do; ``device``."""
    NO_RIGHT = "CLM-111"
    """This person's role may not add devices."""
    SERIAL_NOT_EXPECTED = "CLM-112"
    """The organization accepts only serials on its list, and this one is not; ``serial``."""
    WAS_HERE_BEFORE = "CLM-113"
    """A device with this serial is here: the same one after a reset? ``merge_with`` (device id), ``serial``."""
    NOBODY_WITH_SERIAL = "CLM-114"
    """No waiting device has this printed serial; ``serial``."""
    SEVERAL_WITH_SERIAL = "CLM-115"
    """More than one waiting device says it has this serial; ``candidates`` (session ids)."""
    WRONG_DIRECTION = "CLM-116"
    """This device cannot read a code of ours (or does not show one)."""
    TOO_MANY_TRIES = "CLM-117"
    """Slow down; ``retry_after_seconds``."""
    NOT_WAITING = "CLM-118"
    """The device is in no state to be claimed."""
    NO_VOUCHER = "CLM-119"
    """No voucher of this FDO device is here. One of another organization looks just the same."""
    SOLD_ON = "CLM-120"
    """This organization has extended the device's voucher to another owner; ``voucher``."""
    OUT_OF_SERVICE = "CLM-121"
    """Somebody here took the device out of service; ``device``."""


class ClaimRefused(Exception):
    """A claim that cannot go on, with what the sentence needs. Nothing was changed unless the code says so."""

    def __init__(self, problem: ClaimProblem, **detail: Any) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.detail = detail
