"""Large settings are refused by name, or everything that they render is within AWS's limits.

The limits are written down here once more: a table that is wrong must not prove itself right.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from tests.components.test_quotas import OPERATOR, config, domain, networks, principals, refusals, topics
from tests.recording_monitor import Recording, Registration, plain, tags_of
from tests.test_program import run

Config = dict[str, Any]

# Names that Pulumi makes of a logical one: a hyphen and seven digits are added.
LONGEST_NAMES = {
    "aws:iam/role:Role": 64,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:lambda/function:Function": 64,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:lb/loadBalancer:LoadBalancer": 32,
    "aws:lb/targetGroup:TargetGroup": 32,
    "aws:lb/trustStore:TrustStore": 32,
    "aws:s3/bucket:Bucket": 63,
    "aws:secretsmanager/secret:Secret": 512,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 255,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:rds/subnetGroup:SubnetGroup": 255,
    "aws:rds/parameterGroup:ParameterGroup": 255,
    "aws:autoscaling/group:Group": 255,
}


def in_bytes(value: Any) -> int:
    return len((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode())


def in_user_data(value: str) -> int:
    return len(base64.b64decode(value))


LIMITS: dict[tuple[str, str], tuple[Callable[[Any], int], int]] = {
    ("aws:s3/bucketPolicy:BucketPolicy", "policy"): (in_bytes, 20_480),
    ("aws:secretsmanager/secretPolicy:SecretPolicy", "policy"): (in_bytes, 20_480),
    ("aws:secretsmanager/secretVersion:SecretVersion", "secretString"): (in_bytes, 65_536),
    ("aws:secretsmanager/secret:Secret", "description"): (in_bytes, 2_048),
    ("aws:lambda/function:Function", "description"): (in_bytes, 256),
    ("aws:lambda/function:Function", "environment.variables"): (in_bytes, 4_096),
    ("aws:lambda/function:Function", "vpcConfig.subnetIds"): (len, 16),
    ("aws:scheduler/schedule:Schedule", "target.input"): (in_bytes, 262_144),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "alarmDescription"): (in_bytes, 1_024),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "alarmActions"): (len, 5),
    ("aws:cloudwatch/logGroup:LogGroup", "name"): (len, 512),
    ("aws:iam/role:Role", "assumeRolePolicy"): (len, 2_048),
    ("aws:iam/role:Role", "description"): (len, 1_000),
    ("aws:route53/zone:Zone", "comment"): (len, 256),
    ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "description"): (len, 255),
    ("aws:rds/instance:Instance", "identifier"): (len, 63),
    ("aws:rds/instance:Instance", "finalSnapshotIdentifier"): (len, 255),
    ("aws:ec2/instance:Instance", "userDataBase64"): (in_user_data, 16_384),
    ("aws:ec2/launchTemplate:LaunchTemplate", "userData"): (in_user_data, 16_384),
    ("tls:index/selfSignedCert:SelfSignedCert", "subject.commonName"): (len, 64),
    ("tls:index/certRequest:CertRequest", "subject.commonName"): (len, 64),
    ("aws:acm/certificate:Certificate", "domainName"): (len, 64),
}
"""How a value of a type is counted, and the most that AWS takes."""

LETTERS = {
    ("aws:iam/role:Role", "description"): r"[\t\n\r\x20-\x7e\xa1-\xff]*",
    ("aws:rds/instance:Instance", "identifier"): r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
    ("aws:cloudwatch/logGroup:LogGroup", "name"): r"[.\-_/#A-Za-z0-9]+",
    ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "description"): (
        r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*"
    ),
}


def excesses(recording: Recording) -> Iterator[str]:
    """What AWS would refuse of what was registered."""
    inline: dict[str, int] = defaultdict(int)
    rules: Counter[tuple[str, str]] = Counter()
    of_trust_store: Counter[str] = Counter()
    for each in recording.registrations:
        inputs = plain(each.inputs)
        yield from excesses_of_one(each, inputs)
        if each.type == "aws:iam/rolePolicy:RolePolicy":
            inline[inputs["role"]] += len("".join(inputs["policy"].split()))
        if "IngressRule" in each.type:
            group = inputs["securityGroupId"]
            rules[group, "IPv4"] += "cidrIpv6" not in inputs
            rules[group, "IPv6"] += "cidrIpv4" not in inputs
        if each.type == "aws:lb/trustStoreRevocation:TrustStoreRevocation":
            of_trust_store[inputs["trustStoreArn"]] += 1
    yield from (f"inline policies of {role}: {size}" for role, size in inline.items() if size > 10_240)
    yield from (f"rules of {group}: {count}" for group, count in rules.items() if count > 60)
    yield from (f"lists of {store}: {count}" for store, count in of_trust_store.items() if count > 30)


def excesses_of_one(each: Registration, inputs: Mapping[str, Any]) -> Iterator[str]:
    name = f"{each.type} {each.name}"
    if longest := LONGEST_NAMES.get(each.type):
        if len(inputs.get("name") or f"{each.name}-0123456") > longest:
            yield f"{name}: its name"
        if not re.fullmatch(r"[\w.-]+", each.name, re.ASCII):
            yield f"{name}: letters of its name"
    for (token, key), (counted, limit) in LIMITS.items():
        if token == each.type and counted(value_at(inputs, key)) > limit:
            yield f"{name}: {key}"
    for (token, key), letters in LETTERS.items():
        if token == each.type and not re.fullmatch(letters, inputs[key]):
            yield f"{name}: letters of {key}"
    if len(tags_of(inputs)) > (10 if "bucketObject" in each.type else 50):
        yield f"{name}: tags"
    if each.type in ("aws:iam/policy:Policy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        yield f"{name}: the program makes no managed policies"


def value_at(inputs: Mapping[str, Any], key: str) -> Any:
    value: Any = inputs
    for step in key.split("."):
        value = value.get(step) or ""
    return value


def rendered(given: Config, stack: str) -> Recording:
    sections = {f"passwordless-postgres:{name}": section for name, section in given.items()}
    return run({"aws:region": "eu-central-1", **sections}, stack)


IAM_ROLES = ["c", "b-c", "b", "i" * 64]
NAMES = [
    "a-b",
    "a",
    "b-c",
    "c",
    "\u0142",
    "\u6771\u4eac",
    "jos\u00e9",
    "a b",
    "key",
    "x-key",
    "x-policy",
    "x",
]


def random_settings(seed: int) -> tuple[str, Config]:
    """A stack's name and settings, large in some places."""
    chance = random.Random(seed)  # noqa: S311 - nothing here is secret

    def many(*sizes: int) -> int:
        return chance.choice(sizes) + chance.randrange(3)

    def names(count: int) -> list[str]:
        long = [f"r{number}" + "y" * chance.randrange(58) for number in range(count)]
        return chance.sample(NAMES, chance.randrange(len(NAMES))) + long

    def roles(*sizes: int) -> list[str]:
        count = many(*sizes)
        return principals(count, chance.randrange(40) * count) if count else []

    def new_role() -> Config:
        return {"trustedPrincipals": roles(1, 5, 15)}

    server_roles = {
        name: {"database": "app", "networks": ["10.0.0.0/24"], "secretReaders": roles(0, 20)}
        for name in names(many(1, 10))
    }
    rds_roles = {
        name: {
            "database": "app",
            "iamRoles": chance.sample(["c", "b-c", "b", "i" * 64], chance.choice([0, 1, 4])),
        }
        | ({"newIamRole": new_role()} if chance.randrange(2) else {})
        for name in names(many(1, 30, 120))
    }
    acting = list(rds_roles)[: many(1, 30, 110)]
    stack = chance.choice(["p", "prod-2", "a.b", "s" * 38, "s" * 40, "s" * 100])
    return stack, config(
        certificates__administrators=[OPERATOR, *roles(0, 60)],
        selfManaged__allowedClients={"networks": ["10.0.0.0/24", *networks(many(1, 40, 59))[1:]]},
        selfManaged__roles=server_roles,
        selfManaged__alarmTopics=topics(many(0, 2, 4)),
        rds__allowedClients={"networks": networks(many(1, 30, 57))},
        rds__roles=rds_roles,
        gateway__domainName=domain(many(52, 63)),
        gateway__clients={
            f"c{n}": {"uri": f"spiffe://test/{n}", "role": role} for n, role in enumerate(acting)
        },
        gateway__allowedClients={"networks": ["10.0.0.0/24"], "securityGroups": ["sg-01234567"]},
        tags={f"t{number}": "x" for number in range(many(0, 9, 48))},
    )


