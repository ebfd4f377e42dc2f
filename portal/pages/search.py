"""The search box's small grammar: words, and ``state:``, ``method:``, ``serial:`` with a value."""

from __future__ import annotations

from dataclasses import dataclass

QUERY_MAX_LENGTH = 200
KEYS = ("state", "method", "serial")


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody looks for."""

    raw: str = ""
    text: str = ""
    state: str = ""
    method: str = ""
    serial: str = ""

    def __bool__(self) -> bool:
        return bool(self.raw)

    @classmethod
    def parse(cls, raw: str) -> Search:
        """Read what was typed; an unknown key is a word like any other."""
        raw = raw.replace("\0", "")[:QUERY_MAX_LENGTH].strip()
        values: dict[str, str] = {}
        words = []
        for word in raw.split():
            key, colon, value = word.partition(":")
            if colon and value and key.lower() in KEYS:
                values[key.lower()] = value if key.lower() == "serial" else value.lower()
            else:
                words.append(word)
        return cls(raw, " ".join(words), **values)
