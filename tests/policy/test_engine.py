"""The real engine loads the pack, is stopped by it, and is not stopped without a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from emulator.core.servicer import Provider, ProviderServer
from policy.finding import Verdict
from policy.message import Message, parse
from policy.rules import RULES, iam
from policy.rules.rds import iam_authentication, parameter_groups, servers
from tests.policy.examples import RESOURCE_ID, Sent, allow, having, in_process, lacking
from tests.policy.fixtures import account, certificates, gateway, server_files
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
BAD = (
    SERVER
    + """
    weak = {"rds.force_ssl": "0", "ssl_min_protocol_version": "TLSv1", "password_encryption": "md5"}
    group_of_16 = group("group", family="postgres16", method="immediate", **weak)
    exposed = server("exposed", group_of_16, publicly_accessible=True, storage_encrypted=False,
                     iam_database_authentication_enabled=False, ca_cert_identifier="rds-ca-2019",
                     manage_master_user_password=None, password="swordfish")
    bare = server("bare", None, ca_cert_identifier=None)
    grant("master", exposed, "pgpl_master")
    grant("everybody", exposed, "*")
    """
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


@pytest.fixture
def aws(stack: Any, serve: Callable[[Provider], ProviderServer]) -> Any:
    """The stack with a stand-in that knows the types of the programs."""
    types = [Instance(), ParameterGroup(), RolePolicy()]
    stack.providers["aws"] = serve(Provider("aws", types, distribution="pulumi")).port
    return stack


ABOUT_DOCUMENTS = {rule.id for rule in iam.RULES if "aws:iam/rolePolicy:RolePolicy" in rule.types}


def refused(output: str) -> set[str]:
    return {rule.id for rule in RULES if lines(output, rule.id)}


def messages(output: str) -> list[Message]:
    return [message for line in output.splitlines() if (message := parse(line))]


def lines(output: str, rule: str) -> list[Message]:
    return [each for each in messages(output) if rule in [named.id for named in each.rules]]


def test_a_hardened_program_passes_preview_and_update(aws: Any) -> None:
    aws.program(GOOD)
    preview = aws.run("preview", "--policy-pack", str(PACK))
    assert preview.status == 0, preview.output
    waiting = {"PGTLS-N46", "PGTLS-N47", "PGTLS-N48", *ABOUT_DOCUMENTS}
    assert {each.verdict for each in messages(preview.output)} == {Verdict.UNDECIDED}
    assert refused(preview.output) == waiting
    up = aws.up("--policy-pack", str(PACK))
    assert up.status == 0, up.output
    assert refused(up.output) == set()


def test_a_weak_program_is_stopped_with_every_rule(aws: Any) -> None:
    aws.program(BAD)
    preview = aws.run("preview", "--policy-pack", str(PACK))
    assert preview.status != 0
    ours = (*servers.RULES, *parameter_groups.RULES, *iam_authentication.RULES)
    found = refused(preview.output)
    assert found - ABOUT_DOCUMENTS == {rule.id for rule in ours}
    for rule in ours:
        if rule.id not in ("PGTLS-N46", "PGTLS-N47", "PGTLS-N48"):
            assert any(each.verdict is Verdict.VIOLATED for each in lines(preview.output, rule.id)), rule.id
    assert "swordfish" not in preview.output


def test_the_update_decides_what_the_preview_could_not(aws: Any) -> None:
    aws.program(GOOD.replace('"app_user"', '"*"'))
    preview = aws.run("preview", "--policy-pack", str(PACK))
    assert preview.status == 0, preview.output
    assert "policy is not known before the update" in preview.output
    up = aws.up("--policy-pack", str(PACK))
    assert up.status != 0
    assert any("expected arn:" in each.explanation for each in lines(up.output, "PGTLS-N46")), up.output
    assert "connect" not in aws.state(), "the policy was not made"


def test_the_configuration_reaches_the_pack(aws: Any, tmp_path: Path) -> None:
    aws.program(GOOD.replace('"storage_encrypted": True', '"storage_encrypted": False'))
    refusing = aws.run("preview", "--policy-pack", str(PACK))
    assert refusing.status != 0, refusing.output
    exemption = {
        "rule": "PGTLS-P002",
        "resource": "aws:rds/instance:Instance::server",
        "reason": "Holds public data only, for the fair",
        "owner": "platform team",
        "expires": "2999-12-31",
    }
    file = tmp_path / "pack.json"
    file.write_text(json.dumps({"PGTLS-configuration": {"exemptions": [exemption]}}))
    exempt = aws.run("preview", "--policy-pack", str(PACK), "--policy-pack-config", str(file))
    assert exempt.status == 0, exempt.output
    assert "Exempt: Holds public data only, for the fair" in exempt.output
    file.write_text(json.dumps({"PGTLS-configuration": {"enforcement": {"high": "advisory"}}}))
    advisory = aws.run("preview", "--policy-pack", str(PACK), "--policy-pack-config", str(file))
    assert advisory.status == 0, advisory.output
    assert lines(advisory.output, "PGTLS-P002")


def weak_stacks() -> dict[str, list[Sent]]:
    """Stacks that stack rules refuse, each for as many reasons as fit in it."""
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
        "network": elsewhere(lacking(routed, "endpoint"), "vpc-1"),
        "storage": elsewhere(lacking(stored, "block", "ownership"), "bucket-1"),
        "topic": elsewhere(lacking(account.TOPICS, "topic-policy"), "123456789012:t"),
        "names": certificates.linked(names, "app_user", caPrivateKeyPem=signed),
        "keys": certificates.linked(
            certificates.DEV, "app_user-request", privateKeyPem=f"{certificates.KEY}::db-key"
        ),
        **{
            f"s{number}": REFUSED[name][0]
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
                )
            )
        },
    }


def elsewhere(resources: list[Sent], name: str) -> list[Sent]:
    """The resources with another name of theirs, which no other stack of the program has."""
    return json.loads(json.dumps(resources).replace(name, f"{name}-weak"))


def weak_resources() -> dict[str, list[Sent]]:
    """For each resource rule one resource that it refuses; few, since each can be refused by several."""
    missing = {rule.id.removeprefix("PGTLS-") for rule in RULES if not rule.is_about_the_stack}
    chosen: dict[str, list[Sent]] = {}
    for resources, expected in REFUSED.values():
        for each in resources if expected & missing else ():
            found = {rule for rule, _, verdict in in_process([each]) if verdict == "violated"} & missing
            if found:
                missing -= found
                chosen[f"r{len(chosen)}"] = [each]
    assert not missing
    return chosen


def test_every_rule_refuses_something_in_the_engine(stack: Any, serve: Any) -> None:
    # Some rules hold in production alone, which they know by the stack's name.
    made = stack.run("stack", "init", "prod")
    assert made.status == 0, made.output
    stacks = {**weak_stacks(), **weak_resources()}
    stack.providers.update(stand_ins(stacks, serve))
    stack.program(program(stacks))
    preview = stack.run("preview", "--policy-pack", str(PACK))
    assert preview.status != 0
    assert {rule.id for rule in RULES} - refused(preview.output) == set(), preview.output
    assert Verdict.CRASHED not in {each.verdict for each in messages(preview.output)}
    assert "swordfish" not in preview.output


def test_what_is_hardened_passes_in_the_engine(stack: Any, serve: Any) -> None:
    stacks = {
        "g": gateway.STACK, "m": [gateway.MACHINE_OK], "n": account.NETWORK, "b": account.STORAGE,
        "t": account.TOPICS, "p": account.PROXIED, "c": certificates.DEV, "a": certificates.ASKED,
        "d": certificates.DATABASE, "f": server_files.machine(userData=server_files.script()),
    }  # fmt: skip
    stack.providers.update(stand_ins(stacks, serve))
    stack.program(program(stacks))
    preview = stack.run("preview", "--policy-pack", str(PACK))
    assert preview.status == 0, preview.output
    assert {each.verdict for each in messages(preview.output)} <= {Verdict.UNDECIDED}
