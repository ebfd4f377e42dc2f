"""Codes to sentences for programs that show them to people; the words are the catalogue's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def event_sentence(code: str, detail: Mapping[str, Any]) -> str:
    """One line of a timeline."""
    return code


def reason_sentence(code: str) -> str:
    """Why a device is stuck."""
    return code
