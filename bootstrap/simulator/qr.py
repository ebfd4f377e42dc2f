"""A QR code for the terminal: two modules per character, so that it fits 80 columns."""

from __future__ import annotations

import qrcode
from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M

COLUMNS = 80
_BORDER = 4
"""Quiet zone in modules (ISO/IEC 18004)."""
_BLACK_ON_WHITE = "\x1b[30;107m"
_RESET = "\x1b[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
"""Upper and lower module set, to the character that shows them."""


def render(text: str, *, ansi: bool = False, columns: int = COLUMNS) -> str:
    """Lines of half blocks.

    With ``ansi`` dark modules are black on white whatever the terminal's colours are. Without, light modules
    are drawn, right on a dark background; on a light one the code is inverted, and phones read that too.
    """
    rows = _modules(text, columns)
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        line = "".join(_HALVES[(u is ansi, d is ansi)] for u, d in zip(upper, lower, strict=True))
        lines.append(f"{_BLACK_ON_WHITE}{line}{_RESET}" if ansi else line)
    return "\n".join(lines)


def _modules(text: str, columns: int) -> list[list[bool]]:
    """Rows of modules with quiet zone; less error correction rather than more than ``columns``."""
    rows: list[list[bool]] = []
    for correction in (ERROR_CORRECT_M, ERROR_CORRECT_L):
        code = qrcode.QRCode(error_correction=correction, border=_BORDER)
        code.add_data(text)
        code.make(fit=True)
        rows = [[bool(module) for module in row] for row in code.get_matrix()]
        if len(rows) <= columns:
            break
    return rows
