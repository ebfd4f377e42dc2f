"""What every store backend must do: the same suite runs on each."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from django.db import connection, transaction

from bootstrap.engine.models import Event, Session
from bootstrap.engine.store import Change, Committed, EventRow, NextRow, Record
from bootstrap.engine.store import django as django_store
from bootstrap.engine.store.sqlite import CHECKPOINT_CHANGES, GROUP_MAX, SqliteStore
from bootstrap.errors import LocalError
from devices.models import Device, Organization
from devices.services.progress import Progress

THEN = datetime(2026, 3, 29, 1, 30, 15, 123456, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


class Backend(Protocol):
    """The store as the suite drives it."""

    def load(self, protocol: str, *, token: bytes | None, locator: str | None) -> Record | None: ...

    def commit(self, change: Change) -> Committed | None: ...


class Sqlite:
    """The hot path's own connection and writer thread."""

    def __init__(self, **options: object) -> None:
        self.store = SqliteStore(connection.settings_dict["NAME"], **options)  # type: ignore[arg-type]
        self.load = self.store.load
        self.close = self.store.close

    def commit(self, change: Change) -> Committed | None:
        return self.store.submit(change).result(timeout=30)


class InDjango:
    """The same statements inside a transaction of Django's."""

    load = staticmethod(django_store.load)

    def commit(self, change: Change) -> Committed | None:
        with transaction.atomic():
            return django_store.commit(change)

    def close(self) -> None:
        pass


@pytest.fixture(params=[Sqlite, InDjango])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    built = request.param()
    yield built
    built.close()


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    built = SqliteStore(connection.settings_dict["NAME"])
    yield built
    built.close()


def stranger(locator: str, token: bytes | None = None, **fields: object) -> Record:
    words = {"via": "https", "source": "192.0.2.9", "state": b"sealed", "version": 1, "messages": 1}
    return Record("p", locator, token=token, created_at=THEN, seen_at=THEN, **(words | fields))  # type: ignore[arg-type]


def insert(row: Record, **change: object) -> Change:
    return Change(replace(row, version=0), row, **change)  # type: ignore[arg-type]


def moved(row: Record, **fields: object) -> Change:
    return Change(row, replace(row, version=row.version + 1, **fields))  # type: ignore[arg-type]


def event(code: str) -> EventRow:
    return EventRow(code, "info", {"n": 1, "text": "ä"}, THEN, "https")


def test_a_stored_session_comes_back_as_it_was(backend: Backend) -> None:
    row = stranger(
        "a",
        b"t" * 32,
        phase="Waiting for OOB",
        milestone="waiting",
        serial="SN",
        manufacturer="Acme",
        model="Lamp",
        wants_report=True,
        material=b"m",
        next_at=THEN + timedelta(seconds=5),
        expires_at=THEN.replace(microsecond=0),
        guarded_until=None,
    )
    done = backend.commit(insert(row))
    assert done is not None
    assert done.event_ids == ()
    assert backend.load("p", token=None, locator="a") == replace(row, id=done.session_id)


def test_a_session_is_found_by_token_by_name_and_the_token_wins(backend: Backend) -> None:
    backend.commit(insert(stranger("a", b"ta")))
    backend.commit(insert(stranger("b", b"tb")))
    found = [
        backend.load("p", token=token, locator=locator)
        for token, locator in ((b"ta", None), (None, "b"), (b"ta", "b"), (b"none", "b"), (b"ta", "none"))
    ]
    assert [row.locator if row else None for row in found] == ["a", "b", "a", "b", "a"]
    assert backend.load("p", token=b"none", locator="none") is None
    assert backend.load("p", token=b"none", locator=None) is None
    assert backend.load("other", token=b"ta", locator="a") is None


def test_a_session_without_token_is_not_found_by_an_empty_one(backend: Backend) -> None:
    backend.commit(insert(stranger("a", None)))
    assert backend.load("p", token=b"", locator=None) is None


