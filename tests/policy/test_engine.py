"""The real engine loads the pack, and stops for violations only."""

from __future__ import annotations

import contextlib
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from policy.finding import Verdict
from policy.message import Message, parse
from policy.pack import UNDECIDED
from policy.rules import RULES
from policy.serving import VERBOSE
from tests.emulator.conftest import Run, empty_stack
from tests.policy.examples import RESOURCE_ID, Sent, allow, having, in_process, lacking
from tests.policy.fixtures import (
    account,
    certificates,
    gateway,
    grants,
    native,
    networks,
    server_files,
    services,
)
from tests.policy.fixtures.unstated import UNSTATED
from tests.policy.registering import Echo, program, stand_ins
from tests.policy.test_rules import REFUSED

PACK = Path(__file__).resolve().parents[2] / "policy"

SERVER = """
    import json

    import pulumi
    from pulumi_aws import iam, rds

    def server(name, group, **changed):
        return rds.Instance(name, **{
            "engine": "postgres", "engine_version": "17", "instance_class": "db.t4g.micro",
            "publicly_accessible": False, "storage_encrypted": True,
            "iam_database_authentication_enabled": True, "ca_cert_identifier": "rds-ca-ecc384-g1",
            "manage_master_user_password": True, "username": "pgpl_master",
            "kms_key_id": "key", "enabled_cloudwatch_logs_exports": ["postgresql", "upgrade"],
            "backup_retention_period": 7, "copy_tags_to_snapshot": True,
            "db_subnet_group_name": "subnets", "parameter_group_name": group and group.name, **changed,
        })

    def group(name, family="postgres17", method="pending-reboot", **changed):
        values = {
            "rds.force_ssl": "1", "ssl_min_protocol_version": "TLSv1.3",
            "password_encryption": "scram-sha-256", "rds.accepted_password_auth_method": "scram", **changed,
        }
        return rds.ParameterGroup(name, family=family, parameters=[
            {"name": key, "value": value, "apply_method": method} for key, value in values.items()
        ])

    def grant(name, server, user):
        resource = server.resource_id.apply(
            lambda id: f"arn:aws:rds-db:eu-central-1:123456789012:dbuser:{id}/{user}")
        return iam.RolePolicy(name, role="app", policy=resource.apply(lambda arn: json.dumps(
            {"Version": "2012-10-17",
             "Statement": [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": arn}]})))

"""
GOOD = (
    SERVER
    + """
    grant("connect", server("server", group("group")), "app_user")
    """
)
WILDCARD = GOOD.replace('"app_user"', '"*"')
WEAK = GOOD.replace('"storage_encrypted": True', '"storage_encrypted": False').replace(
    '"publicly_accessible": False', '"publicly_accessible": True'
)


class Instance(Echo):
    token = "aws:rds/instance:Instance"
    chosen: ClassVar[Mapping[str, str]] = {"resourceId": RESOURCE_ID}


class ParameterGroup(Echo):
    token = "aws:rds/parameterGroup:ParameterGroup"
    chosen: ClassVar[Mapping[str, str]] = {"name": "group-physical"}


class RolePolicy(Echo):
    token = "aws:iam/rolePolicy:RolePolicy"
    chosen: ClassVar[Mapping[str, str]] = {"name": "policy-physical"}


ABOUT_DOCUMENTS = {rule.id for rule in RULES if "aws:iam/rolePolicy:RolePolicy" in rule.types}


@pytest.fixture(scope="module", autouse=True)
def verbose() -> Iterator[None]:
    """Every rule that is undecided is named."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VERBOSE, "1")
        yield


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Provider], ProviderServer]]:
    """Starts servers and stops them after the module."""
    with contextlib.ExitStack() as servers:

        def start(provider: Provider) -> ProviderServer:
            server = ProviderServer(provider)
            server.start()
            servers.callback(server.stop, 0)
            return server

        yield start


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The engine's runs of one stack, in this order. Several tests read them."""

    undecided: Run
    refused: Run
    made_by_refused: Mapping[str, Any]
    passed: Run
    configured: Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, pulumi: Path, serve: Any) -> Runs:
    stack = empty_stack(tmp_path_factory.mktemp("sandbox"), pulumi)
    own = (Instance(), ParameterGroup(), RolePolicy())
    stack.providers.update(stand_ins(HARDENED, serve, own))
    with_pack = ("--policy-pack", str(PACK))
    stack.program(f"{textwrap.dedent(WILDCARD)}\n{program(HARDENED)}")
    undecided = stack.run("preview", *with_pack)
    stack.program(WILDCARD)
    refused = stack.up(*with_pack)
    made_by_refused = stack.state()
    stack.program(GOOD)
    passed = stack.up(*with_pack)
    stack.program(WEAK)
    file = stack.folder / "pack.json"
    file.write_text(json.dumps(CONFIGURATION))
    configured = stack.run("preview", *with_pack, "--policy-pack-config", str(file))
    return Runs(
        undecided=undecided,
        refused=refused,
        made_by_refused=made_by_refused,
        passed=passed,
        configured=configured,
    )


