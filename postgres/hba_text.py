"""One rule as one line of pg_hba.conf."""

from __future__ import annotations

from postgres.authentication_file import quote, quote_where_needed, regex_of_literal
from postgres.hba_rule import DATABASE_KEYWORDS, USER_KEYWORDS, Rule, name_of_literal


def rule_line(rule: Rule, major: int) -> str:
    """The record without its comment. Every value is one token, whatever it holds."""
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
        # From 16 on a leading slash begins an expression even inside quotes.
        return quote(regex_of_literal(name) if name.startswith("/") and major >= 16 else name)
    return quote(entry) if entry.startswith("/") else quote_where_needed(entry)
