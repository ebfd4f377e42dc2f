"""Jobs: long work with totals that add up, its rows, its report, and undo."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from bootstrap.bindings.vouchers.jobs import import_trust, job_cancel
from bootstrap.bindings.vouchers.report import report_csv, report_json
from bootstrap.bindings.vouchers.undo import import_undo, import_undoable
from devices.models import Job, JobRow
from portal import catalogue
from portal.api.base import ReadViewSet, StrictSerializer
from portal.api.pagination import OldestFirst
from portal.api.permissions import Right
from portal.ring import ring_after_commit


class JobSerializer(serializers.ModelSerializer[Job]):
    """One job. At any moment ``added + already_here + rejected`` is ``done``, and at the end ``total``."""

    undoable = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField(help_text="Why it failed, for people; empty unless it did")

    class Meta:
        model = Job
        fields = (
            "id",
            "kind",
            "state",
            "label",
            "upload_name",
            "upload_size",
            "total",
            "done",
            "added",
            "already_here",
            "rejected",
            "error_code",
            "error",
            "undoable",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields

    def get_undoable(self, job: Job) -> bool:
        """Whether ``undo`` would work now."""
        return import_undoable(job)

    def get_error(self, job: Job) -> str:
        """From the catalogue."""
        return (
            catalogue.voucher_problem(job.error_code, {"text": job.error}).sentence if job.error_code else ""
        )


class JobRowSerializer(serializers.ModelSerializer[JobRow]):
    """What became of one row, and why."""

    sentence = serializers.SerializerMethodField()
    fix = serializers.SerializerMethodField()

    class Meta:
        model = JobRow
        fields = (
            "number", "name", "guid", "serial", "outcome", "code", "sentence", "fix", "detail", "voucher",
        )  # fmt: skip
        read_only_fields = fields

    def get_sentence(self, row: JobRow) -> str:
        """Why, in the language of the request."""
        return explain(row)[0]

    def get_fix(self, row: JobRow) -> str:
        """What to do about it."""
        return explain(row)[1]


class RowFilter(serializers.Serializer[Any]):
    """Which rows."""

    outcome = serializers.ChoiceField(JobRow.Outcome.choices, required=False, allow_blank=True)
    code = serializers.CharField(required=False, allow_blank=True, max_length=32)


class CauseSerializer(serializers.Serializer[Any]):
    """Rejected rows with one cause."""

    code = serializers.CharField()
    rows = serializers.IntegerField()
    sentence = serializers.CharField()
    fix = serializers.CharField()


class TrustNew(StrictSerializer):
    """A manufacturer to trust: the fingerprint that its rejected rows name in ``detail.manufacturer``."""

    fingerprint = serializers.RegexField(r"^[0-9a-f]{64}\Z")
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)


class ReportFormat(serializers.Serializer[Any]):
    """CSV for people, JSON for programs."""

    type = serializers.ChoiceField(("csv", "json"), required=False, default="csv")


def explain(row: JobRow) -> tuple[str, str]:
    """Sentence and fix of a row, from the catalogue."""
    if not row.code:
        return "", ""
    said = catalogue.voucher_problem(row.code, row.detail)
    return said.sentence, said.fix


@extend_schema(tags=["jobs"])
class JobViewSet(ReadViewSet):
    """The organization's long work."""

    queryset = Job.objects.all()
    serializer_class = JobSerializer
    right_to_write = Right.CLAIM
    open_to_vouchers_tokens = frozenset({"list", "retrieve", "rows", "causes", "report"})

    @extend_schema(
        operation_id="jobs_rows_list", parameters=[RowFilter], responses=JobRowSerializer(many=True)
    )
    @action(detail=True, pagination_class=OldestFirst)
    def rows(self, request: Request, pk: str) -> Response:
        """Every row that has been looked at, in the order of the upload."""
        rows = JobRow.objects.filter(job=self.get_object(), **self.filters(RowFilter))
        return self.page(rows, JobRowSerializer)

    @extend_schema(operation_id="jobs_causes", responses=CauseSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def causes(self, request: Request, pk: str) -> Response:
        """Rejected rows by cause, the commonest first: one fix may do for thousands."""
        return Response(CauseSerializer(causes(self.get_object()), many=True).data)

    @extend_schema(
        operation_id="jobs_report",
        parameters=[ReportFormat],
        responses={(200, "text/csv"): OpenApiTypes.BINARY, (200, "application/json"): OpenApiTypes.OBJECT},
    )
    @action(detail=True)
    def report(self, request: Request, pk: str) -> StreamingHttpResponse:
        """What became of every row, as a file: `?type=csv` or `?type=json`."""
        return report_answer(self.get_object(), self.filters(ReportFormat)["type"])

    @extend_schema(operation_id="jobs_cancel", request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop after the batch under way. What was added stays; `undo` takes it back."""
        return self._shown(job_cancel(self.get_object(), self.person))

    @extend_schema(operation_id="jobs_undo", request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: str) -> Response:
        """Remove what this import added, while none of its devices has been here."""
        return self._shown(import_undo(self.get_object(), self.person))

    @extend_schema(operation_id="jobs_trust", request=TrustNew, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def trust(self, request: Request, pk: str) -> Response:
        """Trust a manufacturer that this import met, and run just its rows again. For owners and admins."""
        job = self.get_object()
        if not self.membership.may_manage:
            self.permission_denied(request)
        body = self.body(TrustNew)
        job = import_trust(job, self.person, body["fingerprint"], body.get("name", ""))
        ring_after_commit()
        return self._shown(job)

    def _shown(self, job: Job) -> Response:
        return Response(JobSerializer(job, context=self.get_serializer_context()).data)


def causes(job: Job) -> list[dict[str, Any]]:
    """Rejected rows by code, the commonest first."""
    rejected: QuerySet[JobRow] = JobRow.objects.filter(job=job, outcome=JobRow.Outcome.REJECTED)
    counted = rejected.values_list("code").annotate(rows=Count("pk")).order_by("-rows", "code")
    found = []
    for code, rows in counted:
        said = catalogue.voucher_problem(code, {})
        found.append({"code": code, "rows": rows, "sentence": said.sentence, "fix": said.fix})
    return found


def report_answer(job: Job, kind: str) -> StreamingHttpResponse:
    """The report as a download; pages use it too."""
    lines = report_csv(job, explain) if kind == "csv" else report_json(job, explain)
    media_type = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
    answer = StreamingHttpResponse(lines, content_type=media_type)
    answer["Content-Disposition"] = f'attachment; filename="job-{job.pk}.{kind}"'
    return answer
