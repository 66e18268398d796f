"""Enforcement levels and exemptions in the pack's configuration."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pulumi.runtime import proto

from policy.finding import Verdict
from tests.policy.examples import (
    INSTANCE,
    UNKNOWN,
    Stub,
    a_pack,
    configured,
    diagnostics,
    group,
    hardened,
    instance,
    message_of,
    replaced,
    sent,
    stack_request,
)

WEAK = hardened(instance(storageEncrypted=False, caCertIdentifier=None))
RESOURCE = f"{INSTANCE}::server"


def exemption(**changed: Any) -> dict[str, Any]:
    return {
        "rule": "PGTLS-P002",
        "resource": RESOURCE,
        "reason": "Holds public data only, for the fair",
        "owner": "platform team",
        "expires": "2026-11-01",
        **changed,
    }


def levels(stub: Any, resources: Any = WEAK) -> dict[str, int]:
    return {each.policyName: each.enforcementLevel for each in diagnostics(stub, resources)}


def test_severity_decides_what_a_violation_does() -> None:
    weakest = hardened(group(parameters=replaced("rds.force_ssl", "0", "immediate")), *WEAK[1:])
    expected = {"PGTLS-N41": 1, "PGTLS-P016": 1, "PGTLS-P002": 1, "PGTLS-N50": 0, "PGTLS-N44": 0}
    assert levels(Stub(), weakest) == expected
    assert levels(configured(Stub()), weakest) == expected


def test_a_finding_can_be_less_severe_than_its_rule() -> None:
    weak = [sent("aws:lambda/function:Function", "f", {"description": f"postgresql://app@db.example/app?{ending}"})
            for ending in ("sslmode=verify-full", "sslmode=require")]  # fmt: skip

    def said(stub: Any) -> list[tuple[int, int, str]]:
        return [
            (each.enforcementLevel, each.severity, message_of(each).rules[0].severity)
            for each in diagnostics(stub, weak)
        ]

    low = (proto.ADVISORY, proto.POLICY_SEVERITY_LOW, "low")
    high = (proto.MANDATORY, proto.POLICY_SEVERITY_HIGH, "high")
    assert said(Stub()) == [low, high]
    assert said(configured(Stub(), enforcement={"low": "disabled"})) == [high]
    assert said(configured(Stub(), enforcement={"low": "mandatory", "high": "advisory"})) == [
        (proto.MANDATORY, *low[1:]),
        (proto.ADVISORY, *high[1:]),
    ]
    assert said(configured(Stub(), enforcement={"PGTLS-N85": "mandatory"}))[0][0] == proto.MANDATORY


def test_the_configuration_sets_the_level_of_a_severity() -> None:
    stub = configured(Stub(), enforcement={"high": "advisory", "medium": "mandatory"})
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-N50": 1}


def test_the_level_of_one_rule_goes_before_that_of_its_severity_and_the_engine_s() -> None:
    stub = configured(Stub(), enforcement={"high": "advisory", "PGTLS-P002": "mandatory"})
    assert levels(stub) == {"PGTLS-P002": 1, "PGTLS-N50": 0}
    stub = configured(Stub(), enforcement={"PGTLS-P002": "disabled", "PGTLS-N50": "mandatory"})
    assert levels(stub) == {"PGTLS-N50": 1}


def test_a_severity_can_be_disabled() -> None:
    stub = configured(Stub(), enforcement={"medium": "disabled"})
    assert levels(stub) == {"PGTLS-P002": 1}


def test_the_engine_sets_the_level_of_one_rule() -> None:
    stub = Stub()
    request = _defaults(stub)
    request.policyConfig["PGTLS-P002"].enforcementLevel = 0
    request.policyConfig["PGTLS-N50"].enforcementLevel = 2
    request.policyConfig["PGTLS-configuration"].properties.update({"enforcement": {"medium": "mandatory"}})
    stub.Configure(request)
    assert levels(stub) == {"PGTLS-P002": 0}


def _defaults(stub: Any) -> Any:
    request = proto.ConfigureAnalyzerRequest()
    for each in stub.GetAnalyzerInfo(None).policies:
        request.policyConfig[each.name].enforcementLevel = each.enforcementLevel
    return request


@pytest.mark.parametrize("named", [RESOURCE, f"urn:pulumi:prod::passwordless-postgres::{RESOURCE}"])
def test_an_exemption_holds_to_its_last_day_and_is_listed(named: str) -> None:
    stub = configured(Stub(), exemptions=[exemption(resource=named)])
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-N50": 0}
    (message,) = [each.message for each in diagnostics(stub, WEAK) if each.policyName == "PGTLS-P002"]
    assert "Exempt: Holds public data only, for the fair (platform team, until 2026-11-01)" in message


def test_an_expired_exemption_is_a_violation_and_exempts_nothing() -> None:
    pack = a_pack(clock=lambda: date(2026, 11, 2))
    stub = configured(Stub(pack), exemptions=[exemption()])
    assert levels(stub) == {"PGTLS-P002": 1, "PGTLS-N50": 0, "PGTLS-configuration": 1}
    messages = {each.policyName: each.message for each in diagnostics(stub, WEAK)}
    assert "its exemption by platform team expired on 2026-11-01" in messages["PGTLS-P002"]
    assert "from PGTLS-P002 by platform team expired on 2026-11-01" in messages["PGTLS-configuration"]


def test_an_expired_exemption_counts_where_nothing_is_violated() -> None:
    pack = a_pack(clock=lambda: date(2026, 11, 2))
    stub = configured(Stub(pack), exemptions=[exemption()])
    assert levels(stub, hardened()) == {"PGTLS-configuration": 1}


def test_an_exemption_that_is_not_needed_is_a_violation() -> None:
    stub = configured(Stub(), exemptions=[exemption()])
    (found,) = diagnostics(stub, hardened())
    assert (found.policyName, found.enforcementLevel) == ("PGTLS-configuration", 1)
    assert "from PGTLS-P002 by platform team is not needed" in found.message


def test_an_exemption_from_a_stack_rule_is_needed_as_long_as_the_rule_finds_something() -> None:
    of_stack = exemption(rule="PGTLS-N45")
    assert levels(configured(Stub(), exemptions=[of_stack]), hardened(instance(engineVersion="16"))) == {
        "PGTLS-N45": 0
    }
    assert levels(configured(Stub(), exemptions=[of_stack]), hardened()) == {"PGTLS-configuration": 1}


def test_each_stack_decides_anew_whether_an_exemption_is_needed() -> None:
    stub = configured(Stub(), exemptions=[exemption()])
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-N50": 0}
    assert levels(stub, hardened()) == {"PGTLS-configuration": 1}
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-N50": 0}


def test_an_exemption_of_a_resource_that_was_not_looked_at_is_not_judged() -> None:
    stub = configured(Stub(), exemptions=[exemption()])
    assert list(stub.AnalyzeStack(stack_request(hardened())).diagnostics) == []


def test_an_exemption_from_a_rule_that_is_disabled_is_not_judged() -> None:
    stub = configured(Stub(), exemptions=[exemption()], enforcement={"high": "disabled"})
    assert levels(stub, hardened()) == {}


@pytest.mark.parametrize(
    "other", [{"rule": "PGTLS-N50"}, {"resource": f"{INSTANCE}::other"}, {"resource": "server"}]
)
def test_an_exemption_is_about_one_rule_and_one_resource(other: dict[str, str]) -> None:
    assert levels(configured(Stub(), exemptions=[exemption(**other)]))["PGTLS-P002"] == 1


def test_what_is_undecided_is_not_exempt() -> None:
    stub = configured(Stub(), exemptions=[exemption()])
    (found,) = diagnostics(stub, hardened(instance(storageEncrypted=UNKNOWN)))
    assert message_of(found).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rule": "PGTLS-X1"}, "there is no rule 'PGTLS-X1'"),
        ({"reason": "because"}, "the reason must have at least 20 characters"),
        ({"reason": " " * 30}, "the reason must have at least 20 characters"),
        ({"owner": " "}, "the owner is empty"),
        ({"expires": "soon"}, "expires: 'soon' is not a date"),
        ({"expires": "2026-02-30"}, "expires: '2026-02-30' is not a date"),
        ({"expires": 20261101}, "expires must be a string"),
        ({"resource": f"{INSTANCE}::other"}, "matches no resource of the stack"),
        ({"until": "2027-01-01"}, "unknown key until"),
    ],
)
def test_a_wrong_exemption_is_a_violation_and_exempts_nothing(changed: dict[str, Any], words: str) -> None:
    stub = configured(Stub(), exemptions=[exemption(**changed)])
    found = {each.policyName: each for each in diagnostics(stub, WEAK)}
    assert found["PGTLS-P002"].enforcementLevel == 1
    assert found["PGTLS-configuration"].enforcementLevel == 1
    assert words in found["PGTLS-configuration"].message


@pytest.mark.parametrize("missing", ["rule", "resource", "reason", "owner", "expires"])
def test_every_part_of_an_exemption_is_needed(missing: str) -> None:
    entry = exemption()
    del entry[missing]
    found = levels(configured(Stub(), exemptions=[entry]))
    assert found["PGTLS-P002"] == found["PGTLS-configuration"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"exemptions": {}},
        {"exemptions": ["all"]},
        {"enforcement": []},
        {"enforcement": {"severe": "advisory"}},
        {"enforcement": {"high": "off"}},
        {"enforcement": {"PGTLS-P002": "off"}},
        {"enforcement": {"PGTLS-X1": "mandatory"}},
        {"exempt": []},
    ],
)
def test_a_wrong_configuration_is_a_violation_and_weakens_nothing(wrong: dict[str, Any]) -> None:
    assert levels(configured(Stub(), **wrong)) == {
        "PGTLS-P002": 1,
        "PGTLS-N50": 0,
        "PGTLS-configuration": 1,
    }
