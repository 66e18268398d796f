"""What is wrong with a configuration, and how it is said: one line per problem."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROJECT = "passwordless-postgres"

Path = tuple[str | int, ...]

_YAML_KINDS = {bool: "a boolean", int: "a number", float: "a number"}
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SECRET_NAME = re.compile(
    r"password(?!_enc)|passphrase|token|credential|private_?key|secret(?!readers)", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"PRIVATE KEY|^v1:[A-Za-z0-9+/=]+:|\[secret\]|AKIA[0-9A-Z]{16}|://[^/]*:[^/]*@|password\s*=",
    re.IGNORECASE,
)
_LONGEST_SHOWN = 100
ABSENT: Any = object()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    `path` leads from the section to the place, with the keys as the user wrote them; `value` is
    what stands there (ABSENT: do not show it); `reads` are the places the finding depends on, so
    that it is kept back while one of them is wrong itself (default: `path`).
    """

    path: Path
    message: str
    value: Any = ABSENT
    reads: tuple[Path, ...] = ()

    def depends_on(self, lost: Iterable[Path]) -> bool:
        """Whether one of the `lost` places is among what this finding reads."""
        reads = self.reads or (self.path,)
        return any(read[: len(path)] == path[: len(read)] for path in lost for read in reads)


class SettingsError(ValueError):
    """A configuration that cannot be used; `str()` is one line for each of `problems`."""

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        source: str = "",
        lines: Mapping[Path, int] | None = None,
    ) -> None:
        """List the problems; `source` and `lines` say in which file and on which lines they are."""
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(_position(each.path, source, lines or {}) + _line(each) for each in self.problems)
        )


def written(path: Path) -> str:
    """The path as `pulumi config --path` takes it, such as `passwordless-postgres:tags.owner`."""
    section, *rest = path or ("",)
    return f"{PROJECT}:{section}" + "".join(_step(step) for step in rest)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{json.dumps(step)}]"


def _position(path: Path, source: str, lines: Mapping[Path, int]) -> str:
    # A key that is missing has no line of its own; its nearest surroundings do.
    line = next((lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines), None)
    if not source:
        return ""
    return f"{source}:{line}: " if line else f"{source}: "


def _line(problem: Problem) -> str:
    where = f"{written(problem.path)}: " if problem.path else ""
    value = "" if problem.value is ABSENT else f"{shown(problem.value)} "
    return where + value + " ".join(problem.message.split())


def shown(value: Any) -> str:
    """A value for people: as JSON, cut when long, and only its kind when it has parts."""
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def may_be_secret(path: Path, value: Any) -> bool:
    """Whether a value that is wrong where it stands could be a secret that somebody put there."""
    names = (step for step in path if isinstance(step, str))
    return any(_SECRET_NAME.search(name) for name in names) or (
        isinstance(value, str) and bool(_SECRET_VALUE.search(value))
    )


def from_validation(details: Mapping[str, Any], schema: Mapping[str, Any]) -> Problem:
    """One of pydantic's findings in our words; `schema` is the JSON schema of the whole configuration."""
    location: tuple[Any, ...] = details["loc"]
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


def _message(details: Mapping[str, Any], place: Mapping[str, Any]) -> tuple[str, bool]:
    """The text, and whether the value is to be shown before it."""
    value, context, expected = details["input"], details.get("ctx", {}), _expected(place)
    shows_value = details["type"] not in ("missing", "too_short", "too_long")
    match details["type"]:
        case "missing":
            text = f"is required and missing; give {expected}"
        case "string_type":
            text = _not_a_text(value, place)
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


def place_in(schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The part of a JSON schema that describes the value at `path`; empty where there is none."""
    place = _resolved(schema, schema)
    for step in path:
        if isinstance(step, int):
            place = place.get("items", {})
        else:
            place = place.get("properties", {}).get(step) or place.get("additionalProperties") or {}
        place = _resolved(place if isinstance(place, dict) else {}, schema)
    return place


def _resolved(place: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`place` with its reference followed and the `null` of an optional value left out."""
    alternatives = [choice for choice in place.get("anyOf", ()) if choice.get("type") != "null"]
    merged = {**place, **(alternatives[0] if len(alternatives) == 1 else {})}
    if reference := merged.get("$ref"):
        return {**schema["$defs"][reference.rpartition("/")[2]], **merged}
    return merged


def _expected(place: Mapping[str, Any]) -> str:
    items = place.get("items", {})
    if "$ref" not in items and allowed_values(items):
        return f"a list, each {allowed_values(items)}"
    return allowed_values(place) or place.get("description", "a value").split(";")[0].rstrip(".")


def allowed_values(place: Mapping[str, Any]) -> str:
    """What a part of a JSON schema allows, in words; empty where it says nothing particular."""
    if "x-allowed" in place:
        return place["x-allowed"]
    if "enum" in place:
        return ", ".join(str(choice) for choice in place["enum"])
    if "const" in place:
        return str(place["const"])
    if "minimum" in place and "maximum" in place:
        return f"a whole number from {place['minimum']} to {place['maximum']}"
    if "minimum" in place:
        return f"a whole number from {place['minimum']}"
    return {"boolean": "true, false", "integer": "a whole number", "string": "a text"}.get(
        place.get("type", ""), ""
    )


def _unknown_key(key: str, place: Mapping[str, Any]) -> str:
    known = {name.lower(): name for name in place.get("properties", ())}
    near = difflib.get_close_matches(key.lower().replace("_", ""), known, n=1, cutoff=0.6)
    hint = f"; did you mean {known[near[0]]}?" if near else ";"
    return f"is not a key of this place{hint} allowed: {', '.join(known.values())}"


def _not_a_text(value: Any, place: Mapping[str, Any]) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return f"is not a text; allowed: {_expected(place)}"
    if value is None:
        return f"has no value; allowed: {_expected(place)}"
    return (
        f"is read by YAML as {kind_of(value)}, not as text; write it in quotes. Allowed: {_expected(place)}"
    )


def kind_of(value: Any) -> str:
    """What YAML took something for that should be text."""
    return _YAML_KINDS.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")


def _mapping_keys(place: Mapping[str, Any]) -> str:
    return (
        f"allowed keys: {', '.join(place['properties'])}"
        if "properties" in place
        else "write it as name: value"
    )
