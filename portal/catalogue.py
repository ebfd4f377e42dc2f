"""One catalogue for everything people read about a claim or a device's history: code, sentence, who can fix
it, what to do next. Pages and API take it from here, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from bootstrap.bindings.problems import ClaimProblem, ClaimRefused


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


@dataclass(frozen=True, slots=True)
class Said:
    """An entry in the reader's language, with its values."""

    code: str
    sentence: str
    fix: str
    who: str
    tone: str
    buttons: tuple[Button, ...]


YOU, DEVICE, MANAGER, SELLER = N_("You"), N_("The device"), N_("A manager"), N_("The seller or the maker")
SCAN = Button(N_("Scan again"), "add")
OPEN = Button(N_("Open the device"), "device")
LIST = Button(N_("My devices"), "devices")

PROBLEMS: dict[ClaimProblem, Entry] = {
    ClaimProblem.UNREADABLE: Entry(
        N_("This is not a code we know."),
        N_("Scan the code that the device itself shows. A photo works too."),
        YOU,
        buttons=(SCAN,),
        status=400,
    ),
    ClaimProblem.NOT_YET: Entry(
        N_("This is a %(kind)s code. Onward cannot add such devices yet."),
        N_("Look whether the device can show an Onward or EAP-NOOB code as well."),
        SELLER,
        buttons=(SCAN,),
        status=400,
    ),
    ClaimProblem.UNKNOWN_DEVICE: Entry(
        N_("No device with this code is waiting here."),
        N_("Switch the device off and on, and scan the new code that it shows."),
        YOU,
        buttons=(SCAN,),
        status=404,
    ),
    ClaimProblem.WRONG_CODE: Entry(
        N_("That code does not match. %(tries_left)s tries left."),
        N_("Scan the code that the device shows now."),
        YOU,
        "bad",
        (SCAN,),
        422,
    ),
    ClaimProblem.WRONG_CODE_RESET: Entry(
        N_("That code did not match, and it was the last try. The device starts pairing again by itself."),
        N_("Wait until it shows a new code, then scan that one."),
        YOU,
        "bad",
        (SCAN,),
        422,
    ),
    ClaimProblem.EXPIRED: Entry(
        N_("The code changed. Scan the new one."),
        N_("The device shows a new code as soon as it has spoken to us again."),
        YOU,
        buttons=(SCAN,),
        status=410,
    ),
    ClaimProblem.ALREADY_MINE: Entry(N_("You already have this device."), tone="ok", buttons=(OPEN,)),
    ClaimProblem.ADDED_BY_COLLEAGUE: Entry(
        N_("A colleague added this device already."), tone="ok", buttons=(OPEN,)
    ),
    ClaimProblem.OTHER_OWNER: Entry(
        N_("This device already has an owner."),
        N_("If you bought it used, ask the seller to release it, or reset it as its manual says."),
        SELLER,
        "bad",
        (LIST,),
    ),
    ClaimProblem.ALREADY_RECEIVED: Entry(
        N_("Already received, nothing more to do."),
        N_("The device is about to prove itself."),
        tone="ok",
        buttons=(OPEN,),
    ),
    ClaimProblem.NO_RIGHT: Entry(
        N_("Your role may look at devices, but not add any."),
        N_("Ask an owner or admin of the organization to make you an operator."),
        MANAGER,
        buttons=(LIST,),
        status=403,
    ),
    ClaimProblem.SERIAL_NOT_EXPECTED: Entry(
        N_("The device says its serial number is %(serial)s, and nobody here expects that one."),
        N_(
            "Compare it with the printed label. If they differ, do not use the device. If they agree, a manager can add the number to the expected ones."
        ),
        MANAGER,
        "bad",
        (SCAN,),
        403,
    ),
    ClaimProblem.WAS_HERE_BEFORE: Entry(
        N_("You have a device with the serial number %(serial)s already."),
        N_("Say whether this is the same one after a reset, or another."),
        YOU,
        "info",
    ),
    ClaimProblem.NOBODY_WITH_SERIAL: Entry(
        N_("No waiting device says that its serial number is %(serial)s."),
        N_("Check each character, and that the device is on and near its network."),
        YOU,
        status=404,
    ),
    ClaimProblem.SEVERAL_WITH_SERIAL: Entry(
        N_("More than one waiting device says that its serial number is %(serial)s."),
        N_("Switch all but yours off and wait a minute, or let the device show its code instead."),
        YOU,
        "bad",
    ),
    ClaimProblem.WRONG_DIRECTION: Entry(
        N_("This device does not take part in this kind of code."),
        N_("If it has a screen, scan its code; if it has a camera or keypad, let it read ours."),
        YOU,
        buttons=(SCAN,),
    ),
    ClaimProblem.TOO_MANY_TRIES: Entry(
        N_("Too many wrong codes in a minute."), N_("Wait a minute, then scan again."), YOU, status=429
    ),
    ClaimProblem.NOT_WAITING: Entry(
        N_("This device is not waiting to be added."),
        N_("It was set up before. Reset it as its manual says, and scan the new code."),
        YOU,
        buttons=(SCAN,),
    ),
}

PROVE, RESET = N_("Keep it powered on."), N_("Reset the device, then scan its new code.")

