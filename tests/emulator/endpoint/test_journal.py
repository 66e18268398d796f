"""A killed endpoint comes back with the same ids, versions and values."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.exchange import HttpRequest
from emulator.endpoint.journal import KEPT_VERSIONS_OF_A_ROLE, CorruptJournal, Journal

NOTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}]}
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        ],
    }
)
REQUEST = HttpRequest(method="PUT", target="/a?b=c", headers=(("Host", "localhost"),), body=b"\x00body\n")


def deploy(endpoint: AwsEndpoint) -> None:
    s3, ssm, secrets = (endpoint.client(name) for name in ("s3", "ssm", "secretsmanager"))
    s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket="state", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket="state", Key="a b/ü+%.json", Body=b"%d" % number)
        ssm.put_parameter(Name="/a/b", Value=str(number), Type="String", Overwrite=True)
    arn = secrets.create_secret(Name="identity", SecretString="one")["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString="two")
    secrets.put_resource_policy(SecretId=arn, ResourcePolicy=NOTHING)
    iam = endpoint.client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=NOTHING)
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    endpoint.client("logs").create_log_group(logGroupName="/a")


def facts(endpoint: AwsEndpoint) -> object:
    s3, ssm, secrets, iam = (endpoint.client(name) for name in ("s3", "ssm", "secretsmanager", "iam"))
    versions = s3.list_object_versions(Bucket="state")["Versions"]
    secret = secrets.get_secret_value(SecretId="identity")
    parameter = ssm.get_parameter(Name="/a/b")["Parameter"]
    return (
        [(item["Key"], item["VersionId"], item["ETag"]) for item in versions],
        [
            s3.get_object(Bucket="state", Key=item["Key"], VersionId=item["VersionId"])["Body"].read()
            for item in versions
        ],
        (secret["ARN"], secret["VersionId"], secret["SecretString"]),
        secrets.get_resource_policy(SecretId="identity")["ResourcePolicy"],
        (parameter["Version"], parameter["Value"]),
        iam.get_role(RoleName="r")["Role"]["RoleId"],
        iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["InstanceProfileId"],
        iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"],
        [group["arn"] for group in endpoint.client("logs").describe_log_groups()["logGroups"]],
        endpoint.operator,
    )


SERVE = """
import sys
from pathlib import Path
from emulator.endpoint.aws_endpoint import AwsEndpoint
endpoint = AwsEndpoint(Path(sys.argv[1]))
endpoint.start()
print(endpoint.port, flush=True)
sys.stdin.read()
"""


def test_everything_is_there_again_after_a_kill(tmp_path: Path):
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        cwd=root,
        text=True,
    ) as process:
        assert process.stdout is not None
        outside = AwsEndpoint(tmp_path, int(process.stdout.readline()))
        deploy(outside)
        before = facts(outside)
        process.send_signal(signal.SIGKILL)

    with AwsEndpoint(tmp_path) as endpoint:
        assert facts(endpoint) == before
        again = endpoint.client("s3").put_object(Bucket="state", Key="new", Body=b"")["VersionId"]
        assert again not in str(before)


def test_the_file_is_private_and_holds_no_credentials(aws, tmp_path: Path):
    aws.role("r")
    key = aws.assume("arn:aws:iam::123456789012:role/r")
    aws.bucket("state")
    path = tmp_path / "aws" / "journal.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    text = path.read_text()
    assert aws.endpoint.operator.access_key_id not in text
    assert str(key.session_token) not in text
    assert "Credential=SANDBOX/" in text


def test_reading_and_log_events_are_not_written_down(aws, tmp_path: Path):
    path = tmp_path / "aws" / "journal.jsonl"
    logs = aws.endpoint.client("logs")
    logs.create_log_group(logGroupName="/a")
    logs.create_log_stream(logGroupName="/a", logStreamName="s")
    size = path.stat().st_size
    logs.put_log_events(logGroupName="/a", logStreamName="s", logEvents=[{"timestamp": 1, "message": "x"}])
    logs.describe_log_groups()
    aws.endpoint.client("cloudwatch").put_metric_data(
        Namespace="n", MetricData=[{"MetricName": "m", "Value": 1.0}]
    )
    assert path.stat().st_size == size


def test_a_truncated_last_line_is_dropped(tmp_path: Path):
    journal = Journal(tmp_path / "j" / "journal.jsonl")
    journal.open()
    assert [journal.append("s3:PutObject", "", REQUEST) for _ in range(3)] == [1, 2, 3]
    journal.close()
    content = journal.path.read_bytes()
    os.truncate(journal.path, len(content) - 10)

    assert [entry.sequence for entry in journal.open()] == [1, 2]
    assert journal.append("s3:PutObject", "", REQUEST) == 3
    journal.close()
    assert [entry.request for entry in journal.open()] == [REQUEST] * 3


def test_a_damaged_line_is_an_error(tmp_path: Path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.write_text("nonsense\n")
    with pytest.raises(CorruptJournal, match="line 1"):
        journal.open()


def test_what_a_role_overwrites_is_compacted(tmp_path: Path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.open()
    for number in range(100):
        journal.append("s3:PutObject", "state/report.json", REQUEST)
        if number % 50 == 0:
            journal.append("s3:PutObject", "", REQUEST)
    journal.close()
    kept = journal.open()
    assert [entry.subject for entry in kept].count("state/report.json") == KEPT_VERSIONS_OF_A_ROLE
    assert [entry.sequence for entry in kept if not entry.subject] == [2, 53]
    assert journal.append("s3:PutObject", "", REQUEST) == 103


def test_compaction_leaves_the_other_ids_alone(aws, restarted):
    aws.bucket("state")
    role = aws.role(
        "machine", {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::state/report.json"}
    )
    s3 = aws.endpoint.client("s3", key=aws.assume(role))
    for _ in range(KEPT_VERSIONS_OF_A_ROLE + 2):
        s3.put_object(Bucket="state", Key="report.json", Body=b"r")
    last = s3.put_object(Bucket="state", Key="report.json", Body=b"r")["VersionId"]
    after = aws.endpoint.client("s3").put_object(Bucket="state", Key="m", Body=b"m")["VersionId"]

    s3 = restarted().endpoint.client("s3")
    found = {item["VersionId"]: item["Key"] for item in s3.list_object_versions(Bucket="state")["Versions"]}
    assert found[last] == "report.json"
    assert found[after] == "m"
    assert len(found) == KEPT_VERSIONS_OF_A_ROLE + 1


def test_sessions_outlive_a_restart(aws, restarted):
    key = aws.assume(aws.role("r"))
    restarted()
    assert aws.endpoint.client("sts", key=key).get_caller_identity()["Arn"].endswith("/r/test")


def test_one_endpoint_per_process(aws, tmp_path: Path):
    with pytest.raises(RuntimeError, match="another"):
        AwsEndpoint(tmp_path / "second").start()
