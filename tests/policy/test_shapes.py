"""Every property of every example as unknown, secret or of another type: no crash, no leak, no false pass."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from policy.evaluation import of_resource
from policy.finding import Verdict
from policy.message import Message
from policy.rules import RULES
from tests.policy.examples import UNKNOWN, Sent, ids, in_process, resource, secret
from tests.policy.test_rules import PASSES, REFUSED

SHAPES: tuple[Any, ...] = ([], {}, 5, "x", True, [None], [{}], {"x": [UNKNOWN]}, -0.5, "\ud7ff", [[["x"]]])


def each_once() -> list[Sent]:
    """The distinct resources of every example."""
    found: dict[str, Sent] = {}
    stacks = [*PASSES.values(), *(resources for resources, _ in REFUSED.values())]
    for each in (each for stack in stacks for each in stack):
        found.setdefault(repr((each["type"], sorted(each["properties"].items(), key=str))), each)
    return list(found.values())


RESOURCES = each_once()


def with_each_property(of: Sent, values: tuple[Any, ...]) -> Iterator[tuple[str, Sent]]:
    for index, name in enumerate(of["properties"]):
        changed = copy.deepcopy(of)
        changed["properties"][name] = values[(index + len(of["name"])) % len(values)]
        yield name, changed


def violated(of: Sent) -> set[str]:
    findings = of_resource(RULES, resource(of))
    assert [each.explanation for each in findings if each.verdict is Verdict.CRASHED] == []
    return {each.rule.id for each in findings if each.verdict is Verdict.VIOLATED}


def test_an_unknown_property_adds_no_violation() -> None:
    for of in RESOURCES:
        before = violated(of)
        for name, changed in with_each_property(of, (UNKNOWN,)):
            assert violated(changed) <= before, f"{of['type']}.{name}"


def test_a_property_in_any_shape_crashes_no_rule() -> None:
    for of in RESOURCES:
        for _, changed in with_each_property(of, SHAPES):
            violated(changed)


def test_a_stack_in_any_shape_crashes_no_rule() -> None:
    stacks = [*PASSES.values(), *(resources for resources, _ in REFUSED.values())]
    for number, stack in enumerate(stacks):
        changed = [
            dict(with_each_property(of, SHAPES[number % len(SHAPES) :])).get(name, of)
            for of in stack
            for name in list(of["properties"])[number % max(len(of["properties"]), 1) :][:1]
        ]
        assert ids(in_process(changed), "crashed") == set()


def test_a_property_that_is_a_secret_is_judged_as_any_other() -> None:
    for of in RESOURCES:
        hidden = {**of, "properties": {name: secret(each) for name, each in of["properties"].items()}}
        # P144 refuses a secret in a parameter that is not a SecureString.
        assert violated(hidden) - {"PGTLS-P144"} == violated(of) - {"PGTLS-P144"}, of


@pytest.mark.parametrize("name", [name for name, (stack, _) in REFUSED.items() if len(stack) == 1])
def test_no_message_shows_what_is_secret(name: str) -> None:
    [of] = REFUSED[name][0]
    hidden = {**of, "properties": {key: secret(each) for key, each in of["properties"].items()}}
    texts = [each for each in strings(of["properties"]) if len(each) > 24 and "\n" not in each]
    for finding in of_resource(RULES, resource(hidden)):
        said = Message.of(finding).statement
        assert not [each for each in texts if each in said], f"{name}: {said}"


def strings(raw: Any) -> Iterator[str]:
    if isinstance(raw, str):
        yield raw
    elif isinstance(raw, dict):
        for each in raw.values():
            yield from strings(each)
    elif isinstance(raw, list):
        for each in raw:
            yield from strings(each)
