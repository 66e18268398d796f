"""RDS instances: PostgreSQL on loopback.

There is no maintenance window: what would wait for one on RDS is done at once. What waits for a reboot
on RDS waits here as well.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, given, known, text
from emulator.core.checks import matching, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call
from emulator.ec2.network import SUBNET
from emulator.endpoint.moto_backend import secret_arn
from emulator.rds.authority import DEFAULT_IDENTIFIER, HOST
from emulator.rds.databases import Databases, UnknownInstance
from emulator.rds.groups import DATABASE, PARAMETER_GROUP, SUBNET_GROUP, group_parameters
from emulator.rds.instance_refusals import change_refusals, default_group, refusals, version
from emulator.rds.model import DEFAULT_PORT, Instance
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


class InstanceType(AwsType):
    """`rds.Instance`."""

    token = DATABASE
    model = Instance
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
    form_name = staticmethod(str.lower)
    checks: ClassVar = {
        "identifier": (
            matching(
                r"(?=.{1,63}$)[a-z](?:-?[0-9a-z])*",
                "only lowercase alphanumeric characters and hyphens allowed, beginning with a letter, "
                "without two hyphens in a row or one at the end",
            ),
        ),
        "finalSnapshotIdentifier": (
            matching(
                r"[A-Za-z](?:-?[0-9A-Za-z])*",
                "letters, digits and single hyphens, beginning with a letter",
            ),
        ),
        "backupWindow": (matching(f"{_WINDOW}-{_WINDOW}", 'must satisfy the format of "hh24:mi-hh24:mi"'),),
        "maintenanceWindow": (
            matching(
                f"(?i:{_DAY}):{_WINDOW}-(?i:{_DAY}):{_WINDOW}",
                'must satisfy the format of "ddd:hh24:mi-ddd:hh24:mi"',
            ),
        ),
        "monitoringInterval": (one_of(0, 1, 5, 10, 15, 30, 60),),
        "performanceInsightsRetentionPeriod": (one_of(*_PI_RETENTIONS),),
        "enabledCloudwatchLogsExports.log": (one_of(*_EXPORTS),),
        "databaseInsightsMode": (one_of("standard", "advanced"),),
        "storageType": (one_of("standard", "gp2", "gp3", "io1", "io2"),),
        "engineLifecycleSupport": (
            one_of("open-source-rds-extended-support", "open-source-rds-extended-support-disabled"),
        ),
    }
    at_most_one = (("password", "manageMasterUserPassword"),)
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "address": HOST,
        "backupRetentionPeriod": 1,
        "caCertIdentifier": DEFAULT_IDENTIFIER,
        "dbName": "",
        "licenseModel": "postgresql-license",
        "multiAz": False,
        "port": DEFAULT_PORT,
        "replicas": [],
        "status": "available",
        "storageType": "gp2",
    }
    replace_on = (
        "availabilityZone", "backupTarget", "characterSetName", "customIamInstanceProfile", "dbName",
        "engine", "kmsKeyId", "ncharCharacterSetName", "restoreToPointInTime", "s3Import",
        "snapshotIdentifier", "storageEncrypted", "timezone", "username",
    )  # fmt: skip
    hidden = frozenset({"password"})
    secret_outputs = frozenset({"password"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The DbiResourceId, which a change of the identifier does not change."""
        return f"db-{base64.b32encode(bytes.fromhex(request.digest('db'))).decode()[:26]}"

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        for name in _WITHOUT_STAND_IN:
            if inputs.get(name) is not None:
                yield Failure(name, f"{name} has no stand-in in the sandbox")

    def refuse(self, request: AwsRequest) -> None:
        identifier = request.inputs["identifier"]
        if any(other.inputs["identifier"] == identifier for other in self.others(request)):
            raise Refused(
                f"creating RDS DB Instance ({identifier}): api error DBInstanceAlreadyExists: DB instance "
                "already exists"
            )
        self._refuse_values("creating", request.inputs)

    def _refuse_values(self, doing: str, inputs: Properties) -> None:
        for refusal in refusals(inputs, self.registry, self.endpoint):
            raise Refused(f"{doing} RDS DB Instance ({inputs['identifier']}): api error {refusal}")

    def computed(self, request: AwsRequest) -> Properties:
        inputs = request.inputs
        found = version(inputs) if known(given(inputs, "engineVersion", "")) else None
        major, actual = found or (UNKNOWN, UNKNOWN)
        outputs = {
            "arn": request.arn("rds", text("db:", inputs["identifier"])),
            "availabilityZone": given(inputs, "availabilityZone", self._zone(inputs)),
            "endpoint": text(HOST, ":", given(inputs, "port", DEFAULT_PORT)),
            "engineVersion": given(inputs, "engineVersion", actual),
            "engineVersionActual": actual,
            "masterUserSecrets": [],
            "parameterGroupName": given(inputs, "parameterGroupName", text("default.postgres", major)),
            "resourceId": request.id,
        }
        if inputs.get("manageMasterUserPassword"):
            key = given(inputs, "masterUserSecretKmsKeyId", _default_key(request, "secretsmanager"))
            arn = secret_arn(_secret_name(request), request.region)
            outputs["masterUserSecrets"] = [{"kmsKeyId": key, "secretArn": arn, "secretStatus": "active"}]
        if inputs.get("storageEncrypted"):
            outputs["kmsKeyId"] = given(inputs, "kmsKeyId", _default_key(request, "rds"))
        return outputs

    def _zone(self, inputs: Properties) -> Any:
        group = self.registry.get(SUBNET_GROUP, inputs.get("dbSubnetGroupName"))
        subnet = self.registry.get(SUBNET, group.inputs["subnetIds"][0]) if group is not None else None
        return UNKNOWN if subnet is None else subnet.outputs.get("availabilityZone", UNKNOWN)

    def provision(self, request: AwsRequest) -> Properties:
        """Starts PostgreSQL, with its endpoint and its master's password."""
        databases = self.service(Databases)
        instance = self._instance(request)
        managed = bool(request.inputs.get("manageMasterUserPassword"))
        password = self._managed_password(request) if managed else request.inputs["password"]
        try:
            databases.create(instance, password)
        except (ServerError, OSError) as error:
            if managed:
                self._delete_secret(secret_arn(_secret_name(request), request.region))
            raise Refused(
                f"creating RDS DB Instance ({instance.identifier}): {_words(error, instance.port)}"
            ) from error
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes it at once, but for what waits for a reboot."""
        old, new = request.old_inputs, request.inputs
        self._refuse_values("updating", new)
        for refusal in change_refusals(old, new):
            raise Refused(f"updating RDS DB Instance ({new['identifier']}): api error {refusal}")
        wanted = self._instance(request)

        def change(found: Instance) -> Instance:
            group = wanted.parameters
            parameters = associated(found.parameters, group.group, group.wanted)
            return wanted.changed(parameters=parameters, status=found.status, prepared=found.prepared)

        managed, was_managed = (bool(values.get("manageMasterUserPassword")) for values in (new, old))
        password = None
        if managed and not was_managed:
            password = self._managed_password(request)
        elif not managed and (was_managed or new["password"] != old.get("password")):
            password = new["password"]
        try:
            self.service(Databases).change(request.id, change, password)
        except (ServerError, OSError, UnknownInstance) as error:
            raise Refused(
                f"updating RDS DB Instance ({wanted.identifier}): {_words(error, wanted.port)}"
            ) from error
        if was_managed and not managed:
            self._delete_secret(secret_arn(_secret_name(request), request.region))
        return {}

    def _instance(self, request: AwsRequest) -> Instance:
        major, _ = version(request.inputs) or (0, "")
        name = given(request.inputs, "parameterGroupName", default_group(major))
        group = self.registry.get(PARAMETER_GROUP, name)
        parameters = booted(name, () if group is None else group_parameters(group.inputs))
        return Instance.declared(
            request.inputs,
            resource_id=request.id,
            region=request.region,
            major=major,
            parameters=parameters,
        )

    def observe(self, request: AwsRequest) -> Properties | None:
        databases = self.running(Databases)
        if databases is None:
            return {}
        found = next((item for item in databases.instances if item.resource_id == request.id), None)
        return None if found is None else {"status": found.status}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it, unless it is protected or its final snapshot has no name."""
        verb = f"deleting RDS DB Instance ({request.inputs['identifier']}):"
        snapshot = None
        # What was never finished has no outputs, and holds nothing worth a protection.
        if request.outputs:
            if request.inputs.get("deletionProtection"):
                raise Refused(
                    f"{verb} api error InvalidParameterCombination: Cannot delete protected DB Instance, "
                    "please disable deletion protection and try again."
                )
            if not request.inputs.get("skipFinalSnapshot"):
                snapshot = request.inputs.get("finalSnapshotIdentifier")
                if snapshot is None:
                    raise Refused(
                        f"{verb} final_snapshot_identifier is required when skip_final_snapshot is false"
                    )
        try:
            databases = self.running(Databases)
            if databases is not None:
                databases.delete(request.id, snapshot)
        except RuntimeError as error:
            raise Refused(f"{verb} {error}") from error
        for secret in given(request.outputs, "masterUserSecrets", []):
            self._delete_secret(secret["secretArn"])

    def _managed_password(self, request: AwsRequest) -> str:
        """The password in the managed secret, which is made if a kill did not leave it."""
        client, inputs = self.endpoint.client("secretsmanager", request.region), request.inputs
        name = _secret_name(request)
        try:
            return json.loads(client.get_secret_value(SecretId=name)["SecretString"])["password"]
        except ClientError:
            password = "".join(secrets.choice(_PASSWORD_CHARACTERS) for _ in range(_PASSWORD_LENGTH))
        key = inputs.get("masterUserSecretKmsKeyId")
        with service_call(f"creating the master user secret of RDS DB Instance ({inputs['identifier']})"):
            client.create_secret(
                Name=name,
                Description=f"Secret associated with primary RDS DB instance: {inputs['identifier']}",
                SecretString=json.dumps({"username": inputs["username"], "password": password}),
                **({"KmsKeyId": key} if key else {}),
            )
        return password

    def _delete_secret(self, arn: str) -> None:
        with service_call(f"deleting the master user secret ({arn})", accept=("ResourceNotFoundException",)):
            self.endpoint.client("secretsmanager", arn.split(":")[3]).delete_secret(
                SecretId=arn, ForceDeleteWithoutRecovery=True
            )


def _secret_name(resource: AwsRequest) -> str:
    return f"rds!db-{resource.uuid('master secret')}"


def _default_key(resource: AwsRequest, service: str) -> Any:
    return resource.arn("kms", f"alias/aws/{service}")


def _words(error: Exception, port: int) -> str:
    if isinstance(error, OSError):
        return f"port {port} is not available on loopback: {error}"
    if isinstance(error, UnknownInstance):
        return "api error DBInstanceNotFound: there is no such instance"
    return str(error)