PLACE = r"passwordless-postgres:\w+(\.[\w-]+|\[(\d+|\"[^\"]+\")\])*: "


def shown(seeds: Iterable[int]) -> Counter[str]:
    """Checks each seed's settings; how many were refused, and how many kept every limit."""
    found: Counter[str] = Counter()
    for seed in seeds:
        stack, given = random_settings(seed)
        if lines := refusals(given, stack):
            assert all(re.match(PLACE, line) for line in lines), lines
            found["refused"] += 1
        else:
            assert not list(excesses(rendered(given, stack))), seed
            found["rendered"] += 1
    return found


def test_random_large_settings_are_refused_by_name_or_within_the_limits() -> None:
    assert set(shown([42, 43])) == {"refused", "rendered"}


@pytest.mark.long
def test_many_random_large_settings_are_refused_by_name_or_within_the_limits() -> None:
    found = shown(range(100, 130))
    assert min(found["refused"], found["rendered"]) > 4, found


def large(roles: int) -> Config:
    """Many roles with names of 63 characters, 60 clients of the gateway, and as many tags as there can be."""
    named = [f"r{number:062d}" for number in range(roles)]
    networks_of_roles = {name: ["10.0.0.0/24"] for name in named}
    return config(
        selfManaged__allowedClients={"networks": ["10.0.0.0/24"]},
        selfManaged__roles={
            name: {"database": "app", "networks": given} for name, given in networks_of_roles.items()
        },
        rds__roles={
            name: {"database": "app", "newIamRole": {"trustedServices": ["ecs-tasks.amazonaws.com"]}}
            for name in named
        },
        gateway__clients={
            f"c{number:039d}": {"uri": f"spiffe://test/{number}", "role": named[number % len(named)]}
            for number in range(60)
        },
        tags={f"t{number:0127d}": "x" * 256 for number in range(49)},
    )


def test_many_roles_clients_and_tags_with_long_names_are_accepted() -> None:
    assert refusals(large(1000), "s" * 100) == []


@pytest.mark.long
def test_many_roles_clients_and_tags_with_long_names_are_within_the_limits() -> None:
    assert not list(excesses(rendered(large(1000), "s" * 100)))


def test_five_hundred_networks_and_fifty_tags_are_refused_by_name() -> None:
    given = large(1)
    for section in ("selfManaged", "rds", "gateway"):
        given[section]["allowedClients"] = {"networks": ["10.0.0.0/24", *networks(500)[1:]]}
    given["tags"]["more"] = "x"
    places = [line.split(": ")[0] for line in refusals(given)]
    assert places == [
        "passwordless-postgres:tags",
        *(f"passwordless-postgres:{section}.allowedClients" for section in ("selfManaged", "rds", "gateway")),
    ]
