"""Rules as code hosts are told of them, by the `reportingDescriptor` of SARIF 2.1.0."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from policy.engine_event import Found
from policy.pack import ABOUT
from policy.rule import Rule, Severity
from policy.rules import RULES

# Code hosts sort by this score, from 0 to 10.
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "2.0"}
_BY_ID = {rule.id: rule for rule in RULES}


def descriptor_id(found: Found) -> str:
    """The rule of a finding, or the part of it (`PGTLS-N85/low`) that is as severe as the finding.

    GitHub takes the severity from the rule, so a finding with a severity of its own needs its own descriptor.
    """
    rule = _BY_ID.get(found.rule)
    differs = rule is not None and found.severity not in (rule.severity, "")
    return f"{found.rule}/{found.severity}" if differs else found.rule


def descriptors(found: Iterable[Found]) -> list[dict[str, Any]]:
    """All rules, those parts of them that findings need, and the policies that are no rules."""
    wanted = {descriptor_id(each) for each in found}
    parts = [(rule, each) for rule in RULES for each in Severity if f"{rule.id}/{each}" in wanted]
    return [
        *(_descriptor(rule, rule.id, rule.severity) for rule in RULES),
        *(_descriptor(rule, f"{rule.id}/{severity}", severity) for rule, severity in parts),
        *({"id": name, "shortDescription": {"text": about}} for name, about in ABOUT.items()),
    ]


def _descriptor(rule: Rule, name: str, severity: Severity) -> dict[str, Any]:
    return {
        "id": name,
        "name": re.sub(r"\W", "", name),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title}. {rule.why}"},
        "help": {"text": f"{rule.why} Fix: {rule.fix}. See {rule.link}"},
        "helpUri": rule.link,
        "properties": {
            "tags": ["security", str(rule.area)],
            "security-severity": _SCORES[severity],
            "precision": "high",
        },
    }
