"""Every way a claim can end and every line of history has words, and none of them can break a page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from django.urls import NoReverseMatch, reverse

from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.engine import onboarding
from bootstrap.protocols.eap_noob.constants import NOTE
from devices.models import OnboardingStep
from portal import catalogue

ROOT = Path(__file__).resolve().parents[2]
SERVER_SIDE = (
    "bootstrap/protocols/eap_noob/server",
    "bootstrap/protocols/provisioning",
    "bootstrap/bindings",
    "bootstrap/engine",
    "devices",
    "portal",
)
NAMED_VALUE = re.compile(r"%\((\w+)\)s")
TONES = {"ok", "info", "warn", "bad"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the code that may write a line of history."""
    for folder in SERVER_SIDE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    yield getattr(node.func, "id", None) or node.func.attr, node


def words(node: ast.expr) -> list[str]:
    """The constants an argument may be."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def written_codes() -> set[str]:
    """Codes of events as the code writes them: ``Note``, ``noted`` of EAP-NOOB, ``event_write``, steps and reasons."""
    codes: set[str] = set()
    for name, call in calls():
        if name == "Note" and call.args:
            codes.update(words(call.args[0]))
        elif name == "noted" and call.args:
            codes.update(NOTE + word for word in words(call.args[0]))
        elif name == "event_write" and len(call.args) > 1:
            codes.update(words(call.args[1]))
        elif name in ("_stuck", "_show"):
            codes.update(word for argument in call.args[1:] for word in words(argument) if "." in word)
    codes.discard(NOTE)
    codes.discard("onboarding.")
    return codes | {f"onboarding.{step.value}" for step in OnboardingStep}


def test_the_search_for_codes_finds_what_is_known_to_be_written() -> None:
    assert {
        "claim.confirmed",
        "eap-noob.completed",
        "provisioning.reported",
        "onboarding.silent",
    } <= written_codes()
    assert onboarding.event_write  # the name that the search looks for


@pytest.mark.parametrize("code", sorted(written_codes()))
def test_every_line_of_history_has_a_sentence(code: str) -> None:
    assert code in catalogue.EVENTS
    said = catalogue.event(code, {})
    assert said.sentence.strip()
    assert said.sentence != code
    assert said.tone in TONES


@pytest.mark.parametrize("problem", list(ClaimProblem))
def test_every_refusal_says_what_who_and_what_next(problem: ClaimProblem) -> None:
    said = catalogue.problem(ClaimRefused(problem))
    assert said.code == problem.value
    assert said.sentence.endswith((".", "?"))
    assert said.tone in TONES
    assert len(said.buttons) <= 2
    assert said.fix or said.buttons
    assert said.tone == "ok" or said.who, "somebody can fix it"
    assert 400 <= catalogue.problem_status(ClaimRefused(problem)) < 500


def test_what_one_has_already_is_no_error_colour() -> None:
    for problem in (
        ClaimProblem.ALREADY_MINE,
        ClaimProblem.ADDED_BY_COLLEAGUE,
        ClaimProblem.ALREADY_RECEIVED,
    ):
        assert catalogue.problem(ClaimRefused(problem)).tone == "ok"


def test_another_owner_is_never_named() -> None:
    said = catalogue.problem(
        ClaimRefused(ClaimProblem.OTHER_OWNER, organization="Rivals", owner="eve@example.com")
    )
    assert "Rivals" not in repr(said)
    assert "eve@" not in repr(said)


@pytest.mark.parametrize("problem", list(ClaimProblem))
def test_every_button_leads_to_a_page(problem: ClaimProblem) -> None:
    for button in catalogue.PROBLEMS[problem].buttons:
        try:
            reverse(button.to)
        except NoReverseMatch:
            assert reverse(button.to, args=[1])


def test_sentences_name_their_values_so_that_translators_can_move_them() -> None:
    for entry in (*catalogue.PROBLEMS.values(), *catalogue.EVENTS.values()):
        for text in (entry.sentence, entry.fix):
            assert "%" not in NAMED_VALUE.sub("", text), text
            assert not list(Formatter().parse(text))[1:], text


def test_a_missing_value_is_a_dash_and_a_strange_one_is_only_text() -> None:
    assert "–" in catalogue.event("provisioning.reported", {}).sentence
    said = catalogue.event("provisioning.item-failed", {"item": "%(detail)s %s {0}", "detail": "100%"})
    assert "%(detail)s %s {0}" in said.sentence


def test_a_code_from_the_future_is_shown_as_it_is() -> None:
    said = catalogue.event("fdo.to2.message-68", {"x": 1})
    assert said.sentence == said.code == "fdo.to2.message-68"
    assert said.tone in TONES
