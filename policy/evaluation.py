"""Applies rules to resources, each check by itself, so that none hides what another one finds."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from policy.finding import Finding, Verdict
from policy.resources import Resource, Stack
from policy.rule import ANY, Outcome, Rule, Unclear
from policy.values import UndecidedError, Value

_LATER = "checked again in the update, before the resource is created"
_LATER_IN_STACK = "checked again at the end of the update"


def of_resource(rules: Iterable[Rule], resource: Resource) -> list[Finding]:
    """The findings of the resource rules in one resource."""
    return [
        finding
        for rule in rules
        if rule.is_about(resource.type)
        for check in rule.checks
        for finding in _findings(rule, resource, _LATER, lambda check=check: check(resource))
    ]


def of_stack(rules: Iterable[Rule], stack: Stack) -> list[Finding]:
    """The findings of the stack rules, resource by resource."""
    return [
        finding
        for rule in rules
        if rule.is_about_the_stack
        for resource in (stack.resources if ANY in rule.types else stack.of_types(rule.types))
        for check in rule.stack_checks
        for finding in _findings(
            rule, resource, _LATER_IN_STACK, lambda check=check, resource=resource: check(resource, stack)
        )
    ]


def _findings(
    rule: Rule, resource: Resource, later: str, check: Callable[[], Iterator[Outcome]]
) -> Iterator[Finding]:
    try:
        for outcome in check():
            yield _finding(rule, resource, later, outcome)
    except UndecidedError as error:
        yield _finding(rule, resource, later, Unclear.of(error))
    except Exception as error:  # noqa: BLE001 - a bug in one rule must neither pass nor stop the other rules
        last = traceback.extract_tb(error.__traceback__)[-1]
        # The exception's text could contain a property's value, and so a secret.
        place = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
        explanation = f"the rule itself failed, so nothing is proven: {place}"
        yield Finding(rule=rule, resource=resource, verdict=Verdict.CRASHED, explanation=explanation)


def _finding(rule: Rule, resource: Resource, later: str, outcome: Outcome) -> Finding:
    if isinstance(outcome, Unclear):
        explanation = f"{outcome.why}; it is {later}" if outcome.is_decided_later else outcome.why
        return Finding(
            rule=rule,
            resource=resource,
            verdict=Verdict.UNDECIDED,
            explanation=explanation,
            waits_for=outcome.waits_for,
        )
    at = outcome.at
    return Finding(
        rule=rule,
        resource=resource,
        verdict=Verdict.VIOLATED,
        place=at.path if isinstance(at, Value) else str(at),
        value=at.shown if isinstance(at, Value) else "",
        explanation=outcome.reason,
        own_severity=outcome.severity,
    )
