"""Take an import back, while none of its devices has been here."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bootstrap.bindings.vouchers.sessions import PROTOCOL, session_close
from bootstrap.engine.models import Session
from devices.models import Device, DeviceState, Job, User, Voucher
from devices.services.audit import audit_write
from devices.services.progress import Progress, device_progress

BATCH = 200
_ENDED = (Job.State.DONE, Job.State.CANCELLED, Job.State.FAILED)


def import_undoable(job: Job) -> bool:
    """Whether it may be undone now."""
    return job.state in _ENDED and job.added > 0 and not _been_here(job)


def import_undo(job: Job, actor: User | None) -> Job:
    """Remove what this import added. The job and its rows stay as history. Raises ValidationError."""
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.state not in _ENDED:
            raise ValidationError({"state": _("Wait until the import has ended.")})
        if _been_here(row):
            raise ValidationError({"state": _("A device of this import has been here already.")})
        row.state = Job.State.UNDONE
        row.save(update_fields=["state"])
        audit_write(row.organization, actor, "job.undone", row.pk, kind=row.kind, vouchers=row.added)
    undo_continue(row)
    job.refresh_from_db()
    return job


def undo_continue(job: Job) -> None:
    """Batch by batch, so that devices' messages get in between; goes on where a killed one was."""
    while _undo_batch(job):
        continue


def undo_all() -> int:
    """Undoing that was cut short; returns how many jobs."""
    jobs = list(Job.objects.filter(state=Job.State.UNDONE, vouchers__isnull=False).distinct()[:20])
    for job in jobs:
        undo_continue(job)
    return len(jobs)


def _been_here(job: Job) -> bool:
    """A device that began, or a voucher that has moved on."""
    rows = Voucher.objects.filter(job=job)
    moved = rows.exclude(state__in=(Voucher.State.STORED, Voucher.State.REGISTERED, Voucher.State.DELETED))
    seen = rows.exclude(device=None).exclude(device__state__in=(DeviceState.KNOWN, DeviceState.RETIRED))
    return moved.exists() or seen.exists()


@transaction.atomic
def _undo_batch(job: Job) -> bool:
    rows = list(Voucher.objects.filter(job=job).select_related("device").defer("content")[:BATCH])
    if not rows:
        return False
    idle = [row for row in rows if _idle(row)]
    busy = [row.pk for row in rows if row not in idle]
    Voucher.objects.filter(pk__in=busy).update(job=None)
    guids = [row.guid for row in idle]
    for session in Session.objects.filter(protocol=PROTOCOL, locator__in=guids, device__in=_devices(idle)):
        session_close(session)
    made = [row.device_id for row in idle if row.previous_id is None and row.device_id]
    back = [row for row in idle if row.previous_id is not None]
    Voucher.objects.filter(pk__in=[row.pk for row in idle]).delete()
    Device.objects.filter(pk__in=made).delete()
    for row in back:
        _as_before(row)
    return True


def _devices(rows: list[Voucher]) -> list[int]:
    return [row.device_id for row in rows if row.device_id]


def _idle(row: Voucher) -> bool:
    state = row.device.state if row.device else DeviceState.KNOWN
    return state in (DeviceState.KNOWN, DeviceState.RETIRED)


def _as_before(row: Voucher) -> None:
    """The device was here before this import: sold on, or deleted."""
    sold = Voucher.objects.filter(pk=row.previous_id or 0, state=Voucher.State.EXTENDED_AWAY)
    sold.update(current=True)
    if row.device_id:
        retired = DeviceState.RETIRED.value
        device_progress(
            Progress(
                row.device_id,
                timezone.now(),
                seen=False,
                state=retired,
                step="voucher.undone",
                by_person=True,
            )
        )
