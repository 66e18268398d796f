"""Secrets Manager; kept on the endpoint."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, given, pattern_problem, text
from emulator.core.moto_backend import secret_arn
from emulator.core.properties import UNKNOWN
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

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN."""
        name = request.inputs.get("name")
        if name is None:
            name = text(request.inputs["namePrefix"], request.digest("name")[:26])
        return UNKNOWN if name is UNKNOWN else secret_arn(name, request.region)

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

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken."""
        if self.taken(request):
            raise Refused(
                f"creating Secrets Manager Secret ({request.inputs.get('name')}): api error "
                "ResourceExistsException: The operation "
                f"failed because the secret {request.inputs.get('name')} already exists."
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and name."""
        name = UNKNOWN if request.id is UNKNOWN else str(request.id).split(":secret:")[1].rpartition("-")[0]
        return {"arn": request.id, "name": name, "policy": given(request.inputs, "policy", "")}

    def provision(self, request: AwsRequest) -> Properties:
        """Creates it, without a version."""
        name = request.id.split(":secret:")[1].rpartition("-")[0]
        options = {"Description": request.inputs["description"]} if request.inputs.get("description") else {}
        if request.inputs.get("kmsKeyId"):
            options["KmsKeyId"] = request.inputs["kmsKeyId"]
        client = self.endpoint.client("secretsmanager", request.region)
        accept = ("ResourceExistsException",) if request.resumed else ()
        with service_call(f"creating Secrets Manager Secret ({name})", accept=accept):
            client.create_secret(Name=name, **options)
        if request.inputs.get("policy"):
            with service_call(f"putting Secrets Manager Secret ({name}) policy"):
                client.put_resource_policy(SecretId=request.id, ResourcePolicy=request.inputs["policy"])
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes description, key and inline policy."""
        client = self.endpoint.client("secretsmanager", request.region)
        with service_call(f"updating Secrets Manager Secret ({request.id})"):
            if any(
                request.old_inputs.get(name) != request.inputs.get(name)
                for name in ("description", "kmsKeyId")
            ):
                options = {"KmsKeyId": request.inputs["kmsKeyId"]} if request.inputs.get("kmsKeyId") else {}
                client.update_secret(
                    SecretId=request.id, Description=given(request.inputs, "description", ""), **options
                )
            if request.old_inputs.get("policy") != request.inputs.get("policy"):
                if request.inputs.get("policy"):
                    client.put_resource_policy(SecretId=request.id, ResourcePolicy=request.inputs["policy"])
                else:
                    client.delete_resource_policy(SecretId=request.id)
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is there and not about to be deleted."""
        try:
            found = self.endpoint.client("secretsmanager").describe_secret(SecretId=request.id)
        except ClientError:
            return None
        return None if found.get("DeletedDate") else {}

    def dispose(self, request: AwsRequest) -> None:
        """Schedules deletion, or deletes at once where the window is 0."""
        days = int(request.inputs.get("recoveryWindowInDays", 30))
        options = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        accept = (*_GONE, "InvalidRequestException")
        with service_call(f"deleting Secrets Manager Secret ({request.id})", accept=accept):
            self.endpoint.client("secretsmanager").delete_secret(SecretId=request.id, **options)


class SecretVersion(AwsType):
    """`secretsmanager.SecretVersion`. Its id is chosen by the client, so that previews know it."""

    token = "aws:secretsmanager/secretVersion:SecretVersion"
    required = ("secretId",)
    replace_on = frozenset({"secretId", "secretBinary", "secretString", "secretStringWoVersion", "region"})
    hidden = frozenset({"secretString", "secretBinary", "secretStringWo"})
    secret_outputs = frozenset({"secretString", "secretBinary", "secretStringWo"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """Secret and version."""
        return text(request.inputs["secretId"], "|", _version(request))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """One value at most."""
        given = [
            name
            for name in ("secretString", "secretBinary", "secretStringWo")
            if inputs.get(name) is not None
        ]
        for name in given[1:]:
            yield Failure(name, f'"{name}": conflicts with {given[0]}')

    def computed(self, request: AwsRequest) -> Properties:
        """ARN, version and labels."""
        return {
            "arn": request.inputs["secretId"],
            "secretArn": request.inputs["secretId"],
            "hasSecretStringWo": request.inputs.get("secretStringWo") is not None,
            "versionId": _version(request),
            "versionStages": given(request.inputs, "versionStages", ["AWSCURRENT"]),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Puts the value. The same request twice is one version, as with AWS."""
        options: dict[str, Any] = {}
        if request.inputs.get("secretBinary") is not None:
            options["SecretBinary"] = base64.b64decode(request.inputs["secretBinary"])
        else:
            options["SecretString"] = given(
                request.inputs, "secretString", given(request.inputs, "secretStringWo", "")
            )
        if request.inputs.get("versionStages"):
            options["VersionStages"] = request.inputs["versionStages"]
        client = self.endpoint.client("secretsmanager", request.region)
        if request.resumed and _has_version(client, request.id):
            return {}
        with service_call(f"putting Secrets Manager Secret ({request.inputs['secretId']}) value"):
            client.put_secret_value(
                SecretId=request.inputs["secretId"], ClientRequestToken=_version(request), **options
            )
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether the version is there."""
        return {} if _has_version(self.endpoint.client("secretsmanager"), request.id) else None

    def dispose(self, request: AwsRequest) -> None:
        """Takes its labels away; AWSCURRENT cannot be, so the current version stays as long as its secret."""
        secret, _, version = request.id.partition("|")
        client = self.endpoint.client("secretsmanager")
        accept = (*_GONE, "InvalidRequestException", "InvalidParameterException")
        with service_call(f"deleting Secrets Manager Secret Version ({request.id})", accept=accept):
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

    def resource_id(self, request: AwsRequest) -> Any:
        """The secret's ARN."""
        return request.inputs["secretArn"]

    def provision(self, request: AwsRequest) -> Properties:
        """Puts the document."""
        with service_call(f"putting Secrets Manager Secret Policy ({request.id})"):
            self.endpoint.client("secretsmanager", request.region).put_resource_policy(
                SecretId=request.id,
                ResourcePolicy=request.inputs["policy"],
                BlockPublicPolicy=bool(request.inputs.get("blockPublicPolicy")),
            )
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Puts the document anew."""
        return self.provision(request)

    def observe(self, request: AwsRequest) -> Properties | None:
        """The document."""
        try:
            found = self.endpoint.client("secretsmanager").get_resource_policy(SecretId=request.id)
        except ClientError:
            return None
        return {"policy": found["ResourcePolicy"]} if found.get("ResourcePolicy") else None

    def dispose(self, request: AwsRequest) -> None:
        """Removes the document."""
        accept = (*_GONE, "InvalidRequestException")
        with service_call(f"deleting Secrets Manager Secret Policy ({request.id})", accept=accept):
            self.endpoint.client("secretsmanager").delete_resource_policy(SecretId=request.id)


def _version(resource: AwsRequest) -> str:
    return str(uuid.UUID(resource.digest("version")[:32], version=4))


def _has_version(client: Any, resource_id: str) -> bool:
    secret, _, version = resource_id.partition("|")
    try:
        return version in client.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    except ClientError:
        return False
