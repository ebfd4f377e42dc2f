"""The description of the API is current and valid, and every operation keeps it whatever it is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from api_device import waiting
from api_world import Side
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.api.schema import document

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"
EXAMPLES = 100 if os.environ.get("ONWARD_LONG") else 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def operations() -> list[str]:
    """``GET /path`` and so on: everything that the committed description promises."""
    paths = yaml.safe_load(COMMITTED.read_text())["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests stay in the test's transaction: as Django's own test client does, do not close after each."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def test_the_committed_description_is_what_the_code_says(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(fresh), stdout=StringIO())
    same = fresh.read_text() == COMMITTED.read_text()
    assert same, "write it again: python manage.py spectacular --file docs/reference/openapi.yaml"


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["*/*", "application/vnd.oai.openapi", "application/json"])
def test_anybody_gets_the_same_description(accept: str) -> None:
    answer = APIClient().get("/api/v1/schema", HTTP_ACCEPT=accept, HTTP_ACCEPT_LANGUAGE="fi")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content) == yaml.safe_load(COMMITTED.read_text())


def test_no_response_of_the_description_speaks_of_keys_and_state() -> None:
    schemas = document()["components"]["schemas"]
    assert not {"state", "material", "token"} & set(schemas["Session"]["properties"])
    assert "secret" not in schemas["AccessPoint"]["properties"]


class Undo(Exception):
    """Ends an example: what it wrote is taken back, so that every example finds the same rows."""


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.usefixtures("one_connection")
@pytest.mark.parametrize("operation", operations())
def test_an_operation_keeps_its_promise_whatever_it_is_sent(operation: str) -> None:
    method, path = operation.split()
    mine = Side("Mine")
    ids = mine.everything()
    codes = [waiting("OWN", organization_id=mine.organization.pk).shows(), "nonsense"]
    own_id = ids.get(path.split("/")[3], 1)
    schema = schemathesis.openapi.from_dict(document())
    schema.app = get_wsgi_application()
    called = schema[path][method]
    token = mine.client._credentials["HTTP_AUTHORIZATION"]
    cases = st.one_of(
        called.as_strategy(generation_mode=GenerationMode.POSITIVE),
        called.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @given(case=cases, own=st.booleans(), code=st.sampled_from(codes))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def keeps(case: Any, own: bool, code: str) -> None:
        if own and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = str(own_id)
        if own and isinstance(case.body, dict) and "code" in case.body:
            case.body["code"] = code
        try:
            with transaction.atomic():
                case.call_and_validate(headers={"Authorization": token}, checks=CHECKS)
                raise Undo
        except Undo:
            pass

    keeps()
