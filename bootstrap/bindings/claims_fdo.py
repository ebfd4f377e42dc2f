"""Claims of FDO devices. The voucher says whose a device is, and it is here or it is not; a person who scans the
sticker or types the serial number only says "this one, and it is in my hands". Onboarding (TO2) goes on by itself.

Everything is looked for in the person's own organization: a voucher that another one has is not here at all.
"""

from __future__ import annotations

from bootstrap.bindings.candidates import Candidate
from bootstrap.bindings.codes import Guid, Serial
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.bindings.vouchers.sessions import PROTOCOL
from bootstrap.contract import Level
from bootstrap.engine.events import event_write
from bootstrap.engine.models import Session
from bootstrap.engine.onboarding import to2_proved
from devices.models import Claim, Device, Membership, Organization, Voucher
from devices.services.claims import claim_voucher
from devices.services.progress import FINAL

SHOWN_MAX = 20
"""Sessions named when several devices have one serial number."""


def look(named: Guid | Serial, membership: Membership) -> Candidate:
    """The device with this name, whose voucher is here. Reads only; raises ClaimRefused."""
    device, voucher, session = _claimable(named, membership)
    return Candidate(
        session_id=session.pk,
        method=device.method,
        serial=device.serial,
        manufacturer=device.manufacturer,
        model=device.model,
        via=session.via,
        source=session.source,
        created_at=voucher.created_at,
        seen_at=device.seen_at,
        next_at=None,
        phase=session.phase,
        own_way=True,
        expected=None,
        merge_with=None,
        shows_code=False,
        reads_code=False,
        state=device.state,
        guid=voucher.guid,
    )


def confirm(named: Guid | Serial, membership: Membership, *, name: str = "", room: str = "") -> Device:
    """A person has it. Inside the caller's transaction; raises ClaimRefused."""
    device, voucher, session = _claimable(named, membership, lock=True)
    claim_voucher(
        membership,
        device,
        session.pk,
        Claim.Assurance.STICKER if isinstance(named, Guid) else Claim.Assurance.SERIAL_ONLY,
        proved=to2_proved(device),
        name=name,
        room=room,
    )
    event_write(
        device,
        "claim.confirmed",
        Level.SUCCESS,
        session_id=session.pk,
        person=str(membership.user),
        guid=voucher.guid,
    )
    return device


def _claimable(
    named: Guid | Serial, membership: Membership, *, lock: bool = False
) -> tuple[Device, Voucher, Session]:
    """The device, its current voucher and the session that serves it; raises ClaimRefused."""
    mine = membership.organization
    device = _by_guid(named.guid, mine) if isinstance(named, Guid) else _by_serial(named.serial, mine)
    if lock:
        # Two people may scan one box: the second one reads what the first one wrote.
        device = Device.objects.select_for_update().get(pk=device.pk)
    voucher = device.vouchers.defer("content").filter(current=True).first()
    if voucher is None:
        raise ClaimRefused(ClaimProblem.NO_VOUCHER)
    if voucher.state == Voucher.State.EXTENDED_AWAY:
        raise ClaimRefused(ClaimProblem.SOLD_ON, voucher=voucher.pk)
    if device.state in FINAL:
        raise ClaimRefused(ClaimProblem.OUT_OF_SERVICE, device=device.pk)
    session = Session.objects.filter(protocol=PROTOCOL, locator=voucher.guid, device=device).first()
    if session is None:
        raise ClaimRefused(ClaimProblem.NO_VOUCHER)
    _refuse_claimed(device, membership)
    return device, voucher, session


def _by_guid(guid: str, organization: Organization) -> Device:
    """Its name of today, or one that it had before: the sticker keeps the first."""
    newest = Voucher.objects.filter(organization=organization, guid=guid).order_by("-pk")
    voucher = newest.exclude(device=None).select_related("device").defer("content").first()
    if voucher is None or voucher.device is None:
        raise ClaimRefused(ClaimProblem.NO_VOUCHER)
    return voucher.device


def _by_serial(serial: str, organization: Organization) -> Device:
    found = list(
        Device.objects.filter(organization=organization, serial=serial, vouchers__current=True)
        .order_by("pk")
        .distinct()[: SHOWN_MAX + 1]
    )
    if not found:
        # Most of the time it was no serial number at all.
        raise ClaimRefused(ClaimProblem.UNREADABLE)
    if len(found) > 1:
        sessions = Session.objects.filter(protocol=PROTOCOL, device__in=found).order_by("pk")
        candidates = list(sessions.values_list("pk", flat=True)[:SHOWN_MAX])
        raise ClaimRefused(ClaimProblem.SEVERAL_WITH_SERIAL, serial=serial, candidates=candidates)
    return found[0]


def _refuse_claimed(device: Device, membership: Membership) -> None:
    """Somebody here has said it already. A claim from before the device was sold and came back says nothing."""
    claims = device.claims.filter(state__in=(Claim.State.ACCEPTED, Claim.State.COMPLETED))
    sold = device.vouchers.filter(state=Voucher.State.EXTENDED_AWAY).order_by("-pk").first()
    if sold is not None:
        claims = claims.filter(created_at__gt=sold.created_at)
    claim = claims.order_by("-pk").first()
    if claim is None:
        return
    if claim.person_id == membership.user_id:
        raise ClaimRefused(ClaimProblem.ALREADY_MINE, device=device.pk, claim=claim.pk)
    raise ClaimRefused(
        ClaimProblem.ADDED_BY_COLLEAGUE, device=device.pk, claim=claim.pk, at=claim.created_at.isoformat()
    )