def test_who_loses_a_race_writes_nothing_at_all(backend: Backend) -> None:
    backend.commit(insert(stranger("a")))
    before = backend.load("p", token=None, locator="a")
    assert before is not None
    assert backend.commit(moved(before, phase="first")) is not None
    following = NextRow("q", "a", b"s", b"m")
    late = replace(moved(before, phase="second"), events=(event("late"),), next=following)
    assert backend.commit(late) is None
    after = backend.load("p", token=None, locator="a")
    assert after is not None
    assert (after.phase, after.version) == ("first", 2)
    assert Event.objects.count() == 0
    assert Session.objects.count() == 1


@pytest.mark.parametrize(("locator", "token"), [("a", b"other"), ("other", b"ta")])
def test_a_name_and_a_token_belong_to_one_session(store: SqliteStore, locator: str, token: bytes) -> None:
    store.submit(insert(stranger("a", b"ta"))).result()
    taken = store.submit(insert(stranger(locator, token), events=(event("x"),))).result()
    assert taken is None
    assert (Session.objects.count(), Event.objects.count()) == (1, 0)


def test_events_carry_device_and_organization_and_come_back_in_order(backend: Backend) -> None:
    organization = Organization.objects.create(name="O")
    device = Device.objects.create(organization=organization, method="eap-noob")
    row = stranger("a", device_id=device.pk, organization_id=organization.pk)
    traced = replace(event("two"), trace=b"sealed octets")
    done = backend.commit(insert(row, events=(event("one"), traced)))
    assert done is not None
    found = list(Event.objects.order_by("id"))
    assert [e.trace and bytes(e.trace) for e in found] == [None, b"sealed octets"]
    assert [(e.pk, e.code) for e in found] == list(zip(done.event_ids, ("one", "two"), strict=True))
    assert {(e.device_id, e.organization_id, e.session_id) for e in found} == {
        (device.pk, organization.pk, done.session_id)
    }
    assert found[0].at == THEN
    assert found[0].detail == {"n": 1, "text": "ä"}


def test_progress_moves_the_device_with_the_session_or_not_at_all(backend: Backend) -> None:
    organization = Organization.objects.create(name="O")
    device = Device.objects.create(organization=organization, method="eap-noob")
    row = stranger("a", device_id=device.pk)
    shown = Progress(device.pk, THEN, state="onboarding", step="s")
    backend.commit(insert(row, progress=shown))
    device.refresh_from_db()
    assert (device.state, device.step, device.seen_at) == ("onboarding", "s", THEN)
    before = backend.load("p", token=None, locator="a")
    assert before is not None
    stale = replace(before, version=0)
    late = replace(moved(stale), progress=Progress(device.pk, THEN, state="stuck", step="late"))
    assert backend.commit(late) is None
    device.refresh_from_db()
    assert (device.state, device.step) == ("onboarding", "s")


@pytest.mark.parametrize("final", ["suspended", "revoked", "retired"])
def test_nothing_a_device_says_leaves_a_state_that_a_person_gave(backend: Backend, final: str) -> None:
    organization = Organization.objects.create(name="O")
    device = Device.objects.create(organization=organization, method="eap-noob", state=final)
    backend.commit(
        insert(stranger("a", device_id=device.pk), progress=Progress(device.pk, THEN, state="onboarding"))
    )
    device.refresh_from_db()
    assert device.state == final


def test_the_device_joins_its_state_and_plan_to_the_session(backend: Backend) -> None:
    organization = Organization.objects.create(name="O")
    plan = organization.plans.create(name="P")
    device = Device.objects.create(organization=organization, method="m", plan=plan, state="revoked")
    backend.commit(insert(stranger("a", device_id=device.pk)))
    found = backend.load("p", token=None, locator="a")
    assert found is not None
    assert (found.plan_id, found.device_state) == (plan.pk, "revoked")


