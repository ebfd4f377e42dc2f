"""Reference pages that are generated from the code equal what the code says now."""

from __future__ import annotations

import pytest
from django.conf import settings

from portal.management.commands.reference import pages


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "errors.md"])
def test_a_generated_page_is_up_to_date(name):
    committed = (settings.BASE_DIR / "docs" / "reference" / name).read_text()
    assert committed == pages()[name], "run manage.py reference"
