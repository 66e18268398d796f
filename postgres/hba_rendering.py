"""Typed rules as the text of pg_hba.conf."""

from __future__ import annotations

from collections.abc import Iterable

from postgres.authentication_file import quote, quote_where_needed, regex_of_literal
from postgres.hba_rule import DATABASE_KEYWORDS, USER_KEYWORDS, Rule, name_of_literal, rule_problems
from postgres.versions import require_supported

HEADER = "# Written by passwordless-postgres. The first line that matches decides; changes by hand are lost."


def render_hba(rules: Iterable[Rule], major: int) -> str:
    """The file with `rules` in their order, for PostgreSQL `major`; parse_hba gives them back.

    Raises:
        ValueError: a rule that this major cannot express; the message lists every fault with its rule.
    """
    require_supported(major)
    rules = list(rules)
    problems = [
        f"rule {number} ({rule.type} {','.join(rule.databases)} {','.join(rule.users)}): {problem}"
        for number, rule in enumerate(rules, start=1)
        for problem in rule_problems(rule, major)
    ]
    if problems:
        raise ValueError("; ".join(problems))
    lines = [HEADER, ""]
    for rule in rules:
        if rule.comment is not None:
            lines.append(f"# {rule.comment}")
        lines.append(rule_line(rule, major))
    return "\n".join(lines) + "\n"


def rule_line(rule: Rule, major: int) -> str:
    """The record without its comment. Every value is one token, whatever its characters."""
    columns = [
        str(rule.type),
        ",".join(_entry(entry, DATABASE_KEYWORDS, major) for entry in rule.databases),
        ",".join(_user(entry, major) for entry in rule.users),
    ]
    if rule.address is not None:
        columns.append(rule.address)
    columns.append(str(rule.method))
    columns += [f"{name}={quote_where_needed(value)}" for name, value in rule.options]
    return " ".join(columns)


def _user(entry: str, major: int) -> str:
    if entry.startswith("+"):
        return "+" + quote_where_needed(entry[1:])
    return _entry(entry, USER_KEYWORDS, major)


def _entry(entry: str, keywords: frozenset[str], major: int) -> str:
    if entry in keywords:
        return entry
    name = name_of_literal(entry)
    if name is not None:
        # From 16 on a leading slash starts an expression even inside quotes.
        return quote(regex_of_literal(name) if name.startswith("/") and major >= 16 else name)
    return quote(entry) if entry.startswith("/") else quote_where_needed(entry)
