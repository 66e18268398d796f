"""The RDS instance as AWS is asked for it: what must be there, and what must not."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.rds.instance import RdsPostgres, instance_identifier
from settings.rds import NewIamRole
from tests.components.examples import ACCOUNT, PROVIDER, TAGS, rds_postgres
from tests.recording_monitor import ABSENT, Recording, plain, record, texts_outside_secrets

INSTANCE = "aws:rds/instance:Instance"
GROUP = "aws:rds/parameterGroup:ParameterGroup"
POLICY = "aws:iam/rolePolicy:RolePolicy"
RESOURCE_ID = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@functools.cache
def usual() -> Recording:
    return record(rds_postgres)


def parameters(recording: Recording) -> dict[str, tuple[str, str]]:
    group = plain(recording.one(GROUP).inputs)
    return {each["name"]: (each["value"], each["applyMethod"]) for each in group["parameters"]}


def policies(recording: Recording, prefix: str) -> dict[str, dict[str, Any]]:
    return {
        each.name: json.loads(plain(each.inputs)["policy"])
        for each in recording.of_type(POLICY)
        if each.name.startswith(prefix)
    }


def test_the_instance_is_private_encrypted_and_knows_iam() -> None:
    usual().has_properties(
        INSTANCE,
        "main-instance",
        identifier="passwordless-postgres-test-main",
        engine="postgres",
        engineVersion="17",
        instanceClass="db.m7g.large",
        publiclyAccessible=False,
        storageEncrypted=True,
        iamDatabaseAuthenticationEnabled=True,
        caCertIdentifier="rds-ca-rsa2048-g1",
        dbSubnetGroupName="main-subnets-physical",
        vpcSecurityGroupIds=["main-server-id"],
        multiAz=True,
        storageType="gp3",
        autoMinorVersionUpgrade=True,
        allowMajorVersionUpgrade=False,
        engineLifecycleSupport="open-source-rds-extended-support-disabled",
        copyTagsToSnapshot=True,
        deletionProtection=True,
        deleteAutomatedBackups=False,
        skipFinalSnapshot=False,
        enabledCloudwatchLogsExports=["iam-db-auth-error", "postgresql", "upgrade"],
        performanceInsightsEnabled=True,
        performanceInsightsRetentionPeriod=7,
        databaseInsightsMode="standard",
        monitoringInterval=60,
        applyImmediately=False,
    )


def test_the_master_password_is_rds_own_and_in_nothing_of_ours() -> None:
    usual().has_properties(
        INSTANCE,
        "main-instance",
        manageMasterUserPassword=True,
        username="pgpl_master",
        password=ABSENT,
        passwordWo=ABSENT,
        snapshotIdentifier=ABSENT,
        replicateSourceDb=ABSENT,
        blueGreenUpdate=ABSENT,
        dbName=ABSENT,
        domain=ABSENT,
    )
    for each in usual().registrations:
        assert not any("master-password" in text for text in texts_outside_secrets(each.inputs))
    assert not usual().of_type("aws:secretsmanager/secret:Secret")


def test_everything_is_encrypted_with_the_one_key() -> None:
    key = usual().has_properties("aws:kms/key:Key", enableKeyRotation=True, deletionWindowInDays=30)
    arn = "arn:aws:kms:eu-central-1:123456789012:main-key"
    usual().has_properties(
        INSTANCE, kmsKeyId=arn, masterUserSecretKmsKeyId=arn, performanceInsightsKmsKeyId=arn
    )
    assert key.request.retainOnDelete, "snapshots would be unreadable without it"


def test_a_given_key_is_used_and_none_is_made() -> None:
    given = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    recording = record(lambda: rds_postgres(storage={"kms_key_arn": given}))
    assert not recording.of_type("aws:kms/key:Key")
    recording.has_properties(
        INSTANCE, kmsKeyId=given, masterUserSecretKmsKeyId=given, performanceInsightsKmsKeyId=given
    )


@pytest.mark.parametrize("major", [15, 16, 17, 18])
def test_the_parameter_group_forces_tls(major: int) -> None:
    recording = record(lambda: rds_postgres(major=major))
    recording.has_properties(GROUP, family=f"postgres{major}", name=ABSENT)
    found = parameters(recording)
    assert found["rds.force_ssl"] == ("1", "pending-reboot")
    assert found["ssl_min_protocol_version"] == ("TLSv1.3", "immediate")
    assert found["rds.accepted_password_auth_method"] == ("scram", "immediate")
    assert found["password_encryption"] == ("scram-sha-256", "immediate")
    assert found["log_connections"] == ("1", "immediate")
    assert ("ssl_ciphers" in found, "ssl_groups" in found) == (major >= 16, major >= 18)
    assert "ssl" not in found
    recording.has_properties(
        INSTANCE, parameterGroupName="main-parameters-physical", engineVersion=str(major)
    )


def test_users_add_parameters_and_cannot_weaken_the_group() -> None:
    found = parameters(
        record(lambda: rds_postgres(parameters={"work_mem": "64MB", "max_connections": "200"}))
    )
    assert found["work_mem"] == ("65536", "immediate")
    assert found["max_connections"] == ("200", "pending-reboot")
    with pytest.raises(ValueError, match="without TLS"):
        record(lambda: rds_postgres(parameters={"rds.force_ssl": "0"}))


def test_only_named_clients_and_the_roles_function_reach_the_server() -> None:
    ingress = usual().of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    of_server = [
        plain(each.inputs) for each in ingress if plain(each.inputs)["securityGroupId"] == "main-server-id"
    ]
    assert sorted(each.get("cidrIpv4", "a group") for each in of_server) == ["10.30.0.0/16", "a group"]
    assert all((each["fromPort"], each["toPort"]) == (5432, 5432) for each in of_server)
    egress = usual().of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert not [each for each in egress if plain(each.inputs)["securityGroupId"] == "main-server-id"]


def test_logs_are_kept_as_long_as_asked_and_made_before_the_instance() -> None:
    groups = usual().of_type("aws:cloudwatch/logGroup:LogGroup")
    names = {plain(each.inputs)["name"]: plain(each.inputs)["retentionInDays"] for each in groups}
    expected = {
        f"/aws/rds/instance/passwordless-postgres-test-main/{log}": 90
        for log in ("iam-db-auth-error", "postgresql", "upgrade")
    }
    assert expected.items() <= names.items()
    dependencies = set(usual().one(INSTANCE).request.dependencies)
    assert {each.urn for each in groups if "main-log-" in each.name} <= dependencies


def test_failed_iam_logins_raise_alarms() -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:databases"
    recording = record(lambda: rds_postgres(alarm_topics=[topic]))
    alarms = [plain(each.inputs) for each in recording.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")]
    alarms = [each for each in alarms if each["namespace"] == "AWS/RDS"]
    assert {each["metricName"] for each in alarms} == {
        f"IamDbAuthConnectionFailure{kind}"
        for kind in ("InvalidToken", "InsufficientPermissions", "Throttling", "ServerError")
    }
    for each in alarms:
        assert each["namespace"] == "AWS/RDS"
        assert each["dimensions"] == {"DBInstanceIdentifier": "passwordless-postgres-test-main"}
        assert each["alarmActions"] == [topic]
        assert each["treatMissingData"] == "notBreaching"
    subscriptions = recording.of_type("aws:rds/eventSubscription:EventSubscription")
    assert {plain(each.inputs)["sourceType"] for each in subscriptions} == {
        "db-instance",
        "db-parameter-group",
    }
    assert not usual().of_type("aws:rds/eventSubscription:EventSubscription")


def test_monitoring_writes_to_its_own_log_group_only() -> None:
    (document,) = policies(usual(), "main-monitoring").values()
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:RDSOSMetrics"
    # What IAM compares ends in the stream's part, also where there is no stream.
    granted = {
        action: statement["Resource"] for statement in document["Statement"] for action in statement["Action"]
    }
    assert granted["logs:CreateLogGroup"] == granted["logs:PutRetentionPolicy"] == f"{group}:*"
    assert granted["logs:PutLogEvents"] == f"{group}:log-stream:*"
    assert set(granted.values()) == {f"{group}:*", f"{group}:log-stream:*"}
    role = json.loads(plain(usual().one("aws:iam/role:Role", "main-monitoring").inputs)["assumeRolePolicy"])
    assert role["Statement"][0]["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "123456789012",
        "aws:SourceArn": "arn:aws:rds:eu-central-1:123456789012:db:passwordless-postgres-test-main",
    }


def test_protection_is_for_production_and_can_be_lifted() -> None:
    assert usual().one(INSTANCE).request.protect
    recording = record(lambda: rds_postgres(deletion_protection=False, backup={"final_snapshot": False}))
    assert not recording.one(INSTANCE).request.protect
    assert not recording.one("aws:kms/key:Key").request.retainOnDelete
    recording.has_properties(
        INSTANCE,
        deletionProtection=False,
        skipFinalSnapshot=True,
        finalSnapshotIdentifier=ABSENT,
        deleteAutomatedBackups=True,
    )


def test_each_instance_has_a_final_snapshot_of_its_own() -> None:
    """Snapshots outlive the stack: a second one of the same name is refused, and with it the deletion."""
    first = plain(usual().one(INSTANCE).inputs)["finalSnapshotIdentifier"]
    assert re.fullmatch(r"passwordless-postgres-test-main-final-[0-9a-f]{8}", first)
    key = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    of_another_key = record(lambda: rds_postgres(storage={"kms_key_arn": key}))
    assert plain(of_another_key.one(INSTANCE).inputs)["finalSnapshotIdentifier"] != first
    made_of = usual().one(INSTANCE).request.propertyDependencies["finalSnapshotIdentifier"].urns
    assert {urn.rsplit("::", 1)[-1] for urn in made_of} == {"main-server", "main-key"}
    assert plain(record(rds_postgres).one(INSTANCE).inputs)["finalSnapshotIdentifier"] == first


def test_through_the_provider_the_function_makes_the_administrator_only() -> None:
    with_function = usual().one("passwordless-postgres:index:RolesFunction")
    through_provider = record(lambda: rds_postgres(database_roles=PROVIDER))
    assert with_function
    assert through_provider.one("passwordless-postgres:index:RolesFunction")


# allow_connect


def connected(
    role: str | NewIamRole, database_role: str, partition: str = "aws", **changes: Any
) -> Recording:
    def program() -> None:
        account = replace(ACCOUNT, partition=partition)
        rds_postgres(account=account, **changes).allow_connect(role, database_role)

    return record(program)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_an_existing_role_may_connect_as_exactly_one_user_of_exactly_this_instance(partition: str) -> None:
    recording = connected("app", "app_user", partition)
    found = recording.has_properties(POLICY, "main-connect-app_user-app", role="app")
    assert json.loads(plain(found.inputs)["policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Connect",
                "Effect": "Allow",
                "Action": "rds-db:connect",
                "Resource": (
                    f"arn:{partition}:rds-db:eu-central-1:123456789012:dbuser:{RESOURCE_ID}/app_user"
                ),
            }
        ],
    }


def test_a_new_role_trusts_who_is_named_and_may_do_nothing_else() -> None:
    role = NewIamRole(
        trusted_services=("ecs-tasks.amazonaws.com",),
        trusted_principals=("arn:aws:iam::123456789012:role/developers",),
    )
    recording = connected(role, "reporting")
    made = recording.one("aws:iam/role:Role", "main-application-reporting")
    assert json.loads(plain(made.inputs)["assumeRolePolicy"])["Statement"] == [
        {
            "Sid": "ApplicationAssumes",
            "Effect": "Allow",
            "Principal": {
                "Service": ["ecs-tasks.amazonaws.com"],
                "AWS": ["arn:aws:iam::123456789012:role/developers"],
            },
            "Action": "sts:AssumeRole",
        }
    ]
    assert plain(made.inputs)["tags"] == TAGS
    attached = [
        each
        for each in recording.of_type(POLICY)
        if plain(each.inputs)["role"] == "main-application-reporting-physical"
    ]
    assert [each.name for each in attached] == ["main-connect-reporting"]


def test_a_role_that_is_not_declared_gets_no_policy() -> None:
    with pytest.raises(
        ValueError, match="no database role 'stranger' is declared; there are app_user, reporting"
    ):
        connected("app", "stranger")


def test_a_new_role_that_trusts_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="would trust nobody"):
        connected(NewIamRole(), "app_user")


def test_the_iam_roles_of_the_settings_may_connect() -> None:
    roles = {
        "app_user": {"database": "app", "iam_roles": ["app"]},
        "reporting": {
            "database": "app",
            "new_iam_role": {"trusted_services": ["ecs-tasks.amazonaws.com"]},
        },
    }

    def program() -> None:
        pulumi.export("made", rds_postgres(roles=roles).application_roles)

    recording = record(program)
    assert {each.name for each in recording.of_type(POLICY) if "connect" in each.name} == {
        "main-connect-app_user-app",
        "main-connect-reporting",
    }
    made = recording.exports["made"].value
    assert made == {"reporting": "arn:aws:iam::123456789012:role/main-application-reporting-physical"}


def test_the_connections_document_knows_tokens_and_no_secret() -> None:
    built: list[RdsPostgres] = []

    def program() -> None:
        built.append(rds_postgres())
        pulumi.export("connection", built[0].connection)

    entry = record(program).exports["connection"]
    assert not entry.secret
    assert entry.value["authentication"] == "iam"
    assert entry.value["region"] == "eu-central-1"
    assert entry.value["resourceId"] == RESOURCE_ID
    assert entry.value["host"] == "main.abcdefghijkl.eu-central-1.rds.amazonaws.com"
    assert entry.value["roles"]["app_user"]["connectArn"] == (
        f"arn:aws:rds-db:eu-central-1:123456789012:dbuser:{RESOURCE_ID}/app_user"
    )
    assert entry.value["roles"]["app_user"]["secretArn"] is None


@pytest.mark.parametrize("stack", ["test", "a" * 80, "Über/Stack", "x--y"])
def test_the_identifier_is_one_that_rds_takes(stack: str) -> None:
    identifier = instance_identifier(stack, "rds")
    assert len(identifier) <= 63
    assert identifier == identifier.lower()
    assert "--" not in identifier
    assert not identifier.endswith("-")
    assert identifier[0].isalpha()


def test_long_names_stay_apart() -> None:
    assert instance_identifier("a" * 80, "rds") != instance_identifier("a" * 81, "rds")
