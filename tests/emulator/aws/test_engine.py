"""The real engine with the stand-in: up, up again, replace, a kill between two writes, destroy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


class Pulumi:
    """The command line, with a project of its own."""

    def __init__(self, executable: Path, folder: Path, port: int) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "__main__.py").write_text(PROGRAM)
        options = f"{{toolchain: pip, virtualenv: {sys.prefix}}}"
        (self.project / "Pulumi.yaml").write_text(
            f"name: passwordless-postgres\nruntime: {{name: python, options: {options}}}\n"
        )
        backend = folder / "backend"
        backend.mkdir()
        self.executable = executable
        self.environment = {
            "PATH": f"{executable.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{port}",
        }
        self.run("stack", "init", "sandbox")

    def run(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [self.executable, *arguments, "--non-interactive"],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, network: str, content: str, *, fails: bool = False) -> dict[str, int]:
        """Operations by kind."""
        config = (
            "--config",
            "aws:region=eu-central-1",
            "--config",
            f"network={network}",
            "--config",
            f"content={content}",
        )
        self.run("up", "--yes", "--skip-preview", *config, fails=fails)
        history = json.loads(self.run("stack", "history", "--json", "--page-size", "1"))
        return history[0]["resourceChanges"]

    def outputs(self) -> dict[str, object]:
        return json.loads(self.run("stack", "output", "--json"))


@pytest.mark.sandbox
def test_a_program_on_the_real_engine(engine, pulumi: Path, tmp_path: Path):
    program = Pulumi(pulumi, tmp_path, engine.server.port)

    assert program.up("10.20.1.0/24", "one") == {"create": 15}
    first = program.outputs()
    assert first["account"] == "123456789012"
    secrets = engine.endpoint.client("secretsmanager")
    assert secrets.get_secret_value(SecretId=first["secret"])["SecretString"] == "geheim-one"
    assert secrets.get_secret_value(SecretId=first["secret"])["VersionId"] == first["secretVersion"]
    assert first["serial"] == 1

    program.run("preview", "--refresh", "--expect-no-changes")

    changes = program.up("10.20.2.0/24", "two")
    assert changes["replace"] == 3, changes
    assert changes["update"] == 2, changes
    second = program.outputs()
    assert second["serial"] == 2
    assert second["subnet"] != first["subnet"]
    assert second["manifest"] != first["manifest"]
    assert str(second["address"]).startswith("10.20.2.")
    parameter = engine.endpoint.client("ssm").get_parameter(Name="/a/desired-state")["Parameter"]
    assert (parameter["Version"], parameter["Value"]) == (2, second["manifest"])

    engine.restart()
    program.environment["PULUMI_DEBUG_PROVIDERS"] = f"aws:{engine.server.port}"
    assert program.up("10.20.2.0/24", "two") == {"same": 15}
    assert program.outputs() == second
    program.run("destroy", "--yes", "--skip-preview")
    assert engine.endpoint.client("s3").list_buckets()["Buckets"] == []
    assert engine.provider.registry.of_type(*engine.provider.types) == []
