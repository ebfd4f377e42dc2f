"""Imports: every row judged and counted, whatever happens in between."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
import zipfile
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from voucher_world import RENDEZVOUS, Maker, maker, pem

from bootstrap.bindings.vouchers import jobs, sessions, undo, uploads
from bootstrap.bindings.vouchers.hand_over import voucher_delete
from bootstrap.bindings.vouchers.problems import PROBLEMS, AdmitProblem
from bootstrap.bindings.vouchers.report import report_csv, report_json
from bootstrap.engine.models import Event, Session
from devices.keys import public_of
from devices.models import (
    AuditEntry,
    Device,
    Identifier,
    Job,
    Organization,
    OwnerKey,
    Registration,
    Voucher,
)
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make, owner_key_retire
from devices.services.people import organization_create, user_ensure

__all__ = ["maker"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def mine() -> Organization:
    return organization_create("Mine", user_ensure("owner@example.com"))


@pytest.fixture
def key(mine: Organization, maker: Maker) -> OwnerKey:
    """Mine's owner key; the maker is trusted."""
    manufacturer_trust(mine, None, maker.signer.public.der, "Acme")
    return owner_key_make(mine, None)


@pytest.fixture
def other() -> Organization:
    return organization_create("Other", user_ensure("other@example.com"))


def bring(organization: Organization, content: bytes, name: str = "lot.pem") -> Job:
    job = jobs.import_create(organization, None, [content], name)
    jobs.import_run(job.pk)
    job.refresh_from_db()
    return job


def counts(job: Job) -> tuple[int | None, int, int, int]:
    assert job.done == job.added + job.already_here + job.rejected
    return job.total, job.added, job.already_here, job.rejected


def some(maker: Maker, key: OwnerKey, count: int, entries: int = 1) -> list[bytes]:
    return [maker.made_for(public_of(key), entries, f"SN-{n}") for n in range(1, count + 1)]


def tables() -> dict[str, int]:
    """Rows of everything that an import makes."""
    models = (Device, Identifier, Voucher, Session, Registration, Event)
    return {model.__name__: model.objects.count() for model in models}


def test_a_file_of_vouchers_becomes_known_devices(mine: Organization, key: OwnerKey, maker: Maker) -> None:
    job = bring(mine, pem(*some(maker, key, 3, entries=3)))
    assert job.state == Job.State.DONE
    assert counts(job) == (3, 3, 0, 0)
    assert list(job.rows.values_list("number", "serial", "outcome")) == [
        (n, f"SN-{n}", "added") for n in (1, 2, 3)
    ]
    device = Device.objects.get(serial="SN-2")
    assert (device.state, device.method, device.manufacturer, device.model) == (
        "known",
        "fdo",
        "Acme",
        "Lamp 3",
    )
    voucher = device.vouchers.get()
    assert (voucher.current, voucher.state, voucher.entries, voucher.origin) == (True, "stored", 3, "import")
    assert {i.kind: i.value for i in device.identifiers.all()} == {
        "fdo-guid": voucher.guid,
        "serial": "SN-2",
    }
    session = Session.objects.get(protocol="fdo", locator=voucher.guid)
    assert session.device == device
    assert sessions.voucher_in(session) == bytes(voucher.content)
    registration = voucher.registrations.get()
    assert (registration.url, registration.state) == (RENDEZVOUS, "due")
    assert registration.next_at <= timezone.now()
    assert device.onboarding.due_at is None
    assert device.events.get().code == "voucher.admitted"


def test_the_same_file_again_is_no_news(mine: Organization, key: OwnerKey, maker: Maker) -> None:
    content = pem(*some(maker, key, 4))
    bring(mine, content)
    before = tables()
    assert counts(bring(mine, content)) == (4, 0, 4, 0)
    assert tables() == before


def test_a_voucher_twice_in_one_file_is_added_once(mine: Organization, key: OwnerKey, maker: Maker) -> None:
    one, two = some(maker, key, 2)
    assert counts(bring(mine, pem(one, two, one))) == (3, 2, 1, 0)


def archive_zip(contents: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"lot/{number}.pem", pem(content))
    return file.getvalue()


