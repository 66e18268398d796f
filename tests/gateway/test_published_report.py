"""Each instance writes its own report, and nobody else writes any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from components import iam_documents
from components.report_wait import UnreadableError, read_report
from documents.document import ObjectAddress
from gateway.errors import ReportError
from gateway.published_report import PublishedReport
from gateway.report import Report
from tests.emulator.endpoint.conftest import Aws, aws

__all__ = ["aws"]

REGION, ACCOUNT, BUCKET = "eu-central-1", "123456789012", "program"
PREFIX = f"reports/arn:aws:ec2:{REGION}:{ACCOUNT}:instance/"
FIRST, SECOND = (f"i-{number:017x}" for number in (1, 2))
REPORT = Report(serial=7, sha256="a" * 64)


class Machines:
    """Two instances of a gateway, with the role and the bucket that the program gives them."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws = aws
        aws.bucket(BUCKET)
        role = aws.role("machines")
        aws.endpoint.client("iam").put_role_policy(
            RoleName="machines",
            PolicyName="own",
            PolicyDocument=iam_documents.gateway_machine(
                document_object="arn:aws:s3:::documents/gateway.json",
                artifact_object=f"arn:aws:s3:::{BUCKET}/gateway.zip",
                reports=f"arn:aws:s3:::{BUCKET}/reports/",
                connects={"app_user": "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-1/app_user"},
                log_group="arn:aws:logs:eu-central-1:123456789012:log-group:x",
            ),
        )
        operator = "arn:aws:iam::123456789012:user/operator"
        aws.endpoint.client("s3").put_bucket_policy(
            Bucket=BUCKET,
            Policy=iam_documents.private_bucket(
                f"arn:aws:s3:::{BUCKET}", {"gateway.zip": [operator], "reports/*": [role]}
            ).replace('"Bool":{"aws:SecureTransport":"false"}', '"Bool":{"aws:SecureTransport":"none"}'),
        )
        self.addresses = [aws.instance(number, "machines") for number in (1, 2)]
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint.url)
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
        self._set = monkeypatch.setenv

    def be(self, instance: int) -> None:
        """Let this process be one of them."""
        self._set("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.addresses[instance - 1])

    def publisher(self, instance: int, account: str = ACCOUNT) -> PublishedReport:
        self.be(instance)
        return PublishedReport(
            ObjectAddress(bucket=BUCKET, key=PREFIX), account=account, region=REGION, session=boto3.Session
        )

    def read(self, instance: str) -> Report | None:
        client = self.aws.endpoint.client("s3")
        return read_report(client, Report, BUCKET, PREFIX + instance, ACCOUNT)


@pytest.fixture
def machines(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Machines:
    return Machines(aws, monkeypatch)


def test_each_instance_reports_under_its_own_name(machines: Machines) -> None:
    machines.publisher(1).write(REPORT)
    other = Report(serial=6, sha256="b" * 64, refused_sha256="a" * 64, problem="because\nof \x1b[31mthat")
    machines.publisher(2).write(other)
    assert machines.read(FIRST) == REPORT
    assert machines.read(SECOND) == other
    assert other.problem == "because; of \\x1b[31mthat"
    assert machines.read("i-0") is None


def test_reports_are_written_by_nobody_else(machines: Machines) -> None:
    machines.publisher(1).write(REPORT)
    everything = machines.aws.role("everything", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    machines.be(2)
    as_second = boto3.Session().client("s3", region_name=REGION)
    deployer = machines.aws.endpoint.client("s3")
    mighty = machines.aws.endpoint.client("s3", key=machines.aws.assume(everything))
    key = PREFIX + FIRST
    for client in (deployer, mighty, as_second):
        attempts: list[Callable[[Any], Any]] = [
            lambda s3: s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}"),
            lambda s3: s3.delete_object(Bucket=BUCKET, Key=key),
        ]
        for attempt in attempts:
            with pytest.raises(ClientError, match="AccessDenied"):
                attempt(client)
    assert machines.read(FIRST) == REPORT
    # The control: it may write its own, and nothing else in the bucket.
    as_second.put_object(Bucket=BUCKET, Key=PREFIX + SECOND, Body=REPORT.to_json().encode())
    with pytest.raises(ClientError):
        as_second.put_object(Bucket=BUCKET, Key="gateway.zip", Body=b"")


def test_a_report_that_cannot_be_written_says_why(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReportError, match="cannot be written to s3://program: AccessDenied"):
        machines.publisher(1, account="210987654321").write(REPORT)
    publisher = machines.publisher(1)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://localhost:1")
    with pytest.raises(ReportError, match="metadata service: http://localhost:1/latest/api/token: "):
        publisher.write(REPORT)


def test_what_is_no_report_is_said_to_be_unreadable(machines: Machines) -> None:
    machines.be(1)
    s3 = boto3.Session().client("s3", region_name=REGION)
    s3.put_object(Bucket=BUCKET, Key=PREFIX + FIRST, Body=b'{"serial": "seven"}')
    with pytest.raises(UnreadableError, match="ValidationError"):
        machines.read(FIRST)
