#!/usr/bin/env python
"""Command line of the portal. Every command takes ``--data-dir``."""

from __future__ import annotations

import os
import sys


def take_data_dir(argv: list[str]) -> list[str]:
    """Move ``--data-dir DIR`` into the environment: settings are read before any command parses its own."""
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--data-dir":
            value = next(words, "")
        elif word.startswith("--data-dir="):
            value = word.partition("=")[2]
        else:
            rest.append(word)
            continue
        if not value:
            sys.exit("--data-dir needs a folder")
        os.environ["ONWARD_DATA_DIR"] = os.path.abspath(value)
    return rest


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    argv = take_data_dir(sys.argv)
    from django.core.management import execute_from_command_line  # noqa: PLC0415 (settings come first)

    execute_from_command_line(argv)


if __name__ == "__main__":
    main()
