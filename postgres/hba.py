"""pg_hba.conf: typed rules, rendering, reading, and judging."""

from __future__ import annotations

from collections.abc import Iterable

from postgres.hba_analysis import Finding, Severity, analyse_hba
from postgres.hba_parser import HbaSyntaxError, ParsedRule, parse_hba
from postgres.hba_rule import (
    AuthenticationMethod,
    ConnectionType,
    Rule,
    literal_name,
    rule_problems,
)
from postgres.hba_text import rule_line
from postgres.versions import require_supported

__all__ = [
    "AuthenticationMethod",
    "ConnectionType",
    "Finding",
    "HbaSyntaxError",
    "ParsedRule",
    "Rule",
    "Severity",
    "analyse_hba",
    "literal_name",
    "parse_hba",
    "render_hba",
    "rule_problems",
]

HEADER = "# Written by passwordless-postgres. The first line that matches decides; changes by hand are lost."


def render_hba(rules: Iterable[Rule], major: int) -> str:
    """The file that says `rules`, in their order, to PostgreSQL `major`; parse_hba gives them back.

    Raises:
        ValueError: a rule that this major cannot say; the message lists every fault with its rule.
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