def test_the_next_session_is_opened_once_and_then_gets_new_material_only(backend: Backend) -> None:
    backend.commit(insert(stranger("a", serial="SN"), next=NextRow("q", "n", b"fresh", b"m1")))
    opened = backend.load("q", token=None, locator="n")
    assert opened is not None
    assert (opened.state, opened.material, opened.version, opened.serial) == (b"fresh", b"m1", 1, "SN")
    assert (opened.token, opened.messages, opened.expires_at) == (None, 0, None)
    backend.commit(moved(opened, state=b"worked"))
    parent = backend.load("p", token=None, locator="a")
    assert parent is not None
    backend.commit(replace(moved(parent), next=NextRow("q", "n", b"fresh", b"m2")))
    again = backend.load("q", token=None, locator="n")
    assert again is not None
    assert (again.id, again.state, again.material, again.version) == (opened.id, b"worked", b"m2", 3)


def test_what_people_set_beside_a_running_message_survives_it(backend: Backend) -> None:
    backend.commit(insert(stranger("a")))
    before = backend.load("p", token=None, locator="a")
    assert before is not None
    Session.objects.update(guarded_until=THEN)
    assert backend.commit(moved(before)) is not None
    assert Session.objects.get().guarded_until == THEN


# The embedded backend's own promises.


def test_one_bad_change_of_a_group_spoils_no_other(store: SqliteStore) -> None:
    """A locked database makes the group: everything queues up behind it."""
    store.submit(insert(stranger("taken"))).result()
    with locked():
        futures = [store.submit(insert(stranger(f"s{n}"))) for n in range(20)]
        late = store.submit(insert(stranger("taken"), events=(event("x"),)))
        wrong = store.submit(insert(stranger("huge", version=2**70)))
        more = [store.submit(insert(stranger(f"t{n}"), events=(event("y"),))) for n in range(20)]
    assert all(future.result(timeout=30) is not None for future in futures + more)
    assert late.result() is None
    with pytest.raises(LocalError):
        wrong.result()
    assert Session.objects.count() == 41
    assert Event.objects.count() == 20


def test_a_caller_that_went_away_does_not_stop_the_writer(store: SqliteStore) -> None:
    async def give_up() -> None:
        with locked():
            store.submit(insert(stranger("first")))
            task = asyncio.create_task(store.commit(insert(stranger("gone"))))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(give_up())
    assert store.submit(insert(stranger("b"))).result(timeout=10) is not None


def test_a_busy_database_keeps_the_thread_waiting_and_not_the_loop(store: SqliteStore) -> None:
    async def wait() -> tuple[bool, Committed | None]:
        with locked():
            task = asyncio.create_task(store.commit(insert(stranger("late"))))
            for _turn in range(50):
                await asyncio.sleep(0.001)
            undone = not task.done()
        return undone, await asyncio.wait_for(task, 10)

    undone, done = asyncio.run(wait())
    assert undone
    assert done is not None


def test_a_loop_that_ended_before_it_wrote_harms_no_other(store: SqliteStore) -> None:
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)  # as if it ended within this very turn
    try:
        store._ask(insert(stranger("left")))
    finally:
        asyncio._set_running_loop(None)
        loop.close()
    assert asyncio.run(store.commit(insert(stranger("next")))) is not None


def test_the_log_is_moved_into_the_database_while_messages_go_on(tmp_path: Path) -> None:
    path = copied_schema(tmp_path)
    built = SqliteStore(path)
    small = path.stat().st_size

    async def write() -> None:
        for number in range(CHECKPOINT_CHANGES):
            await built.commit(insert(stranger(f"s{number}", state=bytes(2000))))
        for _turn in range(500):
            if path.stat().st_size > small:
                return
            await asyncio.sleep(0.01)

    asyncio.run(write())
    built.close()
    assert path.stat().st_size > small + 500_000


