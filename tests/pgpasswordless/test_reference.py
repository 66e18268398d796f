"""The generated documentation in docs/."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgpasswordless import reference

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (reference.DRIVERS_NAME, reference.drivers_text()),
        (reference.SCHEMA_NAME, reference.schema_text()),
    ],
)
def test_the_generated_documentation_is_up_to_date(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run: python -m pgpasswordless.reference docs"
