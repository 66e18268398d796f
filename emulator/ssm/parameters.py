"""SSM parameters; kept on the endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given
from emulator.core.checks import matching, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import answer_or_none, arguments, service_call
from emulator.endpoint.resources import parameter_arn

_VALUES = ("value", "insecureValue", "valueWo")
_PUT_ARGUMENTS = {
    "allowedPattern": "AllowedPattern",
    "dataType": "DataType",
    "description": "Description",
    "keyId": "KeyId",
    "tier": "Tier",
}
# A change of these makes a new version of the parameter.
_VERSIONED = (*_PUT_ARGUMENTS, "insecureValue", "type", "value", "valueWoVersion")


class Parameter(AwsType):
    """`ssm.Parameter`."""

    token = "aws:ssm/parameter:Parameter"
    required = ("type",)
    name_property = "name"
    name_maximum = 2048
    exactly_one = (_VALUES,)
    checks: ClassVar = {
        "type": (one_of("String", "StringList", "SecureString"),),
        "tier": (one_of("Standard", "Advanced", "Intelligent-Tiering"),),
        "dataType": (one_of("aws:ec2:image", "aws:ssm:integration", "text"),),
        "name": (
            matching(
                r"(/[a-zA-Z0-9_./-]+|[a-zA-Z0-9_.-]+)",
                "a-zA-Z0-9_.-/ are allowed, and a name with '/' in it begins with one",
            ),
            matching(r"(?!(?i:/?(aws|ssm)))[\s\S]*", "a name cannot begin with aws or ssm"),
        ),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {"dataType": "text", "tier": "Standard"}
    replace_on = ("name", "dataType")
    # AWS counts the versions, also those that a parameter had before.
    unknown_outputs = ("version",)
    hidden = frozenset({"value", "valueWo"})
    secret_outputs = frozenset({"value", "valueWo"})

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        if inputs["type"] == "SecureString" and inputs.get("insecureValue") is not None:
            yield Failure(
                "insecureValue", "invalid configuration, cannot set type = SecureString and insecure_value"
            )

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """AWS does not go back from the advanced tier."""
        old, new = request.old_inputs.get("tier"), request.inputs.get("tier")
        return ["tier"] if old == "Advanced" and new in (None, "Standard") else []

    def refuse(self, request: AwsRequest) -> None:
        if self.taken(request) and not request.inputs.get("overwrite"):
            raise Refused(
                f"creating SSM Parameter ({request.id}): api error ParameterAlreadyExists: The parameter "
                "already exists. To overwrite this value, set the overwrite option in the request to true."
            )

    def computed(self, request: AwsRequest) -> Properties:
        key = "alias/aws/ssm" if request.inputs["type"] == "SecureString" else ""
        outputs = {
            "arn": UNKNOWN if request.id is UNKNOWN else parameter_arn(request.id, request.region),
            "keyId": given(request.inputs, "keyId", key),
        }
        if request.inputs.get("valueWo") is not None:
            outputs["hasValueWo"] = True
        return outputs

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        """The version, where `value` or `description` changes.

        Of a changed `insecureValue` the provider's preview shows the old version (CustomizeDiff of
        ssm/parameter.go looks at `value` only); the update gives the new one.
        """
        changed = any(
            request.inputs.get(name) is UNKNOWN or request.old_inputs.get(name) != request.inputs.get(name)
            for name in ("value", "description")
        )
        return ("version",) if changed else ()

    def provision(self, request: AwsRequest) -> Properties:
        """Puts it; one that a kill interrupted is left alone when it has this value already."""
        inputs = request.inputs
        found = self._found(request) if request.resumed else None
        if found is not None and found["Value"] == _value(inputs) and found["Type"] == inputs["type"]:
            return {"version": found["Version"]}
        return self._put(request, overwrite=request.resumed or bool(inputs.get("overwrite")))

    def renew(self, request: AwsRequest) -> Properties:
        """Puts it anew, which makes a version, unless only tags changed."""
        if all(request.old_inputs.get(name) == request.inputs.get(name) for name in _VERSIONED):
            return {"version": request.outputs.get("version")}
        return self._put(request, overwrite=True)

    def _put(self, request: AwsRequest, *, overwrite: bool) -> Properties:
        inputs = request.inputs
        options = arguments(inputs, _PUT_ARGUMENTS)
        with service_call(f"putting SSM Parameter ({request.id})"):
            answer = self.endpoint.client("ssm", request.region).put_parameter(
                Name=request.id, Type=inputs["type"], Value=_value(inputs), Overwrite=overwrite, **options
            )
        return {"version": answer["Version"]}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Version, and the value where it is no secret."""
        found = self._found(request)
        if found is None:
            return None
        secret = "insecureValue" not in request.inputs
        return {"version": found["Version"], **({} if secret else {"insecureValue": found["Value"]})}

    def dispose(self, request: AwsRequest) -> None:
        with service_call(f"deleting SSM Parameter ({request.id})", accept=("ParameterNotFound",)):
            self.endpoint.client("ssm").delete_parameter(Name=request.id)

    def _found(self, request: AwsRequest) -> Mapping[str, Any] | None:
        client = self.endpoint.client("ssm", request.region)
        answer = answer_or_none(client.get_parameter, Name=request.id, WithDecryption=True)
        return None if answer is None else answer["Parameter"]


def _value(inputs: Properties) -> str:
    return next(str(inputs[name]) for name in _VALUES if inputs.get(name) is not None)
