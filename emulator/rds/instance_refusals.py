"""What AWS refuses of an RDS instance. Values are known; wordings are AWS's own as far as possible."""

from __future__ import annotations

import re
from collections.abc import Iterable

from botocore.exceptions import ClientError

from emulator.core.aws_type import given
from emulator.core.registry import Registry
from emulator.core.resource_type import Properties
from emulator.ec2.network import SECURITY_GROUP
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.iam.authoriser import trusts_service
from emulator.kms.keys import KEY, key_id
from emulator.postgresql_server.binaries import pin_for
from emulator.rds.authority import KINDS
from emulator.rds.groups import FAMILIES, PARAMETER_GROUP, SUBNET_GROUP
from emulator.rds.model import DEFAULT_PORT, IAM_ERROR_LOG, POSTGRESQL_LOG

LOGS = (IAM_ERROR_LOG, POSTGRESQL_LOG, "upgrade")
_LOWEST_PORT, _HIGHEST_PORT = 1150, 65535
_STRIPED_GIB = 400
_RESERVED = frozenset({"admin", "rdsadmin", "rds_superuser", "rds_iam", "rds_password", "rds_replication"})
_PASSWORD = re.compile(r"[!#-.0-?A-~]*")


def version(inputs: Properties) -> tuple[int, str] | None:
    """Major release and the version that runs here, or None when RDS has no such version."""
    found = re.fullmatch(
        r"(\d{1,2})(?:\.(\d{1,3}))?", str(given(inputs, "engineVersion", max(FAMILIES.values())))
    )
    if found is None or int(found[1]) not in FAMILIES.values():
        return None
    actual = pin_for(int(found[1])).version.removesuffix(".0")
    # A later minor release than the one that runs here is unknown here.
    if found[2] is not None and int(found[2]) > int(actual.split(".")[1]):
        return None
    return int(found[1]), actual


def default_group(major: int) -> str:
    """Name of the group that RDS takes when none is given."""
    return f"default.postgres{major}"


def refusals(inputs: Properties, registry: Registry, endpoint: AwsEndpoint) -> Iterable[str]:
    """Error codes and messages, as one text."""
    yield from _engine(inputs)
    yield from _size(inputs)
    yield from _master(inputs)
    yield from _keys(inputs, registry)
    yield from _network(inputs, registry)
    yield from _group(inputs, registry)
    yield from _operations(inputs, endpoint)


def change_refusals(old: Properties, new: Properties) -> Iterable[str]:
    """What AWS refuses of a change besides."""
    before, after = version(old), version(new)
    if before is not None and after is not None and before[0] != after[0]:
        if not new.get("allowMajorVersionUpgrade"):
            yield (
                "InvalidParameterCombination: The AllowMajorVersionUpgrade flag must be present when "
                "upgrading to a new major version."
            )
        yield (
            f"InvalidParameterCombination: an upgrade from PostgreSQL {before[0]} to {after[0]} has no "
            "stand-in in the sandbox; give the instance another name, or begin anew with `make clean`"
        )
    if int(new["allocatedStorage"]) < int(old["allocatedStorage"]):
        yield (
            "InvalidParameterCombination: Invalid storage size for engine name postgres: "
            f"{new['allocatedStorage']} is less than the current {old['allocatedStorage']}"
        )
    both = all(values.get("manageMasterUserPassword") for values in (old, new))
    if both and old.get("masterUserSecretKmsKeyId") != new.get("masterUserSecretKmsKeyId"):
        yield "InvalidParameterCombination: the KMS key of a managed master user secret cannot change"


def _engine(inputs: Properties) -> Iterable[str]:
    if inputs.get("engine") != "postgres":
        yield f"InvalidParameterValue: Invalid DB engine: {inputs.get('engine')} (the sandbox has postgres)"
    elif version(inputs) is None:
        yield f"InvalidParameterCombination: Cannot find version {inputs.get('engineVersion')} for postgres"
    if not re.fullmatch(r"db\.[a-z0-9-]+\.[0-9a-z-]+", inputs["instanceClass"]):
        yield f"InvalidParameterValue: Invalid DB Instance class: {inputs['instanceClass']}"


def _size(inputs: Properties) -> Iterable[str]:
    size, kind = int(inputs["allocatedStorage"]), given(inputs, "storageType", "gp2")
    lowest = {"standard": 5, "io1": 100, "io2": 100}.get(kind, 20)
    if not lowest <= size <= 65536:
        yield (
            f"InvalidParameterValue: Invalid storage size for engine name postgres and storage type {kind}: "
            f"{size}"
        )
    most = given(inputs, "maxAllocatedStorage", 0)
    if most and int(most) <= size:
        yield "InvalidParameterCombination: Max storage size must be greater than storage size"
    chosen = inputs.get("iops") is not None or inputs.get("storageThroughput") is not None
    if chosen and kind == "gp3" and size < _STRIPED_GIB:
        yield (
            "InvalidParameterCombination: You can't specify IOPS or storage throughput for engine postgres "
            f"and a storage size less than {_STRIPED_GIB}."
        )


