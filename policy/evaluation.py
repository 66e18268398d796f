"""Rules applied to resources: each check by itself, so that nothing hides what another one finds."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from policy.finding import Finding, Verdict
from policy.registered import Resource, Stack
from policy.rule import Outcome, Problem, Rule
from policy.values import UndecidedError

LATER = "checked again in the update, before the resource is made"
LATER_IN_STACK = "checked again at the end of the update"


def of_resource(rules: Iterable[Rule], resource: Resource) -> list[Finding]:
    """What the resource rules find in one resource."""
    return [
        finding
        for rule in rules
        if rule.is_about(resource.type)
        for check in rule.checks
        for finding in _findings(rule, resource, lambda check=check: check(resource))
    ]


def of_stack(rules: Iterable[Rule], stack: Stack) -> list[Finding]:
    """What the stack rules find, resource by resource."""
    return [
        finding
        for rule in rules
        if rule.is_about_the_stack
        for resource in stack.of_types(rule.types)
        for check in rule.stack_checks
        for finding in _findings(
            rule, resource, lambda check=check, resource=resource: check(resource, stack)
        )
    ]


def _findings(rule: Rule, resource: Resource, check: Callable[[], Iterator[Outcome]]) -> Iterator[Finding]:
    try:
        for outcome in check():
            if isinstance(outcome, Problem):
                found = outcome.property
                verdict, detail = Verdict.VIOLATED, f"{found.path} is {found.shown}: {outcome.expected}"
            else:
                verdict, detail = Verdict.UNDECIDED, outcome.why
            yield Finding(rule=rule, resource=resource, verdict=verdict, detail=detail)
    except UndecidedError as error:
        later = LATER_IN_STACK if rule.is_about_the_stack else LATER
        yield Finding(
            rule=rule, resource=resource, verdict=Verdict.UNDECIDED, detail=f"{error}; it is {later}"
        )
    except Exception as error:  # noqa: BLE001 - a rule's mistake must neither pass nor stop the other rules
        last = traceback.extract_tb(error.__traceback__)[-1]
        # The exception's text could hold a property's value, and with it a secret.
        detail = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
        yield Finding(rule=rule, resource=resource, verdict=Verdict.CRASHED, detail=detail)
