"""Pages of vouchers and jobs: what they show, who may press what, the border between organizations, their cost."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import Any

import pytest
from account_world import decent
from api_world import Side
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pages_world import browser, colleague, tags, text
from test_pages_rules import RULES
from voucher_world import RENDEZVOUS, Maker, maker, pem

from bootstrap.bindings.vouchers import jobs as imports
from bootstrap.bindings.vouchers import uploads
from bootstrap.protocols.fdo import voucher as vouchers
from bootstrap.wire.keys import KeyKind, SoftSigner
from devices.keys import fingerprint_of, public_of
from devices.models import AuditEntry, Device, Job, JobRow, Registration, Role, TrustedManufacturer, Voucher
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import owner_key_make, public_pem
from portal.job_view import JobView, duration, seconds_left
from portal.pages import jobs as job_pages
from portal.pages import vouchers as voucher_pages

__all__ = ["maker"]
pytestmark = pytest.mark.django_db
HOSTILE = "\"><script>alert(1)</script>'&\u202e"


@pytest.fixture
def mine() -> Side:
    return Side("Mine")


@pytest.fixture
def owner(mine: Side) -> Client:
    return browser(mine.owner)


@pytest.fixture
def rivals() -> Side:
    return Side("Rivals")


class Works:
    """An organization with an owner key that trusts a manufacturer."""

    def __init__(self, side: Side, maker: Maker) -> None:
        self.side, self.maker = side, maker
        manufacturer_trust(side.organization, None, maker.signer.public.der, "Acme")
        self.key = owner_key_make(side.organization, None, maker.kind.value, name="Ours")

    def made(self, count: int, entries: int = 1, maker: Maker | None = None) -> list[bytes]:
        return [
            (maker or self.maker).made_for(public_of(self.key), entries, f"SN-{n}")
            for n in range(1, count + 1)
        ]

    def bring(self, *contents: bytes, name: str = "lot.pem", label: str = "") -> Job:
        job = imports.import_create(
            self.side.organization, self.side.owner, [pem(*contents)], name, label=label
        )
        imports.import_run(job.pk)
        job.refresh_from_db()
        return job

    def voucher(self, entries: int = 1) -> Voucher:
        self.bring(*self.made(1, entries))
        return Voucher.objects.filter(organization=self.side.organization).latest("pk")


@pytest.fixture
def works(mine: Side, maker: Maker) -> Works:
    return Works(mine, maker)


def listed(answer: Any, kind: str = "voucher") -> list[int]:
    """Ids of the rows, in the order of the page."""
    ids = [attributes.get("id") or "" for tag, attributes in tags(answer) if tag == "tr"]
    return [int(found.removeprefix(f"{kind}-")) for found in ids if found]


def statements(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as spent:
        assert client.get(address).status_code == 200
    return len(spent)


def next_owner(kind: KeyKind = KeyKind.P256) -> tuple[SoftSigner, str]:
    signer = SoftSigner.generate(kind)
    return signer, public_pem(signer.public.der)


class TestList:
    """Newest first, found by the beginning of what is printed, narrowed by state and batch."""

    def test_an_empty_house_says_what_to_do_first(self, owner: Client, mine: Side) -> None:
        page = owner.get("/vouchers")
        assert "No vouchers yet" in decent(page)
        assert "/vouchers/import" in [a.get("href") for tag, a in tags(page) if tag == "a"]
        viewer = browser(colleague(mine, Role.VIEWER)).get("/vouchers")
        assert "/vouchers/import" not in [a.get("href") for tag, a in tags(viewer) if tag == "a"]
        assert "not import" in text(viewer)

    def test_search_state_and_batch(self, owner: Client, works: Works) -> None:
        first = works.bring(*works.made(3), label="Spring")
        fourth = works.voucher()
        rows = {row.serial: row for row in Voucher.objects.filter(job=first)}
        voucher_pages.voucher_delete(rows["SN-3"], None)
        found = lambda query: set(listed(owner.get(f"/vouchers?{query}")))  # noqa: E731
        one, two, three = (rows[f"SN-{n}"].pk for n in (1, 2, 3))
        assert found("") == {one, two, fourth.pk}
        assert found("state=deleted") == {three}
        assert found("state=all") == {one, two, three, fourth.pk}
        assert found("state=nonsense") == {one, two, fourth.pk}
        assert found("q=SN-2") == {two}
        assert found(f"q={rows['SN-2'].guid[:12].upper()}") == {two}
        assert found("q=Lamp") == {one, two, fourth.pk}
        assert found(f"job={first.pk}&state=all") == {one, two, three}
        assert found(f"job={first.pk}&q=SN-1") == {one}
        assert found("q=%25") == found("q=_") == set()
        assert "Look among all" in text(owner.get("/vouchers?q=SN-3"))

    @pytest.mark.parametrize(
        "query", ["before=x", "before=-1", f"before={9**30}", "job=x", f"job={9**30}", "q=%00"]
    )
    def test_a_strange_wish_is_no_error(self, owner: Client, works: Works, query: str) -> None:
        works.voucher()
        assert owner.get(f"/vouchers?{query}").status_code == 200

    def test_every_voucher_is_on_one_page_and_the_wish_goes_along(
        self, owner: Client, works: Works, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        works.bring(*works.made(7))
        monkeypatch.setattr("portal.pages.admin.tabs.keyset.__defaults__", (3,))
        seen, place, pages = [], "/vouchers?q=SN", 0
        while place:
            answer = owner.get(place)
            seen += listed(answer)
            links = [
                a["href"] for tag, a in tags(answer) if tag == "a" and "before=" in (a.get("href") or "")
            ]
            assert all("q=SN" in link for link in links)
            place, pages = (links[0] if links else ""), pages + 1
        assert pages == 3
        assert seen == list(Voucher.objects.order_by("-pk").values_list("pk", flat=True))

    def test_the_number_of_statements_does_not_grow_with_the_rows(self, owner: Client, works: Works) -> None:
        works.bring(*works.made(1))
        few = statements(owner, "/vouchers")
        works.bring(*works.made(20), label="More")
        assert statements(owner, "/vouchers") == few
        assert few <= 8

    def test_an_import_under_way_is_shown(self, owner: Client, works: Works) -> None:
        job = imports.import_create(works.side.organization, None, [pem(*works.made(1))], "big.zip")
        page = owner.get("/vouchers")
        assert f"/jobs/{job.pk}" in [a.get("href") for tag, a in tags(page) if tag == "a"]
        assert "big.zip" in text(page)


class TestVoucher:
    """The chain from the manufacturer to today's owner, and what follows from it."""

    def test_the_chain_names_who_is_known_and_what_is_ours(self, owner: Client, works: Works) -> None:
        voucher = works.voucher(entries=3)
        page = owner.get(f"/vouchers/{voucher.pk}")
        shown = decent(page)
        chain = shown[shown.index('<ol class="chain">') : shown.index("</ol>")]
        links = chain.split("<li")[1:]
        assert len(links) == 4
        assert "Acme" in links[0]
        assert "yours" not in links[0]
        assert "Ours" in links[3]
        assert "yours" in links[3]
        assert "owner today" in links[3]
        assert voucher.manufacturer_fingerprint in links[0]
        assert voucher.owner_fingerprint in links[3]
        assert "without a name" in links[1]
        assert "P-256" in links[1]

    def test_it_says_where_devices_look_and_how_registering_went(self, owner: Client, works: Works) -> None:
        voucher = works.voucher()
        page = text(owner.get(f"/vouchers/{voucher.pk}"))
        assert f"Devices and owners use {RENDEZVOUS}." in page
        assert "Being registered" in page
        Registration.objects.update(
            state="failing", last_error_code="TO0-103", last_error="no route <b>", next_at=timezone.now()
        )
        answer = owner.get(f"/vouchers/{voucher.pk}?fragment=registrations")
        assert "The rendezvous server does not answer." in text(answer)
        assert "no route <b>" in text(answer)
        assert "TO0-103" in text(answer)
        assert not {tag for tag, _a in tags(answer)} & {"html", "head", "body", "h1"}
        assert any("data-over" in a for _tag, a in tags(answer))

    def test_registering_now_makes_all_of_them_due(self, owner: Client, works: Works) -> None:
        voucher = works.voucher()
        Registration.objects.update(state="failing", next_at=None, attempts=9)
        assert owner.post(f"/vouchers/{voucher.pk}/register")["Location"] == f"/vouchers/{voucher.pk}"
        row = Registration.objects.get()
        assert (row.state, row.attempts) == ("due", 0)
        assert AuditEntry.objects.filter(action="voucher.register-now").exists()

    @pytest.mark.parametrize(("kind", "head"), [("pem", b"-----BEGIN OWNERSHIP VOUCHER"), ("cbor", b"\x85")])
    def test_the_file_is_the_voucher(self, owner: Client, works: Works, kind: str, head: bytes) -> None:
        voucher = works.voucher()
        answer = owner.get(f"/vouchers/{voucher.pk}/file?type={kind}")
        assert answer.content.startswith(head)
        assert answer["Content-Disposition"] == f'attachment; filename="{voucher.guid}.{kind}"'
        content = bytes(Voucher.objects.get().content)
        assert answer.content in (content, pem(content))

    @pytest.mark.parametrize("way", ["pasted", "file"])
    def test_sold_on_it_is_the_next_owners_and_can_be_sent(
        self, owner: Client, works: Works, way: str
    ) -> None:
        voucher = works.voucher(entries=2)
        buyer, key = next_owner()
        form = (
            {"owner": key}
            if way == "pasted"
            else {"owner": "", "file": SimpleUploadedFile("k.pem", key.encode())}
        )
        answer = owner.post(f"/vouchers/{voucher.pk}/sell", form)
        sold = Voucher.objects.latest("pk")
        assert answer["Location"] == f"/vouchers/{sold.pk}"
        assert vouchers.Voucher.decode(bytes(sold.content)).owner_key.handle().der == buyer.public.der
        page = owner.get(answer["Location"])
        assert "Send them this voucher" in text(page)
        assert f"/vouchers/{sold.pk}/file?type=pem" in [a.get("href") for tag, a in tags(page) if tag == "a"]
        assert listed(owner.get("/vouchers")) == []
        assert listed(owner.get("/vouchers?state=extended-away")) == [sold.pk]
        assert f"/vouchers/{voucher.pk}" in [a.get("href") for tag, a in tags(page) if tag == "a"], "history"

    @pytest.mark.parametrize(
        ("given", "status", "said"),
        [
            ("", 422, "Paste the next owner"),
            ("nonsense " + HOSTILE, 422, "not a public key"),
            ("P-384", 409, "of another kind"),
            ("own", 409, "ends in this key already"),
        ],
    )
    def test_what_is_no_next_owner_is_said_at_the_field(
        self, owner: Client, works: Works, given: str, status: int, said: str
    ) -> None:
        voucher = works.voucher()
        texts = {"P-384": next_owner(KeyKind.P384)[1], "own": public_pem(bytes(works.key.public))}
        answer = owner.post(f"/vouchers/{voucher.pk}/sell", {"owner": texts.get(given, given)})
        assert answer.status_code == status
        assert said in text(answer)
        decent(answer)
        assert Voucher.objects.count() == 1

    def test_deleting_and_bringing_back(self, owner: Client, works: Works) -> None:
        voucher = works.voucher()
        owner.post(f"/vouchers/{voucher.pk}/delete")
        voucher.refresh_from_db()
        assert voucher.state == "deleted"
        page = owner.get(f"/vouchers/{voucher.pk}")
        actions = [a.get("action") for tag, a in tags(page) if tag == "form"]
        assert f"/vouchers/{voucher.pk}/restore" in actions
        assert f"/vouchers/{voucher.pk}/sell" not in actions
        owner.post(f"/vouchers/{voucher.pk}/restore")
        voucher.refresh_from_db()
        assert (voucher.state, voucher.current) == ("stored", True)

    def test_what_cannot_be_done_is_said(self, owner: Client, works: Works) -> None:
        voucher = works.voucher()
        owner.post(f"/vouchers/{voucher.pk}/sell", {"owner": next_owner()[1]})
        answer = owner.post(f"/vouchers/{voucher.pk}/delete", follow=True)
        assert "another one has taken its place" in text(answer)
        assert "nothing to register" in text(owner.post(f"/vouchers/{voucher.pk}/register", follow=True))

    def test_octets_that_cannot_be_read_any_more_leave_a_page(self, owner: Client, works: Works) -> None:
        voucher = works.voucher()
        Voucher.objects.update(content=b"\x80")
        assert "cannot be taken apart" in decent(owner.get(f"/vouchers/{voucher.pk}"))

    def test_one_voucher_costs_a_fixed_number(self, owner: Client, works: Works) -> None:
        voucher = works.voucher()
        few = statements(owner, f"/vouchers/{voucher.pk}")
        for number in range(10):
            Registration.objects.create(voucher=voucher, url=f"http://rv{number}.example.com", state="due")
            Voucher.objects.create(
                organization=works.side.organization,
                device=voucher.device,
                current=False,
                guid=voucher.guid,
                digest=os.urandom(32).hex(),
                content=b"",
                state="superseded",
                manufacturer_fingerprint="",
                owner_fingerprint="",
            )
        assert statements(owner, f"/vouchers/{voucher.pk}") == few
        assert few <= 11


