"""`python -m policy.bench` measures the pack's cost per resource, beside one empty rule and the plain SDK.

All answer the same requests in this process, as the engine sends them, so the difference to the empty rule is
the cost of the rules. The plain SDK has one empty policy of each kind. CPU time is measured, to which other
programs of the machine add nothing; it is valid for this machine only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy, ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.policy import _PolicyAnalyzerServicer

from policy.analyzer import Analyzer
from policy.pack import Pack
from policy.resources import Resource
from policy.rule import ANY, Area, Outcome, Rule, Severity
from policy.rules import RULES

RESOURCES = 500
ROUNDS = 5
_URN = "urn:pulumi:bench::passwordless-postgres::"
_DOCUMENT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "rds-db:connect",
                "Resource": "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQR/app",
            }
        ],
    }
)
_HBA = "hostssl app app 10.30.0.0/24 cert\nhost all all all reject\n"


def _kinds(number: int) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    return (
        (
            "aws:rds/instance:Instance",
            {
                "engine": "postgres",
                "engineVersion": "17",
                "parameterGroupName": f"group-{number}",
                "dbSubnetGroupName": "subnets",
                "iamDatabaseAuthenticationEnabled": True,
                "storageEncrypted": True,
                "publiclyAccessible": False,
                "tags": {f"tag-{each}": "value" for each in range(20)},
            },
        ),
        (
            "aws:rds/parameterGroup:ParameterGroup",
            {
                "name": f"group-{number}",
                "family": "postgres17",
                "parameters": [
                    {"name": f"parameter_{each}", "value": "1", "applyMethod": "immediate"}
                    for each in range(20)
                ],
            },
        ),
        ("aws:iam/rolePolicy:RolePolicy", {"role": f"role-{number}", "policy": _DOCUMENT}),
        (
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            {
                "securityGroupId": f"sg-{number}",
                "ipProtocol": "tcp",
                "fromPort": 5432,
                "toPort": 5432,
                "cidrIpv4": f"10.{number % 250}.0.0/16",
            },
        ),
        ("aws:s3/bucket:Bucket", {"id": f"bucket-{number}", "bucket": f"bucket-{number}"}),
        (
            "aws:s3/bucketObjectv2:BucketObjectv2",
            {"bucket": f"bucket-{number}", "key": "pg_hba.conf", "content": f"# {number}\n{_HBA}"},
        ),
    )


def sent(count: int) -> list[Any]:
    """`count` resources, as the engine sends them."""
    found: list[Any] = []
    number = 0
    while len(found) < count:
        for token, properties in _kinds(number)[: count - len(found)]:
            each = proto.AnalyzerResource(type=token, name=f"r{number}", urn=f"{_URN}{token}::r{number}")
            each.properties.update(properties)
            found.append(each)
        number += 1
    return found


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a pack.

    Attributes:
        rules: Number of rules.
        resource_ms: Milliseconds of CPU per resource for the resource rules, median of several rounds.
        stack_ms: Milliseconds of CPU for the stack rules of all resources, median of several rounds.
    """

    rules: int
    resource_ms: float
    stack_ms: float


def cost(rules: tuple[Rule, ...], resources: list[Any], rounds: int = ROUNDS) -> Cost:
    """Measure a pack with the given rules."""
    return _measured(len(rules), lambda: Analyzer(Pack(rules=rules)), resources, rounds)


def _no_finding(_given: Any, _report: Any) -> None:
    """The body of an empty policy of the SDK."""


def cost_of_sdk(resources: list[Any], rounds: int = ROUNDS) -> Cost:
    """Measure the SDK's servicer with an empty policy of each kind."""
    policies: list[Policy] = [
        ResourceValidationPolicy("empty", "Nothing", _no_finding),
        StackValidationPolicy("empty-stack", "Nothing", _no_finding),
    ]
    version, level = "0.0.1", EnforcementLevel.MANDATORY
    return _measured(
        len(policies), lambda: _PolicyAnalyzerServicer("sdk", version, policies, level), resources, rounds
    )


def _measured(rules: int, start: Callable[[], Any], resources: list[Any], rounds: int) -> Cost:
    requests = [
        proto.AnalyzeRequest(type=each.type, name=each.name, urn=each.urn, properties=each.properties)
        for each in resources
    ]
    whole = proto.AnalyzeStackRequest(resources=resources)
    singles, stacks = [], []
    for _ in range(rounds):
        analyzer = start()
        started = time.process_time()
        for request in requests:
            analyzer.Analyze(request, None)
        between = time.process_time()
        analyzer.AnalyzeStack(whole, None)
        singles.append((between - started) * 1000 / len(requests))
        stacks.append((time.process_time() - between) * 1000)
    return Cost(rules=rules, resource_ms=_median(singles), stack_ms=_median(stacks))


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _nothing(_: Resource) -> Iterator[Outcome]:
    yield from ()


EMPTY = Rule(
    id="PGTLS-N00",
    title="Nothing",
    area=Area.TLS,
    severity=Severity.LOW,
    types=(ANY,),
    checks=(_nothing,),
    why="It is the floor of the measurement.",
    fix="none",
    link="https://www.pulumi.com/docs/iac/crossguard/",
)


def main(arguments: list[str]) -> int:
    """Print the costs, as JSON with `--json`."""
    resources = sent(RESOURCES)
    costs = {
        "pack": cost(RULES, resources),
        "floor": cost((EMPTY,), resources),
        "sdk": cost_of_sdk(resources),
    }
    if "--json" in arguments:
        found = {name: asdict(each) for name, each in costs.items()}
        print(json.dumps({"resources": RESOURCES, **found}))
        return 0
    print(f"policy pack, {RESOURCES} resources, CPU time, the median of {ROUNDS} rounds:")
    for name, found in zip(("this pack", "one empty rule", "the plain SDK"), costs.values(), strict=True):
        print(
            f"  {name:<15} {found.rules:>4} rules  {found.resource_ms:6.2f} ms per resource"
            f"  {found.stack_ms:8.1f} ms for the stack rules"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
