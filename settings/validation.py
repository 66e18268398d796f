"""A model's validation with pydantic: everything wrong in our words, and the rest to go on with.

One wrong value must not hide what is wrong elsewhere, nor lead to findings that are only its
consequence. So what is wrong is taken out and the rest validated again; the result is used for
cross-field validation and for nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from settings.problems import ABSENT, Path, Problem, may_be_secret
from settings.schema import allowed_values, place_in
from settings.section import Section

_YAML_KINDS = {bool: "a boolean", int: "a number", float: "a number"}

Model = TypeVar("Model", bound=Section)


def validated(model: type[Model], given: Mapping[str, Any]) -> tuple[Model, list[Problem]]:
    """The model of what is valid in `given`, and a problem for each value that is not."""
    found: list[Problem] = []
    while True:
        try:
            return model.model_validate(given, by_alias=True, by_name=False), found
        except ValidationError as error:
            details = [each for each in error.errors() if not _is_consequence(each)]
        schema = model.model_json_schema()
        found = found or [_problem(each, schema) for each in details]
        rest = _valid_rest(given, details, schema)
        given = rest if rest != given else {}


def _is_consequence(details: ErrorDetails) -> bool:
    """Whether something else is wrong: the source of a derived default, or what left a list too short."""
    return details["type"] == "default_factory_not_called" or (
        details["type"] == "too_short" and len(details["input"]) > 0
    )


def with_string_keys(value: Any, path: Path, found: list[Problem]) -> Any:
    """A copy of `value` with strings as keys; each key that is not a string is added to `found`."""
    if isinstance(value, (list, tuple)):
        return [with_string_keys(child, (*path, index), found) for index, child in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    copy: dict[str, Any] = {}
    for key, child in value.items():
        place = (*path, str(key))
        if not isinstance(key, str):
            found.append(
                Problem(place, f"the key is read by YAML as {_kind_of(key)}, not as text; write it in quotes")
            )
        copy[str(key)] = with_string_keys(child, place, found)
    return copy


def _valid_rest(
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
    return _without(given, (), wrong, missing)


def _without(value: Any, here: Path, wrong: set[Path], missing: Mapping[Path, Any]) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = {
        key: _without(child, (*here, key), wrong, missing)
        for key, child in value.items()
        if not _is_wrong(child, (*here, key), {*wrong, *missing})
    }
    return kept | {str(path[-1]): example for path, example in missing.items() if path[:-1] == here}


def _is_wrong(value: Any, here: Path, wrong: set[Path]) -> bool:
    inside = isinstance(value, (list, tuple)) and any(path[: len(here)] == here for path in wrong)
    return here in wrong or inside


def _problem(details: ErrorDetails, schema: Mapping[str, Any]) -> Problem:
    """One of pydantic's findings in our words; `schema` is the JSON schema of the whole configuration."""
    location = details["loc"]
    is_key = bool(location) and location[-1] == "[key]"
    path: Path = location[:-1] if is_key else location
    if details["type"] == "extra_forbidden":
        return Problem(path, _unknown_key(str(path[-1]), place_in(schema, path[:-1])))
    place = place_in(schema, path[:-1]).get("propertyNames", {}) if is_key else place_in(schema, path)
    value = details["input"]
    if may_be_secret(path, value) and details["type"] != "missing":
        return Problem(path, f"(value not shown) is not allowed; allowed: {_expected(place)}")
    message, shows_value = _message(details, place)
    return Problem(path, message, value if shows_value and not is_key else ABSENT)


def _message(details: ErrorDetails, place: Mapping[str, Any]) -> tuple[str, bool]:
    """The text, and whether the value is to be shown before it."""
    value, context, expected = details["input"], details.get("ctx", {}), _expected(place)
    shows_value = details["type"] not in ("missing", "too_short", "too_long")
    match details["type"]:
        case "missing":
            text = f"is required and missing; give {expected}"
        case "string_type":
            text = _not_a_string(value, place)
            shows_value = not isinstance(value, (Mapping, list, tuple))
        case "int_type":
            text = f"is not a whole number; allowed: {expected}"
        case "bool_type":
            text = f"is not a boolean; allowed: {expected}"
        case "literal_error" | "greater_than_equal" | "less_than_equal":
            text = f"is not allowed; allowed: {expected}"
        case "too_short":
            text = f"is empty; give at least {context['min_length']}"
        case "too_long":
            text = f"has {len(value)} entries; allowed: at most {context['max_length']}"
        case "tuple_type":
            text = "is not a list; write it as [first, second]"
        case "model_type" | "dict_type" | "mapping_type":
            text = f"is not a mapping; {_mapping_keys(place)}"
        case "value_error":
            text = f"{context['error']}; allowed: {expected}"
            shows_value = repr(value) not in text
        case _:
            text = f"is not allowed ({details['msg']}); allowed: {expected}"
    return text, shows_value


def _expected(place: Mapping[str, Any]) -> str:
    items = place.get("items", {})
    if "$ref" not in items and allowed_values(items):
        return f"a list, each {allowed_values(items)}"
    return allowed_values(place) or place.get("description", "a value").split(";")[0].rstrip(".")


def _unknown_key(key: str, place: Mapping[str, Any]) -> str:
    known = {name.lower(): name for name in place.get("properties", ())}
    near = difflib.get_close_matches(key.lower().replace("_", ""), known, n=1, cutoff=0.6)
    hint = f"; did you mean {known[near[0]]}?" if near else ";"
    return f"unknown key{hint} allowed: {', '.join(known.values())}"


def _not_a_string(value: Any, place: Mapping[str, Any]) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        kind = "a mapping" if isinstance(value, Mapping) else "a list"
        return f"must be a string, not {kind}; allowed: {_expected(place)}"
    if value is None:
        return f"has no value; allowed: {_expected(place)}"
    return (
        f"is read by YAML as {_kind_of(value)}, not as text; write it in quotes. Allowed: {_expected(place)}"
    )


def _kind_of(value: Any) -> str:
    """What YAML took something for that should be a string."""
    return _YAML_KINDS.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")


def _mapping_keys(place: Mapping[str, Any]) -> str:
    return (
        f"allowed keys: {', '.join(place['properties'])}"
        if "properties" in place
        else "write it as name: value"
    )
