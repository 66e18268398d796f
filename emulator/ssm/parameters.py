"""SSM parameters; kept on the endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, pattern_problem
from emulator.core.properties import UNKNOWN
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.resources import parameter_arn
from emulator.core.service_errors import service_call

_VALUES = ("insecureValue", "value", "valueWo")
# What a change of makes a new version of the parameter.
_VERSIONED = (
    "allowedPattern",
    "dataType",
    "description",
    "insecureValue",
    "keyId",
    "tier",
    "type",
    "value",
    "valueWoVersion",
)


class Parameter(AwsType):
    """`ssm.Parameter`."""

    token = "aws:ssm/parameter:Parameter"
    required = ("type",)
    name_property = "name"
    name_maximum = 2048
    replace_on = frozenset({"name", "dataType", "region"})
    hidden = frozenset({"value", "valueWo"})
    secret_outputs = frozenset({"value", "valueWo"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        return request.inputs["name"]

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """One value, known types and tiers, the form of names."""
        if sum(inputs.get(name) is not None for name in _VALUES) != 1:
            yield Failure("value", "one of `insecure_value,value,value_wo` must be specified")
        yield from choice_problem(inputs, "type", ("String", "StringList", "SecureString"))
        yield from choice_problem(inputs, "tier", ("Standard", "Advanced", "Intelligent-Tiering"))
        yield from choice_problem(inputs, "dataType", ("aws:ec2:image", "aws:ssm:integration", "text"))
        if inputs["type"] == "SecureString" and inputs.get("insecureValue") is not None:
            yield Failure(
                "insecureValue", "invalid configuration, cannot set type = SecureString and insecure_value"
            )
        words = "a-zA-Z0-9_.-/ are allowed, and a name with '/' in it begins with one"
        yield from pattern_problem(inputs, "name", r"(/[a-zA-Z0-9_./-]+|[a-zA-Z0-9_.-]+)", words)
        yield from pattern_problem(
            inputs, "name", r"(?!(?i:/?(aws|ssm)))[\s\S]*", "a name cannot begin with aws or ssm"
        )

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """AWS does not go back from the advanced tier."""
        return (
            ["tier"]
            if request.old_inputs.get("tier") == "Advanced"
            and request.inputs.get("tier") in (None, "Standard")
            else []
        )

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken."""
        if self.taken(request) and not request.inputs.get("overwrite"):
            raise Refused(
                f"creating SSM Parameter ({request.id}): api error ParameterAlreadyExists: The parameter "
                "already exists. "
                "To overwrite this value, set the overwrite option in the request to true."
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and defaults."""
        outputs = {
            "arn": UNKNOWN if request.id is UNKNOWN else parameter_arn(request.id, request.region),
            "dataType": given(request.inputs, "dataType", "text"),
            "keyId": given(
                request.inputs, "keyId", "alias/aws/ssm" if request.inputs["type"] == "SecureString" else ""
            ),
            "tier": given(request.inputs, "tier", "Standard"),
        }
        if request.inputs.get("valueWo") is not None:
            outputs["hasValueWo"] = True
        return outputs

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """AWS counts the versions, of a parameter that was there before too."""
        del inputs
        return {"version": UNKNOWN}

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
        client = self.endpoint.client("ssm", request.region)
        if request.resumed:
            found = _found(client, request.id)
            if (
                found is not None
                and found["Value"] == _value(request.inputs)
                and found["Type"] == request.inputs["type"]
            ):
                return {"version": found["Version"]}
        return self._put(
            client,
            request.id,
            request.inputs,
            overwrite=request.resumed or bool(request.inputs.get("overwrite")),
        )

    def renew(self, request: AwsRequest) -> Properties:
        """Puts it anew, which makes a version, unless only tags changed."""
        if all(request.old_inputs.get(name) == request.inputs.get(name) for name in _VERSIONED):
            return {"version": request.outputs.get("version")}
        return self._put(
            self.endpoint.client("ssm", request.region), request.id, request.inputs, overwrite=True
        )

    def _put(self, client: Any, name: str, inputs: Properties, *, overwrite: bool) -> Properties:
        options = {
            argument: inputs[prop]
            for prop, argument in (
                ("allowedPattern", "AllowedPattern"),
                ("dataType", "DataType"),
                ("description", "Description"),
                ("keyId", "KeyId"),
                ("tier", "Tier"),
            )
            if inputs.get(prop) is not None
        }
        with service_call(f"putting SSM Parameter ({name})"):
            answer = client.put_parameter(
                Name=name, Type=inputs["type"], Value=_value(inputs), Overwrite=overwrite, **options
            )
        return {"version": answer["Version"]}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Version, and the value where it is no secret."""
        found = _found(self.endpoint.client("ssm"), request.id)
        if found is None:
            return None
        outputs: dict[str, Any] = {"version": found["Version"]}
        if "insecureValue" in request.inputs:
            outputs["insecureValue"] = found["Value"]
        return outputs

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        with service_call(f"deleting SSM Parameter ({request.id})", accept=("ParameterNotFound",)):
            self.endpoint.client("ssm").delete_parameter(Name=request.id)


def _value(inputs: Properties) -> str:
    return next(str(inputs[name]) for name in _VALUES if inputs.get(name) is not None)


def _found(client: Any, name: str) -> dict[str, Any] | None:
    try:
        return client.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    except ClientError:
        return None
