"""Each environment against the public and novel controls that name a property of RDS.

Numbers are those of the rule catalogue. What is not asserted here: P012 (AWS Backup plan), P019 (a port
other than 5432) and P026 (master's name not a literal) are choices of the account; P029 is about
security groups of EC2-Classic, which are gone; P030, P031 and N49 are about RDS Proxy, which is not made.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.recording_monitor import Recording, plain
from tests.test_program import PROJECT, sections_of

ENVIRONMENTS = ("dev", "staging", "prod")
ABSENT = object()
RESOURCE_ID = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"

ALWAYS: dict[str, tuple[str, Any]] = {
    "P001": ("publiclyAccessible", False),
    "P002": ("storageEncrypted", True),
    "P003": ("kmsKeyId", "arn:aws:kms:eu-central-1:123456789012:rds-key"),
    "P004": ("performanceInsightsKmsKeyId", "arn:aws:kms:eu-central-1:123456789012:rds-key"),
    "P005": ("performanceInsightsEnabled", True),
    "P007": ("enabledCloudwatchLogsExports", ["iam-db-auth-error", "postgresql", "upgrade"]),
    "P011": ("copyTagsToSnapshot", True),
    "P013": ("autoMinorVersionUpgrade", True),
    "P014": ("iamDatabaseAuthenticationEnabled", True),
    "P018": ("username", "pgpl_master"),
    "P020": ("dbSubnetGroupName", "rds-subnets-physical"),
    "P023": ("engineLifecycleSupport", "open-source-rds-extended-support-disabled"),
    "P024": ("engineVersion", "17"),
    "P025": ("password", ABSENT),
    "P025 managed": ("manageMasterUserPassword", True),
    "N40": ("parameterGroupName", "rds-parameters-physical"),
    "engine": ("engine", "postgres"),
    "write-only password": ("passwordWo", ABSENT),
    "snapshot": ("snapshotIdentifier", ABSENT),
    "domain": ("domain", ABSENT),
}

DIFFERING: dict[str, dict[str, tuple[str, Any]]] = {
    "dev": {
        "P006": ("monitoringInterval", 60),
        "P008": ("backupRetentionPeriod", 7),
        "P009": ("deletionProtection", False),
        "P010": ("multiAz", False),
        "P015": ("caCertIdentifier", "rds-ca-rsa2048-g1"),
        "final snapshot": ("finalSnapshotIdentifier", ABSENT),
        "class": ("instanceClass", "db.t4g.medium"),
        "at once": ("applyImmediately", True),
        "size": ("allocatedStorage", 20),
    },
    "staging": {
        "P006": ("monitoringInterval", 60),
        "P008": ("backupRetentionPeriod", 7),
        "P009": ("deletionProtection", True),
        "P010": ("multiAz", True),
        "P015": ("caCertIdentifier", "rds-ca-ecc384-g1"),
        "final snapshot": ("skipFinalSnapshot", False),
        "class": ("instanceClass", "db.m7g.large"),
        "at once": ("applyImmediately", False),
        "growth": ("maxAllocatedStorage", 100),
    },
    "prod": {
        "P006": ("monitoringInterval", 15),
        "P008": ("backupRetentionPeriod", 35),
        "P009": ("deletionProtection", True),
        "P010": ("multiAz", True),
        "P015": ("caCertIdentifier", "rds-ca-ecc384-g1"),
        "final snapshot": ("skipFinalSnapshot", False),
        "class": ("instanceClass", "db.r7g.xlarge"),
        "at once": ("applyImmediately", False),
        "iops": ("iops", 12000),
        "throughput": ("storageThroughput", 500),
    },
}

CASES = [
    pytest.param(environment, name, value, id=f"{environment}-{control}")
    for environment in ENVIRONMENTS
    for control, (name, value) in {**ALWAYS, **DIFFERING[environment]}.items()
]


@pytest.mark.parametrize(("environment", "name", "value"), CASES)
def test_a_property_that_a_control_names(
    environment: str, name: str, value: Any, programs: dict[str, Recording]
) -> None:
    inputs = plain(programs[environment].one("aws:rds/instance:Instance").inputs)
    assert inputs.get(name, ABSENT) == value


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_parameter_group(environment: str, programs: dict[str, Recording]) -> None:
    """P016, P017, N41 to N45."""
    group = plain(programs[environment].one("aws:rds/parameterGroup:ParameterGroup").inputs)
    assert group["family"] == "postgres17"
    found = {each["name"]: (each["value"], each["applyMethod"]) for each in group["parameters"]}
    assert found["rds.force_ssl"] == ("1", "pending-reboot")
    assert found["ssl_min_protocol_version"] == ("TLSv1.3", "immediate")
    assert found["password_encryption"] == ("scram-sha-256", "immediate")
    assert found["rds.accepted_password_auth_method"] == ("scram", "immediate")
    assert found["log_statement"] == ("ddl", "immediate")
    slow = found.get("log_min_duration_statement", ABSENT)
    assert slow == (ABSENT if environment == "dev" else ("1000", "immediate"))
    assert "ssl" not in found
    assert "ssl_max_protocol_version" not in found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_events_and_alarms_reach_somebody_where_it_matters(
    environment: str, programs: dict[str, Recording]
) -> None:
    """P027, P028."""
    recording = programs[environment]
    sources = {
        plain(each.inputs)["sourceType"]
        for each in recording.of_type("aws:rds/eventSubscription:EventSubscription")
    }
    assert sources == (set() if environment == "dev" else {"db-instance", "db-parameter-group"})
    for alarm in recording.of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        assert bool(plain(alarm.inputs)["alarmActions"]) is (environment != "dev")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_subnets_are_private_and_ingress_is_named(environment: str, programs: dict[str, Recording]) -> None:
    """P021, P063."""
    recording = programs[environment]
    subnets = plain(recording.one("aws:rds/subnetGroup:SubnetGroup").inputs)["subnetIds"]
    assert len(subnets) >= 2
    assert not [subnet for subnet in subnets if "public" in subnet]
    for rule in recording.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        inputs = plain(rule.inputs)
        assert inputs.get("cidrIpv4") not in ("0.0.0.0/0", "10.0.0.0/8")
        assert ("cidrIpv4" in inputs) or ("cidrIpv6" in inputs) or inputs["referencedSecurityGroupId"]


def statement(user: str) -> dict[str, Any]:
    return {
        "Sid": "Connect",
        "Effect": "Allow",
        "Action": "rds-db:connect",
        "Resource": f"arn:aws:rds-db:eu-central-1:123456789012:dbuser:{RESOURCE_ID}/{user}",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_may_connect_is_exactly_who_the_stack_file_names(
    environment: str, programs: dict[str, Recording]
) -> None:
    """N46 to N48: one statement, one resource id, one user, never the master, nobody else."""
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    for user, role in sections_of(environment)[f"{PROJECT}:rds"]["roles"].items():
        for name in role.get("iamRoles", ()):
            expected[user, name] = statement(user)
        if "newIamRole" in role:
            expected[user, f"rds-application-{user}-physical"] = statement(user)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in programs[environment].of_type("aws:iam/rolePolicy:RolePolicy"):
        document = json.loads(plain(each.inputs)["policy"])
        for one in document["Statement"]:
            if "rds-db:connect" in one["Action"] and each.name.startswith("rds-connect-"):
                assert document == {"Version": "2012-10-17", "Statement": [one]}
                found[one["Resource"].rsplit("/", 1)[1], plain(each.inputs)["role"]] = one
    assert found == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_statement_of_the_stack_is_wider_than_its_resource(
    environment: str, programs: dict[str, Recording]
) -> None:
    """P146 to P148, N46: no action with a wildcard, no resource `*` without a condition, no other user."""
    for each in programs[environment].of_type("aws:iam/rolePolicy:RolePolicy"):
        for one in json.loads(plain(each.inputs)["policy"])["Statement"]:
            actions = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
            assert not [action for action in actions if "*" in action], each.name
            resources = [one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"]
            if one["Effect"] == "Allow" and "*" in resources:
                assert one.get("Condition"), f"{each.name}: {one}"
            if "rds-db:connect" in actions:
                assert not [resource for resource in resources if "*" in resource]
                assert not [resource for resource in resources if resource.endswith("/pgpl_master")]
