"""The real engine with the stand-in: up, up again, replace, a kill between two writes, destroy."""

from __future__ import annotations

import pytest

from tests.emulator.conftest import Stack

PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
network = config.require("network")
identity = aws.get_caller_identity()
vpc = aws.ec2.Vpc("net", cidr_block="10.20.0.0/16", tags={"environment": "test"})
subnet = aws.ec2.Subnet("net", vpc_id=vpc.id, cidr_block=network, availability_zone="eu-central-1a")
group = aws.ec2.SecurityGroup("server", vpc_id=vpc.id)
aws.vpc.SecurityGroupIngressRule(
    "clients", security_group_id=group.id, ip_protocol="tcp", from_port=5432, to_port=5432,
    cidr_ipv4="10.30.0.0/16"
)
interface = aws.ec2.NetworkInterface("server", subnet_id=subnet.id, security_groups=[group.id])
allow = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
trust = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
role = aws.iam.Role("machine", assume_role_policy=trust)
bucket = aws.s3.Bucket("state", force_destroy=True)
versioning = aws.s3.BucketVersioning(
    "state", bucket=bucket.id, versioning_configuration={"status": "Enabled"}
)
manifest = aws.s3.BucketObjectv2(
    "manifest", bucket=bucket.id, key="manifest.json", content=config.require("content"),
    opts=pulumi.ResourceOptions(depends_on=[versioning]),
)
node = aws.s3.BucketObjectv2(
    "node", bucket=bucket.id, key="node.zip", source=pulumi.FileAsset("Pulumi.yaml"),
    opts=pulumi.ResourceOptions(depends_on=[versioning]),
)
secret = aws.secretsmanager.Secret("identity")
version = aws.secretsmanager.SecretVersion(
    "identity", secret_id=secret.id, secret_string=pulumi.Output.secret("geheim-" + config.require("content"))
)
pointer = aws.ssm.Parameter(
    "pointer", name="/a/desired-state", type="String", insecure_value=manifest.version_id
)
def reading(arn):
    statement = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
aws.iam.RolePolicy("machine", role=role.id, policy=secret.arn.apply(reading))
pulumi.export("account", identity.account_id)
pulumi.export("subnet", subnet.id)
pulumi.export("address", interface.private_ip)
pulumi.export("bucket", bucket.bucket)
pulumi.export("manifest", manifest.version_id)
pulumi.export("serial", pointer.version)
pulumi.export("secret", secret.arn)
pulumi.export("secretVersion", version.version_id)
"""


def up(stack: Stack, network: str, content: str) -> dict[str, int]:
    """Operations by kind."""
    config = {"aws:region": "eu-central-1", "network": network, "content": content}
    done = stack.up(*(word for key, value in config.items() for word in ("--config", f"{key}={value}")))
    assert done.status == 0, done.output
    return done.changes


@pytest.mark.sandbox
def test_a_program_on_the_real_engine(engine, stack: Stack):
    stack.providers["aws"] = engine.server.port
    stack.program(PROGRAM)

    assert up(stack, "10.20.1.0/24", "one") == {"created": 15}
    first = stack.outputs()
    assert first["account"] == "123456789012"
    secrets = engine.endpoint.client("secretsmanager")
    assert secrets.get_secret_value(SecretId=first["secret"])["SecretString"] == "geheim-one"
    assert secrets.get_secret_value(SecretId=first["secret"])["VersionId"] == first["secretVersion"]
    assert first["serial"] == 1

    refreshed = stack.run("preview", "--refresh", "--expect-no-changes")
    assert refreshed.status == 0, refreshed.output

    changes = up(stack, "10.20.2.0/24", "two")
    assert changes["replaced"] == 3, changes
    assert changes["updated"] == 2, changes
    second = stack.outputs()
    assert second["serial"] == 2
    assert second["subnet"] != first["subnet"]
    assert second["manifest"] != first["manifest"]
    assert str(second["address"]).startswith("10.20.2.")
    parameter = engine.endpoint.client("ssm").get_parameter(Name="/a/desired-state")["Parameter"]
    assert (parameter["Version"], parameter["Value"]) == (2, second["manifest"])

    engine.restart()
    stack.providers["aws"] = engine.server.port
    assert up(stack, "10.20.2.0/24", "two") == {"unchanged": 15}
    assert stack.outputs() == second
    destroyed = stack.run("destroy", "--yes", "--skip-preview")
    assert destroyed.status == 0, destroyed.output
    assert engine.endpoint.client("s3").list_buckets()["Buckets"] == []
    assert engine.provider.registry.of_type(*engine.provider.types) == []
