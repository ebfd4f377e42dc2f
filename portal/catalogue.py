"""One catalogue for everything people read about a claim or a device's history: code, sentence, who can fix
it, what to do next. Pages and API take it from here, so that both say the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from bootstrap.bindings.problems import ClaimRefused
from portal.sentences import EVENTS as NOOB_EVENTS
from portal.sentences import NOOB_ERROR_EVENTS, NOOB_ERRORS, PROBLEMS, Button, Entry
from portal.sentences_fdo import FDO_EVENTS
from portal.sentences_vouchers import VOUCHER_PROBLEMS

EVENTS = NOOB_EVENTS | FDO_EVENTS
"""Every line of history, by its code."""


@dataclass(frozen=True, slots=True)
class Said:
    """An entry in the reader's language, with its values."""

    code: str
    sentence: str
    fix: str
    who: str
    tone: str
    buttons: tuple[Button, ...]


class _Values(dict[str, Any]):
    """A value that is missing shows as a dash, never as an error; one of another script keeps to itself."""

    def __missing__(self, key: str) -> str:
        return "–"

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return _isolated(value) if isinstance(value, str) else value


_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


def _isolated(value: str) -> str:
    """What a device says, unable to turn the words around it: no controls, and its direction is its own."""
    text = "".join(character for character in value if character.isprintable())
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"
    return text


def _say(code: str, entry: Entry, detail: Mapping[str, Any]) -> Said:
    values = _Values(detail)
    return Said(
        code,
        _(entry.sentence) % values if entry.sentence else code,
        _(entry.fix) % values if entry.fix else "",
        _(entry.who) if entry.who else "",
        entry.tone,
        entry.buttons,
    )


def problem(refused: ClaimRefused) -> Said:
    """What to tell a person whose claim cannot go on."""
    entry = PROBLEMS[refused.problem]
    if entry.short and "tries_left" not in refused.detail:
        # Only looked at: nothing was counted.
        entry = replace(entry, sentence=entry.short)
    return _say(refused.problem.value, entry, refused.detail)


def problem_status(refused: ClaimRefused) -> int:
    """HTTP status of a refusal."""
    return PROBLEMS[refused.problem].status


def voucher_problem(code: str, detail: Mapping[str, Any]) -> Said:
    """Why a voucher was not taken, or a deed with it not done; without its values where there are none."""
    entry = VOUCHER_PROBLEMS.get(code, Entry("", tone="bad"))
    if entry.short and not detail:
        entry = replace(entry, sentence=entry.short)
    return _say(code, entry, detail)


def event(code: str, detail: Mapping[str, Any]) -> Said:
    """One line of history; a code that is not in the catalogue is shown as it is."""
    entry = EVENTS.get(code, Entry("", tone="info"))
    number = detail.get("code")
    meaning = NOOB_ERRORS.get(number) if isinstance(number, int) and code in NOOB_ERROR_EVENTS else None
    if meaning is not None:
        entry = replace(entry, fix=meaning.fix, who=meaning.who, tone=meaning.tone)
        detail = {**detail, "text": _(meaning.sentence)}
    return _say(code, entry, detail)


def reason(code: str) -> Said:
    """Why a device is stuck, from the code in its row."""
    return event(code, {})


def short(code: str) -> str:
    """A code in a few words without values, for lists."""
    entry = EVENTS.get(code)
    if entry is None:
        return code
    return _(entry.short or entry.sentence)
