"""Mending what is wrong in a configuration, so that the rest of it can still be checked.

One wrong value must not hide what is wrong elsewhere, nor lead to findings that are only its
consequence. The mended configuration is used for finding contradictions and for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from settings.problems import Path, Problem, kind_of, place_in

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def with_text_keys(value: Any, path: Path, found: list[Problem]) -> Any:
    """A copy of `value` whose keys are all text; each key that was none is added to `found`."""
    if isinstance(value, (list, tuple)):
        return [with_text_keys(child, (*path, index), found) for index, child in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    copy: dict[str, Any] = {}
    for key, child in value.items():
        place = (*path, str(key))
        if not isinstance(key, str):
            found.append(
                Problem(place, f"the key is read by YAML as {kind_of(key)}, not as text; write it in quotes")
            )
        copy[str(key)] = with_text_keys(child, place, found)
    return copy


def repaired(
    given: Mapping[str, Any], details: Sequence[ErrorDetails], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """A copy of `given` without the values that pydantic found wrong, and examples for what is missing.

    A list with something wrong inside is left out as a whole, because leaving out an element would
    move the ones behind it.
    """
    wrong: set[Path] = set()
    missing: dict[Path, Any] = {}
    for each in details:
        location = each["loc"]
        examples = place_in(schema, location).get("examples")
        if each["type"] == "missing" and examples:
            missing[location] = examples[0]
        else:
            wrong.add(location[:-1] if location[-1] == "[key]" else location)
    return _repaired(given, (), wrong, missing)


def _repaired(value: Any, here: Path, wrong: set[Path], missing: Mapping[Path, Any]) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = {
        key: _repaired(child, (*here, key), wrong, missing)
        for key, child in value.items()
        if not _is_wrong(child, (*here, key), {*wrong, *missing})
    }
    return kept | {str(path[-1]): example for path, example in missing.items() if path[:-1] == here}


def _is_wrong(value: Any, here: Path, wrong: set[Path]) -> bool:
    inside = isinstance(value, (list, tuple)) and any(path[: len(here)] == here for path in wrong)
    return here in wrong or inside
