"""RDS instances: PostgreSQL on loopback, brought to life by `emulator.rds`.

There is no maintenance window: what would wait for one on RDS is done at once. What waits for a reboot
waits here as well.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import (
    AwsType,
    Resource,
    choice_problem,
    given,
    known,
    pattern_problem,
    text,
)
from emulator.core.moto_backend import secret_arn
from emulator.core.properties import UNKNOWN
from emulator.core.registry import Record
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call
from emulator.ec2.network import SUBNET
from emulator.rds.authority import DEFAULT_IDENTIFIER, HOST
from emulator.rds.databases import Databases, UnknownInstance
from emulator.rds.groups import DATABASE, PARAMETER_GROUP, SUBNET_GROUP, group_parameters
from emulator.rds.instance import Instance as DatabaseInstance
from emulator.rds.instance_rules import DEFAULT_PORT, default_group, refusals, version
from emulator.rds.parameter_state import associated, booted
from emulator.rds.server import ServerError

_PASSWORD_LENGTH = 28
# What RDS draws from: printable ASCII without '/', '@', '"' and space.
_PASSWORD_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'()*+,-.:;<=>?[]^_`{|}~"
_WITHOUT_STAND_IN = ("blueGreenUpdate", "passwordWo", "replicateSourceDb", "restoreToPointInTime", "s3Import",
                     "snapshotIdentifier")  # fmt: skip
_EXPORTS = ("agent", "alert", "audit", "diag.log", "error", "general", "iam-db-auth-error", "listener",
            "notify.log", "oemagent", "postgresql", "slowquery", "trace", "upgrade")  # fmt: skip
_WINDOW = r"([01]\d|2[0-3]):[0-5]\d"
_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_PI_RETENTIONS = (7, *(31 * months for months in range(1, 24)), 731)


class Instance(AwsType):
    """`rds.Instance`."""

    token = DATABASE
    required = ("allocatedStorage", "engine", "instanceClass", "username")
    defaults: ClassVar[Mapping[str, Any]] = {
        "autoMinorVersionUpgrade": True,
        "copyTagsToSnapshot": False,
        "deleteAutomatedBackups": True,
        "monitoringInterval": 0,
        "performanceInsightsEnabled": False,
        "publiclyAccessible": False,
        "skipFinalSnapshot": False,
    }
    name_property = "identifier"
    name_maximum = 63
    replace_on = frozenset(
        {
            "availabilityZone",
            "backupTarget",
            "characterSetName",
            "customIamInstanceProfile",
            "dbName",
            "engine",
            "kmsKeyId",
            "ncharCharacterSetName",
            "restoreToPointInTime",
            "region",
            "s3Import",
            "snapshotIdentifier",
            "storageEncrypted",
            "timezone",
            "username",
        }
    )
    hidden = frozenset({"password"})
    secret_outputs = frozenset({"password"})

    def form_name(self, name: str) -> str:
        """RDS keeps identifiers in lower case."""
        return name.lower()

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The DbiResourceId, which a change of the identifier does not change."""
        del inputs
        return f"db-{base64.b32encode(bytes.fromhex(resource.digest('db'))).decode()[:26]}"

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """What the provider itself looks at, and what has no stand-in."""
        words = (
            "only lowercase alphanumeric characters and hyphens allowed, beginning with a letter, without "
            "two hyphens in a row or one at the end"
        )
        yield from pattern_problem(inputs, "identifier", r"(?=.{1,63}$)[a-z](?:-?[0-9a-z])*", words)
        words = "letters, digits and single hyphens, beginning with a letter"
        yield from pattern_problem(inputs, "finalSnapshotIdentifier", r"[A-Za-z](?:-?[0-9A-Za-z])*", words)
        words = 'must satisfy the format of "hh24:mi-hh24:mi"'
        yield from pattern_problem(inputs, "backupWindow", f"{_WINDOW}-{_WINDOW}", words)
        words = 'must satisfy the format of "ddd:hh24:mi-ddd:hh24:mi"'
        pattern = f"(?i:{_DAY}):{_WINDOW}-(?i:{_DAY}):{_WINDOW}"
        yield from pattern_problem(inputs, "maintenanceWindow", pattern, words)
        yield from choice_problem(inputs, "monitoringInterval", (0, 1, 5, 10, 15, 30, 60))
        yield from choice_problem(inputs, "performanceInsightsRetentionPeriod", _PI_RETENTIONS)
        yield from choice_problem(inputs, "databaseInsightsMode", ("standard", "advanced"))
        yield from choice_problem(inputs, "storageType", ("standard", "gp2", "gp3", "io1", "io2"))
        support = ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled")
        yield from choice_problem(inputs, "engineLifecycleSupport", support)
        exports = inputs.get("enabledCloudwatchLogsExports")
        for export in exports if isinstance(exports, list) else ():
            for failure in choice_problem({"log": export}, "log", _EXPORTS):
                yield Failure("enabledCloudwatchLogsExports", failure.reason)
        if inputs.get("manageMasterUserPassword") is not None and inputs.get("password") is not None:
            yield Failure(
                "manageMasterUserPassword", '"manage_master_user_password": conflicts with password'
            )
        for name in _WITHOUT_STAND_IN:
            if inputs.get(name) is not None:
                yield Failure(name, f"{name} has no stand-in in the sandbox")

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """A name that is taken, and everything else that AWS looks at."""
        del resource
        identifier = inputs["identifier"]
        for other in self.registry.of_type(self.token):
            if other.id != resource_id and other.inputs["identifier"] == identifier:
                raise Refused(
                    f"creating RDS DB Instance ({identifier}): api error DBInstanceAlreadyExists: DB "
                    "instance already exists"
                )
        self._refuse_values("creating", inputs)

    def _refuse_values(self, doing: str, inputs: Properties) -> None:
        for code, message in refusals(inputs, self.registry, self.endpoint):
            raise Refused(f"{doing} RDS DB Instance ({inputs['identifier']}): api error {code}: {message}")

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """What a running instance shows."""
        identifier, port = inputs["identifier"], given(inputs, "port", DEFAULT_PORT)
        found = version(inputs) if known(given(inputs, "engineVersion", "")) else None
        major, actual = found or (UNKNOWN, UNKNOWN)
        outputs = {
            "address": HOST,
            "arn": resource.arn("rds", text("db:", identifier)),
            "availabilityZone": given(inputs, "availabilityZone", self._zone(inputs)),
            "backupRetentionPeriod": given(inputs, "backupRetentionPeriod", 1),
            "caCertIdentifier": given(inputs, "caCertIdentifier", DEFAULT_IDENTIFIER),
            "dbName": given(inputs, "dbName", ""),
            "endpoint": text(HOST, ":", port),
            "engineVersion": given(inputs, "engineVersion", actual),
            "engineVersionActual": actual,
            "licenseModel": "postgresql-license",
            "masterUserSecrets": [],
            "multiAz": given(inputs, "multiAz", False),
            "parameterGroupName": given(inputs, "parameterGroupName", text("default.postgres", major)),
            "port": port,
            "replicas": [],
            "resourceId": resource_id,
            "status": "available",
            "storageType": given(inputs, "storageType", "gp2"),
        }
        if inputs.get("manageMasterUserPassword"):
            outputs["masterUserSecrets"] = [
                {
                    "kmsKeyId": given(
                        inputs, "masterUserSecretKmsKeyId", _default_key(resource, "secretsmanager")
                    ),
                    "secretArn": secret_arn(_secret_name(resource), resource.region),
                    "secretStatus": "active",
                }
            ]
        if inputs.get("storageEncrypted"):
            outputs["kmsKeyId"] = given(inputs, "kmsKeyId", _default_key(resource, "rds"))
        return outputs

    def _zone(self, inputs: Properties) -> Any:
        group = self.registry.get(SUBNET_GROUP, inputs.get("dbSubnetGroupName"))
        subnet = self.registry.get(SUBNET, group.inputs["subnetIds"][0]) if group is not None else None
        return UNKNOWN if subnet is None else subnet.outputs.get("availabilityZone", UNKNOWN)

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Starts PostgreSQL, with its endpoint and its master's password."""
        identifier = inputs["identifier"]
        databases = self._running()
        major, _ = version(inputs) or (0, "")
        group = given(inputs, "parameterGroupName", default_group(major))
        instance = DatabaseInstance(
            identifier=identifier,
            resource_id=resource_id,
            region=resource.region,
            major=major,
            port=int(given(inputs, "port", DEFAULT_PORT)),
            master=inputs["username"],
            database=inputs.get("dbName"),
            parameters=booted(group, self._parameters(group)),
            **_changeable(inputs),
        )
        managed = bool(inputs.get("manageMasterUserPassword"))
        password = self._managed_password(resource, inputs) if managed else inputs["password"]
        try:
            databases.create(instance, password)
        except (ServerError, OSError) as error:
            if managed:
                self._delete_secret(resource)
            raise Refused(
                f"creating RDS DB Instance ({identifier}): {_words(error, instance.port)}"
            ) from error
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Changes it at once, but for what waits for a reboot."""
        del outputs
        identifier = inputs["identifier"]
        self._refuse_change(old_inputs, inputs)
        major, _ = version(inputs) or (0, "")
        group = given(inputs, "parameterGroupName", default_group(major))
        parameters, port = self._parameters(group), int(given(inputs, "port", DEFAULT_PORT))

        def change(found: DatabaseInstance) -> DatabaseInstance:
            return replace(
                found,
                identifier=identifier,
                port=port,
                parameters=associated(found.parameters, group, parameters),
                **_changeable(inputs),
            )

        managed, was_managed = (
            bool(values.get("manageMasterUserPassword")) for values in (inputs, old_inputs)
        )
        password = None
        if managed and not was_managed:
            password = self._managed_password(resource, inputs)
        elif not managed and (was_managed or inputs["password"] != old_inputs.get("password")):
            password = inputs["password"]
        try:
            self._running().change(resource_id, change, password)
        except (ServerError, OSError, UnknownInstance) as error:
            raise Refused(f"updating RDS DB Instance ({identifier}): {_words(error, port)}") from error
        if was_managed and not managed:
            self._delete_secret(resource)
        return {}

    def _refuse_change(self, old: Properties, new: Properties) -> None:
        verb = f"updating RDS DB Instance ({new['identifier']}): api error"
        self._refuse_values("updating", new)
        before, after = version(old), version(new)
        if before is not None and after is not None and before[0] != after[0]:
            if not new.get("allowMajorVersionUpgrade"):
                raise Refused(
                    f"{verb} InvalidParameterCombination: The AllowMajorVersionUpgrade flag must be present "
                    "when upgrading to a new major version."
                )
            raise Refused(
                f"{verb} InvalidParameterCombination: an upgrade from PostgreSQL {before[0]} to {after[0]} "
                "has no stand-in in the sandbox; give the instance another name, or begin anew with "
                "`make clean`"
            )
        if int(new["allocatedStorage"]) < int(old["allocatedStorage"]):
            raise Refused(
                f"{verb} InvalidParameterCombination: Invalid storage size for engine name postgres: "
                f"{new['allocatedStorage']} is less than the current {old['allocatedStorage']}"
            )
        both = all(values.get("manageMasterUserPassword") for values in (old, new))
        if both and old.get("masterUserSecretKmsKeyId") != new.get("masterUserSecretKmsKeyId"):
            raise Refused(
                f"{verb} InvalidParameterCombination: the KMS key of a managed master user secret cannot "
                "change"
            )

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Whether it is there, and its status."""
        del record
        if self.databases is None:
            return {}
        found = next((item for item in self.databases.instances if item.resource_id == resource_id), None)
        return None if found is None else {"status": found.status}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes it, unless it is protected or its final snapshot has no name."""
        verb = f"deleting RDS DB Instance ({inputs['identifier']}):"
        snapshot = None
        # What was never finished has no outputs, and holds nothing worth a protection.
        if outputs:
            if inputs.get("deletionProtection"):
                raise Refused(
                    f"{verb} api error InvalidParameterCombination: Cannot delete protected DB Instance, "
                    "please disable deletion protection and try again."
                )
            snapshot = None if inputs.get("skipFinalSnapshot") else inputs.get("finalSnapshotIdentifier")
            if not inputs.get("skipFinalSnapshot") and snapshot is None:
                raise Refused(
                    f"{verb} final_snapshot_identifier is required when skip_final_snapshot is false"
                )
        try:
            if self.databases is not None:
                self.databases.delete(resource_id, snapshot)
        except RuntimeError as error:
            raise Refused(f"{verb} {error}") from error
        for secret in given(outputs, "masterUserSecrets", []):
            self._delete(secret["secretArn"])

    def _running(self) -> Databases:
        if self.databases is None:
            raise Refused("RDS instances need a running sandbox; this provider only previews")
        return self.databases

    def _parameters(self, group: str) -> Any:
        record = self.registry.get(PARAMETER_GROUP, group)
        return () if record is None else group_parameters(record.inputs)

    def _managed_password(self, resource: Resource, inputs: Properties) -> str:
        """The password in the managed secret, which is made if a kill did not leave it."""
        client = self.endpoint.client("secretsmanager", resource.region)
        name = _secret_name(resource)
        try:
            return json.loads(client.get_secret_value(SecretId=name)["SecretString"])["password"]
        except ClientError:
            password = "".join(secrets.choice(_PASSWORD_CHARACTERS) for _ in range(_PASSWORD_LENGTH))
        options = {}
        if inputs.get("masterUserSecretKmsKeyId"):
            options["KmsKeyId"] = inputs["masterUserSecretKmsKeyId"]
        with service_call(f"creating the master user secret of RDS DB Instance ({inputs['identifier']})"):
            client.create_secret(
                Name=name,
                Description=f"Secret associated with primary RDS DB instance: {inputs['identifier']}",
                SecretString=json.dumps({"username": inputs["username"], "password": password}),
                **options,
            )
        return password

    def _delete_secret(self, resource: Resource) -> None:
        self._delete(secret_arn(_secret_name(resource), resource.region))

    def _delete(self, arn: str) -> None:
        with service_call(f"deleting the master user secret ({arn})", accept=("ResourceNotFoundException",)):
            self.endpoint.client("secretsmanager", arn.split(":")[3]).delete_secret(
                SecretId=arn, ForceDeleteWithoutRecovery=True
            )


def _changeable(inputs: Properties) -> dict[str, Any]:
    return {
        "iam_authentication": bool(inputs.get("iamDatabaseAuthenticationEnabled")),
        "ca_identifier": given(inputs, "caCertIdentifier", DEFAULT_IDENTIFIER),
        "log_exports": tuple(given(inputs, "enabledCloudwatchLogsExports", ())),
    }


def _secret_name(resource: Resource) -> str:
    return f"rds!db-{uuid.UUID(resource.digest('master secret')[:32], version=4)}"


def _default_key(resource: Resource, service: str) -> Any:
    return resource.arn("kms", f"alias/aws/{service}")


def _words(error: Exception, port: int) -> str:
    if isinstance(error, OSError):
        return f"port {port} cannot be had on loopback: {error}"
    if isinstance(error, UnknownInstance):
        return "api error DBInstanceNotFound: there is no such instance"
    return str(error)