HARDENED = {
    "g": gateway.STACK, "m": [gateway.MACHINE_OK], "n": account.NETWORK, "b": account.STORAGE,
    "t": account.TOPICS, "p": account.PROXIED, "c": certificates.DEV, "a": certificates.ASKED,
    "d": certificates.DATABASE, "f": server_files.machine(userData=server_files.script()),
}  # fmt: skip
EXEMPTION = {
    "rule": "PGTLS-P002",
    "scope": "aws:rds/instance:Instance::server",
    "reason": "Holds public data only, for the fair",
    "owner": "platform team",
    "expires": str(datetime.now(tz=UTC).date() + timedelta(days=90)),
}
NOT_NEEDED = {**EXEMPTION, "rule": "PGTLS-P025"}
CONFIGURATION = {
    "PGTLS-configuration": {
        "exemptions": [
            EXEMPTION,
            {**EXEMPTION, "rule": "PGTLS-P001", "scope": "*", "level": "disabled"},
            NOT_NEEDED,
        ]
    },
    "PGTLS-N44": "disabled",
}


_SHOWN = re.compile(
    r"- \[\w+\](?: \[severity: (?P<severity>\w+)\])?  (?P<rule>PGTLS-\S+)"
    r"(?:  \((?P<type>\S+): (?P<name>\S+)\))?\n *(?P<text>.+)"
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A finding as the engine shows it."""

    rule: str
    type: str
    name: str
    message: Message


def shown(output: str) -> list[Shown]:
    """The findings of rules."""
    return [
        Shown(rule=each["rule"], type=each["type"], name=each["name"], message=parse(each["text"]))
        for each in _SHOWN.finditer(output)
        if each["severity"] or each["rule"] == UNDECIDED
    ]


def named(found: Iterable[Shown]) -> set[str]:
    """Ids of the rules that found something or wait."""
    return {name for each in found for name in (each.rule, *(rule.id for rule in each.message.rules))} - {
        UNDECIDED
    }


def test_what_is_hardened_or_not_known_passes_the_preview(runs: Runs) -> None:
    assert runs.undecided.status == 0, runs.undecided.output
    found = shown(runs.undecided.output)
    assert {each.message.verdict for each in found} == {Verdict.UNDECIDED}
    waiting = {"PGTLS-N46", "PGTLS-N47", "PGTLS-N48", *ABOUT_DOCUMENTS}
    assert named(each for each in found if each.name in ("server", "group", "connect")) == waiting
    assert "rules wait for the value of `policy`" in runs.undecided.output


def test_the_update_decides_what_the_preview_could_not(runs: Runs) -> None:
    assert runs.refused.status != 0
    found = [each for each in shown(runs.refused.output) if each.rule == "PGTLS-N46"]
    assert any("expected arn:" in each.message.explanation for each in found), runs.refused.output
    assert "connect" not in runs.made_by_refused, "the policy was not made"


def test_a_hardened_program_passes_the_update_without_a_finding(runs: Runs) -> None:
    assert runs.passed.status == 0, runs.passed.output
    assert shown(runs.passed.output) == []


def test_the_configuration_reaches_the_pack(runs: Runs) -> None:
    found = {each.rule: each.message for each in shown(runs.configured.output)}
    assert found["PGTLS-P002"].exemption.startswith(
        "Holds public data only, for the fair (platform team, until"
    )
    assert "PGTLS-P001" not in found


def test_what_weakens_without_a_reason_or_without_need_stops_the_engine(runs: Runs) -> None:
    assert runs.configured.status != 0
    assert "the engine's keys set PGTLS-N44 to 'disabled'" in runs.configured.output
    assert "from PGTLS-P025 by platform team is not needed" in runs.configured.output


@pytest.mark.long
def test_a_run_of_some_resources_says_nothing_of_what_the_others_need(
    tmp_path: Path, pulumi: Path, serve: Any
) -> None:
    stack = empty_stack(tmp_path, pulumi)
    stack.providers.update(stand_ins({}, serve, (Instance(), ParameterGroup(), RolePolicy())))
    stack.program(GOOD)
    file = stack.folder / "pack.json"
    file.write_text(json.dumps({"PGTLS-configuration": {"exemptions": [NOT_NEEDED]}}))
    configured = ("preview", "--policy-pack", str(PACK), "--policy-pack-config", str(file))
    for partial in (("--target", "**group"), ("-t", "**group"), ("--exclude", "**connect")):
        assert "is not needed" not in stack.run(*configured, *partial).output
    assert "is not needed" in stack.run(*configured).output


def weak_stacks() -> dict[str, list[Sent]]:
    """Stacks that violate stack rules, as many in each as possible."""
    balanced = having(gateway.STACK, "balancer", connectionLogs=None, internal=False)
    balanced = having(balanced, "trust-store", caCertificatesBundleS3ObjectVersion=None)
    routed = having(account.NETWORK, "route", gatewayId="igw-1", natGatewayId=None)
    routed = having(routed, "b", availabilityZone="eu-central-1a")
    foreign = {"Principal": {"AWS": account.FOREIGN}, "Action": "s3:PutBucketPolicy", "Resource": "*"}
    stored = having(account.STORAGE, "bucket-policy", policy=allow(foreign))
    names = having(certificates.DEV, "db-request", dnsNames=None)
    names = having(names, "app_user-request", subject={"commonName": "postgres"})
    signed = f"{certificates.KEY}::servers-key"
    return {
        "gateway": [*lacking(balanced, "revocation"), gateway.SECOND, gateway.STRANGER],
        "network": elsewhere(lacking(routed, "endpoint", "flow-log"), "vpc-1"),
        "storage": elsewhere(lacking(stored, "block", "ownership", "versioning"), "bucket-1"),
        "topic": elsewhere(lacking(account.TOPICS, "topic-policy"), "123456789012:t"),
        "queue": elsewhere(grants.REFUSED["a queue without TLS"][0], "https://q"),
        "names": certificates.linked(names, "app_user", caPrivateKeyPem=signed),
        "keys": certificates.linked(
            certificates.DEV, "app_user-request", privateKeyPem=f"{certificates.KEY}::db-key"
        ),
        "group": elsewhere(networks.apart(*networks.EIGHTHS), "sg-apart"),
        "domain": having(services.BEHIND_A_DOMAIN, "api", disableExecuteApiEndpoint=None),
        "plain": elsewhere([gateway.PLAIN, gateway.UNVERIFIED], "listener/2"),
        "public": having(services.PUBLIC_NETWORK, "network-listener", protocol="TCP", port=5432),
        "address": services.weak(services.ADDRESS, instance="i-9"),
        "password": services.OF_SECRETS[:2],
        "inline": [
            each
            for each in elsewhere(REFUSED["targets reached inline (gateway)"][0], "sg-target")
            if each["name"] in ("target-group", "from-balancer")
        ],
        "selected": REFUSED["a selection that leaves the server out (services)"][0],
        "told": REFUSED["events of snapshots only (services)"][0],
        "idle": REFUSED["a balancer without listeners (services)"][0],
        "list": networks.listed("0.0.0.0/0", port=22),
        "native": [
            *having(native.DATABASE, "native-server", publiclyAccessible=True, newProperty="x"),
            *elsewhere(native.bucket(accessControl="PublicRead"), "native-1"),
        ],
        "egress": networks.REFUSED["everything leaves by two rules"][0],
        **{
            f"s{number}": {**REFUSED, **UNSTATED}[name][0]
            for number, name in enumerate(
                (
                    "the default group (gateway)",
                    "public address (gateway)",
                    "a leaf as an authority (certificates)",
                    "the master by IAM (certificates)",
                    "a line that PostgreSQL would not take (server_files)",
                    "default group",
                    "TLS not forced",
                    "another family",
                    "the master",
                    "nobody is granted",
                    "objects of their writers (account)",
                    "no list, and certificates of a year",
                )
            )
        },
    }


def elsewhere(resources: list[Sent], name: str) -> list[Sent]:
    """The resources under another name, which no other stack of the program uses."""
    return json.loads(json.dumps(resources).replace(name, f"{name}-weak"))


def weak_resources() -> dict[str, list[Sent]]:
    """Resources that together violate every resource rule."""
    missing = {rule.id.removeprefix("PGTLS-") for rule in RULES if rule.checks} - {"N94"}
    chosen: dict[str, list[Sent]] = {}
    for resources, expected in REFUSED.values():
        for each in resources if expected & missing else ():
            found = {rule for rule, _, verdict in in_process([each]) if verdict == "violated"} & missing
            if found:
                missing -= found
                chosen[f"r{len(chosen)}"] = [each]
    assert not missing
    return chosen


def test_every_rule_refuses_something_in_the_engine(tmp_path: Path, pulumi: Path, serve: Any) -> None:
    # Some rules apply to production alone, which they recognise by the stack's name.
    stack = empty_stack(tmp_path, pulumi, "prod")
    stacks = {**weak_stacks(), **weak_resources()}
    stack.providers.update(stand_ins(stacks, serve))
    stack.program(program(stacks))
    preview = stack.run("preview", "--policy-pack", str(PACK))
    assert preview.status != 0
    found = shown(preview.output)
    assert {rule.id for rule in RULES} - named(found) == set(), preview.output
    of_native = {each.message.place for each in found if each.type.startswith("aws-native:")}
    assert {"publiclyAccessible", "accessControl"} <= of_native
    assert Verdict.CRASHED not in {each.message.verdict for each in found}
    assert "swordfish" not in preview.output