EVENTS: dict[str, Entry] = {
    "eap-noob.initial.done": Entry(N_("The device introduced itself and waits for a person."), tone="ok"),
    "eap-noob.waiting": Entry(
        N_("The device asked again; it comes back in %(sleep_seconds)s s."), tone="info"
    ),
    "eap-noob.completed": Entry(N_("The device proved itself. Keys are in place."), tone="ok"),
    "eap-noob.reconnected": Entry(N_("The device came back and proved itself again."), tone="ok"),
    "eap-noob.convention.other": Entry(
        N_("The device follows another reading of the specification (%(detail)s); we remember that."),
        tone="info",
    ),
    "eap-noob.error.sent": Entry(
        N_("We answered with error %(code)s: %(text)s."), N_("The device tries again by itself."), DEVICE
    ),
    "eap-noob.error.received": Entry(
        N_("The device answered with error %(code)s: %(text)s."), N_("It tries again by itself."), DEVICE
    ),
    "eap-noob.oob.rejected": Entry(
        N_("The device no longer knew the code; it was too old."), N_("Scan the code that it shows now."), YOU
    ),
    "eap-noob.state-mismatch": Entry(
        N_("The device remembers an association that we do not have."), RESET, YOU, "bad"
    ),
    "eap-noob.last-response-lost": Entry(
        N_("The last message of pairing was lost: the device thinks it is done, we do not."),
        RESET,
        YOU,
        "bad",
    ),
    "eap-noob.suite.rolled-back": Entry(N_("The device went back to its previous keys."), tone="info"),
    "provisioning.fetched": Entry(
        N_("The device fetched version %(version)s of its plan (%(items)s items)."), tone="ok"
    ),
    "provisioning.reported": Entry(
        N_("The device reported: %(ok)s items done, %(failed)s failed."), tone="ok"
    ),
    "provisioning.item-failed": Entry(
        N_("The device could not apply %(item)s: %(detail)s."),
        N_("Change the plan, or look at the device."),
        MANAGER,
        "bad",
    ),
    "provisioning.online": Entry(N_("The device is in normal operation."), tone="ok"),
    "claim.confirmed": Entry(N_("%(person)s confirmed the device."), tone="ok"),
    "claim.offered": Entry(N_("%(person)s showed a code for the device to read."), tone="info"),
    "claim.cancelled": Entry(N_("%(person)s withdrew the code."), tone="info"),
    "claim.expired": Entry(N_("The code ran out before the device read it."), N_("Show a new one."), YOU),
    "claim.merged": Entry(N_("This is a device you had before; its history goes on."), tone="info"),
    "claim.wrong-code": Entry(N_("Somebody tried a wrong code; %(tries_left)s tries left."), tone="warn"),
    "claim.superseded": Entry(N_("The device's own code was scanned by somebody else."), tone="warn"),
    "onboarding.reminder": Entry(
        N_("The device has been silent for %(silent_seconds)s s."), N_("Check power and network."), YOU
    ),
    "onboarding.silent": Entry(
        N_("The device stopped answering."),
        N_("Check power and network; it goes on where it was."),
        YOU,
        "bad",
    ),
    "onboarding.done": Entry(N_("Onboarded after %(seconds)s s."), tone="ok"),
    "onboarding.stuck": Entry(N_("The device cannot go on by itself."), "", YOU, "bad"),
    "onboarding.bootstrap": Entry(N_("The device goes on."), tone="info"),
    "onboarding.provision": Entry(N_("The device goes on with its settings."), tone="info"),
    "onboarding.online": Entry(
        N_("The device has its settings; now it should report from operation."), tone="info"
    ),
    "onboarding.certificate-unavailable": Entry(
        N_("The plan wants a certificate, but this portal does not issue any yet."), "", MANAGER
    ),
    "device.renamed": Entry(N_("%(person)s changed its name or room."), tone="info"),
    "device.updated": Entry(N_("%(person)s changed its name, room or plan."), tone="info"),
    "device.retired": Entry(N_("%(person)s took the device out of service."), tone="info"),
}


class _Values(dict[str, Any]):
    """A value that is missing shows as a dash, never as an error."""

    def __missing__(self, key: str) -> str:
        return "–"


def _say(code: str, entry: Entry, detail: Mapping[str, Any]) -> Said:
    values = _Values(detail)
    return Said(
        code,
        _(entry.sentence) % values if entry.sentence else code,
        _(entry.fix) % values if entry.fix else "",
        _(entry.who) if entry.who else "",
        entry.tone,
        entry.buttons,
    )


def problem(refused: ClaimRefused) -> Said:
    """What to tell a person whose claim cannot go on."""
    return _say(refused.problem.value, PROBLEMS[refused.problem], refused.detail)


def problem_status(refused: ClaimRefused) -> int:
    """HTTP status of a refusal."""
    return PROBLEMS[refused.problem].status


def event(code: str, detail: Mapping[str, Any]) -> Said:
    """One line of history; a code that is not in the catalogue is shown as it is."""
    return _say(code, EVENTS.get(code, Entry("", tone="info")), detail)


def reason(code: str) -> Said:
    """Why a device is stuck, from the code in its row."""
    return event(code, {})
