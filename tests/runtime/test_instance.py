from __future__ import annotations

import boto3
from moto import mock_aws

from tests.runtime.instance import REGION


def test_a_test_with_an_aws_of_its_own_empties_none_of_others(environment: None) -> None:
    secrets = boto3.client("secretsmanager", region_name=REGION)
    arn = secrets.create_secret(Name="of-another-test", SecretString="kept")["ARN"]
    with mock_aws():
        pass
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "kept"
