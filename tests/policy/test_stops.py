"""What stops a program is right, and what is not stated and is safe by default stops none."""

from __future__ import annotations

import pytest
from pulumi.runtime import proto

from policy.finding import Verdict
from tests.policy.examples import Sent, Stub, diagnostics, message_of
from tests.policy.fixtures.public_programs import PROGRAMS
from tests.policy.fixtures.unstated import UNSTATED


def stopping(resources: list[Sent]) -> set[str]:
    """Rules that stop a deployment."""
    found = diagnostics(Stub(), resources)
    assert Verdict.CRASHED not in {message_of(each).verdict for each in found}
    return {
        each.policyName.removeprefix("PGTLS-") for each in found if each.enforcementLevel == proto.MANDATORY
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_right_verdicts_stop_a_public_program(name: str) -> None:
    resources, expected = PROGRAMS[name]
    assert stopping(resources) == expected


@pytest.mark.parametrize("name", UNSTATED)
def test_the_default_is_judged_where_nothing_is_stated(name: str) -> None:
    resources, expected = UNSTATED[name]
    assert stopping(resources) == expected
