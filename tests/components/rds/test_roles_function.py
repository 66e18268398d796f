from __future__ import annotations

import base64
import functools
import json
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from artifacts.roles_function import function_artifact
from functions.roles.configuration import SERVER_CA_FILE, VARIABLE, Configuration
from functions.roles.event import declaration_of
from tests.components.examples import (
    DECLARATION,
    FUNCTION,
    OPERATOR,
    PROVIDER,
    reconciliation_schedule,
    roles_function,
)
from tests.recording_monitor import ABSENT, Recording, plain, record

FUNCTION_TYPE = "aws:lambda/function:Function"
RUN = "pulumi-python:dynamic/passwordless-postgres:FunctionRun"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


@functools.cache
def usual() -> Recording:
    return record(roles_function)


def configured(recording: Recording) -> tuple[Configuration, Any]:
    """Configuration and event as the function gets them."""
    variables = plain(recording.one(FUNCTION_TYPE).inputs)["environment"]["variables"]
    assert list(variables) == [VARIABLE]
    run = plain(recording.one(RUN).inputs)
    assert run["configuration"] == variables[VARIABLE], "another configuration is run again"
    return Configuration.from_json(variables[VARIABLE], "PEM"), json.loads(run["event"])


def test_where_secrets_go_is_configuration_and_no_part_of_the_event() -> None:
    configuration, event = configured(usual())
    assert event.keys() == {"schemaVersion", "declaration"}
    assert configuration == Configuration(
        host="main.abc.eu-central-1.rds.amazonaws.com",
        port=5432,
        region="eu-central-1",
        major=17,
        administrator="pgpl_admin",
        master_secret_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf",
        server_ca_pem="PEM",
        declaration_sha256=DECLARATION.sha256,
    )


def test_a_hold_is_configuration_and_without_one_nothing_changes() -> None:
    variables = plain(usual().one(FUNCTION_TYPE).inputs)["environment"]["variables"]
    # Of a stack that was deployed before there were holds.
    assert variables[VARIABLE] == (
        f'{{"administrator": "pgpl_admin", "declarationSha256": "{DECLARATION.sha256}", '
        '"host": "main.abc.eu-central-1.rds.amazonaws.com", "major": 17, "masterSecretArn": '
        '"arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf", "port": 5432, '
        '"region": "eu-central-1", "schemaVersion": 2}'
    )
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    hold = {"until": until, "reason": "a repair by hand"}
    configuration, event = configured(record(lambda: roles_function(reconcile={"hold": hold})))
    assert configuration.held == f"held until {until}: a repair by hand"
    assert event == configured(usual())[1]


def test_what_it_trusts_is_in_its_artifact(tmp_path: Path) -> None:
    made = plain(
        record(lambda: roles_function(artifact=None)).one("aws:s3/bucketObjectv2:BucketObjectv2").inputs
    )
    with zipfile.ZipFile(BytesIO(base64.b64decode(made["contentBase64"]))) as archive:
        archive.extractall(tmp_path)
    assert (tmp_path / SERVER_CA_FILE).read_text() == "authorities of RDS"
    variables = plain(usual().one(FUNCTION_TYPE).inputs)["environment"]["variables"]
    assert Configuration.deployed(variables, tmp_path).server_ca_pem == "authorities of RDS"


def test_the_function() -> None:
    recording = usual()
    made = recording.has_properties(
        FUNCTION_TYPE,
        runtime="python3.13",
        handler="functions.roles.handler.handle",
        architectures=["arm64"],
        timeout=300,
        memorySize=256,
        s3Key="roles-function.zip",
        s3ObjectVersion="version-main-roles-program",
        sourceCodeHash=FUNCTION.source_code_hash,
        loggingConfig={"logFormat": "JSON", "logGroup": "/passwordless-postgres/test/main-roles"},
        vpcConfig={
            "subnetIds": ["subnet-eu-central-1a", "subnet-eu-central-1b"],
            "securityGroupIds": ["main-roles-function-id"],
        },
    )
    policy = recording.one("aws:iam/rolePolicy:RolePolicy", "main-roles-function")
    assert policy.urn in made.request.dependencies
    recording.has_properties("aws:cloudwatch/logGroup:LogGroup", retentionInDays=90)