def test_one_bad_change_in_a_turn_of_the_loop_spoils_no_other(store: SqliteStore) -> None:
    async def together() -> list[Committed | BaseException | None]:
        changes = [insert(stranger(f"s{n}")) for n in range(5)]
        changes += [insert(stranger("s1")), insert(stranger("huge", version=2**70))]
        return await asyncio.gather(*map(store.commit, changes), return_exceptions=True)

    *good, taken, wrong = asyncio.run(together())
    assert all(isinstance(one, Committed) for one in good)
    assert taken is None
    assert isinstance(wrong, LocalError)
    assert Session.objects.count() == 5


def test_only_what_differs_is_written(backend: Backend) -> None:
    """What somebody else set beside a running message stays, for columns that the message left alone."""
    backend.commit(insert(stranger("a", serial="old")))
    before = backend.load("p", token=None, locator="a")
    assert before is not None
    Session.objects.update(serial="new")
    assert backend.commit(moved(before, phase="x")) is not None
    after = Session.objects.get()
    assert (after.serial, after.phase, after.version) == ("new", "x", 2)


def test_the_devices_tags_and_its_groups_plan_come_with_the_session(backend: Backend) -> None:
    organization = Organization.objects.create(name="O")
    plan, own = organization.plans.create(name="P"), organization.plans.create(name="Q")
    group = organization.groups.create(name="G", plan=plan)
    device = Device.objects.create(organization=organization, method="m", group=group, tags={"site": "Åbo"})
    backend.commit(insert(stranger("a", device_id=device.pk)))
    found = backend.load("p", token=None, locator="a")
    assert found is not None
    assert (found.plan_id, json.loads(found.tags)) == (plan.pk, {"site": "Åbo"})
    Device.objects.update(plan=own)
    found = backend.load("p", token=None, locator="a")
    assert found is not None
    assert found.plan_id == own.pk
    backend.commit(insert(stranger("b")))
    alone = backend.load("p", token=None, locator="b")
    assert alone is not None
    assert (alone.plan_id, alone.tags) == (None, "{}")


def test_a_listener_that_fails_does_not_stop_the_writer() -> None:
    def broken(changes: object) -> None:
        raise RuntimeError("the channel layer is down")

    built = Sqlite(published=broken)
    try:
        assert built.commit(insert(stranger("a"))) is not None
        assert built.commit(insert(stranger("b"))) is not None
    finally:
        built.close()


def test_listeners_hear_of_what_is_committed_and_of_nothing_else() -> None:
    heard: list[tuple[int, int]] = []

    def listen(changes: list[Committed]) -> None:
        other = sqlite3.connect(connection.settings_dict["NAME"])
        (stored,) = other.execute("SELECT count(*) FROM engine_session").fetchone()
        other.close()
        heard.append((len(changes), stored))

    built = Sqlite(published=listen)
    built.commit(insert(stranger("a")))
    built.commit(insert(stranger("a")))
    built.close()
    assert [change for change in heard if change[0]] == [(1, 1)]


