"""Properties of `aws-native` that the pack's table lacks."""

from __future__ import annotations

from collections.abc import Iterator

from policy.aws_native import TYPES
from policy.resources import Resource
from policy.rule import Area, Outcome, Rule, Severity, Unclear


def _is_read(resource: Resource) -> Iterator[Outcome]:
    # Only what the table lacks arrives under an aws-native type that the table has.
    for name in resource.properties:
        if resource[name].given:
            yield Unclear(why=f"{name} is not in the pack's table of {resource.type}, so no rule reads it")


RULES = (
    Rule(
        id="PGTLS-N94",
        title="Every property of an aws-native resource is one that the pack can read",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=tuple(TYPES),
        checks=(_is_read,),
        why="A property that no rule reads could weaken what the others require.",
        fix="review the property, and add it to policy/aws_native.py",
        link="https://www.pulumi.com/registry/packages/aws-native/",
    ),
)
