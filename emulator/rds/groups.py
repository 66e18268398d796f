"""Subnet groups and parameter groups of RDS. Recorded; running instances learn of changed parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import SUBNET
from emulator.rds.databases import Databases
from emulator.rds.server import ServerError
from postgres.rds_parameters import Parameter, family, parameter_problems
from postgres.versions import SUPPORTED_MAJORS

SUBNET_GROUP = "aws:rds/subnetGroup:SubnetGroup"
PARAMETER_GROUP = "aws:rds/parameterGroup:ParameterGroup"
DATABASE = "aws:rds/instance:Instance"
FAMILIES: Mapping[str, int] = {family(major): major for major in SUPPORTED_MAJORS}
_ZONES = 2


def group_parameters(inputs: Properties) -> tuple[Parameter, ...]:
    """The parameters of a group, in alphabetical order."""
    found = [
        Parameter(
            name=item["name"], value=str(item["value"]), apply_method=given(item, "applyMethod", "immediate")
        )
        for item in given(inputs, "parameters", [])
    ]
    return tuple(sorted(found, key=lambda parameter: parameter.name))


class _Group(AwsType):
    """A group that instances name."""

    name_property = "name"
    defaults: ClassVar[Mapping[str, Any]] = {"description": "Managed by Pulumi"}
    kind: ClassVar[str]
    reference: ClassVar[str]
    in_use: ClassVar[str]

    def form_name(self, name: str) -> str:
        """RDS keeps names in lower case."""
        return name.lower()

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        if request.inputs.get("name") is not None:
            return request.inputs["name"]
        return text(request.inputs["namePrefix"], request.digest("name")[:26])

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and name."""
        return {"arn": request.arn("rds", text(f"{self.kind}:", request.id)), "name": request.id}

    def dispose(self, request: AwsRequest) -> None:
        """Refuses while an instance uses it."""
        for instance in self.registry.of_type(DATABASE):
            if instance.inputs.get(self.reference) == request.id:
                raise Refused(self.in_use.format(id=request.id))


class SubnetGroup(_Group):
    """`rds.SubnetGroup`."""

    token = SUBNET_GROUP
    required = ("subnetIds",)
    replace_on = frozenset({"name", "namePrefix", "region"})
    kind = "subgrp"
    reference = "dbSubnetGroupName"
    in_use = (
        "deleting RDS Subnet Group ({id}): api error InvalidDBSubnetGroupStateFault: Cannot delete the "
        "subnet group '{id}' because at least one database instance is still using it."
    )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name."""
        words = (
            "only lowercase alphanumeric characters, hyphens, underscores, periods, and spaces allowed, and "
            'not "default"'
        )
        yield from pattern_problem(inputs, "name", r"(?!default$)[ .0-9a-z_-]{1,255}", words)

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, unknown subnets, too few zones, more than one network."""
        if self.taken(request):
            raise Refused(
                f"creating RDS DB Subnet Group ({request.id}): api error DBSubnetGroupAlreadyExists: The DB "
                f"subnet group '{request.id}' already exists."
            )
        self._refuse_subnets("creating", request.id, request.inputs)

    def renew(self, request: AwsRequest) -> Properties:
        """Other subnets."""
        self._refuse_subnets("updating", request.id, request.inputs)
        return {}

    def _refuse_subnets(self, doing: str, resource_id: str, inputs: Properties) -> None:
        verb = f"{doing} RDS DB Subnet Group ({resource_id}): api error"
        refusal = f"{verb} InvalidSubnet: Some input subnets in :[{{id}}] are invalid."
        subnets = [self.existing(SUBNET, subnet, refusal) for subnet in inputs["subnetIds"]]
        if len({subnet.inputs["vpcId"] for subnet in subnets}) > 1:
            raise Refused(f"{verb} InvalidSubnet: The subnets are in more than one VPC.")
        zones = sorted({subnet.outputs["availabilityZone"] for subnet in subnets})
        if len(zones) < _ZONES:
            raise Refused(
                f"{verb} DBSubnetGroupDoesNotCoverEnoughAZs: The DB subnet group doesn't meet Availability "
                f"Zone (AZ) coverage requirement. Current AZ coverage: {', '.join(zones)}. Add subnets to "
                f"cover at least {_ZONES} AZs."
            )

    def computed(self, request: AwsRequest) -> Properties:
        """The network as well."""
        subnets = request.inputs["subnetIds"]
        first = self.registry.get(SUBNET, subnets[0]) if known(subnets) and subnets else None
        vpc = first.inputs["vpcId"] if first is not None else UNKNOWN
        return {
            **super().computed(request),
            "supportedNetworkTypes": ["IPV4"],
            "vpcId": vpc,
        }


