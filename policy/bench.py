"""`python -m policy.bench` measures the pack's cost per resource, beside a pack with one empty rule.

Both answer the same requests in this process, as the engine sends them, so the difference is the cost of the
rules. Absolute numbers are valid for this machine and this moment only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pulumi.runtime import proto

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
        resource_ms: Milliseconds per resource for the resource rules, median of several rounds.
        stack_ms: Milliseconds for the stack rules of all resources, median of several rounds.
    """

    rules: int
    resource_ms: float
    stack_ms: float


def cost(rules: tuple[Rule, ...], resources: list[Any], rounds: int = ROUNDS) -> Cost:
    """Measure a pack with the given rules."""
    requests = [
        proto.AnalyzeRequest(type=each.type, name=each.name, urn=each.urn, properties=each.properties)
        for each in resources
    ]
    whole = proto.AnalyzeStackRequest(resources=resources)
    singles, stacks = [], []
    for _ in range(rounds):
        analyzer = Analyzer(Pack(rules=rules))
        started = time.perf_counter()
        for request in requests:
            analyzer.Analyze(request, None)
        between = time.perf_counter()
        analyzer.AnalyzeStack(whole, None)
        singles.append((between - started) * 1000 / len(requests))
        stacks.append((time.perf_counter() - between) * 1000)
    return Cost(rules=len(rules), resource_ms=_median(singles), stack_ms=_median(stacks))


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
    """Print both costs, as JSON with `--json`."""
    resources = sent(RESOURCES)
    floor, pack = cost((EMPTY,), resources), cost(RULES, resources)
    if "--json" in arguments:
        print(json.dumps({"resources": RESOURCES, "pack": asdict(pack), "floor": asdict(floor)}))
        return 0
    print(f"policy pack, {RESOURCES} resources, the median of {ROUNDS} rounds:")
    for name, found in (("this pack", pack), ("one empty rule", floor)):
        print(
            f"  {name:<15} {found.rules:>4} rules  {found.resource_ms:6.2f} ms per resource"
            f"  {found.stack_ms:8.1f} ms for the stack rules"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