class TestImport:
    """A form that works without a script, and answers one in its own words."""

    def post(self, client: Client, *files: SimpleUploadedFile, **more: Any) -> Any:
        return client.post("/vouchers/import", {"file": list(files), "label": "Spring"}, **more)

    def test_a_file_becomes_a_job(self, owner: Client, works: Works) -> None:
        content = pem(*works.made(2))
        answer = self.post(owner, SimpleUploadedFile("lot.pem", content))
        job = Job.objects.get()
        assert answer["Location"] == f"/jobs/{job.pk}"
        assert (job.label, job.upload_name, job.upload_size, job.author) == (
            "Spring", "lot.pem", len(content), works.side.owner,
        )  # fmt: skip
        imports.import_run(job.pk)
        assert Voucher.objects.count() == 2

    def test_several_files_are_several_jobs(self, owner: Client, works: Works) -> None:
        files = [SimpleUploadedFile(f"{n}.pem", pem(one)) for n, one in enumerate(works.made(3))]
        assert self.post(owner, *files)["Location"] == "/jobs"
        assert list(Job.objects.order_by("pk").values_list("upload_name", flat=True)) == [
            "0.pem",
            "1.pem",
            "2.pem",
        ]

    def test_a_script_gets_json(self, owner: Client, works: Works) -> None:
        file = SimpleUploadedFile("lot.pem", pem(*works.made(1)))
        answer = self.post(owner, file, headers={"Accept": "application/json"})
        job = Job.objects.get()
        assert (answer.status_code, answer.json()) == (202, {"jobs": [job.pk], "url": f"/jobs/{job.pk}"})
        refused = self.post(owner, SimpleUploadedFile("e.pem", b""), headers={"Accept": "application/json"})
        assert (refused.status_code, refused.json()) == (422, {"message": "The file is empty."})

    def test_no_file_and_an_empty_one_are_said_on_the_page(self, owner: Client, works: Works) -> None:
        for answer in (self.post(owner), self.post(owner, SimpleUploadedFile("e.pem", b""))):
            assert answer.status_code == 422
            page = decent(answer)
            assert "Choose a file first" in page or "The file is empty" in page
            assert 'value="Spring"' in page
        assert not Job.objects.exists()

    def test_of_several_files_the_good_ones_go_on(self, owner: Client, works: Works) -> None:
        good, bad = (
            SimpleUploadedFile("good.pem", pem(*works.made(1))),
            SimpleUploadedFile(f"bad{HOSTILE}", b""),
        )
        answer = self.post(owner, good, bad, follow=True)
        assert Job.objects.get().upload_name == "good.pem"
        assert "The file is empty" in text(answer)
        decent(answer)

    def test_a_file_beyond_the_limit_is_refused(
        self, owner: Client, works: Works, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploads, "UPLOAD_MAX_LENGTH", 10)
        assert "larger than" in text(self.post(owner, SimpleUploadedFile("big.pem", b"x" * 11)))

    def test_the_page_knows_the_keys_that_vouchers_must_end_in(
        self, owner: Client, mine: Side, maker: Maker
    ) -> None:
        assert "no owner key yet" in text(owner.get("/vouchers/import"))
        works = Works(mine, maker)
        assert works.key.fingerprint in owner.get("/vouchers/import").content.decode()


