"""Lambda functions; `emulator.lambda_.service` keeps and runs them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known, text
from emulator.core.checks import matching, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call
from emulator.ec2.network import SECURITY_GROUP, SUBNET
from emulator.iam.authoriser import trusts_service
from emulator.lambda_.model import RUNTIME, Function
from emulator.lambda_.service import (
    SERVICE_PRINCIPAL,
    Functions,
    UnknownFunction,
    code_sha256,
    may_as_role,
)

_CODE = ("s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash")
_ENVIRONMENT_BYTES = 4096
_RESERVED = "AWS_"
_INVALID = "creating Lambda Function: api error InvalidParameterValueException: "


class LambdaFunction(AwsType):
    """`lambda.Function`, of Python and with its code in S3."""

    token = "aws:lambda/function:Function"
    model = Function
    required = ("role",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "memorySize": 128,
        "packageType": "Zip",
        "publish": False,
        "reservedConcurrentExecutions": -1,
        "skipDestroy": False,
        "timeout": 3,
    }
    checks: ClassVar = {
        "name": (matching(r"[A-Za-z0-9-_]{1,64}", "letters, digits, - and _ are allowed"),),
        "handler": (matching(r"[^\s]{1,128}", "no spaces, up to 128 characters"),),
        "runtime": (one_of(RUNTIME),),
    }
    references: ClassVar = {
        "vpcConfig.subnetIds": (SUBNET, f"{_INVALID}The subnet ID '{{id}}' does not exist"),
        "vpcConfig.securityGroupIds": (
            SECURITY_GROUP,
            f"{_INVALID}The securityGroup ID '{{id}}' does not exist",
        ),
    }
    arn_format = ("lambda", "function:{id}")
    name_taken = (
        "creating Lambda Function ({id}): api error ResourceConflictException: Function already exist: {id}"
    )
    output_defaults: ClassVar = {"architectures": ["x86_64"], "version": "$LATEST"}
    name_property = "name"
    name_maximum = 64
    replace_on = ("name", "packageType")
    unknown_outputs = ("lastModified", "sourceCodeSize")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """One source of code, which is S3, and variables that Lambda takes."""
        sources = [name for name in ("code", "imageUri", "s3Bucket") if inputs.get(name) is not None]
        if len(sources) != 1:
            yield Failure("code", "one of `filename,image_uri,s3_bucket` must be specified")
        elif sources != ["s3Bucket"]:
            yield Failure(sources[0], f"{sources[0]} has no stand-in in the sandbox; put the code into S3")
        elif inputs.get("s3Key") is None:
            yield Failure("s3Key", '"s3_key": required when s3_bucket is given')
        if inputs.get("runtime") is None or inputs.get("handler") is None:
            yield Failure("runtime", "handler and runtime must be set when PackageType is Zip")
        environment = inputs.get("environment")
        variables = environment.get("variables") if isinstance(environment, Mapping) else None
        if known(variables) and isinstance(variables, Mapping):
            if reserved := sorted(name for name in variables if name.startswith(_RESERVED)):
                yield Failure("environment", f"reserved keys used in this request: {', '.join(reserved)}")
            if len(json.dumps(dict(variables))) > _ENVIRONMENT_BYTES:
                reason = f"environment variables exceed the limit of {_ENVIRONMENT_BYTES} bytes"
                yield Failure("environment", reason)

    def refuse(self, request: AwsRequest) -> None:
        """A role that Lambda cannot use."""
        arn, network = request.inputs["role"], given(request.inputs, "vpcConfig", {})
        role = self.endpoint.role(str(arn).rsplit("/", 1)[-1])
        if role is None or role.arn != arn or not trusts_service(role.trust_policy, SERVICE_PRINCIPAL):
            raise Refused(f"{_INVALID}The role defined for the function cannot be assumed by Lambda.")
        if network.get("subnetIds") and not may_as_role(self.endpoint, arn, "ec2:CreateNetworkInterface"):
            raise Refused(
                f"{_INVALID}The provided execution role does not have permissions to call "
                "CreateNetworkInterface on EC2"
            )

    def computed(self, request: AwsRequest) -> Properties:
        arn = request.arn("lambda", text("function:", request.id))
        calls = f"arn:aws:apigateway:{request.region}:lambda:path/2015-03-31/functions/"
        logging = given(request.inputs, "loggingConfig", {})
        if isinstance(logging, Mapping) and logging.get("logGroup") is None:
            logging = {"logFormat": "Text", **logging, "logGroup": text("/aws/lambda/", request.id)}
        return {
            "codeSha256": given(request.inputs, "sourceCodeHash", UNKNOWN if request.preview else ""),
            "invokeArn": text(calls, arn, "/invocations"),
            "loggingConfig": logging,
            "qualifiedArn": text(arn, ":$LATEST"),
            "qualifiedInvokeArn": text(calls, arn, ":$LATEST/invocations"),
        }

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        yield "lastModified"
        if any(request.old_inputs.get(name) != request.inputs.get(name) for name in _CODE):
            yield "sourceCodeSize"

    def provision(self, request: AwsRequest) -> Properties:
        """Fetches the code and keeps the function."""
        artifact = self._artifact(request)
        function = Function.declared(
            {**request.inputs, "loggingConfig": self.computed(request)["loggingConfig"]},
            name=request.id,
            region=request.region,
            arn=request.arn("lambda", f"function:{request.id}"),
            code_sha256=code_sha256(artifact),
        )
        try:
            self.service(Functions).put(function, artifact)
        except ValueError as error:
            words = "api error InvalidParameterValueException"
            raise Refused(f"creating Lambda Function ({request.id}): {words}: {error}") from error
        return {
            "codeSha256": function.code_sha256,
            "lastModified": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "sourceCodeSize": len(artifact),
        }

    def renew(self, request: AwsRequest) -> Properties:
        self.refuse_unknown_references(request)
        self.refuse(request)
        return self.provision(request)

    def _artifact(self, request: AwsRequest) -> bytes:
        version = request.inputs.get("s3ObjectVersion")
        with service_call(f"creating Lambda Function ({request.id}), its code"):
            found = self.endpoint.client("s3", request.region).get_object(
                Bucket=request.inputs["s3Bucket"],
                Key=request.inputs["s3Key"],
                **({"VersionId": version} if version else {}),
            )
        return found["Body"].read()

    def observe(self, request: AwsRequest) -> Properties | None:
        try:
            return {"codeSha256": self.service(Functions).named(request.id).code_sha256}
        except UnknownFunction:
            return None

    def dispose(self, request: AwsRequest) -> None:
        if not request.inputs.get("skipDestroy"):
            functions, network = self.service(Functions), given(request.inputs, "vpcConfig", {})
            functions.delete(request.id)
            groups = network.get("securityGroupIds") or ()
            functions.interfaces.update(dict.fromkeys(groups, request.inputs["role"]))
