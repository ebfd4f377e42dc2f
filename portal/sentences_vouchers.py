"""What is said about vouchers, imports and keys: the texts are the bindings' (and the protocol's own), who can
fix it is said here. English sources of translations; portal/catalogue.py says them.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

from bootstrap.bindings.vouchers.problems import PROBLEMS as VOUCHERS
from portal.sentences import MANAGER, SELLER, YOU, Entry

_MANAGERS = frozenset({"VCH-119", "VCH-202", "VCH-306", "TO0-102", "TO0-103", "TO0-104"})
_YOURS = frozenset({"VCH-101", "VCH-200", "VCH-205", "VCH-301", "VCH-303", "VCH-304"})

VOUCHER_PROBLEMS: dict[str, Entry] = {
    code: Entry(
        sentence.replace("%", "%%"),
        fix.replace("%", "%%"),
        MANAGER
        if code in _MANAGERS
        else YOU
        if code in _YOURS or (code >= "VCH-15" and code < "VCH-2")
        else SELLER,
        "warn" if code in _MANAGERS else "bad",
    )
    for code, (sentence, fix) in VOUCHERS.items()
} | {
    "JOB-100": Entry(
        gettext_noop("The job failed through a fault of ours; what it added stays."),
        gettext_noop("Run it again: what is here already is passed over. If it fails again, tell support."),
        YOU,
        "bad",
    ),
    "JOB-101": Entry(
        gettext_noop("The uploaded file could not be read: %(text)s."),
        gettext_noop("Hand it in again."),
        YOU,
        "bad",
        short=gettext_noop("The uploaded file could not be read"),
    ),
}
