"""The texts of the catalogue: refusals of a claim, lines of history, and what EAP-NOOB's error numbers mean.

English sources of translations; portal/catalogue.py says them.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_noop

from bootstrap.bindings.problems import ClaimProblem
from bootstrap.protocols.eap_noob.constants import NoobErrorCode


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press: a label and where it leads (a URL name)."""

    label: str
    to: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that may be said. Texts are English sources of translations."""

    sentence: str
    fix: str = ""
    who: str = ""
    tone: str = "warn"
    buttons: tuple[Button, ...] = ()
    status: int = 409
    short: str = ""
    """Without values, for lists; empty where the sentence has none."""


YOU, DEVICE, MANAGER, SELLER = (
    gettext_noop("You"),
    gettext_noop("The device"),
    gettext_noop("A manager"),
    gettext_noop("The seller or the maker"),
)
SCAN = Button(gettext_noop("Scan again"), "add")
OPEN = Button(gettext_noop("Open the device"), "device")
LIST = Button(gettext_noop("My devices"), "devices")

PROBLEMS: dict[ClaimProblem, Entry] = {
    ClaimProblem.UNREADABLE: Entry(
        gettext_noop("This is not a code we know."),
        gettext_noop("Scan the code that the device itself shows. A photo works too."),
        YOU,
        buttons=(SCAN,),
        status=400,
    ),
    ClaimProblem.NOT_YET: Entry(
        gettext_noop("This is a %(kind)s code. Onward cannot add such devices yet."),
        gettext_noop("Look whether the device can show an Onward or EAP-NOOB code as well."),
        SELLER,
        buttons=(SCAN,),
        status=400,
    ),
    ClaimProblem.UNKNOWN_DEVICE: Entry(
        gettext_noop("No device with this code is waiting here."),
        gettext_noop("Switch the device off and on, and scan the new code that it shows."),
        YOU,
        buttons=(SCAN,),
        status=404,
    ),
    ClaimProblem.WRONG_CODE: Entry(
        gettext_noop("That code does not match. %(tries_left)s tries left."),
        gettext_noop("Scan the code that the device shows now."),
        YOU,
        "bad",
        (SCAN,),
        422,
        short=gettext_noop("That code does not match."),
    ),
    ClaimProblem.WRONG_CODE_RESET: Entry(
        gettext_noop(
            "That code did not match, and it was the last try. The device starts pairing again by itself."
        ),
        gettext_noop("Wait until it shows a new code, then scan that one."),
        YOU,
        "bad",
        (SCAN,),
        422,
    ),
    ClaimProblem.EXPIRED: Entry(
        gettext_noop("The code changed. Scan the new one."),
        gettext_noop("The device shows a new code as soon as it has spoken to us again."),
        YOU,
        buttons=(SCAN,),
        status=410,
    ),
    ClaimProblem.ALREADY_MINE: Entry(
        gettext_noop("You already have this device."), tone="ok", buttons=(OPEN,)
    ),
    ClaimProblem.ADDED_BY_COLLEAGUE: Entry(
        gettext_noop("A colleague added this device already."), tone="ok", buttons=(OPEN,)
    ),
    ClaimProblem.OTHER_OWNER: Entry(
        gettext_noop("This device already has an owner."),
        gettext_noop("If you bought it used, ask the seller to release it, or reset it as its manual says."),
        SELLER,
        "bad",
        (LIST,),
    ),
    ClaimProblem.ALREADY_RECEIVED: Entry(
        gettext_noop("Already received, nothing more to do."),
        gettext_noop("The device is about to prove itself."),
        tone="ok",
        buttons=(OPEN,),
    ),
    ClaimProblem.NO_RIGHT: Entry(
        gettext_noop("Your role may look at devices, but not add any."),
        gettext_noop("Ask an owner or admin of the organization to make you an operator."),
        MANAGER,
        buttons=(LIST,),
        status=403,
    ),
    ClaimProblem.SERIAL_NOT_EXPECTED: Entry(
        gettext_noop("The device says its serial number is %(serial)s, and nobody here expects that one."),
        gettext_noop(
            "Compare it with the printed label. If they differ, do not use the device. "
            "If they agree, a manager can add the number to the expected ones."
        ),
        MANAGER,
        "bad",
        (SCAN,),
        403,
    ),
    ClaimProblem.WAS_HERE_BEFORE: Entry(
        gettext_noop("You have a device with the serial number %(serial)s already."),
        gettext_noop("Say whether this is the same one after a reset, or another."),
        YOU,
        "info",
    ),
    ClaimProblem.NOBODY_WITH_SERIAL: Entry(
        gettext_noop("No waiting device says that its serial number is %(serial)s."),
        gettext_noop("Check each character, and that the device is on and near its network."),
        YOU,
        status=404,
    ),
    ClaimProblem.SEVERAL_WITH_SERIAL: Entry(
        gettext_noop("More than one waiting device says that its serial number is %(serial)s."),
        gettext_noop("Switch all but yours off and wait a minute, or let the device show its code instead."),
        YOU,
        "bad",
    ),
    ClaimProblem.WRONG_DIRECTION: Entry(
        gettext_noop("This device does not take part in this kind of code."),
        gettext_noop("If it has a screen, scan its code; if it has a camera or keypad, let it read ours."),
        YOU,
        buttons=(SCAN,),
    ),
    ClaimProblem.TOO_MANY_TRIES: Entry(
        gettext_noop("Too many wrong codes in a minute."),
        gettext_noop("Wait a minute, then scan again."),
        YOU,
        status=429,
    ),
    ClaimProblem.NOT_WAITING: Entry(
        gettext_noop("This device is not waiting to be added."),
        gettext_noop("It was set up before. Reset it as its manual says, and scan the new code."),
        YOU,
        buttons=(SCAN,),
    ),
    ClaimProblem.NO_VOUCHER: Entry(
        gettext_noop("The maker has not registered it here yet."),
        gettext_noop("Ask the seller for the ownership voucher of this device, and hand it in."),
        SELLER,
        buttons=(Button(gettext_noop("Upload voucher"), "vouchers"), SCAN),
        status=404,
    ),
    ClaimProblem.SOLD_ON: Entry(
        gettext_noop("This device was sold to a different account."),
        gettext_noop("If you bought it back, ask the seller for the voucher that is extended to you again."),
        SELLER,
        "bad",
        (Button(gettext_noop("Open the voucher"), "voucher"), SCAN),
    ),
    ClaimProblem.OUT_OF_SERVICE: Entry(
        gettext_noop("This device was taken out of service here."),
        gettext_noop("Open it to see when and by whom."),
        MANAGER,
        buttons=(OPEN, SCAN),
    ),
}

PROVE, RESET = gettext_noop("Keep it powered on."), gettext_noop("Reset the device, then scan its new code.")

EVENTS: dict[str, Entry] = {
    "eap-noob.initial.done": Entry(
        gettext_noop("The device introduced itself and waits for a person."), tone="ok"
    ),
    "eap-noob.waiting": Entry(
        gettext_noop("The device asked again; it comes back in %(sleep_seconds)s s."),
        tone="info",
        short=gettext_noop("Waits for the code"),
    ),
    "eap-noob.completed": Entry(gettext_noop("The device proved itself. Keys are in place."), tone="ok"),
    "eap-noob.reconnected": Entry(gettext_noop("The device came back and proved itself again."), tone="ok"),
    "eap-noob.convention.other": Entry(
        gettext_noop(
            "The device follows another reading of the specification (%(detail)s); we remember that."
        ),
        tone="info",
        short=gettext_noop("Follows another reading of the specification"),
    ),
    "eap-noob.error.sent": Entry(
        gettext_noop("We answered with error %(code)s: %(text)s."),
        gettext_noop("The device tries again by itself."),
        DEVICE,
        short=gettext_noop("An exchange ended in an error"),
    ),
    "eap-noob.error.received": Entry(
        gettext_noop("The device answered with error %(code)s: %(text)s."),
        gettext_noop("It tries again by itself."),
        DEVICE,
        short=gettext_noop("An exchange ended in an error"),
    ),
    "eap-noob.oob.rejected": Entry(
        gettext_noop("The device no longer knew the code; it was too old."),
        gettext_noop("Scan the code that it shows now."),
        YOU,
    ),
    "eap-noob.state-mismatch": Entry(
        gettext_noop("The device remembers an association that we do not have."), RESET, YOU, "bad"
    ),
    "eap-noob.last-response-lost": Entry(
        gettext_noop("The last message of pairing was lost: the device thinks it is done, we do not."),
        RESET,
        YOU,
        "bad",
    ),
    "eap-noob.suite.rolled-back": Entry(
        gettext_noop("The device went back to its previous keys."), tone="info"
    ),
    "provisioning.fetched": Entry(
        gettext_noop("The device fetched version %(version)s of its plan (%(items)s items)."),
        tone="ok",
        short=gettext_noop("Fetched its plan"),
    ),
    "provisioning.reported": Entry(
        gettext_noop("The device reported: %(ok)s items done, %(failed)s failed."),
        tone="ok",
        short=gettext_noop("Applied its plan"),
    ),
    "provisioning.item-failed": Entry(
        gettext_noop("The device could not apply %(item)s: %(detail)s."),
        gettext_noop("Change the plan, or look at the device."),
        MANAGER,
        "bad",
        short=gettext_noop("Could not apply a part of its plan"),
    ),
    "provisioning.online": Entry(gettext_noop("The device is in normal operation."), tone="ok"),
    "claim.confirmed": Entry(
        gettext_noop("%(person)s confirmed the device."), tone="ok", short=gettext_noop("Confirmed")
    ),
    "claim.offered": Entry(
        gettext_noop("%(person)s showed a code for the device to read."),
        tone="info",
        short=gettext_noop("Code shown"),
    ),
    "claim.cancelled": Entry(
        gettext_noop("%(person)s withdrew the code."), tone="info", short=gettext_noop("Code withdrawn")
    ),
    "claim.expired": Entry(
        gettext_noop("The code ran out before the device read it."), gettext_noop("Show a new one."), YOU
    ),
    "claim.merged": Entry(gettext_noop("This is a device you had before; its history goes on."), tone="info"),
    "claim.wrong-code": Entry(
        gettext_noop("Somebody tried a wrong code; %(tries_left)s tries left."),
        short=gettext_noop("Wrong code tried"),
    ),
    "claim.superseded": Entry(
        gettext_noop("The device's own code was scanned by somebody else."), tone="warn"
    ),
    "onboarding.reminder": Entry(
        gettext_noop("The device has been silent for %(silent_seconds)s s."),
        gettext_noop("Check power and network."),
        YOU,
        short=gettext_noop("Silent for a while"),
    ),
    "onboarding.silent": Entry(
        gettext_noop("The device stopped answering."),
        gettext_noop("Check power and network; it goes on where it was."),
        YOU,
        "bad",
    ),
    "onboarding.done": Entry(
        gettext_noop("Onboarded after %(seconds)s s."), tone="ok", short=gettext_noop("Onboarded")
    ),
    "onboarding.stuck": Entry(gettext_noop("The device cannot go on by itself."), "", YOU, "bad"),
    "onboarding.bootstrap": Entry(gettext_noop("The device goes on."), tone="info"),
    "onboarding.provision": Entry(gettext_noop("The device goes on with its settings."), tone="info"),
    "onboarding.online": Entry(
        gettext_noop("The device has its settings; now it should report from operation."), tone="info"
    ),
    "onboarding.certificate-unavailable": Entry(
        gettext_noop("The plan wants a certificate, but this portal does not issue any yet."), "", MANAGER
    ),
    "device.renamed": Entry(
        gettext_noop("%(person)s changed its name."), tone="info", short=gettext_noop("Name changed")
    ),
    "device.retired": Entry(
        gettext_noop("%(person)s took the device out of service."),
        tone="info",
        short=gettext_noop("Out of service"),
    ),
}


NOOB_ERROR_EVENTS = ("eap-noob.error.sent", "eap-noob.error.received")
_TRIES_AGAIN = gettext_noop(
    "The device tries again by itself. If it goes on, reset the device and scan its new code."
)
_UPDATE = gettext_noop("Update the device's software, or ask its maker.")

NOOB_ERRORS: dict[int, Entry] = {
    NoobErrorCode.INVALID_NAI: Entry(
        gettext_noop("the device came under a network name that is not meant for us"),
        gettext_noop("Set the realm in the device right, or add it to this portal's realms."),
        MANAGER,
    ),
    NoobErrorCode.INVALID_STRUCTURE: Entry(
        gettext_noop("a message was not built as the standard says"), _UPDATE, SELLER
    ),
    NoobErrorCode.INVALID_DATA: Entry(
        gettext_noop("a message held a value that is not allowed"), _UPDATE, SELLER
    ),
    NoobErrorCode.UNEXPECTED_TYPE: Entry(gettext_noop("a message came out of turn"), _TRIES_AGAIN, DEVICE),
    NoobErrorCode.INVALID_KEY: Entry(gettext_noop("a key cannot be used"), _TRIES_AGAIN, DEVICE),
    NoobErrorCode.UNWANTED_PEER: Entry(
        gettext_noop("this device is not wanted here"),
        gettext_noop(
            "Look whether it was taken out of service, or is missing among the expected serial numbers."
        ),
        MANAGER,
        "bad",
    ),
    NoobErrorCode.STATE_MISMATCH: Entry(
        gettext_noop("the device and we remember different things about each other"), RESET, YOU, "bad"
    ),
    NoobErrorCode.UNKNOWN_NOOB_ID: Entry(
        gettext_noop("the code is not known any more"), gettext_noop("Use the code that is shown now."), YOU
    ),
    NoobErrorCode.UNEXPECTED_PEER_ID: Entry(
        gettext_noop("the device came under another name than the one it was given"), RESET, YOU
    ),
    NoobErrorCode.NO_COMMON_VERSION: Entry(
        gettext_noop("the device and we share no version of the protocol"), _UPDATE, SELLER, "bad"
    ),
    NoobErrorCode.NO_COMMON_CRYPTOSUITE: Entry(
        gettext_noop("the device and we share no cryptography"), _UPDATE, SELLER, "bad"
    ),
    NoobErrorCode.NO_COMMON_DIRECTION: Entry(
        gettext_noop("the device and we share no way to carry the code"),
        gettext_noop("Allow codes in both directions for this realm, or ask the maker."),
        MANAGER,
        "bad",
    ),
    NoobErrorCode.HMAC_FAILURE: Entry(gettext_noop("a proof did not fit"), _TRIES_AGAIN, DEVICE),
    NoobErrorCode.APPLICATION_ERROR: Entry(
        gettext_noop("something behind the protocol went wrong"), _TRIES_AGAIN, DEVICE
    ),
    NoobErrorCode.INVALID_SERVER_INFO: Entry(
        gettext_noop("the device cannot read what we say of ourselves"), _UPDATE, SELLER
    ),
    NoobErrorCode.INVALID_SERVER_URL: Entry(
        gettext_noop("the device cannot use this portal's address"),
        gettext_noop("The address must begin with https and should be short: at most 60 characters."),
        MANAGER,
    ),
    NoobErrorCode.INVALID_PEER_INFO: Entry(
        gettext_noop("what the device says of itself cannot be read"), _UPDATE, SELLER
    ),
}
"""What the numbers of RFC 9140 (Table 10) mean to people; each goes on where an event's sentence says ``text``."""
