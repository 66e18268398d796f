"""The section `tags`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from settings.problems import Problem
from settings.section import Checked

_TAG_CHARACTERS = re.compile(r"[\w .:/=+\-@]*")


def _tag_key_problems(key: str) -> list[str]:
    if not key:
        return ["is empty"]
    found = [f"has {len(key)} characters; AWS takes 128"] if len(key) > 128 else []
    if key.lower().startswith("aws:"):
        found.append("begins with aws:, which AWS keeps for itself; choose another key")
    if key == "Name":
        found.append("is set by the program, to each resource's own name; choose another key")
    return found + _tag_character_problems(key)


def _tag_value_problems(value: str) -> list[str]:
    found = [f"has {len(value)} characters; AWS takes 256"] if len(value) > 256 else []
    return found + _tag_character_problems(value)


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
