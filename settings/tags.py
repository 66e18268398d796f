"""The section `tags`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from settings.problems import Problem
from settings.quotas import RESOURCE_TAGS, TAG_KEY, TAG_VALUE, Quota
from settings.section import Checked

MAX_TAGS = RESOURCE_TAGS.limit - 1
"""Tags of a stack; `Name` is set by the program."""

_TAG_CHARACTERS = re.compile(r"[\w .:/=+\-@]*")


def _tag_key_problems(key: str) -> list[str]:
    if not key:
        return ["is empty"]
    found = _length_problems(key, TAG_KEY)
    if key.lower().startswith("aws:"):
        found.append("begins with aws:, which AWS keeps for itself; choose another key")
    if key == "Name":
        found.append("is set by the program, to each resource's own name; choose another key")
    return found + _tag_character_problems(key)


def _tag_value_problems(value: str) -> list[str]:
    found = _length_problems(value, TAG_VALUE)
    return found + _tag_character_problems(value)


def _length_problems(text: str, quota: Quota) -> list[str]:
    return [f"has {len(text)} characters; AWS takes {quota.limit}"] if quota.excess(len(text)) else []


def _tag_character_problems(text: str) -> list[str]:
    if _TAG_CHARACTERS.fullmatch(text):
        return []
    return ["has characters that AWS does not take in tags; use letters, digits, spaces and . : / = + - @ _"]


TagKey = Annotated[str, Checked(_tag_key_problems, "a tag key of up to 128 characters, not aws:...")]
TagValue = Annotated[str, Checked(_tag_value_problems, "a tag value of up to 256 characters")]


def tag_problems(keys: Iterable[str]) -> Iterator[Problem]:
    """Cross-field validation of valid tags: keys that differ in case only."""
    seen: dict[str, str] = {}
    for key in keys:
        if (twin := seen.setdefault(key.lower(), key)) != key:
            yield Problem(
                ("tags", key), f"differs from {twin} in case only, which IAM refuses; keep one of them"
            )
