"""Stack files as the engine reads them, with the line of each key.

PyYAML by itself follows YAML 1.1 and takes `on` and `yes` for booleans; the engine follows 1.2
there. PyYAML also keeps the last of two equal keys, and the engine rewrites keys that are not strings
(`010` becomes "8"); both are reported here, because the program can no longer see them.

PyYAML is a development dependency: only the sandbox and the tests read stack files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from settings.problems import PROJECT, Path, Problem

if TYPE_CHECKING:
    import yaml

_TOP_LEVEL = ("config", "secretsprovider", "encryptionsalt", "encryptedkey", "environment")
_WORD_BOOLEAN = re.compile(r"y|yes|n|no|on|off", re.IGNORECASE)
_MAP, _SEQUENCE, _TEXT, _BOOLEAN = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "bool"))
_KINDS = {
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "null": "nothing",
    "timestamp": "a date",
}


@dataclass
class StackFile:
    """The project's sections of one stack file, the lines of their keys, and what is wrong with the YAML."""

    sections: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(path: FilePath) -> StackFile:
    """Read a stack file. What cannot be read is in the result's `problems`; OSError is raised as it is."""
    import yaml  # noqa: PLC0415 development dependency

    found = StackFile()
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is not None:
            found.lines[()] = mark.line + 1
        found.problems.append(Problem((), f"is not YAML: {getattr(error, 'problem', None) or error}"))
        return found
    if root is not None and root.tag != _MAP:
        found.problems.append(Problem((), "is not a mapping; a stack file begins with config:"))
    for key, node in _entries(root, (), found):
        if key not in _TOP_LEVEL:
            text = f"the key {key} on line {found.lines[key,]} means nothing to Pulumi"
            found.problems.append(Problem((), f"{text}; allowed: {', '.join(_TOP_LEVEL)}"))
        if key == "config":
            _read_config(node, found)
    return found


def _read_config(config: yaml.Node, found: StackFile) -> None:
    for key, node in _entries(config, (), found):
        namespace, _, section = key.partition(":")
        if namespace == PROJECT and section:
            found.lines[(section,)] = found.lines[(key,)]
            found.sections[section] = _value(node, (section,), found)


def _entries(node: yaml.Node | None, path: Path, found: StackFile) -> Iterator[tuple[str, yaml.Node]]:
    """Keys and values of a mapping; a repeated key, or one that is not a string, becomes a problem."""
    seen: set[str] = set()
    for key, value in node.value if node is not None and node.tag == _MAP else ():
        name = str(key.value)
        place = (*path, name)
        found.lines.setdefault(place, key.start_mark.line + 1)
        if name in seen:
            found.problems.append(
                Problem(place, f"is there twice, again on line {key.start_mark.line + 1}; keep one")
            )
            continue
        seen.add(name)
        if path and key.tag != _TEXT and not _is_word(key):
            kind = _KINDS.get(key.tag.rpartition(":")[2], "something else than text")
            found.problems.append(
                Problem(
                    place,
                    f"the key is read by YAML as {kind}, and the engine rewrites it; write it in quotes",
                )
            )
        yield name, value


def _value(node: yaml.Node, path: Path, found: StackFile) -> Any:
    if node.tag == _MAP:
        entries = dict(_entries(node, path, found))
        if entries.keys() == {"secure"}:
            found.problems.append(
                Problem(
                    path, "is encrypted; settings hold no secrets, so write it as plain text", reads=(path,)
                )
            )
            return None
        return {key: _value(child, (*path, key), found) for key, child in entries.items()}
    if node.tag == _SEQUENCE:
        for index, child in enumerate(node.value):
            found.lines[(*path, index)] = child.start_mark.line + 1
        return [_value(child, (*path, index), found) for index, child in enumerate(node.value)]
    return str(node.value) if _is_word(node) else _scalar(node)


def _is_word(node: yaml.Node) -> bool:
    return node.tag == _BOOLEAN and bool(_WORD_BOOLEAN.fullmatch(node.value))


def _scalar(node: yaml.Node) -> Any:
    import yaml  # noqa: PLC0415 development dependency

    value = yaml.SafeLoader("").construct_object(node)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(node.value)
