"""Imports: thousands of vouchers as one job whose counts always add up.

Counts, rows, vouchers and the cursor commit together, a batch at a time, so a job that was killed goes on where
it was and nothing is done or counted twice. Every commit asks that the cursor is still where this runner left
it: of two runners one does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from bootstrap.bindings.vouchers.admit import Admitted, Outcome, admit
from bootstrap.bindings.vouchers.problems import AdmitProblem
from bootstrap.bindings.vouchers.rows import rows_insert
from bootstrap.bindings.vouchers.uploads import Item, batches, items, upload_delete, upload_store
from bootstrap.errors import LocalError, PeerError
from bootstrap.protocols.fdo.voucher import VoucherMalformed
from devices.examine import Examined, Examiners, examine
from devices.models import Job, JobRow, Organization, User
from devices.services.audit import audit_write
from devices.services.fdo import manufacturer_trust

BATCH = 200
HEART_STALE = timedelta(seconds=10)
KEPT = timedelta(days=30)
"""How long an upload stays, for running rows again."""
MAKERS_MAX = 50
FEW = 20
"""So few are examined here: starting processes costs more."""
_OF_A_ROW = ("name", "guid", "serial", "outcome", "code", "detail", "voucher_id")
log = structlog.get_logger(__name__)


class _Moved(Exception):
    """Somebody else runs the job, or a person stopped it."""


def import_create(
    organization: Organization,
    author: User | None,
    chunks: Iterable[bytes],
    name: str = "",
    *,
    label: str = "",
) -> Job:
    """Keep the upload and queue its job. Raises ValidationError by field. Ring the worker after the commit."""
    upload, size = upload_store(chunks)
    try:
        with transaction.atomic():
            job = Job.objects.create(
                organization=organization,
                kind=Job.Kind.VOUCHER_IMPORT,
                author=author,
                label=label.strip()[:120],
                upload=upload,
                upload_name=name[:200],
                upload_size=size,
            )
            audit_write(
                organization, author, "job.created", job.pk, kind=job.kind, name=name[:120], size=size
            )
    except BaseException:
        upload_delete(upload)
        raise
    return job


def jobs_run() -> int:
    """Everything that waits, and everything whose runner died; oldest first. Returns how many."""
    for done in count():
        stale = Q(state=Job.State.RUNNING, heartbeat_at__lt=timezone.now() - HEART_STALE)
        waiting = Job.objects.filter(Q(state=Job.State.QUEUED) | stale, kind=Job.Kind.VOUCHER_IMPORT)
        job_id = waiting.order_by("pk").values_list("pk", flat=True).first()
        if job_id is None:
            return done
        import_run(job_id)
    raise AssertionError


def import_run(job_id: int) -> None:
    """Run one import to its end, or from where it was. May be called twice at once; then one gives way."""
    now = timezone.now()
    stale = Q(state=Job.State.RUNNING, heartbeat_at__lt=now - HEART_STALE)
    free = Job.objects.filter(Q(state=Job.State.QUEUED) | stale, pk=job_id)
    if not free.update(state=Job.State.RUNNING, heartbeat_at=now):
        return
    Job.objects.filter(pk=job_id, started_at=None).update(started_at=now)
    job = Job.objects.select_related("organization").get(pk=job_id)
    try:
        _count(job)
        _work(job)
        _finish(job, Job.State.DONE)
    except _Moved:
        _stop_if_asked(job)
    except PeerError as error:
        _finish(job, Job.State.FAILED, str(getattr(error, "code", AdmitProblem.NO_VOUCHER)), str(error))
    except (OSError, LocalError) as error:
        log.exception("job.failed", job=job_id)
        _finish(job, Job.State.FAILED, "JOB-101", str(error))
    except DatabaseError:
        raise
    except Exception:
        log.exception("job.failed", job=job_id)
        _finish(job, Job.State.FAILED, "JOB-100", "")


def _count(job: Job) -> None:
    """How many there will be, before the first is judged: so that a bar can say how far it is."""
    if job.total is not None:
        return
    total = 0
    for batch in batches(items(job.upload), 1000):
        total += len(batch)
        _beat(job)
    if total == 0:
        raise VoucherMalformed(AdmitProblem.NO_VOUCHER)
    Job.objects.filter(pk=job.pk).update(total=total)
    job.total = total


def _beat(job: Job) -> None:
    """Alive; raises _Moved when it is not ours any more or shall end."""
    beating = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, cursor=job.cursor, cancel_asked=False)
    if not beating.update(heartbeat_at=timezone.now()):
        raise _Moved


def _work(job: Job) -> None:
    ahead = (item for item in items(job.upload) if item.number > job.cursor)
    if (job.total or 0) - job.cursor <= FEW:
        for batch in batches(ahead, FEW):
            _commit(job, batch, [examine(item.content) for item in batch])
        return
    asked: list[list[Item]] = []

    def contents() -> Iterator[Sequence[bytes]]:
        for batch in batches(ahead, BATCH):
            asked.append(batch)
            yield [item.content for item in batch]

    with Examiners() as examiners:
        for found in examiners.examine(contents()):
            _commit(job, asked.pop(0), found)


def _commit(job: Job, batch: list[Item], found: Sequence[Examined]) -> None:
    """One batch: judged, written, counted, and behind us."""
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.state != Job.State.RUNNING or row.cursor != job.cursor or row.cancel_asked:
            raise _Moved
        pending = _pending(job, batch)
        taken = [(item, one) for item, one in zip(batch, found, strict=True) if pending(item)]
        results = _judge(job, taken)
        _rows(job, results)
        _tally(row, [one for _item, one in results])
        row.cursor, row.heartbeat_at = batch[-1].number, timezone.now()
        row.save(
            update_fields=[
                "cursor", "heartbeat_at", "done", "added", "already_here", "rejected", "params",
            ]
        )  # fmt: skip
    job.cursor = row.cursor


def _pending(job: Job, batch: list[Item]) -> Any:
    """Which rows of a batch are to be judged: all, or when some are run again, just those."""
    if not job.params.get("again"):
        return lambda item: True
    numbers = set(
        JobRow.objects.filter(
            job=job, outcome=Outcome.PENDING, number__range=(batch[0].number, batch[-1].number)
        ).values_list("number", flat=True)
    )
    return lambda item: item.number in numbers


def _judge(job: Job, taken: list[tuple[Item, Examined]]) -> list[tuple[Item, Admitted]]:
    sound = [one for item, one in taken if not item.code]
    admitted = iter(admit(job.organization, sound, job=job))
    return [
        (item, Admitted(one, Outcome.REJECTED, item.code, {"text": item.problem}))
        if item.code
        else (item, next(admitted))
        for item, one in taken
    ]


def _rows(job: Job, results: list[tuple[Item, Admitted]]) -> None:
    rows = (
        {
            "job_id": job.pk,
            "number": item.number,
            "name": item.name,
            "guid": one.examined.guid,
            "serial": one.examined.serial,
            "outcome": str(one.outcome),
            "code": str(one.code),
            "detail": one.detail,
            "voucher_id": one.voucher.pk if one.voucher else None,
        }
        for item, one in results
    )
    rows_insert(JobRow, rows, unique=("job_id", "number"), update=_OF_A_ROW)


def _tally(row: Job, results: list[Admitted]) -> None:
    outcomes = [one.outcome for one in results]
    row.added += outcomes.count(Outcome.ADDED)
    row.already_here += outcomes.count(Outcome.ALREADY_HERE)
    row.rejected += outcomes.count(Outcome.REJECTED)
    row.done = row.added + row.already_here + row.rejected
    makers: dict[str, str] = row.params.setdefault("makers", {})
    for one in results:
        if one.code == AdmitProblem.UNTRUSTED and len(makers) < MAKERS_MAX:
            makers.setdefault(one.examined.manufacturer_fingerprint, one.examined.manufacturer.hex())


def _finish(job: Job, state: str, code: str = "", text: str = "") -> None:
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.state != Job.State.RUNNING or row.cursor != job.cursor:
            return
        row.state, row.finished_at = state, timezone.now()
        row.error_code, row.error = code[:32], text[:300]
        row.params.pop("again", None)
        row.save(update_fields=["state", "finished_at", "error_code", "error", "params"])
        counts = {"added": row.added, "already_here": row.already_here, "rejected": row.rejected}
        audit_write(row.organization, row.author, f"job.{state}", row.pk, kind=row.kind, **counts)


def _stop_if_asked(job: Job) -> None:
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.cancel_asked and row.state == Job.State.RUNNING:
            _cancelled(row, row.author)


def job_cancel(job: Job, actor: User | None) -> Job:
    """Stop after the batch that is under way; what was added stays (undo takes it back)."""
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.state == Job.State.QUEUED:
            _cancelled(row, actor)
        elif row.state == Job.State.RUNNING:
            row.cancel_asked = True
            row.save(update_fields=["cancel_asked"])
            audit_write(row.organization, actor, "job.cancel-asked", row.pk, kind=row.kind)
    job.refresh_from_db()
    return job


def _cancelled(row: Job, actor: User | None) -> None:
    row.state, row.finished_at = Job.State.CANCELLED, timezone.now()
    row.save(update_fields=["state", "finished_at"])
    audit_write(row.organization, actor, "job.cancelled", row.pk, kind=row.kind, done=row.done)


def import_trust(job: Job, actor: User | None, fingerprint: str, name: str = "") -> Job:
    """Trust a manufacturer that this import met, and run just its rows again. Raises ValidationError."""
    public = job.params.get("makers", {}).get(fingerprint)
    if public is None:
        raise ValidationError({"fingerprint": _("No row of this import names that manufacturer.")})
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.state not in (Job.State.DONE, Job.State.CANCELLED):
            raise ValidationError({"state": _("Wait until the import has ended.")})
        if not row.upload:
            raise ValidationError({"state": _("The uploaded file is not kept any more: import it again.")})
        manufacturer_trust(row.organization, actor, bytes.fromhex(public), name)
        rows = JobRow.objects.filter(
            job=row,
            outcome=Outcome.REJECTED,
            code=AdmitProblem.UNTRUSTED,
            detail__manufacturer=fingerprint,
        )
        again = rows.update(outcome=Outcome.PENDING, code="", detail={})
        row.state, row.cursor, row.finished_at, row.cancel_asked = Job.State.QUEUED, 0, None, False
        row.rejected -= again
        row.done -= again
        row.params = row.params | {"again": again}
        row.save()
        audit_write(row.organization, actor, "job.rows-again", row.pk, rows=again)
    job.refresh_from_db()
    return job


def uploads_expire() -> int:
    """Forget the files of imports that ended long ago; returns how many."""
    old = Job.objects.filter(finished_at__lt=timezone.now() - KEPT).exclude(upload="")
    names = list(old.values_list("pk", "upload")[:500])
    for pk, name in names:
        upload_delete(name)
        Job.objects.filter(pk=pk, upload=name).update(upload="")
    return len(names)
