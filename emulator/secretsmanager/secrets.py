"""Secrets Manager; kept on the endpoint."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, text
from emulator.core.checks import matching
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Properties
from emulator.core.service_errors import answer_or_none, arguments, service_call
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.moto_backend import secret_arn

SECRET = "aws:secretsmanager/secret:Secret"
_GONE = ("ResourceNotFoundException", "InvalidRequestException")
_VALUES = ("secretString", "secretBinary", "secretStringWo")


def _recovery_window(name: str, days: Any) -> Iterable[str]:
    if days != 0 and not 7 <= days <= 30:
        yield f"expected recovery_window_in_days to be 0 or in the range (7 - 30), got {days}"


class Secret(AwsType):
    """`secretsmanager.Secret`. It is created without a version."""

    token = SECRET
    defaults: ClassVar[Mapping[str, Any]] = {"forceOverwriteReplicaSecret": False, "recoveryWindowInDays": 30}
    name_property = "name"
    name_maximum = 512
    name_taken = (
        "creating Secrets Manager Secret ({name}): api error ResourceExistsException: The operation failed "
        "because the secret {name} already exists."
    )
    checks: ClassVar = {
        "name": (
            matching(r"[a-zA-Z0-9/_+=.@-]{1,512}", "at most 512 characters of a-zA-Z0-9/_+=.@- are allowed"),
        ),
        "recoveryWindowInDays": (_recovery_window,),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {"policy": ""}
    replace_on = ("name", "namePrefix", "type")

    def resource_id(self, request: AwsRequest) -> Any:
        name = self.physical_name(request)
        return UNKNOWN if name is UNKNOWN else secret_arn(name, request.region)

    def computed(self, request: AwsRequest) -> Properties:
        return {"arn": request.id, "name": UNKNOWN if request.id is UNKNOWN else _name(request.id)}

    def provision(self, request: AwsRequest) -> Properties:
        name, client = _name(request.id), _client(self.endpoint, request)
        options = arguments(request.inputs, {"description": "Description", "kmsKeyId": "KmsKeyId"})
        accept = ("ResourceExistsException",) if request.resumed else ()
        with service_call(f"creating Secrets Manager Secret ({name})", accept=accept):
            client.create_secret(Name=name, **options)
        if request.inputs.get("policy"):
            with service_call(f"putting Secrets Manager Secret ({name}) policy"):
                client.put_resource_policy(SecretId=request.id, ResourcePolicy=request.inputs["policy"])
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        client, old, new = _client(self.endpoint, request), request.old_inputs, request.inputs
        with service_call(f"updating Secrets Manager Secret ({request.id})"):
            if any(old.get(name) != new.get(name) for name in ("description", "kmsKeyId")):
                client.update_secret(
                    SecretId=request.id,
                    Description=given(new, "description", ""),
                    **arguments(new, {"kmsKeyId": "KmsKeyId"}),
                )
            if old.get("policy") != new.get("policy"):
                if new.get("policy"):
                    client.put_resource_policy(SecretId=request.id, ResourcePolicy=new["policy"])
                else:
                    client.delete_resource_policy(SecretId=request.id)
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        """None also when its deletion is scheduled."""
        found = answer_or_none(_client(self.endpoint, request).describe_secret, SecretId=request.id)
        return None if found is None or found.get("DeletedDate") else {}

    def dispose(self, request: AwsRequest) -> None:
        """Schedules deletion, or deletes at once where the window is 0."""
        days = int(request.inputs.get("recoveryWindowInDays", 30))
        options = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        with service_call(f"deleting Secrets Manager Secret ({request.id})", accept=_GONE):
            _client(self.endpoint, request).delete_secret(SecretId=request.id, **options)


class SecretVersion(AwsType):
    """`secretsmanager.SecretVersion`. Its id is chosen by the client, so that previews know it."""

    token = "aws:secretsmanager/secretVersion:SecretVersion"
    required = ("secretId",)
    at_most_one = (_VALUES,)
    output_defaults: ClassVar[Mapping[str, Any]] = {"versionStages": ["AWSCURRENT"]}
    replace_on = ("secretId", "secretBinary", "secretString", "secretStringWoVersion")
    hidden = frozenset(_VALUES)
    secret_outputs = frozenset(_VALUES)
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        return text(request.inputs["secretId"], "|", request.uuid("version"))

    def computed(self, request: AwsRequest) -> Properties:
        return {
            "arn": request.inputs["secretId"],
            "secretArn": request.inputs["secretId"],
            "hasSecretStringWo": request.inputs.get("secretStringWo") is not None,
            "versionId": request.uuid("version"),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Puts the value. The same request twice is one version, as with AWS."""
        inputs, options = request.inputs, {}
        if inputs.get("secretBinary") is not None:
            options["SecretBinary"] = base64.b64decode(inputs["secretBinary"])
        else:
            options["SecretString"] = given(inputs, "secretString", given(inputs, "secretStringWo", ""))
        if inputs.get("versionStages"):
            options["VersionStages"] = inputs["versionStages"]
        if request.resumed and self.observe(request) is not None:
            return {}
        with service_call(f"putting Secrets Manager Secret ({inputs['secretId']}) value"):
            _client(self.endpoint, request).put_secret_value(
                SecretId=inputs["secretId"], ClientRequestToken=request.uuid("version"), **options
            )
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        secret, _, version = request.id.partition("|")
        found = answer_or_none(_client(self.endpoint, request).describe_secret, SecretId=secret)
        return {} if found is not None and version in found.get("VersionIdsToStages", {}) else None

    def dispose(self, request: AwsRequest) -> None:
        """Removes its labels; AWSCURRENT cannot be, so the current version stays as long as its secret."""
        secret, _, version = request.id.partition("|")
        client = _client(self.endpoint, request)
        accept = (*_GONE, "InvalidParameterException")
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
    id_inputs = ("secretArn",)
    replace_on = ("secretArn",)
    provision_again = True
    taggable = False

    def provision(self, request: AwsRequest) -> Properties:
        with service_call(f"putting Secrets Manager Secret Policy ({request.id})"):
            _client(self.endpoint, request).put_resource_policy(
                SecretId=request.id,
                ResourcePolicy=request.inputs["policy"],
                BlockPublicPolicy=bool(request.inputs.get("blockPublicPolicy")),
            )
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        found = answer_or_none(_client(self.endpoint, request).get_resource_policy, SecretId=request.id) or {}
        return {"policy": found["ResourcePolicy"]} if found.get("ResourcePolicy") else None

    def dispose(self, request: AwsRequest) -> None:
        with service_call(f"deleting Secrets Manager Secret Policy ({request.id})", accept=_GONE):
            _client(self.endpoint, request).delete_resource_policy(SecretId=request.id)


def _client(endpoint: AwsEndpoint, request: AwsRequest) -> Any:
    return endpoint.client("secretsmanager", request.region)


def _name(arn: str) -> str:
    return arn.split(":secret:")[1].rpartition("-")[0]