class TestJob:
    """Numbers that add up, reasons with a fix, and the ways back."""

    @pytest.fixture
    def mixed(self, works: Works) -> Job:
        stranger, nobody = Maker(), SoftSigner.generate(KeyKind.P256)
        twice = works.made(2)
        return works.bring(
            *twice,
            twice[0],
            *works.made(3, maker=stranger),
            works.maker.made_for(nobody.public, serial="SN-9"),
        )

    def test_the_numbers_and_the_reasons(self, owner: Client, mixed: Job) -> None:
        page = owner.get(f"/jobs/{mixed.pk}")
        shown = text(page)
        assert "3 of 7 are in. 4 need you." in shown
        assert "The manufacturer of this voucher is not trusted yet." in shown
        assert "The voucher belongs to a key that is not yours." in shown
        assert "Send your owner key" in shown
        bars = [a for _tag, a in tags(page) if a.get("role") == "progressbar"]
        assert [(a["aria-valuenow"], a["aria-valuemax"]) for a in bars] == [("7", "7")]
        decent(page)

    def test_trusting_the_manufacturer_runs_its_rows_again(self, owner: Client, mixed: Job) -> None:
        page = owner.get(f"/jobs/{mixed.pk}")
        fingerprint = next(a["value"] for tag, a in tags(page) if a.get("name") == "fingerprint")
        answer = owner.post(
            f"/jobs/{mixed.pk}/trust", {"fingerprint": fingerprint, "name": "New Oy"}, follow=True
        )
        assert "3 rows run again" in text(answer)
        assert "Waiting for its turn" in text(answer)
        imports.jobs_run()
        assert TrustedManufacturer.objects.get(fingerprint=fingerprint).name == "New Oy"
        assert "6 of 7 are in. One needs you." in text(owner.get(f"/jobs/{mixed.pk}"))

    @pytest.mark.parametrize("fingerprint", ["", "0" * 64, HOSTILE])
    def test_a_manufacturer_that_the_import_never_met_is_not_trusted(
        self, owner: Client, mixed: Job, fingerprint: str
    ) -> None:
        before = TrustedManufacturer.objects.count()
        answer = owner.post(f"/jobs/{mixed.pk}/trust", {"fingerprint": fingerprint}, follow=True)
        assert "No row of this import names that manufacturer." in text(answer)
        assert TrustedManufacturer.objects.count() == before

    def test_rows_by_outcome_and_reason(self, owner: Client, mixed: Job) -> None:
        found = lambda query: listed(owner.get(f"/jobs/{mixed.pk}?{query}"), "row")  # noqa: E731
        assert found("") == [1, 2, 3, 4, 5, 6, 7]
        assert found("outcome=added") == [1, 2]
        assert found("outcome=already-here") == [3]
        assert found("outcome=rejected") == [4, 5, 6, 7]
        assert found("outcome=rejected&code=VCH-118") == [7]
        assert found("code=nothing") == []
        assert found("outcome=nonsense") == [1, 2, 3, 4, 5, 6, 7]
        assert found("after=5") == [6, 7]
        for strange in ("after=x", f"after={9**30}", "after=-1"):
            assert owner.get(f"/jobs/{mixed.pk}?{strange}").status_code == 200

    def test_rows_come_in_pages_in_the_order_of_the_file(
        self, owner: Client, mixed: Job, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(job_pages, "ROWS", 2)
        seen, place = [], f"/jobs/{mixed.pk}?outcome=rejected"
        while place:
            answer = owner.get(place)
            seen.append(listed(answer, "row"))
            links = [
                a["href"] or "" for tag, a in tags(answer) if tag == "a" and "after=" in (a.get("href") or "")
            ]
            place = f"/jobs/{mixed.pk}{links[0][links[0].index('?') :]}" if links else ""
        assert seen == [[4, 5], [6, 7]]

    def test_the_report_as_files(self, owner: Client, mixed: Job) -> None:
        answer = owner.get(f"/jobs/{mixed.pk}/report?type=csv")
        lines = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
        assert [line["outcome"] for line in lines] == ["added"] * 2 + ["already-here"] + ["rejected"] * 4
        assert lines[6]["sentence"] == "The voucher belongs to a key that is not yours."
        body = json.loads(owner.get(f"/jobs/{mixed.pk}/report?type=json").getvalue())
        assert (body["total"], len(body["rows"])) == (7, 7)

    def test_undo_takes_back_what_was_added(self, owner: Client, mixed: Job) -> None:
        assert Device.objects.count() == 2
        answer = owner.post(f"/jobs/{mixed.pk}/undo", follow=True)
        assert "Taken back" in text(answer)
        assert not Device.objects.exists()
        actions = [a.get("action") for tag, a in tags(answer) if tag == "form"]
        assert f"/jobs/{mixed.pk}/undo" not in actions
        assert "has been here" not in text(owner.post(f"/jobs/{mixed.pk}/undo", follow=True))

    def test_undo_is_refused_once_a_device_was_here(self, owner: Client, mixed: Job) -> None:
        Device.objects.filter(vouchers__job=mixed).update(state="onboarded")
        assert "Undo this import" not in text(owner.get(f"/jobs/{mixed.pk}"))
        answer = owner.post(f"/jobs/{mixed.pk}/undo", follow=True)
        assert "has been here already" in text(answer)
        assert Voucher.objects.count() == 2

    def test_cancel_before_it_began(self, owner: Client, works: Works) -> None:
        job = imports.import_create(works.side.organization, None, [pem(*works.made(1))])
        answer = owner.post(f"/jobs/{job.pk}/cancel", follow=True)
        assert "Cancelled before it began." in text(answer)
        imports.jobs_run()
        assert not Voucher.objects.exists()

    def test_a_file_without_vouchers_fails_with_a_sentence(self, owner: Client, works: Works) -> None:
        job = imports.import_create(works.side.organization, None, [b"hello"], "hello.txt")
        imports.import_run(job.pk)
        page = text(owner.get(f"/jobs/{job.pk}"))
        assert "VCH-" in page
        assert "Upload PEM, CBOR, or a zip or tar.gz" in page

    def test_while_it_runs_the_page_asks_for_itself_and_then_no_more(
        self, owner: Client, works: Works
    ) -> None:
        job = imports.import_create(works.side.organization, None, [pem(*works.made(1))])
        page = owner.get(f"/jobs/{job.pk}")
        region = next(a for tag, a in tags(page) if tag == "live-region")
        assert region["data-poll"] == "1000"
        assert not any("data-over" in a for _tag, a in tags(page))
        imports.import_run(job.pk)
        part = owner.get(region["data-src"])
        assert any("data-over" in a for _tag, a in tags(part))
        assert {a["data-for"] for tag, a in tags(part) if tag == "template"} == {
            "job-causes", "job-filters", "job-rows",
        }  # fmt: skip
        assert not {tag for tag, _a in tags(part)} & {"html", "head", "body", "h1"}
        assert "no-store" in part["Cache-Control"]

    def test_the_number_of_statements_does_not_grow_with_the_rows(self, owner: Client, mixed: Job) -> None:
        few = statements(owner, f"/jobs/{mixed.pk}")
        JobRow.objects.bulk_create(
            JobRow(job=mixed, number=100 + n, outcome="rejected", code=f"VCH-{101 + n % 9}")
            for n in range(40)
        )
        assert statements(owner, f"/jobs/{mixed.pk}") == few
        assert few <= 11

    def test_the_list_of_jobs_costs_a_fixed_number(self, owner: Client, works: Works) -> None:
        works.bring(*works.made(1))
        few = statements(owner, "/jobs")
        for _n in range(10):
            works.bring(*works.made(1))
        assert statements(owner, "/jobs") == few
        assert few <= 6
        assert listed(owner.get("/jobs"), "job") == list(
            Job.objects.order_by("-pk").values_list("pk", flat=True)
        )


class TestView:
    """The bar and its sentence, from the row alone."""

    def job(self, **fields: Any) -> Job:
        counts = {"added": 0, "already_here": 0, "rejected": 0}
        counts |= {name: value for name, value in fields.items() if name in counts}
        return Job(**fields | {"done": sum(counts.values())})

    @pytest.mark.parametrize(
        ("counts", "sentence", "tone"),
        [
            ((10, 0, 0), "All 10 vouchers are in.", "ok"),
            ((1, 0, 0), "The voucher is in.", "ok"),
            ((0, 10000, 0), "All 10,000 are here already: nothing to do.", "ok"),
            ((9988, 0, 12), "9,988 of 10,000 are in. 12 need you.", "warn"),
            ((0, 0, 3), "None of the 3 vouchers was taken.", "bad"),
            ((0, 2, 1), "2 of 3 are in. One needs you.", "warn"),
        ],
    )
    def test_what_is_said_at_the_end(self, counts: tuple[int, int, int], sentence: str, tone: str) -> None:
        added, here, rejected = counts
        job = self.job(state="done", total=sum(counts), added=added, already_here=here, rejected=rejected)
        view = JobView.of(job, timezone.now())
        assert (view.over, view.sentence, view.tone) == (True, sentence, tone)
        assert (view.rejected > 0) == (rejected > 0), "one of ten thousand still shows"

    def test_how_long_still_is_said_after_three_seconds(self) -> None:
        now = timezone.now()
        job = self.job(state="running", total=1000, added=100, started_at=now - timezone.timedelta(seconds=2))
        assert seconds_left(job, now) is None
        job.started_at = now - timezone.timedelta(seconds=4)
        assert seconds_left(job, now) == 36
        assert JobView.of(job, now).sentence == "100 of 1,000 · about 36 s left"
        job.params = {"again": 5}
        assert seconds_left(job, now) is None

    @pytest.mark.parametrize(("seconds", "said"), [(1, "1 s"), (89, "89 s"), (90, "2 min"), (7200, "2 h")])
    def test_durations(self, seconds: int, said: str) -> None:
        assert duration(seconds) == said


WRITES = {
    "voucher-register", "voucher-sell", "voucher-delete", "voucher-restore", "job-cancel", "job-undo", "job-trust",
}  # fmt: skip
ROUTES = [pattern.name for pattern in (*voucher_pages.urlpatterns, *job_pages.urlpatterns)]


def address(name: str, voucher: Voucher, job: Job) -> str:
    pattern = next(p for p in (*voucher_pages.urlpatterns, *job_pages.urlpatterns) if p.name == name)
    if "pk" not in str(pattern.pattern):
        return reverse(name)
    return reverse(name, args=[(job if str(pattern.pattern).startswith("jobs") else voucher).pk])


class TestWho:
    """Signed in, of the organization, with the role for it."""

    @pytest.fixture
    def there(self, works: Works) -> tuple[Voucher, Job]:
        job = works.bring(*works.made(1), *works.made(1, maker=Maker()))
        return Voucher.objects.get(), job

    @pytest.mark.parametrize("name", ROUTES)
    def test_nobody_looks_without_signing_in(self, there: tuple[Voucher, Job], name: str) -> None:
        for answer in (Client().get(address(name, *there)), Client().post(address(name, *there))):
            assert answer.status_code in (302, 405)
            assert answer.status_code == 405 or answer["Location"].startswith("/account/login/")

    @pytest.mark.parametrize(
        "name", [name for name in ROUTES if name not in ("vouchers", "jobs", "voucher-import")]
    )
    def test_theirs_is_not_there(self, there: tuple[Voucher, Job], rivals: Side, name: str) -> None:
        client = browser(rivals.owner)
        before = Voucher.objects.values_list("state", flat=True).get(), Job.objects.values_list("state").get()
        place = address(name, *there)
        far = place.replace(f"/{there[0].pk}", f"/{10**30}").replace(f"/{there[1].pk}", f"/{10**30}")
        for one in (place, far):
            answers = [client.get(one), client.post(one, {"fingerprint": "0" * 64})]
            assert {answer.status_code for answer in answers} <= {404, 405}
            assert 404 in {answer.status_code for answer in answers}
        after = Voucher.objects.values_list("state", flat=True).get(), Job.objects.values_list("state").get()
        assert before == after

    def test_theirs_is_in_no_list(self, there: tuple[Voucher, Job], rivals: Side) -> None:
        client = browser(rivals.owner)
        for query in (
            "/vouchers",
            "/vouchers?state=all&q=SN",
            f"/vouchers?job={there[1].pk}&state=all",
            "/jobs",
        ):
            page = client.get(query).content.decode()
            assert there[0].guid[:8] not in page
            assert "lot.pem" not in page

    @pytest.mark.parametrize("name", sorted(WRITES | {"voucher-import"}))
    def test_a_viewer_changes_nothing_and_sees_no_button(
        self, there: tuple[Voucher, Job], mine: Side, name: str
    ) -> None:
        viewer = browser(colleague(mine, Role.VIEWER))
        place = address(name, *there)
        assert viewer.post(place, {"owner": "x"}).status_code == 403
        assert Voucher.objects.get().state == "stored"
        for page in (f"/vouchers/{there[0].pk}", f"/jobs/{there[1].pk}", "/vouchers", "/jobs"):
            answer = viewer.get(page)
            assert answer.status_code == 200
            assert place not in [a.get("action") or a.get("href") for _tag, a in tags(answer)]

    def test_an_operator_does_all_but_trusting(self, there: tuple[Voucher, Job], mine: Side) -> None:
        operator = browser(colleague(mine, Role.OPERATOR))
        voucher, job = there
        page = operator.get(f"/jobs/{job.pk}")
        assert "Owners and admins of your organization can trust it" in text(page)
        assert f"/jobs/{job.pk}/trust" not in [a.get("action") for tag, a in tags(page) if tag == "form"]
        met = next(iter(job.params["makers"]))
        assert operator.post(f"/jobs/{job.pk}/trust", {"fingerprint": met}).status_code == 403
        assert not TrustedManufacturer.objects.filter(fingerprint=met).exists()
        assert operator.get("/vouchers/import").status_code == 200
        assert operator.post(f"/vouchers/{voucher.pk}/delete").status_code == 302

    @pytest.mark.parametrize("name", sorted(WRITES | {"voucher-import"}))
    def test_a_forged_press_does_nothing(self, there: tuple[Voucher, Job], mine: Side, name: str) -> None:
        careful = browser(mine.owner, enforce_csrf_checks=True)
        jobs = Job.objects.count()
        file = SimpleUploadedFile("lot.pem", b"x")
        assert careful.post(address(name, *there), {"owner": "x", "file": file}).status_code == 403
        assert Voucher.objects.get().state == "stored"
        assert Job.objects.count() == jobs

    @pytest.mark.parametrize("name", sorted(WRITES))
    def test_nothing_happens_by_looking(self, there: tuple[Voucher, Job], owner: Client, name: str) -> None:
        assert owner.get(address(name, *there)).status_code == 405


class TestRules:
    """The rules of every page hold for these, whatever the names are."""

    @pytest.fixture
    def places(self, works: Works, owner: Client) -> list[str]:
        content = works.made(1)[0]
        job = works.bring(
            content, *works.made(1, maker=Maker()), name=f"lot{HOSTILE}.pem", label=f"batch{HOSTILE}"
        )
        voucher = Voucher.objects.get()
        TrustedManufacturer.objects.update(name=f"maker{HOSTILE}")
        queued = imports.import_create(works.side.organization, None, [pem(content)], HOSTILE)
        JobRow.objects.update(name=HOSTILE, serial=HOSTILE)
        Voucher.objects.update(serial=HOSTILE, device_info=HOSTILE)
        return [
            "/vouchers", "/vouchers?q=zzz", f"/vouchers?job={job.pk}", "/vouchers/import", f"/vouchers/{voucher.pk}",
            "/jobs", f"/jobs/{job.pk}", f"/jobs/{job.pk}?outcome=rejected&code=VCH-119", f"/jobs/{queued.pk}",
            f"/vouchers?q={HOSTILE}", f"/jobs/{job.pk}?code={HOSTILE[:20]}",
        ]  # fmt: skip

    def test_every_page_keeps_them(self, places: list[str], owner: Client) -> None:
        for place in places:
            answer = owner.get(place)
            assert answer.status_code == 200, place
            for rule in RULES:
                rule(answer)
            assert "<script>alert" not in decent(answer)

    def test_the_hostile_names_are_shown_as_they_are(self, places: list[str], owner: Client) -> None:
        assert "batch\"><script>alert(1)</script>'&" in text(owner.get("/jobs"))

    def test_a_fingerprint_is_whole_for_whoever_copies_it(self, works: Works, owner: Client) -> None:
        voucher = works.voucher()
        page = owner.get(f"/vouchers/{voucher.pk}")
        assert fingerprint_of(works.maker.signer.public) in text(page).replace(" ", "")

    def test_the_navigation_has_them_and_a_phone_has_four(self, owner: Client) -> None:
        page = owner.get("/jobs").content.decode()
        bottom = page[page.index('class="bottom"') :]
        assert bottom.count("<a ") == 4
        assert "Vouchers" in bottom
        assert '<a href="/vouchers" aria-current="page">' in page

    def test_choosing_another_organization_leaves_the_others_voucher(self, owner: Client, mine: Side) -> None:
        for back, leads in (("/vouchers/7", "/vouchers"), ("/jobs/7", "/jobs")):
            body = {"organization": mine.organization.pk, "back": back}
            assert owner.post("/organizations/choose", body)["Location"] == leads