def _master(inputs: Properties) -> Iterable[str]:
    user = inputs["username"]
    if not re.fullmatch(r"(?!pg_)[A-Za-z][A-Za-z0-9_]{0,62}", user):
        yield f"InvalidParameterValue: MasterUsername {user} is not valid"
    if user.lower() in _RESERVED:
        yield (
            f"InvalidParameterValue: MasterUsername {user} cannot be used as it is a reserved word used by "
            "the engine"
        )
    if inputs.get("manageMasterUserPassword"):
        return
    if inputs.get("masterUserSecretKmsKeyId") is not None:
        yield (
            "InvalidParameterCombination: You can't specify MasterUserSecretKmsKeyId unless "
            "ManageMasterUserPassword is true."
        )
    password = str(given(inputs, "password", ""))
    if not password:
        yield (
            "InvalidParameterValue: The parameter MasterUserPassword must be provided and must not be blank."
        )
    elif not 8 <= len(password) <= 128 or not _PASSWORD.fullmatch(password):
        yield (
            "InvalidParameterValue: The parameter MasterUserPassword is not a valid password. It has 8 to "
            "128 characters; only printable ASCII characters besides '/', '@', '\"', ' ' may be used."
        )


def _keys(inputs: Properties, registry: Registry) -> Iterable[str]:
    if inputs.get("kmsKeyId") is not None and not inputs.get("storageEncrypted"):
        yield "InvalidParameterCombination: You can't specify KmsKeyId when StorageEncrypted is false."
    for name in ("kmsKeyId", "masterUserSecretKmsKeyId", "performanceInsightsKmsKeyId"):
        key = inputs.get(name)
        if key is not None and registry.get(KEY, key_id(key)) is None:
            yield (
                f"KMSKeyNotAccessibleFault: The specified KMS key [{key}] does not exist, is not enabled or "
                "you do not have permissions to access it."
            )


def _network(inputs: Properties, registry: Registry) -> Iterable[str]:
    name = given(inputs, "dbSubnetGroupName", "default")
    group = registry.get(SUBNET_GROUP, name)
    if group is None:
        yield f"DBSubnetGroupNotFoundFault: DB subnet group '{name}' does not exist."
    for identifier in inputs.get("vpcSecurityGroupIds") or ():
        found = registry.get(SECURITY_GROUP, identifier)
        if found is None:
            yield f"InvalidParameterValue: Invalid security group , groupId= {identifier}, groupName=."
        elif group is not None and found.inputs.get("vpcId") != group.outputs.get("vpcId"):
            yield (
                "InvalidParameterCombination: The DB instance and EC2 security group are in different VPCs. "
                f"The DB instance is in {group.outputs.get('vpcId')} and the EC2 security group is in "
                f"{found.inputs.get('vpcId')}"
            )
    port = int(given(inputs, "port", DEFAULT_PORT))
    if not _LOWEST_PORT <= port <= _HIGHEST_PORT:
        yield (
            f"InvalidParameterValue: Invalid database port: {port}. It must be between {_LOWEST_PORT} and "
            f"{_HIGHEST_PORT}."
        )


def _group(inputs: Properties, registry: Registry) -> Iterable[str]:
    found = version(inputs)
    if found is None:
        return
    wanted = f"postgres{found[0]}"
    name = given(inputs, "parameterGroupName", default_group(found[0]))
    if name == default_group(found[0]):
        return
    group = registry.get(PARAMETER_GROUP, name)
    if group is None:
        yield f"DBParameterGroupNotFound: DBParameterGroup not found: {name}"
    elif group.inputs["family"] != wanted:
        yield (
            f"InvalidParameterCombination: The Parameter Group {name} with DBParameterGroupFamily "
            f"{group.inputs['family']} can't be used for this instance. Please use a Parameter Group with "
            f"DBParameterGroupFamily {wanted}"
        )


def _operations(inputs: Properties, endpoint: AwsEndpoint) -> Iterable[str]:
    retention = int(given(inputs, "backupRetentionPeriod", 1))
    if not 0 <= retention <= 35:
        yield f"InvalidParameterValue: Invalid backup retention period: {retention}. Must be between 0 and 35"
    authority = given(inputs, "caCertIdentifier", next(iter(KINDS)))
    if authority not in KINDS:
        yield f"CertificateNotFound: CA certificate {authority} not found (RDS has {', '.join(KINDS)})"
    for log in inputs.get("enabledCloudwatchLogsExports") or ():
        if log not in LOGS:
            yield (
                f"InvalidParameterCombination: You cannot use the log types '{log}' with engine version "
                "postgres."
            )
    if int(given(inputs, "monitoringInterval", 0)):
        yield from _monitoring(inputs, endpoint)


def _monitoring(inputs: Properties, endpoint: AwsEndpoint) -> Iterable[str]:
    role = inputs.get("monitoringRoleArn")
    if role is None:
        yield (
            "InvalidParameterCombination: A MonitoringRoleARN value is required if you specify a "
            "MonitoringInterval value other than 0."
        )
        return
    try:
        found = endpoint.client("iam").get_role(RoleName=str(role).rpartition("/")[2])["Role"]
        trusted = trusts_service(found["AssumeRolePolicyDocument"], "monitoring.rds.amazonaws.com")
    except ClientError:
        trusted = False
    if not trusted:
        yield (
            "InvalidParameterValue: IAM role ARN value is invalid or does not include the required "
            "permissions for: ENHANCED_MONITORING"
        )
