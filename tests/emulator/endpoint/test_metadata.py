"""The metadata service speaks version 2 only and gives each instance its own role."""

from __future__ import annotations

import json
import os

import boto3
import pytest
import requests

from tests.emulator.asking_user import TTL, refused_to


def token(base: str) -> dict[str, str]:
    answer = requests.put(f"{base}/latest/api/token", headers=TTL, timeout=10)
    assert answer.status_code == 200
    return {"X-aws-ec2-metadata-token": answer.text}


def test_nothing_without_a_token(aws):
    aws.role("machine")
    base = aws.instance(1, "machine")
    assert requests.get(f"{base}/latest/meta-data/instance-id", timeout=10).status_code == 401
    wrong = {"X-aws-ec2-metadata-token": "x"}
    assert requests.get(f"{base}/latest/meta-data/instance-id", headers=wrong, timeout=10).status_code == 401
    assert requests.put(f"{base}/latest/api/token", timeout=10).status_code == 400
    proxied = {**TTL, "X-Forwarded-For": "10.0.0.1"}
    assert requests.put(f"{base}/latest/api/token", headers=proxied, timeout=10).status_code == 403


def test_what_an_instance_reads_about_itself(aws):
    aws.role("machine")
    base = aws.instance(1, "machine")
    headers = token(base)

    def read(path: str) -> str:
        return requests.get(f"{base}/latest/{path}", headers=headers, timeout=10).text

    assert read("meta-data/instance-id") == "i-00000000000000001"
    assert read("meta-data/local-ipv4") == "10.20.0.10"
    assert read("meta-data/placement/region") == "eu-central-1"
    assert read("meta-data/iam/security-credentials/") == "machine"
    assert json.loads(read("dynamic/instance-identity/document"))["instanceId"] == "i-00000000000000001"
    assert requests.get(f"{base}/latest/user-data", headers=headers, timeout=10).status_code == 404


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as two users")
def test_a_user_without_a_route_gets_no_token(aws):
    aws.role("machine")
    base = aws.instance(1, "machine", kept_out=65534)
    assert [refused_to(user, base) for user in (0, 65533, 65534)] == [False, False, True]


def test_the_token_of_one_instance_opens_no_other(aws):
    aws.role("machine")
    one, other = aws.instance(1, "machine"), aws.instance(2, "machine")
    answer = requests.get(f"{other}/latest/meta-data/instance-id", headers=token(one), timeout=10)
    assert answer.status_code == 401
    guessed = one.rsplit("/", 1)[0] + "/guessed/latest/api/token"
    assert requests.put(guessed, headers=TTL, timeout=10).status_code == 404


def test_boto3_takes_the_role_from_there(aws, monkeypatch: pytest.MonkeyPatch):
    own, other = aws.secret("own"), aws.secret("other")
    aws.role(
        "machine",
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": own,
            "Condition": {
                "ArnEquals": {"ec2:SourceInstanceARN": "arn:aws:ec2:*:*:instance/i-00000000000000001"}
            },
        },
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.instance(1, "machine"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint.url)
    session = boto3.session.Session(region_name="eu-central-1")

    arn = session.client("sts").get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::123456789012:assumed-role/machine/i-00000000000000001"
    client = session.client("secretsmanager")
    assert client.get_secret_value(SecretId=own)["SecretString"] == "text"
    with pytest.raises(client.exceptions.ClientError, match="not authorized"):
        client.get_secret_value(SecretId=other)


def test_a_role_that_does_not_trust_ec2_gives_nothing(aws):
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    }
    aws.endpoint.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(trust))
    base = aws.instance(1, "other")
    answer = requests.get(
        f"{base}/latest/meta-data/iam/security-credentials/other", headers=token(base), timeout=10
    )
    assert answer.json()["Code"] == "AssumeRoleUnauthorizedAccess"
