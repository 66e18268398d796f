"""The roles function at the endpoint: its own credentials, its own policy, real tokens."""

from __future__ import annotations

import json
import os

import boto3
import pytest

from components.iam_documents import roles_function
from emulator.endpoint.credentials import AccessKey
from emulator.rds.model import Instance
from functions.roles.configuration import Configuration
from functions.roles.handler import Outcome, run
from functions.roles.retry import RetryPolicy
from tests.emulator.rds.conftest import MASTER, PASSWORD, REGION, Cloud, connect_arn
from tests.functions.roles.conftest import ADMINISTRATOR, DECLARATION


def invoked(cloud: Cloud, instance: Instance, secret_arn: str) -> Outcome:
    configuration = Configuration(
        host="localhost",
        port=instance.port,
        region=REGION,
        major=instance.major,
        administrator=ADMINISTRATOR,
        master_secret_arn=secret_arn,
        server_ca_pem=cloud.databases.bundle.read_text(),
        declaration_sha256=DECLARATION.sha256,
    )
    event = {"schemaVersion": 2, "declaration": json.loads(DECLARATION.to_json())}
    return run(event, configuration, RetryPolicy(seconds=0))


def become(monkeypatch: pytest.MonkeyPatch, cloud: Cloud, key: AccessKey) -> None:
    """What Lambda puts into the environment of a function."""
    # A function that has become another one begins anew.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**key.environment(), "AWS_ENDPOINT_URL": cloud.aws.url, "AWS_REGION": REGION}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("major", [15, 17])
def test_the_first_login_and_every_later_one(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, major: int
) -> None:
    instance = cloud.instance(major, identifier=f"roles-{major}")
    document = json.dumps({"username": MASTER, "password": PASSWORD})
    secrets = cloud.aws.client("secretsmanager")
    secret_arn = secrets.create_secret(Name=f"rds!{instance.identifier}", SecretString=document)["ARN"]

    def key(name: str, user: str) -> AccessKey:
        policy = roles_function(
            master_secret=secret_arn,
            key=None,
            administrator=connect_arn(instance, user),
            log_group="arn:aws:logs:eu-central-1:123456789012:log-group:x",
        )
        return cloud.role(f"{name}-{major}", *json.loads(policy)["Statement"])

    become(monkeypatch, cloud, key("for-another-user", "somebody"))
    refused = invoked(cloud, instance, secret_arn)
    assert refused.outcome == "refused", refused.message
    assert f'PAM authentication failed for user "{ADMINISTRATOR}"' in refused.message

    become(monkeypatch, cloud, key("roles-function", ADMINISTRATOR))
    first = invoked(cloud, instance, secret_arn)
    assert first.outcome == "applied", (first.message, cloud.login_log(instance))
    secrets.delete_secret(SecretId=secret_arn, ForceDeleteWithoutRecovery=True)
    again = invoked(cloud, instance, secret_arn)
    assert again.outcome == "applied", "nothing but the first login needs the master's password"
    with cloud.login(instance, "app_reader", dbname="app") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app_reader",)
    with cloud.master(instance) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (MASTER,)