def test_a_thousand_at_once_are_all_kept(store: SqliteStore) -> None:
    async def flood() -> list[Committed | None]:
        return await asyncio.gather(
            *(store.commit(insert(stranger(f"s{n}", bytes([n % 256, n // 256])))) for n in range(1000))
        )

    done = asyncio.run(flood())
    assert len({change.session_id for change in done if change}) == 1000
    assert Session.objects.count() == 1000


def test_of_many_writers_of_one_session_one_wins_each_version(store: SqliteStore) -> None:
    store.submit(insert(stranger("a"))).result()
    before = store.load("p", token=None, locator="a")
    assert before is not None
    futures = [store.submit(moved(before, phase=str(n))) for n in range(GROUP_MAX + 10)]
    assert sum(future.result() is not None for future in futures) == 1
    assert Session.objects.get().version == 2


def test_two_processes_share_one_file() -> None:
    """Two stores in two threads, as far apart as two processes: no shared connection, no shared lock."""
    first, second = Sqlite(), Sqlite()
    try:
        first.commit(insert(stranger("a")))

        def count_up(one: Sqlite, wins: list[int]) -> None:
            for _n in range(50):
                row = one.load("p", token=None, locator="a")
                assert row is not None
                wins.append(one.commit(moved(row)) is not None)

        wins: list[int] = []
        threads = [threading.Thread(target=count_up, args=(one, wins)) for one in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 100
        assert Session.objects.get().version == 1 + sum(wins)
        seen = second.load("p", token=None, locator="a")
        assert seen is not None
        assert seen.version == 1 + sum(wins)
    finally:
        first.close()
        second.close()


def test_a_full_disk_is_our_fault_and_goes_by(tmp_path: Path) -> None:
    """SQLite's own page limit stands in for the disk."""
    path = copied_schema(tmp_path)
    built = SqliteStore(path)
    try:
        assert built.submit(insert(stranger("a"))).result() is not None
        limit_pages(built, 1)
        with pytest.raises(LocalError):
            built.submit(insert(stranger("b", state=bytes(1_000_000)))).result(timeout=10)
        with pytest.raises(LocalError):
            built.submit(insert(stranger("c", state=bytes(1_000_000)))).result(timeout=10)
        limit_pages(built, 1_000_000)
        assert built.submit(insert(stranger("b", state=bytes(1_000_000)))).result(timeout=10) is not None
        found = built.load("p", token=None, locator="c")
        assert found is None
    finally:
        built.close()


def test_a_store_without_its_tables_answers_instead_of_hanging(tmp_path: Path) -> None:
    built = SqliteStore(tmp_path / "empty.sqlite3")
    try:
        with pytest.raises(LocalError):
            built.load("p", token=None, locator="a")
        with pytest.raises(LocalError):
            built.submit(insert(stranger("a"))).result(timeout=10)
    finally:
        built.close()


def test_a_store_that_cannot_be_opened_answers_and_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    built = SqliteStore(folder / "onward.sqlite3")
    try:
        with pytest.raises(LocalError):
            built.submit(insert(stranger("a"))).result(timeout=10)
        with pytest.raises(LocalError):
            built.load("p", token=None, locator="a")
        folder.mkdir()
        copied_schema(folder).rename(folder / "onward.sqlite3")
        assert built.submit(insert(stranger("a"))).result(timeout=10) is not None
        assert built.load("p", token=None, locator="a") is not None
    finally:
        built.close()


def test_closing_writes_what_waits_and_then_refuses(store: SqliteStore) -> None:
    futures = [store.submit(insert(stranger(f"s{n}"))) for n in range(300)]
    store.close()
    assert all(future.result(timeout=1) is not None for future in futures)
    with pytest.raises(LocalError):
        store.submit(insert(stranger("late"))).result(timeout=1)


class locked:  # noqa: N801 (reads as a phrase)
    """Somebody else holds the write lock."""

    def __enter__(self) -> None:
        self.other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_what: object) -> None:
        self.other.execute("ROLLBACK")
        self.other.close()


def copied_schema(folder: Path) -> Path:
    """An empty database with our tables."""
    path = folder / "copy.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%%'")
        statements = [sql for (sql,) in cursor.fetchall()]
    other = sqlite3.connect(path)
    for sql in statements:
        other.execute(sql)
    other.commit()
    other.close()
    return path


def limit_pages(store: SqliteStore, pages: int) -> None:
    """A page limit belongs to a connection, so the writer itself must set it."""
    original: Callable[..., None] = store._write
    done = threading.Event()

    def once(writer: sqlite3.Connection, batch: object) -> None:
        writer.execute(f"PRAGMA max_page_count={pages}")
        store._write = original  # type: ignore[method-assign]
        done.set()
        original(writer, batch)

    store._write = once  # type: ignore[method-assign]
    with pytest.raises(LocalError) if pages == 1 else _nothing():
        store.submit(insert(stranger(f"limit{pages}", state=bytes(1_000_000)))).result(timeout=10)
    assert done.wait(10)


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...

    def __exit__(self, *_what: object) -> None: ...
