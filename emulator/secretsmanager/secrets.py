"""Secrets Manager; kept on the endpoint."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsType, Resource, given, pattern_problem, text
from emulator.core.moto_backend import secret_arn
from emulator.core.properties import UNKNOWN
from emulator.core.registry import Record
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call

SECRET = "aws:secretsmanager/secret:Secret"
_GONE = ("ResourceNotFoundException",)


class Secret(AwsType):
    """`secretsmanager.Secret`."""

    token = SECRET
    defaults: ClassVar[Mapping[str, Any]] = {"forceOverwriteReplicaSecret": False, "recoveryWindowInDays": 30}
    name_property = "name"
    name_maximum = 512
    replace_on = frozenset({"name", "namePrefix", "region", "type"})

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The ARN."""
        name = inputs.get("name")
        if name is None:
            name = text(inputs["namePrefix"], resource.digest("name")[:26])
        return UNKNOWN if name is UNKNOWN else secret_arn(name, resource.region)

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name, recovery window."""
        words = "at most 512 characters of a-zA-Z0-9/_+=.@- are allowed"
        yield from pattern_problem(inputs, "name", r"[a-zA-Z0-9/_+=.@-]{1,512}", words)
        days = inputs["recoveryWindowInDays"]
        if isinstance(days, int) and days != 0 and not 7 <= days <= 30:
            yield Failure(
                "recoveryWindowInDays",
                f"expected recovery_window_in_days to be 0 or in the range (7 - 30), got {days}",
            )

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """A name that is taken."""
        if self.taken(resource, resource_id):
            raise Refused(
                f"creating Secrets Manager Secret ({inputs.get('name')}): api error "
                "ResourceExistsException: The operation "
                f"failed because the secret {inputs.get('name')} already exists."
            )

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN and name."""
        del resource
        name = UNKNOWN if resource_id is UNKNOWN else str(resource_id).split(":secret:")[1].rpartition("-")[0]
        return {"arn": resource_id, "name": name, "policy": given(inputs, "policy", "")}

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Creates it, without a version."""
        name = resource_id.split(":secret:")[1].rpartition("-")[0]
        options = {"Description": inputs["description"]} if inputs.get("description") else {}
        if inputs.get("kmsKeyId"):
            options["KmsKeyId"] = inputs["kmsKeyId"]
        client = self.endpoint.client("secretsmanager", resource.region)
        accept = ("ResourceExistsException",) if resource.resumed else ()
        with service_call(f"creating Secrets Manager Secret ({name})", accept=accept):
            client.create_secret(Name=name, **options)
        if inputs.get("policy"):
            with service_call(f"putting Secrets Manager Secret ({name}) policy"):
                client.put_resource_policy(SecretId=resource_id, ResourcePolicy=inputs["policy"])
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Changes description, key and inline policy."""
        del outputs
        client = self.endpoint.client("secretsmanager", resource.region)
        with service_call(f"updating Secrets Manager Secret ({resource_id})"):
            if any(old_inputs.get(name) != inputs.get(name) for name in ("description", "kmsKeyId")):
                options = {"KmsKeyId": inputs["kmsKeyId"]} if inputs.get("kmsKeyId") else {}
                client.update_secret(
                    SecretId=resource_id, Description=given(inputs, "description", ""), **options
                )
            if old_inputs.get("policy") != inputs.get("policy"):
                if inputs.get("policy"):
                    client.put_resource_policy(SecretId=resource_id, ResourcePolicy=inputs["policy"])
                else:
                    client.delete_resource_policy(SecretId=resource_id)
        return {}

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Whether it is there and not about to be deleted."""
        del record
        try:
            found = self.endpoint.client("secretsmanager").describe_secret(SecretId=resource_id)
        except ClientError:
            return None
        return None if found.get("DeletedDate") else {}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Schedules deletion, or deletes at once where the window is 0."""
        del outputs
        days = int(inputs.get("recoveryWindowInDays", 30))
        options = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        accept = (*_GONE, "InvalidRequestException")
        with service_call(f"deleting Secrets Manager Secret ({resource_id})", accept=accept):
            self.endpoint.client("secretsmanager").delete_secret(SecretId=resource_id, **options)


