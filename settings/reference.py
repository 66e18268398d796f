"""The documents generated from the models: the reference for people, and the JSON schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic.alias_generators import to_camel

from postgres import rds_parameters
from postgres.setting_catalogue import CATALOGUE
from settings.problems import PROJECT, Path
from settings.quotas import OF_THE_ACCOUNT, TABLE
from settings.schema import GENERATED, allowed_values, place_in, stack_schema
from settings.stack import Settings

REPOSITORY = FilePath(__file__).resolve().parent.parent
SCHEMA_FILE = REPOSITORY / "docs" / "stack.schema.json"
REFERENCE_FILE = REPOSITORY / "docs" / "configuration.md"

# Defaults that are derived from other keys, which JSON schema cannot express.
_DERIVED = {"minorFloor": "the oldest that is safe for `major`", "architecture": "that of `instanceType`"}


def documents() -> dict[FilePath, str]:
    """The text that each generated document must have."""
    return {SCHEMA_FILE: stack_schema(Settings.model_json_schema()), REFERENCE_FILE: reference()}


def reference() -> str:
    """Every key of a stack file, in Markdown."""
    schema = Settings.model_json_schema()
    lines = [
        "# Configuration of a stack",
        "",
        GENERATED,
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
    return "\n".join([*lines, *_server_settings(), *_rds_parameters(), *_quotas()]) + "\n"


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


def _quotas() -> Iterator[str]:
    yield from ("", "## Quotas of AWS", "")
    yield "A stack file that exceeds one, or whose rendered documents do, is refused by name before anything"
    yield "is deployed. Longer names end in a digest. Where there is a key, the number is AWS's default."
    yield from ("", "| limited | at most | counted in | key of `quotas` | source (November 2026) |")
    yield "|---|---|---|---|---|"
    for quota in TABLE:
        key = f"`{to_camel(quota.setting)}`" if quota.setting else ""
        yield f"| {quota.limited} | {quota.limit} | {quota.counted} | {key} | {quota.source} |"
    yield from ("", "What AWS counts in a whole account cannot be checked here; Service Quotas shows it:", "")
    for service, counters in OF_THE_ACCOUNT.items():
        yield f"- {service}: {counters}"


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
    return {"string": "string", "integer": "whole number", "boolean": "boolean"}.get(
        place.get("type", ""), "string"
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
