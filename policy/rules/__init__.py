"""Every rule of the pack, by service."""

from __future__ import annotations

from policy.rule import Rule
from policy.rules import iam, rds, rds_parameter_groups

RULES: tuple[Rule, ...] = tuple(
    sorted((*rds.RULES, *rds_parameter_groups.RULES, *iam.RULES), key=lambda rule: rule.id)
)
"""The rules, by id."""