class ParameterGroup(_Group):
    """`rds.ParameterGroup`."""

    token = PARAMETER_GROUP
    required = ("family",)
    defaults: ClassVar[Mapping[str, Any]] = {**_Group.defaults, "skipDestroy": False}
    replace_on = frozenset({"description", "family", "name", "namePrefix", "region"})
    kind = "pg"
    reference = "parameterGroupName"
    in_use = (
        "deleting RDS DB Parameter Group ({id}): api error InvalidDBParameterGroupState: One or more "
        "database instances are still members of this parameter group {id}, so the group cannot be deleted"
    )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name, methods that exist."""
        words = "only lowercase alphanumeric characters, periods and hyphens allowed, beginning with a letter"
        yield from pattern_problem(inputs, "name", r"[a-z](?:[.-]?[0-9a-z])*", words)
        parameters = inputs.get("parameters")
        for item in parameters if isinstance(parameters, list) else ():
            if isinstance(item, Mapping):
                for failure in choice_problem(item, "applyMethod", ("immediate", "pending-reboot")):
                    yield Failure("parameters", failure.reason)

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, an unknown family, parameters that the family does not take."""
        verb = f"creating RDS DB Parameter Group ({request.id}): api error"
        if self.taken(request):
            raise Refused(
                f"{verb} DBParameterGroupAlreadyExists: Parameter group {request.id} already exists"
            )
        if request.inputs["family"] not in FAMILIES:
            raise Refused(
                f"{verb} InvalidParameterValue: ParameterGroupFamily {request.inputs['family']} "
                f"is not a valid "
                f"parameter group family (the sandbox has {', '.join(FAMILIES)})"
            )
        self._refuse_parameters(request.id, request.inputs)

    def renew(self, request: AwsRequest) -> Properties:
        """Tells the instances that use it."""
        self._refuse_parameters(request.id, request.inputs)
        databases = self.running(Databases)
        if databases is not None:
            try:
                databases.change_group(request.id, group_parameters(request.inputs))
            except ServerError as error:
                raise Refused(f"updating RDS DB Parameter Group ({request.id}): {error}") from error
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it unless an instance uses it."""
        if not request.inputs.get("skipDestroy"):
            super().dispose(request)

    def _refuse_parameters(self, resource_id: str, inputs: Properties) -> None:
        verb = f"modifying RDS DB Parameter Group ({resource_id}): api error"
        names = set()
        for parameter in group_parameters(inputs):
            found = parameter_problems(
                FAMILIES[inputs["family"]], parameter.name, parameter.value, parameter.apply_method
            )
            if parameter.name in names:
                found = [f"The parameter {parameter.name} is given more than once."]
            names.add(parameter.name)
            if found:
                code = (
                    "InvalidParameterCombination"
                    if found[0].startswith("cannot use")
                    else "InvalidParameterValue"
                )
                raise Refused(f"{verb} {code}: {_named(parameter.name, found[0])}")


def _named(name: str, problem: str) -> str:
    return problem if re.search(rf"\b{re.escape(name)}\b", problem) else f"{problem}: {name}"
