"""Roles reach what their documents allow and nothing else, through real boto3."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from components.iam_documents import application_trust
from emulator.endpoint.credentials import ACCOUNT
from settings.rds import ServiceAccount


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response.get("Error", {}).get("Code", "")


def message(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response.get("Error", {}).get("Message", "")


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def test_a_role_reads_its_own_secret_and_no_other(aws):
    own, other = aws.secret("own", "mine"), aws.secret("other")
    key = aws.assume(aws.role("machine", allow("secretsmanager:GetSecretValue", own)), "i-1")
    client = aws.endpoint.client("secretsmanager", key=key)

    assert client.get_secret_value(SecretId=own)["SecretString"] == "mine"
    assert client.get_secret_value(SecretId="own")["SecretString"] == "mine"
    with pytest.raises(ClientError) as refused:
        client.get_secret_value(SecretId=other)
    assert code(refused) == "AccessDeniedException"
    assert message(refused) == (
        "User: arn:aws:sts::123456789012:assumed-role/machine/i-1 is not authorized to perform: "
        f"secretsmanager:GetSecretValue on resource: {other} because no identity-based policy allows the "
        "secretsmanager:GetSecretValue action"
    )


def test_a_secret_policy_denies_even_the_operator(aws):
    arn = aws.secret("identity")
    reader = aws.role("reader", allow("secretsmanager:GetSecretValue", arn))
    document = {
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
                "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [reader]}},
            }
        ]
    }
    operator = aws.endpoint.client("secretsmanager")
    operator.put_resource_policy(SecretId=arn, ResourcePolicy=json.dumps(document))

    assert aws.endpoint.client("secretsmanager", key=aws.assume(reader)).get_secret_value(SecretId=arn)
    with pytest.raises(ClientError) as refused:
        operator.get_secret_value(SecretId=arn)
    assert message(refused).endswith("with an explicit deny in a resource-based policy")


def test_a_secret_policy_alone_lets_a_named_role_read(aws):
    arn, reader = aws.secret("identity"), aws.role("reader")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": reader},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    aws.endpoint.client("secretsmanager").put_resource_policy(
        SecretId=arn, ResourcePolicy=json.dumps({"Statement": [statement]})
    )
    assert aws.endpoint.client("secretsmanager", key=aws.assume(reader)).get_secret_value(SecretId=arn)
    other = aws.endpoint.client("secretsmanager", key=aws.assume(aws.role("other")))
    with pytest.raises(ClientError):
        other.get_secret_value(SecretId=arn)


def test_a_machine_reads_desired_state_and_writes_its_report_only(aws):
    aws.bucket("state")
    operator = aws.endpoint.client("s3")
    version = operator.put_object(Bucket="state", Key="manifest.json", Body=b"{}")["VersionId"]
    role = aws.role(
        "machine",
        allow(["s3:GetObject", "s3:GetObjectVersion"], "arn:aws:s3:::state/*"),
        allow("s3:PutObject", "arn:aws:s3:::state/report.json"),
        allow("ssm:GetParameter", "arn:aws:ssm:eu-central-1:123456789012:parameter/a/desired-state"),
    )
    s3 = aws.endpoint.client("s3", key=aws.assume(role))

    assert s3.get_object(Bucket="state", Key="manifest.json", VersionId=version)["Body"].read() == b"{}"
    assert s3.put_object(Bucket="state", Key="report.json", Body=b"{}")
    for attempt in (
        lambda: s3.put_object(Bucket="state", Key="manifest.json", Body=b"{}"),
        lambda: s3.delete_object(Bucket="state", Key="report.json"),
        lambda: s3.list_objects_v2(Bucket="state"),
        lambda: s3.copy_object(Bucket="state", Key="manifest.json", CopySource="state/report.json"),
        lambda: s3.delete_objects(Bucket="state", Delete={"Objects": [{"Key": "manifest.json"}]}),
        lambda: aws.endpoint.client("ssm", key=aws.assume(role)).put_parameter(
            Name="/a/desired-state", Value="x", Type="String", Overwrite=True
        ),
    ):
        with pytest.raises(ClientError) as refused:
            attempt()
        assert code(refused) in ("AccessDenied", "AccessDeniedException")


def test_get_object_and_get_object_version_are_two_rights(aws):
    aws.bucket("state")
    version = aws.endpoint.client("s3").put_object(Bucket="state", Key="a", Body=b"1")["VersionId"]
    s3 = aws.endpoint.client(
        "s3", key=aws.assume(aws.role("r", allow("s3:GetObject", "arn:aws:s3:::state/*")))
    )
    assert s3.get_object(Bucket="state", Key="a")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="state", Key="a", VersionId=version)
    assert 's3:GetObjectVersion on resource: "arn:aws:s3:::state/a"' in message(refused)


def test_absence_of_a_key_is_told_only_to_those_who_may_list(aws):
    aws.bucket("state")
    reading = allow("s3:GetObject", "arn:aws:s3:::state/*")
    blind = aws.endpoint.client("s3", key=aws.assume(aws.role("blind", reading)))
    seeing = aws.endpoint.client(
        "s3", key=aws.assume(aws.role("seeing", reading, allow("s3:ListBucket", "arn:aws:s3:::state")))
    )
    with pytest.raises(ClientError) as refused:
        blind.get_object(Bucket="state", Key="absent")
    assert code(refused) == "AccessDenied"
    with pytest.raises(ClientError) as refused:
        seeing.get_object(Bucket="state", Key="absent")
    assert code(refused) == "NoSuchKey"


def test_a_bucket_policy_with_a_deny_concerns_the_operator(aws):
    aws.bucket("state")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::state", "arn:aws:s3:::state/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3 = aws.endpoint.client("s3")
    s3.put_bucket_policy(Bucket="state", Policy=json.dumps({"Statement": [statement]}))
    assert s3.put_object(Bucket="state", Key="a", Body=b"")
    statement |= {"Condition": {}, "Action": "s3:PutObject"}
    s3.put_bucket_policy(Bucket="state", Policy=json.dumps({"Statement": [statement]}))
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="state", Key="a", Body=b"")
    assert message(refused).endswith("with an explicit deny in a resource-based policy")


def test_logs_go_to_the_own_stream_of_the_own_group(aws):
    logs = aws.endpoint.client("logs")
    logs.create_log_group(logGroupName="/a/postgresql")
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:/a/postgresql"
    role = aws.role(
        "machine", allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:log-stream:i-1")
    )
    own = aws.endpoint.client("logs", key=aws.assume(role))
    own.create_log_stream(logGroupName="/a/postgresql", logStreamName="i-1")
    event = {"timestamp": 1, "message": "x"}
    own.put_log_events(logGroupName="/a/postgresql", logStreamName="i-1", logEvents=[event])
    with pytest.raises(ClientError) as refused:
        own.create_log_stream(logGroupName="/a/postgresql", logStreamName="i-2")
    assert "log-group:/a/postgresql:log-stream:i-2" in message(refused)


TRUST = json.loads(
    application_trust(
        [],
        [],
        [
            ServiceAccount(
                issuer="arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/"
                + "A1" * 16,
                namespace="shop",
                name="app",
            )
        ],
    )
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Resource": "*"}, "Has prohibited field Resource"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Action": "s3:GetObject"}, "may only specify STS AssumeRole actions"),
        ({"Condition": {"StringEqualz": {"a": "b"}}}, "condition operator StringEqualz"),
        ({}, None),
    ],
)
def test_a_trust_policy_is_read_when_its_role_is_made(aws, change, said):
    iam = aws.endpoint.client("iam")
    (statement,) = TRUST["Statement"]
    changed = {key: value for key, value in (statement | change).items() if value is not None}
    given = {"RoleName": "pod", "AssumeRolePolicyDocument": json.dumps(TRUST | {"Statement": [changed]})}
    if said is None:
        iam.create_role(**given)
        return
    with pytest.raises(ClientError, match=f"MalformedPolicyDocument.*{said}"):
        iam.create_role(**given)


def test_pods_assume_no_role_in_the_sandbox(aws):
    unsigned = Config(signature_version=UNSIGNED)
    pod = boto3.client("sts", region_name="eu-central-1", endpoint_url=aws.endpoint.url, config=unsigned)
    with pytest.raises(ClientError) as refused:
        pod.assume_role_with_web_identity(
            RoleArn="arn:aws:iam::123456789012:role/pod", RoleSessionName="pod", WebIdentityToken="t" * 20
        )
    assert code(refused) == "MissingAuthenticationToken"


def test_only_who_is_trusted_assumes_a_role(aws):
    iam = aws.endpoint.client("iam")
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    }
    iam.create_role(RoleName="machine", AssumeRolePolicyDocument=json.dumps(trust))
    with pytest.raises(ClientError) as refused:
        aws.assume("arn:aws:iam::123456789012:role/machine")
    assert code(refused) == "AccessDenied"


def test_a_deleted_role_ends_its_sessions(aws):
    arn = aws.role("gone")
    key = aws.assume(arn)
    assert aws.endpoint.client("sts", key=key).get_caller_identity()["Arn"].endswith("assumed-role/gone/test")
    aws.endpoint.client("iam").delete_role(RoleName="gone")
    with pytest.raises(ClientError) as refused:
        aws.endpoint.client("iam", key=key).list_roles()
    assert code(refused) == "InvalidClientTokenId"


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (("ssm", "put_parameter", {"Name": "/a", "Value": "x" * 4097, "Type": "String"}), "4096 characters"),
        (
            (
                "ssm",
                "put_parameter",
                {"Name": "/a", "Value": "x" * 8193, "Type": "String", "Tier": "Advanced"},
            ),
            "8192",
        ),
        (("secretsmanager", "create_secret", {"Name": "a", "SecretString": "x" * 65537}), "65536"),
        (("iam", "create_role", {"RoleName": "r", "AssumeRolePolicyDocument": "{}"}), "Statement"),
        (("kms", "list_keys", {}), "kms has no stand-in"),
    ],
)
def test_limits_of_aws_hold(aws, call, wanted):
    service, operation, arguments = call
    with pytest.raises(ClientError, match=wanted):
        getattr(aws.endpoint.client(service), operation)(**arguments)


def test_role_policies_have_a_size(aws):
    aws.role("r")
    document = json.dumps({"Statement": [allow("s3:GetObject", ["arn:aws:s3:::state/" + "x" * 50] * 200)]})
    with pytest.raises(ClientError, match="10240"):
        aws.endpoint.client("iam").put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document)


def test_a_bucket_of_another_account_than_expected_is_refused(aws):
    client = aws.endpoint.client("s3")
    client.create_bucket(Bucket="ours", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket="ours", Key="k", Body=b"text", ExpectedBucketOwner=ACCOUNT)
    assert client.get_object(Bucket="ours", Key="k", ExpectedBucketOwner=ACCOUNT)["Body"].read() == b"text"
    for expected, status, answer in (
        ("210987654321", 403, "AccessDenied"),
        ("12345678901", 400, "InvalidBucketOwnerAWSAccountID"),
        ("me", 400, "InvalidBucketOwnerAWSAccountID"),
    ):
        for call in (client.get_object, client.put_object, client.delete_object):
            with pytest.raises(ClientError) as refused:
                call(Bucket="ours", Key="k", ExpectedBucketOwner=expected)
            assert code(refused) == answer
            assert refused.value.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == status
        with pytest.raises(ClientError):
            client.head_bucket(Bucket="ours", ExpectedBucketOwner=expected)
    with pytest.raises(ClientError) as refused:
        client.copy_object(
            Bucket="ours", Key="copy", CopySource="ours/k", ExpectedSourceBucketOwner="210987654321"
        )
    assert code(refused) == "AccessDenied"
