"""Lambda functions; kept and run by `emulator.lambda_.functions`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from emulator.core.aws_type import (
    AwsRequest,
    AwsType,
    choice_problem,
    given,
    known,
    pattern_problem,
    text,
)
from emulator.core.credentials import ACCOUNT, Identity, Session
from emulator.core.moto_backend import RoleDocuments
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.resources import Access
from emulator.core.service_errors import service_call
from emulator.ec2.network import SECURITY_GROUP, SUBNET
from emulator.iam.authoriser import trusts_service
from emulator.iam.policy import Caller
from emulator.lambda_.function import RUNTIME, Function
from emulator.lambda_.functions import SERVICE_PRINCIPAL, Functions, UnknownFunction, code_sha256

_CODE_SOURCES = ("code", "imageUri", "s3Bucket")
_CODE = ("s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash")
_ENVIRONMENT_BYTES = 4096
_RESERVED = "AWS_"
_CONNECT = "ec2:CreateNetworkInterface"
_INVALID = "creating Lambda Function: api error InvalidParameterValueException: "
_NO_SUCH = "{invalid}The {kind} ID '{{id}}' does not exist"


class LambdaFunction(AwsType):
    """`lambda.Function`, of Python and with its code in S3."""

    token = "aws:lambda/function:Function"
    required = ("role",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "memorySize": 128,
        "packageType": "Zip",
        "publish": False,
        "reservedConcurrentExecutions": -1,
        "skipDestroy": False,
        "timeout": 3,
    }
    name_property = "name"
    name_maximum = 64
    replace_on = frozenset({"name", "packageType", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        return request.inputs["name"]

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Sizes, one source of code, and what has no stand-in."""
        yield from pattern_problem(
            inputs, "name", r"[A-Za-z0-9-_]{1,64}", "letters, digits, - and _ are allowed"
        )
        yield from pattern_problem(inputs, "handler", r"[^\s]{1,128}", "no spaces, up to 128 characters")
        for name, low, high in (("memorySize", 128, 10240), ("timeout", 1, 900)):
            value = inputs.get(name)
            if known(value) and not low <= int(str(value)) <= high:
                yield Failure(name, f"expected {name} to be in the range ({low} - {high}), got {value}")
        sources = [name for name in _CODE_SOURCES if inputs.get(name) is not None]
        if len(sources) != 1:
            yield Failure("code", "one of `filename,image_uri,s3_bucket` must be specified")
        elif sources != ["s3Bucket"]:
            yield Failure(sources[0], f"{sources[0]} has no stand-in in the sandbox; put the code into S3")
        elif inputs.get("s3Key") is None:
            yield Failure("s3Key", '"s3_key": required when s3_bucket is given')
        if inputs.get("runtime") is None or inputs.get("handler") is None:
            yield Failure("runtime", "handler and runtime must be set when PackageType is Zip")
        yield from choice_problem(inputs, "runtime", (RUNTIME,))
        variables = (
            (inputs.get("environment") or {}).get("variables") if known(inputs.get("environment")) else None
        )
        if known(variables) and isinstance(variables, Mapping):
            if reserved := sorted(name for name in variables if name.startswith(_RESERVED)):
                yield Failure("environment", f"reserved keys used in this request: {', '.join(reserved)}")
            if len(json.dumps(dict(variables))) > _ENVIRONMENT_BYTES:
                yield Failure(
                    "environment", f"environment variables exceed the limit of {_ENVIRONMENT_BYTES} bytes"
                )

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, a role that Lambda cannot use, unknown subnets and groups."""
        if self.taken(request):
            raise Refused(
                f"creating Lambda Function ({request.id}): api error ResourceConflictException: Function "
                f"already exist: {request.id}"
            )
        self._refuse(request.inputs)

    def _refuse(self, inputs: Properties) -> None:
        role = self.endpoint.role(str(inputs["role"]).rsplit("/", 1)[-1])
        if (
            role is None
            or role.arn != inputs["role"]
            or not trusts_service(role.trust_policy, SERVICE_PRINCIPAL)
        ):
            raise Refused(f"{_INVALID}The role defined for the function cannot be assumed by Lambda.")
        network = inputs.get("vpcConfig")
        if not network or not network.get("subnetIds"):
            return
        for subnet in network.get("subnetIds") or ():
            self.existing(SUBNET, subnet, _NO_SUCH.format(invalid=_INVALID, kind="subnet"))
        for group in network.get("securityGroupIds") or ():
            self.existing(SECURITY_GROUP, group, _NO_SUCH.format(invalid=_INVALID, kind="securityGroup"))
        if not self.endpoint.allows(_lambda_as(role), Access(action=_CONNECT, resource="*")):
            raise Refused(
                f"{_INVALID}The provided execution role does not have permissions to call "
                "CreateNetworkInterface on EC2"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARNs and what Lambda makes of the code."""
        arn = request.arn("lambda", text("function:", request.id))
        calls = f"arn:aws:apigateway:{request.region}:lambda:path/2015-03-31/functions/"
        logging = request.inputs.get("loggingConfig") if known(request.inputs.get("loggingConfig")) else None
        return {
            "architectures": given(request.inputs, "architectures", ["x86_64"]),
            "arn": arn,
            "codeSha256": given(request.inputs, "sourceCodeHash", UNKNOWN if request.preview else ""),
            "invokeArn": text(calls, arn, "/invocations"),
            "loggingConfig": logging or {"logFormat": "Text", "logGroup": text("/aws/lambda/", request.id)},
            "qualifiedArn": text(arn, ":$LATEST"),
            "qualifiedInvokeArn": text(calls, arn, ":$LATEST/invocations"),
            "version": "$LATEST",
        }

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """When it was made, and of how many bytes."""
        del inputs
        return {"lastModified": UNKNOWN, "sourceCodeSize": UNKNOWN}

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        """The time, and the size of other code."""
        yield "lastModified"
        if any(request.old_inputs.get(name) != request.inputs.get(name) for name in _CODE):
            yield "sourceCodeSize"

    def provision(self, request: AwsRequest) -> Properties:
        """Fetches the code and keeps the function."""
        artifact = self._artifact(request)
        self._put(request, artifact)
        return {
            "codeSha256": code_sha256(artifact),
            "lastModified": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "sourceCodeSize": len(artifact),
        }

    def renew(self, request: AwsRequest) -> Properties:
        """Changes configuration and code."""
        self._refuse(request.inputs)
        return self.provision(request)

    def _artifact(self, request: AwsRequest) -> bytes:
        inputs, resource_id, resource = request.inputs, request.id, request
        version = {"VersionId": inputs["s3ObjectVersion"]} if inputs.get("s3ObjectVersion") else {}
        with service_call(f"creating Lambda Function ({resource_id}), its code"):
            found = self.endpoint.client("s3", resource.region).get_object(
                Bucket=inputs["s3Bucket"], Key=inputs["s3Key"], **version
            )
        return found["Body"].read()

    def _put(self, request: AwsRequest, artifact: bytes) -> None:
        outputs, inputs, resource_id, resource = self.computed(request), request.inputs, request.id, request
        try:
            self._functions().put(
                Function(
                    name=resource_id,
                    region=resource.region,
                    arn=outputs["arn"],
                    role_arn=inputs["role"],
                    handler=inputs["handler"],
                    timeout=int(inputs["timeout"]),
                    memory_size=int(inputs["memorySize"]),
                    environment=(inputs.get("environment") or {}).get("variables") or {},
                    log_group=outputs["loggingConfig"].get("logGroup") or f"/aws/lambda/{resource_id}",
                    code_sha256=code_sha256(artifact),
                ),
                artifact,
            )
        except ValueError as error:
            raise Refused(
                f"creating Lambda Function ({resource_id}): api error InvalidParameterValueException: {error}"
            ) from error

    def _functions(self) -> Functions:
        return self.service(Functions)

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is there, and its code."""
        try:
            return {"codeSha256": self._functions().named(request.id).code_sha256}
        except UnknownFunction:
            return None

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        if not request.inputs.get("skipDestroy"):
            self._functions().delete(request.id)


def _lambda_as(role: RoleDocuments) -> Identity:
    """Lambda itself with a role, as it connects a function to a VPC: no code of the function's is calling."""
    session = Session(role_arn=role.arn, role_id=role.role_id, name="lambda", expiration=time.time() + 60)
    caller = Caller(arn=session.arn, principal_arn=role.arn, account=ACCOUNT)
    return Identity(caller=caller, user_id=f"{role.role_id}:lambda", session=session)
