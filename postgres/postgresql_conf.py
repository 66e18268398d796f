"""postgresql.conf as text: writing and reading it (guc-file.l)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from postgres.syntax_error import FileSyntaxError

HEADER = "# Written by passwordless-postgres. Changes by hand are lost."

_NAME = r"[A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)?"
_QUOTED = r"'(?:[^'\\]|''|\\['\\])*'"
_PLAIN = r"[A-Za-z][A-Za-z0-9._:/-]*|[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[A-Za-z]*"
_LINE = re.compile(rf"\s*({_NAME})(?:\s*=\s*|\s+)({_QUOTED}|{_PLAIN})\s*(?:#.*)?")
_BLANK = re.compile(r"\s*(?:#.*)?")
_INCLUDES = frozenset({"include", "include_if_exists", "include_dir"})


class ConfigurationSyntaxError(FileSyntaxError):
    """A postgresql.conf that cannot be read."""


def render_postgresql_conf(settings: Mapping[str, str]) -> str:
    """The file with `settings` in their order; parse_postgresql_conf gives them back.

    Raises:
        ValueError: an invalid name, or a value with control characters, which one line cannot express.
    """
    lines = [HEADER, ""]
    for name, value in settings.items():
        if not re.fullmatch(_NAME, name) or name.lower() in _INCLUDES:
            raise ValueError(f"{name!r} is not the name of a setting")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise ValueError(f"{name} = {value!r} has control characters; remove them")
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    return "\n".join(lines) + "\n"


def parse_postgresql_conf(text: str) -> dict[str, str]:
    """The settings of `text` by lower-case name, in their order.

    Stricter than PostgreSQL: includes, settings given twice, and escapes other than `''`, `\\\\` and
    `\\'` are refused.

    Raises:
        ConfigurationSyntaxError: with every fault of the file.
    """
    settings: dict[str, str] = {}
    first_lines: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"postgresql.conf line {number}"
        content = line.removesuffix("\r")
        if any(ord(character) < 32 and character != "\t" for character in content):
            problems.append(f"{where} has control characters; remove them")
            continue
        if _BLANK.fullmatch(content):
            continue
        match = _LINE.fullmatch(content)
        name = match[1].lower() if match else content.split(maxsplit=1)[0].lower()
        if name in _INCLUDES:
            problems.append(f"{where} includes another file; write the settings themselves")
        elif match is None:
            problems.append(f"{where} ({content.strip()}) is not `name = 'value'`")
        elif name in settings:
            problems.append(f"{where} sets {name} again, after line {first_lines[name]}; keep one")
        else:
            settings[name] = _value(match[2])
            first_lines[name] = number
    if problems:
        raise ConfigurationSyntaxError(problems)
    return settings


def _value(text: str) -> str:
    return re.sub(r"''|\\(.)", lambda match: match[1] or "'", text[1:-1]) if text.startswith("'") else text
