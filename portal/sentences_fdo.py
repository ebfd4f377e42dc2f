"""Lines of history that FIDO Device Onboard and vouchers write. English sources of translations."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from portal.sentences import MANAGER, SELLER, Entry

FDO_EVENTS: dict[str, Entry] = {
    "voucher.admitted": Entry(
        gettext_noop("Its ownership voucher came in. The device may be switched on."), tone="ok"
    ),
    "voucher.registered": Entry(
        gettext_noop("We are registered at %(url)s, so that the device finds us there (TO0)."),
        tone="ok",
        short=gettext_noop("Registered at its rendezvous server"),
    ),
    "voucher.register-failed": Entry(
        gettext_noop("We could not register at %(url)s (%(reason)s)."),
        gettext_noop("We try again by ourselves. Look whether that server is up and reachable from here."),
        MANAGER,
        short=gettext_noop("Not registered at its rendezvous server"),
    ),
    "voucher.extended": Entry(gettext_noop("Its voucher was extended to the next owner."), tone="info"),
    "voucher.deleted": Entry(gettext_noop("Its voucher was deleted."), tone="info"),
    "voucher.restored": Entry(gettext_noop("Its voucher was brought back."), tone="ok"),
    "voucher.undone": Entry(gettext_noop("The import that brought its voucher was undone."), tone="info"),
    "fdo.set-hmac": Entry(
        gettext_noop("The device was initialized here; its voucher is made (DI)."), tone="ok"
    ),
    "fdo.owner-sign": Entry(
        gettext_noop("Our rendezvous server took the owner's registration for %(wait_seconds)s s (TO0)."),
        tone="ok",
        short=gettext_noop("Registered at our rendezvous server"),
    ),
    "fdo.prove-to-rv": Entry(
        gettext_noop("The device asked our rendezvous server for its owner, and was told (TO1)."),
        tone="ok",
    ),
    "fdo.hello-device": Entry(
        gettext_noop("The device found us and began to check who we are (%(kex)s, %(cipher)s)."),
        tone="info",
        short=gettext_noop("Began to check who we are"),
    ),
    "fdo.get-ov-next-entry": Entry(
        gettext_noop("The device checked transfer %(entry)s of its ownership (of %(entries)s, from 0)."),
        tone="info",
        short=gettext_noop("Checks the chain of owners"),
    ),
    "fdo.prove-device": Entry(
        gettext_noop("The device proved itself, and got its next credential."), tone="ok"
    ),
    "fdo.device-service-info-ready": Entry(
        gettext_noop("The device is ready for its settings (credential %(credential)s)."),
        tone="info",
        short=gettext_noop("Ready for its settings"),
    ),
    "fdo.device-service-info": Entry(
        gettext_noop("Settings under way, round %(round)s: device says %(device)s, we say %(owner)s."),
        tone="info",
        short=gettext_noop("Settings under way"),
    ),
    "fdo.action-done": Entry(
        gettext_noop("Item %(action)s is done. %(detail)s"),
        tone="ok",
        short=gettext_noop("An item is done"),
    ),
    "fdo.action-failed": Entry(
        gettext_noop("Item %(action)s failed: %(detail)s"),
        gettext_noop("Correct the item in the plan, then let the device onboard again."),
        MANAGER,
        "bad",
        short=gettext_noop("An item failed"),
    ),
    "fdo.item-failed": Entry(
        gettext_noop("The device could not do a part of its plan."),
        gettext_noop("See What it got for the item, correct the plan, and let the device onboard again."),
        MANAGER,
        "bad",
    ),
    "fdo.plan-unfit": Entry(
        gettext_noop("Item %(item)s of the plan asks for %(name)s, which this device does not have."),
        gettext_noop("Correct the name in the plan, or give the device a tag of that name."),
        MANAGER,
        "bad",
        short=gettext_noop("Its plan names what it does not have"),
    ),
    "fdo.done": Entry(
        gettext_noop("Onboarding is over: %(results)s items, %(failed)s of them failed (TO2)."),
        tone="ok",
        short=gettext_noop("Onboarding is over"),
    ),
    "fdo.error-received": Entry(
        gettext_noop("The device ended it with error %(code)s after message %(previous)s: %(text)s"),
        gettext_noop("Open the line for the decoded message; the maker's support can tell more."),
        SELLER,
        "bad",
        short=gettext_noop("The device ended it with an error"),
    ),
}
