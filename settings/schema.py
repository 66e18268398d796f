"""The JSON schema of the settings: what it says of one place, and the schema of stack files for editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from settings.problems import PROJECT, Path

GENERATED = "Generated from the models in settings/ by `python -m settings`; change them there."


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
    return {"boolean": "true, false", "integer": "a whole number", "string": "a string"}.get(
        place.get("type", ""), ""
    )


def stack_schema(settings: Mapping[str, Any]) -> str:
    """JSON schema (2020-12) of a stack file, from the JSON schema of the settings."""
    definitions = {name: _for_editors(part) for name, part in settings["$defs"].items()}
    sections = {f"{PROJECT}:{name}": _for_editors(part) for name, part in settings["properties"].items()}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Stack file of {PROJECT}",
        "$comment": GENERATED,
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": {"aws:region": {"type": "string", "description": "AWS region."}, **sections},
                "patternProperties": {f"^(?!{PROJECT}:)[^:]+:.+$": True},
                "additionalProperties": False,
            },
            "secretsprovider": {"type": "string"},
            "encryptionsalt": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "environment": True,
        },
        "additionalProperties": False,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _for_editors(part: Any) -> Any:
    """A part of pydantic's schema with what is allowed in words where an editor shows it."""
    if isinstance(part, list):
        return [_for_editors(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    kept = {
        key: _for_editors(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
    }
    if allowed := kept.pop("x-allowed", None):
        kept["description"] = (
            f"{kept['description']} Allowed: {allowed}." if "description" in kept else allowed
        )
    return kept
