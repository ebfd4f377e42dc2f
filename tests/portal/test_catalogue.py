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
from bootstrap.protocols.eap_noob.constants import ERROR_INFO, NEEDS_A_PERSON, NOTE, NoobErrorCode
from bootstrap.protocols.fdo.constants import MessageType
from bootstrap.protocols.fdo.server.outcome import NOTE_CODES
from devices.models import OnboardingStep
from portal import catalogue, sentences

ROOT = Path(__file__).resolve().parents[2]
SERVER_SIDE = (
    "bootstrap/protocols/eap_noob/server",
    "bootstrap/protocols/fdo/server",
    "bootstrap/protocols/provisioning",
    "bootstrap/bindings",
    "bootstrap/engine",
    "devices",
    "portal",
)
NAMED_VALUE = re.compile(r"%\((\w+)\)s")
TONES = {"ok", "info", "warn", "bad"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the code that may write a line of history; names of local values stand for the values."""
    for folder in SERVER_SIDE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text())
            for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
                Spelled(function).visit(function)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    yield getattr(node.func, "id", None) or node.func.attr, node


class Spelled(ast.NodeTransformer):
    """``Note(code, level, detail)`` with what was assigned to ``code`` and ``detail`` in the same function."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.values: dict[str, ast.expr] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.values[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                self.values[node.target.id] = node.value

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Of the calls that write lines."""
        if isinstance(node.func, ast.Name) and node.func.id == "Note":
            node.args = [self.values.get(getattr(a, "id", ""), a) for a in node.args]
        self.generic_visit(node)
        return node


def words(node: ast.expr) -> list[str]:
    """The constants an argument may be."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def noted_codes(node: ast.expr) -> list[str]:
    """What the first argument of ``noted`` stands for: of EAP-NOOB a word, of FDO a message."""
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "MessageType":
        return [NOTE_CODES[MessageType[node.attr]]]
    return [NOTE + word for word in words(node)]


def written_codes() -> set[str]:
    """Codes of events as the code writes them: ``Note``, ``noted`` of EAP-NOOB, ``event_write``, steps and reasons."""
    codes: set[str] = set()
    for name, call in calls():
        if name == "Note" and call.args:
            codes.update(words(call.args[0]))
        elif name == "noted" and call.args:
            codes.update(noted_codes(call.args[0]))
        elif name == "event_write" and len(call.args) > 1:
            codes.update(words(call.args[1]))
        elif name in ("_stuck", "_show"):
            codes.update(word for argument in call.args[1:] for word in words(argument) if "." in word)
    codes.discard(NOTE)
    codes.discard("onboarding.")
    return codes | {f"onboarding.{step.value}" for step in OnboardingStep}


def written_details() -> Iterator[tuple[str, set[str]]]:
    """Each place that writes a line of history: its code, and the names of the values that go along."""
    for name, call in calls():
        named = {keyword.arg for keyword in call.keywords if keyword.arg}
        if name == "Note" and call.args and words(call.args[0]):
            tables = [
                node
                for argument in (*call.args[1:], *(keyword.value for keyword in call.keywords))
                for node in ast.walk(argument)
                if isinstance(node, ast.Dict)
            ]
            keys = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
            yield from ((code, keys) for code in words(call.args[0]))
        elif name == "noted" and call.args:
            yield from ((code, named) for code in noted_codes(call.args[0]))
        elif name == "event_write" and len(call.args) > 1:
            yield from ((code, named) for code in words(call.args[1]))


def test_every_value_that_a_sentence_names_is_written_with_it() -> None:
    checked = set()
    for code, keys in written_details():
        if code in catalogue.EVENTS:
            entry = catalogue.EVENTS[code]
            assert set(NAMED_VALUE.findall(entry.sentence + entry.fix)) <= keys, code
            checked.add(code)
    with_values = {code for code, entry in catalogue.EVENTS.items() if NAMED_VALUE.search(entry.sentence)}
    assert with_values <= checked, "each was found where it is written"
    assert len(checked & with_values) >= 10


@pytest.mark.parametrize("code", sorted(catalogue.EVENTS))
def test_the_short_words_have_no_values(code: str) -> None:
    said = catalogue.short(code)
    assert said
    assert said != code
    assert "%" not in said


def test_the_short_words_of_a_code_from_the_future_are_the_code() -> None:
    assert catalogue.short("fdo.to2.message-68") == "fdo.to2.message-68"


class TestNoobErrors:
    """The numbers of RFC 9140 Table 10, for people."""

    EVENTS = ("eap-noob.error.sent", "eap-noob.error.received")

    def test_every_number_has_a_meaning(self) -> None:
        assert set(sentences.NOOB_ERRORS) == set(NoobErrorCode)

    @pytest.mark.parametrize("code", EVENTS)
    @pytest.mark.parametrize("number", list(NoobErrorCode))
    def test_it_says_what_who_and_what_to_do(self, code: str, number: NoobErrorCode) -> None:
        said = catalogue.event(code, {"code": int(number), "text": ERROR_INFO[number]})
        assert f"error {int(number)}: " in said.sentence
        assert said.sentence.endswith(".")
        assert not said.sentence.endswith("..")
        assert ERROR_INFO[number] not in said.sentence, "not the registry's words"
        assert said.fix.endswith(".")
        assert said.who

    @pytest.mark.parametrize("number", sorted(NEEDS_A_PERSON))
    def test_what_no_retry_heals_needs_somebody(self, number: NoobErrorCode) -> None:
        entry = sentences.NOOB_ERRORS[number]
        assert (entry.tone, entry.who != sentences.DEVICE) == ("bad", True)

    @pytest.mark.parametrize("number", [6001, 6999, 9999, 0, -1, "3002", None, [1]])
    def test_any_other_number_is_shown_with_the_devices_words(self, number: object) -> None:
        said = catalogue.event("eap-noob.error.received", {"code": number, "text": "tea is cold"})
        assert "tea is cold" in said.sentence
        assert str(number) in said.sentence

    def test_the_number_of_another_event_is_left_alone(self) -> None:
        said = catalogue.event("claim.confirmed", {"code": 3002, "person": "Ada"})
        assert said.sentence == "Ada confirmed the device."


class TestWordsOfDevices:
    """They are values in our sentence and cannot turn it around."""

    @pytest.mark.parametrize(
        "words", ["\u202egnihtyna", "\u2069\u2066x", "a\x00b\x1b[31m", "line\nline\u2028line"]
    )
    def test_controls_are_left_out(self, words: str) -> None:
        said = catalogue.event("provisioning.item-failed", {"item": "net", "detail": words}).sentence
        assert said.isprintable()

    def test_another_script_keeps_to_itself(self) -> None:
        said = catalogue.event("provisioning.item-failed", {"item": "net", "detail": "שלום 123"}).sentence
        assert "\u2068שלום 123\u2069" in said

    def test_plain_words_stay_as_they_are(self) -> None:
        said = catalogue.problem(ClaimRefused(ClaimProblem.NOBODY_WITH_SERIAL, serial="T2-Ä9")).sentence
        assert "T2-Ä9." in said
        assert "\u2068" not in said

    def test_long_words_break_nothing(self) -> None:
        assert catalogue.event("eap-noob.error.received", {"code": 6001, "text": "%" * 500}).sentence


def test_the_search_for_codes_finds_what_is_known_to_be_written() -> None:
    assert {
        "claim.confirmed",
        "eap-noob.completed",
        "fdo.action-failed",
        "fdo.hello-device",
        "voucher.extended",
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
    for button in sentences.PROBLEMS[problem].buttons:
        try:
            reverse(button.to)
        except NoReverseMatch:
            assert reverse(button.to, args=[1])


def test_sentences_name_their_values_so_that_translators_can_move_them() -> None:
    for entry in (*sentences.PROBLEMS.values(), *catalogue.EVENTS.values()):
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
