"""The two documents generated from the models: the JSON schema for editors, the reference for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from postgres import rds_parameters
from postgres.setting_catalogue import CATALOGUE
from settings import Settings
from settings.problems import PROJECT, Path, allowed_values, place_in

REPOSITORY = FilePath(__file__).resolve().parent.parent
SCHEMA_FILE = REPOSITORY / "docs" / "stack.schema.json"
REFERENCE_FILE = REPOSITORY / "docs" / "configuration.md"

_GENERATED = "Generated from settings.py by `python -m configuration`; change it there."
# Defaults that are derived from other keys; JSON schema has no word for that.
_DERIVED = {"minorFloor": "the oldest that is safe for `major`", "architecture": "that of `instanceType`"}


def documents() -> dict[FilePath, str]:
    """The text that each generated document must have."""
    return {SCHEMA_FILE: stack_schema(), REFERENCE_FILE: reference()}


def stack_schema() -> str:
    """JSON schema (2020-12) of a stack file."""
    settings = Settings.model_json_schema()
    definitions = {name: _for_editors(part) for name, part in settings["$defs"].items()}
    sections = {f"{PROJECT}:{name}": _for_editors(part) for name, part in settings["properties"].items()}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Stack file of {PROJECT}",
        "$comment": _GENERATED,
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


def reference() -> str:
    """Every key of a stack file, in Markdown."""
    schema = Settings.model_json_schema()
    lines = [
        "# Configuration of a stack",
        "",
        _GENERATED,
        "",
        "All keys of `stacks/Pulumi.<stack>.yaml`. A key without a value counts as absent. Every error of a",
        "file is reported at once, before anything is deployed.",
    ]
    for section in schema["properties"]:
        place = place_in(schema, (section,))
        lines += ["", f"## `{PROJECT}:{section}`", "", place["description"]]
        lines += ["", "| key | type | default | allowed | meaning |", "|---|---|---|---|---|"]
        rows = list(_entries(schema, (section,), "")) or [_Entry("<name>", place, required=False)]
        lines += [_row(schema, entry) for entry in rows]
    return "\n".join([*lines, *_server_settings(), *_rds_parameters()]) + "\n"


def _server_settings() -> Iterator[str]:
    yield from ("", "## Server settings", "")
    yield "What `selfManaged.serverSettings` may hold. What has a unit needs one, such as `256MB` or `30s`."
    yield from ("", "| setting | majors | allowed | takes effect |", "|---|---|---|---|")
    for name in sorted(CATALOGUE):
        for rule in CATALOGUE[name]:
            majors = f"{rule.since}" if rule.since == rule.until else f"{rule.since}-{rule.until}"
            effect = "restart" if rule.needs_restart else "reload"
            yield f"| `{name}` | {majors} | {rule.allowed()} | {effect} |"


def _rds_parameters() -> Iterator[str]:
    yield from ("", "## Parameters of RDS", "")
    yield "What `rds.parameters` may hold, written as in postgresql.conf; the program translates units. What"
    yield "it sets itself (`rds.force_ssl`, TLS minimum, ciphers, SCRAM, connection logs) is not among them."
    yield from ("", "| parameter | from | takes effect |", "|---|---|---|")
    for name in sorted(rds_parameters.OF_USERS):
        parameter = rds_parameters.CATALOGUE[name]
        yield f"| `{name}` | {parameter.since} | {'reboot' if parameter.static else 'at once'} |"


@dataclass(frozen=True)
class _Entry:
    key: str
    place: Mapping[str, Any]
    required: bool


def _entries(schema: Mapping[str, Any], path: Path, key: str) -> Iterator[_Entry]:
    """Every key below `path`, outer ones first; `<name>` stands for a key of the user's choice."""
    place = place_in(schema, path)
    if place.get("type") == "array":
        yield from _entries(schema, (*path, 0), f"{key}[]")
    elif isinstance(place.get("additionalProperties"), Mapping):
        yield from _entries(schema, (*path, "<name>"), f"{key}.<name>")
    for name in place.get("properties", ()):
        inner = f"{key}.{name}".removeprefix(".")
        yield _Entry(inner, place_in(schema, (*path, name)), name in place.get("required", ()))
        yield from _entries(schema, (*path, name), inner)


def _row(schema: Mapping[str, Any], entry: _Entry) -> str:
    place = entry.place
    cells = (
        f"`{entry.key}`",
        _type(schema, place),
        "**required**" if entry.required else _default(entry),
        _allowed(schema, place),
        place.get("description", ""),
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _type(schema: Mapping[str, Any], place: Mapping[str, Any]) -> str:
    if place.get("type") == "array":
        return f"list of {_type(schema, _inner(schema, place, 'items'))}"
    if place.get("type") == "object":
        values = place.get("additionalProperties")
        return (
            f"names, each with a {_type(schema, _inner(schema, place, 'additionalProperties'))}"
            if values
            else "mapping"
        )
    return {"string": "text", "integer": "whole number", "boolean": "boolean"}.get(
        place.get("type", ""), "text"
    )


def _inner(schema: Mapping[str, Any], place: Mapping[str, Any], step: str) -> Mapping[str, Any]:
    return place_in({**place[step], "$defs": schema["$defs"]}, ())


def _default(entry: _Entry) -> str:
    default = entry.place.get("default")
    if derived := _DERIVED.get(entry.key):
        return derived
    if default is None or default in ([], {}):
        return "none"
    if isinstance(default, Mapping):
        return "as below"
    return f"`{json.dumps(default)}`"


def _allowed(schema: Mapping[str, Any], place: Mapping[str, Any]) -> str:
    if place.get("type") == "array":
        return allowed_values(_inner(schema, place, "items"))
    if names := place.get("propertyNames"):
        return f"names: {allowed_values(names)}"
    return "" if place.get("type") == "object" else allowed_values(place)