def archive_tar(contents: list[bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"lot/{number}.cbor")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("pack", [archive_zip, archive_tar, b"".join], ids=["zip", "tar.gz", "cbor"])
def test_every_form_of_file_is_taken(mine: Organization, key: OwnerKey, maker: Maker, pack: object) -> None:
    assert counts(bring(mine, pack(some(maker, key, 3)))) == (3, 3, 0, 0)  # type: ignore[operator]


def test_vouchers_of_several_owner_keys_come_in_one_file(
    mine: Organization, key: OwnerKey, maker: Maker
) -> None:
    second = owner_key_make(mine, None)
    owner_key_retire(second, None)
    content = pem(maker.made_for(public_of(key)), maker.made_for(public_of(second), serial="SN-2"))
    assert counts(bring(mine, content)) == (2, 2, 0, 0)


# What is refused, with a code that the catalogue knows


def refused(job: Job) -> dict[int, str]:
    rows = list(job.rows.filter(outcome="rejected"))
    assert job.rejected == len(rows)
    assert all(row.code in PROBLEMS for row in rows), [row.code for row in rows]
    return {row.number: row.code for row in rows}


def test_a_flipped_octet_is_found_and_the_rest_of_the_file_is_taken(
    mine: Organization, key: OwnerKey, maker: Maker
) -> None:
    good, bad = some(maker, key, 2, entries=3)
    broken = bad[:-70] + bytes([bad[-70] ^ 1]) + bad[-69:]
    job = bring(mine, archive_tar([broken, good]))
    assert counts(job) == (2, 1, 0, 1)
    assert set(refused(job)) == {1}
    assert Device.objects.get().serial == "SN-1"


def test_a_voucher_for_somebody_elses_key_is_refused_with_the_fingerprint(
    mine: Organization, other: Organization, key: OwnerKey, maker: Maker
) -> None:
    theirs = owner_key_make(other, None)
    job = bring(mine, pem(maker.made_for(public_of(theirs))))
    assert refused(job) == {1: AdmitProblem.NOT_OURS}
    assert job.rows.get().detail == {"owner": theirs.fingerprint}
    assert not Device.objects.exists()


def test_a_guid_is_one_organizations_and_says_nothing_of_the_other(
    mine: Organization, other: Organization, key: OwnerKey, maker: Maker
) -> None:
    guid = os.urandom(16)
    bring(mine, pem(maker.made_for(public_of(key), guid=guid)))
    theirs = owner_key_make(other, None)
    manufacturer_trust(other, None, maker.signer.public.der)
    job = bring(other, pem(maker.made_for(public_of(theirs), guid=guid)))
    assert refused(job) == {1: AdmitProblem.TAKEN}
    assert job.rows.get().detail == {}
    assert not Device.objects.filter(organization=other).exists()
    assert Session.objects.get(locator=guid.hex()).organization_id == mine.pk


def test_other_bytes_for_a_guid_are_refused_with_both_fingerprints(
    mine: Organization, key: OwnerKey, maker: Maker
) -> None:
    guid = os.urandom(16)
    bring(mine, pem(maker.made_for(public_of(key), guid=guid)))
    job = bring(mine, pem(maker.made_for(public_of(key), 2, guid=guid)))
    assert refused(job) == {1: AdmitProblem.OTHER_BYTES}
    detail = job.rows.get().detail
    assert detail["here"] == Voucher.objects.get().digest != detail["this"]


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 100, b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_without_a_voucher_fails_or_says_so_row_by_row(mine: Organization, content: bytes) -> None:
    job = bring(mine, content)
    assert job.added == 0
    assert job.state == Job.State.FAILED or job.rejected == job.total
    assert job.state != Job.State.FAILED or job.error_code in PROBLEMS


def test_an_empty_file_is_refused_at_once(mine: Organization) -> None:
    with pytest.raises(ValidationError):
        jobs.import_create(mine, None, [], "empty.pem")
    assert not Job.objects.exists()


def test_a_file_beyond_the_limit_leaves_nothing_behind(
    mine: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_MAX_LENGTH", 1000)
    before = set(uploads.uploads_folder().iterdir())
    with pytest.raises(ValidationError):
        jobs.import_create(mine, None, (bytes(400) for _ in range(3)))
    assert set(uploads.uploads_folder().iterdir()) == before


# A manufacturer that nobody trusts yet


def test_trusting_the_maker_runs_just_its_rows_again(mine: Organization, maker: Maker) -> None:
    key, stranger = owner_key_make(mine, None), Maker()
    manufacturer_trust(mine, None, maker.signer.public.der)
    content = pem(*some(maker, key, 1), *some(stranger, key, 2), *some(maker, key, 1))
    job = bring(mine, content)
    assert counts(job) == (4, 2, 0, 2)
    assert set(refused(job).values()) == {AdmitProblem.UNTRUSTED}
    fingerprint = job.rows.filter(outcome="rejected").first().detail["manufacturer"]  # type: ignore[union-attr]
    kept = dict(job.rows.filter(outcome="added").values_list("number", "voucher_id"))
    jobs.import_trust(job, None, fingerprint, "Newcomer")
    assert counts(job) == (4, 2, 0, 0)
    assert job.rows.filter(outcome="pending").count() == 2
    jobs.jobs_run()
    job.refresh_from_db()
    assert job.state == Job.State.DONE
    assert counts(job) == (4, 4, 0, 0)
    assert dict(job.rows.filter(number__in=kept).values_list("number", "voucher_id")) == kept
    assert Device.objects.filter(manufacturer="Newcomer").count() == 2


def test_only_a_maker_that_the_import_met_can_be_trusted_through_it(
    mine: Organization, key: OwnerKey, maker: Maker
) -> None:
    job = bring(mine, pem(*some(maker, key, 1)))
    with pytest.raises(ValidationError):
        jobs.import_trust(job, None, "00" * 32)


# Killed, raced, cancelled, undone


class Killed(BaseException):
    """What no handler of ours may catch."""


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_killed_import_goes_on_where_it_was(
    mine: Organization, key: OwnerKey, maker: Maker, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(jobs, "FEW", 2)
    monkeypatch.setattr(jobs, "BATCH", 2)
    content = pem(*some(maker, key, 7))
    real, calls = jobs.admit, 0

    def dies(*args: object, **words: object) -> object:
        nonlocal calls
        calls += 1
        done = real(*args, **words)  # type: ignore[arg-type]
        if calls == at:
            raise Killed
        return done

    monkeypatch.setattr(jobs, "admit", dies)
    job = jobs.import_create(mine, None, [content])
    with pytest.raises(Killed):
        jobs.import_run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.cursor, job.added) == ("running", 2 * (at - 1), 2 * (at - 1))
    assert Voucher.objects.count() == job.rows.count() == job.added
    assert jobs.jobs_run() == 0  # its heart has only just stopped
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert jobs.jobs_run() == 1
    job.refresh_from_db()
    assert counts(job) == (7, 7, 0, 0)
    assert Voucher.objects.count() == Device.objects.count() == 7


def test_of_two_runners_one_gives_way(
    mine: Organization, key: OwnerKey, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FEW", 2)
    job = jobs.import_create(mine, None, [pem(*some(maker, key, 2))])
    real = jobs._judge

    def overtaken(*args: object) -> object:
        monkeypatch.setattr(jobs, "_judge", real)
        Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "_judge", overtaken)
    jobs.import_run(job.pk)
    jobs.import_run(job.pk)
    job.refresh_from_db()
    assert counts(job) == (2, 2, 0, 0)


def test_a_cancelled_import_stops_and_what_is_done_stays(
    mine: Organization, key: OwnerKey, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FEW", 2)
    monkeypatch.setattr(jobs, "BATCH", 2)
    job = jobs.import_create(mine, None, [pem(*some(maker, key, 6))])
    real = jobs._rows

    def then_cancel(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        Job.objects.filter(pk=job.pk).update(cancel_asked=True)

    monkeypatch.setattr(jobs, "_rows", then_cancel)
    jobs.import_run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert counts(job) == (6, 2, 0, 0)
    assert jobs.jobs_run() == 0


def test_a_queued_import_is_cancelled_at_once(mine: Organization, key: OwnerKey, maker: Maker) -> None:
    job = jobs.import_create(mine, None, [pem(*some(maker, key, 1))])
    assert jobs.job_cancel(job, None).state == Job.State.CANCELLED
    jobs.import_run(job.pk)
    assert not Voucher.objects.exists()


def test_undo_leaves_the_world_as_it_was_before_the_import(
    mine: Organization, key: OwnerKey, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "BATCH", 2)
    bring(mine, pem(*some(maker, key, 2)))
    before = tables()
    job = bring(mine, pem(*[maker.made_for(public_of(key), serial=f"SN-{n}") for n in range(10, 15)]))
    assert undo.import_undoable(job)
    assert undo.import_undo(job, None).state == Job.State.UNDONE
    assert tables() == before
    assert counts(job) == (5, 5, 0, 0)
    assert AuditEntry.objects.filter(action="job.undone").count() == 1
    with pytest.raises(ValidationError):
        undo.import_undo(job, None)


def test_an_undo_cut_short_is_taken_up_again(
    mine: Organization, key: OwnerKey, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "BATCH", 2)
    job = bring(mine, pem(*some(maker, key, 5)))
    monkeypatch.setattr(undo, "undo_continue", lambda job: None)
    undo.import_undo(job, None)
    assert Voucher.objects.count() == 5
    monkeypatch.undo()
    assert undo.undo_all() == 1
    assert not Voucher.objects.exists()
    assert undo.undo_all() == 0


@pytest.mark.parametrize("state", ["onboarding", "stuck", "onboarded"])
def test_undo_is_over_when_a_device_has_been_here(
    mine: Organization, key: OwnerKey, maker: Maker, state: str
) -> None:
    job = bring(mine, pem(*some(maker, key, 2)))
    Device.objects.filter(serial="SN-2").update(state=state)
    assert not undo.import_undoable(job)
    with pytest.raises(ValidationError):
        undo.import_undo(job, None)
    assert Voucher.objects.count() == 2


def test_undo_of_a_voucher_that_was_deleted_removes_it_too(
    mine: Organization, key: OwnerKey, maker: Maker
) -> None:
    job = bring(mine, pem(*some(maker, key, 2)))
    voucher_delete(Voucher.objects.first(), None)  # type: ignore[arg-type]
    undo.import_undo(job, None)
    assert not Voucher.objects.exists()
    assert not Device.objects.exists()


# Reports, and what is kept


def test_the_report_is_csv_that_no_spreadsheet_runs_and_json_that_adds_up(
    mine: Organization, key: OwnerKey, maker: Maker
) -> None:
    evil = "=HYPERLINK(x)"
    job = bring(mine, pem(maker.made_for(public_of(key), serial=evil), *some(maker, key, 1)))
    explain = lambda row: PROBLEMS.get(row.code, ("", ""))  # noqa: E731
    lines = list(csv.reader(io.StringIO("".join(report_csv(job, explain)))))
    assert lines[0] == ["number", "name", "guid", "serial", "outcome", "code", "sentence", "fix"]
    assert [line[3] for line in lines[1:]] == [f"'{evil}", "SN-1"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line)
    said = json.loads("".join(report_json(job, explain)))
    assert [row["serial"] for row in said["rows"]] == [evil, "SN-1"]
    assert said["added"] + said["already_here"] + said["rejected"] == said["total"] == 2


def test_the_upload_is_kept_for_thirty_days(mine: Organization, key: OwnerKey, maker: Maker) -> None:
    job = bring(mine, pem(*some(maker, key, 1)))
    path = uploads.uploads_folder() / job.upload
    assert path.stat().st_mode & 0o777 == 0o600
    assert jobs.uploads_expire() == 0
    Job.objects.update(finished_at=timezone.now() - timedelta(days=31))
    assert jobs.uploads_expire() == 1
    assert not path.exists()
    job.refresh_from_db()
    with pytest.raises(ValidationError):
        jobs.import_trust(job, None, "00" * 32)


def test_counts_that_do_not_add_up_cannot_be_written(mine: Organization) -> None:
    job = Job.objects.create(organization=mine, kind=Job.Kind.VOUCHER_IMPORT)
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(added=1)


def test_a_batch_costs_the_same_number_of_statements_whatever_its_size(
    mine: Organization, key: OwnerKey, maker: Maker, django_assert_max_num_queries: object
) -> None:
    from bootstrap.bindings.vouchers.admit import admit
    from devices.examine import examine

    batch = [examine(content) for content in some(maker, key, 40)]
    with django_assert_max_num_queries(20), transaction.atomic():  # type: ignore[operator]
        results = admit(mine, batch)
    assert {one.outcome for one in results} == {"added"}
