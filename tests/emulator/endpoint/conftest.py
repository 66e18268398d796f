"""A running endpoint with two roles, two secrets and a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.ec2.metadata import InstanceFacts
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import AccessKey

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com", "AWS": "arn:aws:iam::123456789012:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


class Aws:
    """What the tests act on."""

    def __init__(self, endpoint: AwsEndpoint) -> None:
        self.endpoint = endpoint

    def role(self, name: str, *statements: dict[str, Any]) -> str:
        iam = self.endpoint.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
        return arn

    def secret(self, name: str, value: str = "text") -> str:
        return self.endpoint.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"]

    def bucket(self, name: str) -> None:
        s3 = self.endpoint.client("s3")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def assume(self, arn: str, session: str = "test") -> AccessKey:
        found = self.endpoint.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
        return AccessKey(
            access_key_id=found["AccessKeyId"],
            secret_access_key=found["SecretAccessKey"],
            session_token=found["SessionToken"],
        )

    def instance(self, number: int, role: str, kept_out: int | None = None) -> str:
        """Base address of the metadata service of a new instance with that role."""
        iam = self.endpoint.client("iam")
        iam.create_instance_profile(InstanceProfileName=f"profile-{number}")
        iam.add_role_to_instance_profile(InstanceProfileName=f"profile-{number}", RoleName=role)
        return self.endpoint.metadata.register(
            InstanceFacts(
                instance_id=f"i-{number:017x}",
                image_id="ami-0d13a46415020002a",
                instance_type="m7g.large",
                architecture="arm64",
                private_ip="10.20.0.10",
                availability_zone="eu-central-1a",
                region="eu-central-1",
                instance_profile=f"profile-{number}",
                vpc_id="vpc-1",
            ),
            kept_out=kept_out,
        )


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    running = Aws(AwsEndpoint(tmp_path))
    running.endpoint.start()
    yield running
    running.endpoint.stop()


@pytest.fixture
def restarted(tmp_path: Path, aws: Aws) -> Callable[[], Aws]:
    """Stops the endpoint and starts another on the same state."""

    def restart() -> Aws:
        aws.endpoint.stop()
        aws.endpoint = AwsEndpoint(tmp_path)
        aws.endpoint.start()
        return aws

    return restart