def test_what_it_runs_is_written_by_the_operator_alone() -> None:
    item = usual().has_properties(
        "aws:s3/bucketObjectv2:BucketObjectv2", key="roles-function.zip", contentBase64="YSBmdW5jdGlvbg=="
    )
    assert list(item.request.hideDiffs) == ["contentBase64"]
    policy = json.loads(plain(usual().one("aws:s3/bucketPolicy:BucketPolicy").inputs)["policy"])
    (guard,) = [each for each in policy["Statement"] if each["Sid"].startswith("NamedWriters")]
    (item_arn,) = guard["Resource"]
    assert item_arn.endswith("/roles-function.zip")
    assert guard["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [OPERATOR]}}


def test_what_it_may_do() -> None:
    def allowed(recording: Recording) -> dict[str, Any]:
        made = recording.one("aws:iam/rolePolicy:RolePolicy", "main-roles-function")
        policy = json.loads(plain(made.inputs)["policy"])
        return {each["Sid"]: each["Resource"] for each in policy["Statement"]}

    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf"
    user = "dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/pgpl_admin"
    log_group = "arn:aws:logs:eu-central-1:123456789012:log-group:/passwordless-postgres/test/main-roles:*"
    usually = {
        "ReadMasterSecret": secret,
        "ConnectAsAdministrator": f"arn:aws:rds-db:eu-central-1:123456789012:{user}",
        "WriteLog": log_group,
        "LambdaConnectsToVpc": "*",
    }
    assert allowed(usual()) == usually
    key = "arn:aws:kms:eu-central-1:123456789012:key/1"
    with_key = record(lambda: roles_function(master_secret_key_arn=key))
    assert allowed(with_key) == {**usually, "DecryptMasterSecret": key}


def test_it_reaches_the_server_and_aws_and_nobody_reaches_it() -> None:
    recording = usual()
    recording.one(GROUP)
    recording.has_properties(
        INGRESS,
        securityGroupId="sg-server",
        referencedSecurityGroupId="main-roles-function-id",
        fromPort=5432,
        toPort=5432,
        ipProtocol="tcp",
    )
    recording.has_properties(
        EGRESS,
        "main-roles-to-server",
        securityGroupId="main-roles-function-id",
        referencedSecurityGroupId="sg-server",
        fromPort=5432,
        toPort=5432,
        cidrIpv4=ABSENT,
    )
    recording.has_properties(EGRESS, "main-roles-to-aws", cidrIpv4="0.0.0.0/0", fromPort=443, toPort=443)
    assert len(recording.of_type(EGRESS)) == 2


def test_with_an_endpoint_for_secrets_manager_it_reaches_that_and_the_server_alone() -> None:
    recording = record(lambda: roles_function(secrets_manager_endpoint="sg-0123456789abcdef0"))
    recording.has_properties(
        EGRESS,
        "main-roles-to-aws",
        referencedSecurityGroupId="sg-0123456789abcdef0",
        fromPort=443,
        toPort=443,
        cidrIpv4=ABSENT,
    )
    groups = {plain(rule.inputs)["referencedSecurityGroupId"] for rule in recording.of_type(EGRESS)}
    assert groups == {"sg-server", "sg-0123456789abcdef0"}


def test_it_is_asked_what_it_understands() -> None:
    run = usual().has_properties(
        RUN,
        server="main-roles",
        function="main-roles-function-physical",
        logGroup="/passwordless-postgres/test/main-roles",
        artifactSha256="8" * 64,
        resourceId="db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    )
    configuration, event = configured(usual())
    declaration = declaration_of(event, configuration)
    assert declaration is not None
    assert declaration.to_json() == DECLARATION.to_json()
    configuration, event = configured(record(lambda: roles_function(database_roles=PROVIDER)))
    assert configuration.declaration_sha256 is None
    assert declaration_of(event, configuration) is None
    needed = {usual().one(token).urn for token in (FUNCTION_TYPE, INGRESS)}
    assert needed <= set(run.request.dependencies)


def test_without_an_artifact_it_runs_what_is_installed() -> None:
    recording = record(lambda: roles_function(artifact=None))
    recording.has_properties(RUN, artifactSha256=function_artifact("authorities of RDS").sha256)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"databases": {}}, "database 'app' is not declared"),
        (
            {"databases": {"app": {"extensions": ["rum"]}}},
            "extension 'rum' is none that RDS has, only a server of our own",
        ),
    ],
)
def test_refused_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record(lambda: roles_function(**changes))


def test_a_schedule_calls_it_with_the_declaration_and_may_call_nothing_else() -> None:
    recording = usual()
    schedule = plain(recording.one("aws:scheduler/schedule:Schedule").inputs)
    assert schedule["scheduleExpression"] == "rate(5 minutes)"
    assert schedule["flexibleTimeWindow"] == {"mode": "OFF"}
    run = plain(recording.one(RUN).inputs)
    assert schedule["target"]["input"] == run["event"]
    policy = recording.one("aws:iam/rolePolicy:RolePolicy", "main-roles-schedule")
    (statement,) = json.loads(plain(policy.inputs)["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == (
        "lambda:InvokeFunction",
        schedule["target"]["arn"],
    )


def test_what_was_put_back_foreign_grants_and_a_function_that_does_not_run_alarm() -> None:
    recording = record(reconciliation_schedule)
    alarms = {
        each.name: plain(each.inputs)
        for each in recording.registrations
        if each.type == "aws:cloudwatch/metricAlarm:MetricAlarm"
    }
    assert {name: (each["metricName"], each["treatMissingData"]) for name, each in alarms.items()} == {
        "main-roles-schedule-drift": ("CatalogueDrift", "notBreaching"),
        "main-roles-schedule-foreign": ("ForeignGrants", "notBreaching"),
        "main-roles-schedule-hold": ("ReconciliationHeld", "notBreaching"),
        "main-roles-schedule-reconciliation": ("FailedReconciliations", "breaching"),
    }
    for each in alarms.values():
        assert each["dimensions"] == {"RolesFunction": "main-roles"}
        assert each["alarmActions"] == ["arn:aws:sns:eu-central-1:123456789012:databases"]


def test_an_event_that_no_schedule_takes_is_refused_before_anything_is_registered() -> None:
    with pytest.raises(ValueError, match="262145 bytes of the event of one schedule; AWS takes 262144"):
        reconciliation_schedule(event="x" * (256 * 1024 + 1))
