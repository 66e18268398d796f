"""The table of what runs together names files that are there."""

from __future__ import annotations

from pathlib import Path

from tests.distribution import GROUP_OF, GROUPS

ROOT = Path(__file__).resolve().parents[1]


def test_every_file_of_a_group_exists_and_is_in_one_group_only() -> None:
    assert [file for file in GROUP_OF if not (ROOT / file).is_file()] == []
    assert len(GROUP_OF) == sum(len(files) for files in GROUPS.values())