class SecretVersion(AwsType):
    """`secretsmanager.SecretVersion`. Its id is chosen by the client, so that previews know it."""

    token = "aws:secretsmanager/secretVersion:SecretVersion"
    required = ("secretId",)
    replace_on = frozenset({"secretId", "secretBinary", "secretString", "secretStringWoVersion", "region"})
    hidden = frozenset({"secretString", "secretBinary", "secretStringWo"})
    secret_outputs = frozenset({"secretString", "secretBinary", "secretStringWo"})
    taggable = False

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """Secret and version."""
        return text(inputs["secretId"], "|", _version(resource))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """One value at most."""
        given = [
            name
            for name in ("secretString", "secretBinary", "secretStringWo")
            if inputs.get(name) is not None
        ]
        for name in given[1:]:
            yield Failure(name, f'"{name}": conflicts with {given[0]}')

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN, version and labels."""
        del resource_id
        return {
            "arn": inputs["secretId"],
            "secretArn": inputs["secretId"],
            "hasSecretStringWo": inputs.get("secretStringWo") is not None,
            "versionId": _version(resource),
            "versionStages": given(inputs, "versionStages", ["AWSCURRENT"]),
        }

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Puts the value. The same request twice is one version, as with AWS."""
        options: dict[str, Any] = {}
        if inputs.get("secretBinary") is not None:
            options["SecretBinary"] = base64.b64decode(inputs["secretBinary"])
        else:
            options["SecretString"] = given(inputs, "secretString", given(inputs, "secretStringWo", ""))
        if inputs.get("versionStages"):
            options["VersionStages"] = inputs["versionStages"]
        client = self.endpoint.client("secretsmanager", resource.region)
        if resource.resumed and _has_version(client, resource_id):
            return {}
        with service_call(f"putting Secrets Manager Secret ({inputs['secretId']}) value"):
            client.put_secret_value(
                SecretId=inputs["secretId"], ClientRequestToken=_version(resource), **options
            )
        return {}

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Whether the version is there."""
        del record
        return {} if _has_version(self.endpoint.client("secretsmanager"), resource_id) else None

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Takes its labels away; AWSCURRENT cannot be, so the current version stays as long as its secret."""
        del inputs, outputs
        secret, _, version = resource_id.partition("|")
        client = self.endpoint.client("secretsmanager")
        accept = (*_GONE, "InvalidRequestException", "InvalidParameterException")
        with service_call(f"deleting Secrets Manager Secret Version ({resource_id})", accept=accept):
            stages = client.describe_secret(SecretId=secret).get("VersionIdsToStages", {}).get(version, ())
            for stage in stages:
                if stage != "AWSCURRENT":
                    client.update_secret_version_stage(
                        SecretId=secret, VersionStage=stage, RemoveFromVersionId=version
                    )


class SecretPolicy(AwsType):
    """`secretsmanager.SecretPolicy`."""

    token = "aws:secretsmanager/secretPolicy:SecretPolicy"
    required = ("policy", "secretArn")
    replace_on = frozenset({"secretArn", "region"})
    taggable = False

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The secret's ARN."""
        del resource
        return inputs["secretArn"]

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Puts the document."""
        with service_call(f"putting Secrets Manager Secret Policy ({resource_id})"):
            self.endpoint.client("secretsmanager", resource.region).put_resource_policy(
                SecretId=resource_id,
                ResourcePolicy=inputs["policy"],
                BlockPublicPolicy=bool(inputs.get("blockPublicPolicy")),
            )
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Puts the document anew."""
        del old_inputs, outputs
        return self.provision(resource, resource_id, inputs)

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """The document."""
        del record
        try:
            found = self.endpoint.client("secretsmanager").get_resource_policy(SecretId=resource_id)
        except ClientError:
            return None
        return {"policy": found["ResourcePolicy"]} if found.get("ResourcePolicy") else None

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Removes the document."""
        del inputs, outputs
        accept = (*_GONE, "InvalidRequestException")
        with service_call(f"deleting Secrets Manager Secret Policy ({resource_id})", accept=accept):
            self.endpoint.client("secretsmanager").delete_resource_policy(SecretId=resource_id)


def _version(resource: Resource) -> str:
    return str(uuid.UUID(resource.digest("version")[:32], version=4))


def _has_version(client: Any, resource_id: str) -> bool:
    secret, _, version = resource_id.partition("|")
    try:
        return version in client.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    except ClientError:
        return False
