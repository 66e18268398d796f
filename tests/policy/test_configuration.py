"""Enforcement levels and exemptions in the pack's configuration."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pulumi.runtime import proto

from policy.finding import Verdict
from policy.pack import OWN
from policy.rule import Severity
from policy.rules import RULES
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

WEAK = hardened(instance(storageEncrypted=False, dbSubnetGroupName=None))
RESOURCE = f"{INSTANCE}::server"
STOPPING = [rule for rule in RULES if rule.severity in (Severity.CRITICAL, Severity.HIGH)]


def exemption(**changed: Any) -> dict[str, Any]:
    given = {
        "rule": "PGTLS-P002",
        "scope": RESOURCE,
        "reason": "Holds public data only, for the fair",
        "owner": "platform team",
        "expires": "2027-06-30",
    }
    return {key: value for key, value in {**given, **changed}.items() if value is not None}


def levels(stub: Any, resources: Any = WEAK) -> dict[str, int]:
    return {each.policyName: each.enforcementLevel for each in diagnostics(stub, resources)}


def test_severity_decides_what_a_violation_does() -> None:
    weakest = hardened(group(parameters=replaced("rds.force_ssl", "0", "immediate")), *WEAK[1:])
    expected = {"PGTLS-N41": 1, "PGTLS-P016": 1, "PGTLS-P002": 1, "PGTLS-P020": 0, "PGTLS-N44": 0}
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
    of_low, of_high = (exemption(rule=None, severity=each, scope="*") for each in ("low", "high"))
    assert said(configured(Stub(), exemptions=[{**of_low, "level": "disabled"}])) == [high]
    assert said(configured(Stub(), enforcement={"low": "mandatory"}, exemptions=[of_high])) == [
        (proto.MANDATORY, *low[1:]),
        (proto.ADVISORY, *high[1:]),
    ]
    assert said(configured(Stub(), enforcement={"PGTLS-N85": "mandatory"}))[0][0] == proto.MANDATORY


def test_the_configuration_raises_the_level_of_a_severity_or_of_a_rule() -> None:
    assert levels(configured(Stub(), enforcement={"medium": "mandatory"})) == {
        "PGTLS-P002": 1,
        "PGTLS-P020": 1,
    }
    assert levels(configured(Stub(), enforcement={"PGTLS-P020": "mandatory"}))["PGTLS-P020"] == 1
    but_one = {"medium": "mandatory", "PGTLS-P020": "advisory"}
    assert levels(configured(Stub(), enforcement=but_one))["PGTLS-P020"] == 0


@pytest.mark.parametrize(
    "weakening",
    [
        {"critical": "disabled"},
        {"high": "advisory"},
        {"low": "disabled"},
        {"PGTLS-P002": "advisory"},
        {"PGTLS-P020": "disabled"},
        {"medium": "mandatory", "high": "disabled"},
    ],
)
def test_the_configuration_lowers_no_level_without_reason_owner_and_end(weakening: dict[str, str]) -> None:
    stub = configured(Stub(), enforcement=weakening)
    found = levels(stub)
    assert (found["PGTLS-P002"], found["PGTLS-configuration"]) == (1, 1)
    assert "PGTLS-P020" in found
    (message,) = [
        each.message for each in diagnostics(stub, WEAK) if each.policyName == "PGTLS-configuration"
    ]
    name = next(each for each in reversed(weakening))
    assert f"enforcement.{name} is '{weakening[name]}', and its default" in message
    assert "an entry in exemptions lowers a level, with rule or severity, scope, level, reason" in message


@pytest.mark.parametrize(
    ("weakening", "words"),
    [
        ({"PGTLS-P002": 2}, "the engine's keys set PGTLS-P002 to 'disabled'"),
        ({"PGTLS-P002": 0}, "the engine's keys set PGTLS-P002 to 'advisory'"),
        ({"PGTLS-P002": 2, "PGTLS-P020": 2}, "set PGTLS-P002, PGTLS-P020 to 'disabled'"),
        ({"PGTLS-configuration": 2}, "set PGTLS-configuration to 'disabled'"),
        ({"all": 2}, f"set {len(RULES) + len(OWN)} policies to 'disabled'"),
        (
            {"all": 0},
            f"set {sum(rule.severity in ('critical', 'high') for rule in RULES) + 1} policies to 'advisory'",
        ),
    ],
)
def test_the_engines_keys_lower_no_level(weakening: dict[str, int], words: str) -> None:
    stub = Stub()
    request = _defaults(stub)
    for name, level in weakening.items():
        # As the engine does it: `all` is sent too, and sets every other key.
        for key in (*request.policyConfig, name) if name == "all" else (name,):
            request.policyConfig[key].enforcementLevel = level
    stub.Configure(request)
    assert levels(stub) == {"PGTLS-P002": 1, "PGTLS-P020": 0, "PGTLS-configuration": 1}
    (message,) = [
        each.message for each in diagnostics(stub, WEAK) if each.policyName == "PGTLS-configuration"
    ]
    assert words in message


def test_the_engines_keys_raise_a_level() -> None:
    stub = Stub()
    request = _defaults(stub)
    request.policyConfig["PGTLS-P020"].enforcementLevel = 1
    stub.Configure(request)
    assert levels(stub) == {"PGTLS-P002": 1, "PGTLS-P020": 1}


def test_an_engines_key_that_names_no_rule_is_a_violation() -> None:
    stub = Stub()
    request = _defaults(stub)
    request.policyConfig["PGTLS-P0002"].enforcementLevel = 1
    stub.Configure(request)
    messages = {each.policyName: each.message for each in diagnostics(stub, WEAK)}
    assert "'PGTLS-P0002' is no rule of this pack" in messages["PGTLS-configuration"]


def _defaults(stub: Any) -> Any:
    request = proto.ConfigureAnalyzerRequest()
    for each in stub.GetAnalyzerInfo(None).policies:
        request.policyConfig[each.name].enforcementLevel = each.enforcementLevel
    return request


@pytest.mark.parametrize(
    "scope", [RESOURCE, f"urn:pulumi:prod::passwordless-postgres::{RESOURCE}", INSTANCE, "*"]
)
def test_an_exemption_holds_in_its_scope_and_is_listed(scope: str) -> None:
    stub = configured(Stub(), exemptions=[exemption(scope=scope)])
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-P020": 0}
    (message,) = [each.message for each in diagnostics(stub, WEAK) if each.policyName == "PGTLS-P002"]
    assert "Exempt: Holds public data only, for the fair (platform team, until 2027-06-30)" in message


def test_an_exemption_can_disable_a_rule_or_a_severity() -> None:
    assert levels(configured(Stub(), exemptions=[exemption(level="disabled")])) == {"PGTLS-P020": 0}
    severe = exemption(rule=None, severity="high", scope="*", level="disabled")
    assert levels(configured(Stub(), exemptions=[severe])) == {"PGTLS-P020": 0}
    waiting = hardened(instance(storageEncrypted=UNKNOWN))
    assert levels(configured(Stub(), exemptions=[exemption(level="disabled")]), waiting) == {}


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2027, 5, 30), {"PGTLS-P002": 0}),
        (date(2027, 5, 31), {"PGTLS-P002": 0, "PGTLS-configuration": 0}),
        (date(2027, 6, 30), {"PGTLS-P002": 0, "PGTLS-configuration": 0}),
        (date(2027, 7, 1), {"PGTLS-P002": 1, "PGTLS-configuration": 1}),
    ],
)
def test_the_end_of_an_exemption_is_announced_30_days_before(day: date, expected: dict[str, int]) -> None:
    stub = configured(Stub(a_pack(clock=lambda: day)), exemptions=[exemption()])
    assert levels(stub) == {"PGTLS-P020": 0, **expected}
    messages = {each.policyName: each.message for each in diagnostics(stub, WEAK)}
    assert ("ends in" in messages.get("PGTLS-configuration", "")) == (
        expected.get("PGTLS-configuration") == 0
    )


def test_an_exemption_ends_at_most_400_days_ahead() -> None:
    latest = exemption(expires="2027-12-06")
    assert levels(configured(Stub(), exemptions=[latest])) == {"PGTLS-P002": 0, "PGTLS-P020": 0}


def test_an_expired_exemption_is_a_violation_and_exempts_nothing() -> None:
    pack = a_pack(clock=lambda: date(2027, 7, 1))
    stub = configured(Stub(pack), exemptions=[exemption()])
    assert levels(stub) == {"PGTLS-P002": 1, "PGTLS-P020": 0, "PGTLS-configuration": 1}
    messages = {each.policyName: each.message for each in diagnostics(stub, WEAK)}
    assert "its exemption by platform team expired on 2027-06-30" in messages["PGTLS-P002"]
    assert "from PGTLS-P002 by platform team expired on 2027-06-30" in messages["PGTLS-configuration"]


def test_an_expired_exemption_counts_where_nothing_is_violated() -> None:
    pack = a_pack(clock=lambda: date(2027, 7, 1))
    stub = configured(Stub(pack), exemptions=[exemption()])
    assert levels(stub, hardened()) == {"PGTLS-configuration": 1}


def test_what_a_run_of_some_resources_does_not_show_is_not_judged() -> None:
    pack = a_pack(is_whole=lambda: False)
    for entry in (exemption(), exemption(scope=f"{INSTANCE}::other")):
        assert levels(configured(Stub(pack), exemptions=[entry]), hardened()) == {}


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
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-P020": 0}
    assert levels(stub, hardened()) == {"PGTLS-configuration": 1}
    assert levels(stub) == {"PGTLS-P002": 0, "PGTLS-P020": 0}


def test_an_exemption_of_a_resource_that_was_not_looked_at_is_not_judged() -> None:
    stub = configured(Stub(), exemptions=[exemption()])
    assert list(stub.AnalyzeStack(stack_request(hardened())).diagnostics) == []


@pytest.mark.parametrize(
    "other", [{"rule": "PGTLS-P020"}, {"scope": f"{INSTANCE}::other"}, {"scope": "server"}]
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
        ({"reason": "because"}, "characters; it must have at least 20"),
        ({"reason": " " * 30}, "characters; it must have at least 20"),
        ({"owner": " "}, "owner is empty"),
        ({"expires": "soon"}, "expires: 'soon' is not a date"),
        ({"expires": "2026-02-30"}, "expires: '2026-02-30' is not a date"),
        ({"expires": 20261101}, "expires must be a string"),
        ({"rule": None}, "it must have either rule or severity"),
        ({"severity": "high"}, "it must have either rule or severity"),
        ({"rule": None, "severity": "grave"}, "severity is 'grave'; expected one of critical, high"),
        ({"level": "mandatory"}, "level is 'mandatory'; expected one of advisory, disabled"),
        ({"scope": " "}, "scope is empty"),
        ({"expires": "9999-12-31"}, "more than 400 days ahead; the latest is 2027-12-06"),
        ({"expires": "2027-12-07"}, "more than 400 days ahead"),
        ({"expires": "20270630"}, "expires: '20270630' is not a date"),
        ({"scope": f"{INSTANCE}::other"}, "matches no resource of the stack"),
        ({"until": "2027-01-01"}, "unknown key until"),
    ],
)
def test_a_wrong_exemption_is_a_violation_and_exempts_nothing(changed: dict[str, Any], words: str) -> None:
    stub = configured(Stub(), exemptions=[exemption(**changed)])
    found = {each.policyName: each for each in diagnostics(stub, WEAK)}
    assert found["PGTLS-P002"].enforcementLevel == 1
    assert found["PGTLS-configuration"].enforcementLevel == 1
    assert words in found["PGTLS-configuration"].message


@pytest.mark.parametrize("missing", ["rule", "scope", "reason", "owner", "expires"])
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
        "PGTLS-P020": 0,
        "PGTLS-configuration": 1,
    }
