"""The real engine loads the pack, is stopped by it, and is not stopped without a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from policy.rules import RULES
from sandbox.providers.properties import UNKNOWN
from sandbox.providers.servicer import Call, Provider, ProviderServer, ResourceType
from tests.policy.examples import RESOURCE_ID

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
            "parameter_group_name": group and group.name, **changed,
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


class Echo(ResourceType):
    """Has its inputs as outputs; a preview does not know what AWS would choose."""

    chosen: ClassVar[Mapping[str, str]] = {}

    def create(self, call: Call, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        chosen = {"arn": "arn:aws:rds:eu-central-1:123456789012:x", **self.chosen}
        outputs = {key: UNKNOWN if call.preview else value for key, value in chosen.items()}
        return ("" if call.preview else call.name), {**outputs, **inputs}


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


def refused(output: str) -> set[str]:
    return {rule.id for rule in RULES if lines(output, rule.id)}


def lines(output: str, rule: str) -> list[str]:
    return [line for line in output.splitlines() if f"{rule} [" in line]


def test_a_hardened_program_passes_preview_and_update(aws: Any) -> None:
    aws.program(GOOD)
    preview = aws.run("preview", "--policy-pack", str(PACK))
    assert preview.status == 0, preview.output
    undecided = [line for line in preview.output.splitlines() if ": undecided: " in line]
    assert {line.split()[0] for line in undecided} == {"PGTLS-N46", "PGTLS-N47", "PGTLS-N48"}
    assert refused(preview.output) == {"PGTLS-N46", "PGTLS-N47", "PGTLS-N48"}, "nothing but what is undecided"
    up = aws.up("--policy-pack", str(PACK))
    assert up.status == 0, up.output
    assert refused(up.output) == set()


def test_a_weak_program_is_stopped_with_every_rule(aws: Any) -> None:
    aws.program(BAD)
    preview = aws.run("preview", "--policy-pack", str(PACK))
    assert preview.status != 0
    expected = {rule.id for rule in RULES}
    assert refused(preview.output) == expected
    for rule in RULES:
        if rule.id not in ("PGTLS-N46", "PGTLS-N47", "PGTLS-N48"):
            assert any(": undecided: " not in line for line in lines(preview.output, rule.id)), rule.id
    assert "swordfish" not in preview.output


def test_the_update_decides_what_the_preview_could_not(aws: Any) -> None:
    aws.program(GOOD.replace('"app_user"', '"*"'))
    preview = aws.run("preview", "--policy-pack", str(PACK))
    assert preview.status == 0, preview.output
    assert "undecided: policy is not known before the update" in preview.output
    up = aws.up("--policy-pack", str(PACK))
    assert up.status != 0
    assert any("expected arn:" in line for line in lines(up.output, "PGTLS-N46")), up.output
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
