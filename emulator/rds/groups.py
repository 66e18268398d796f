"""Subnet groups and parameter groups of RDS. Recorded; changed parameters reach running instances."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known
from emulator.core.checks import matching, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Properties, Refused
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
    form_name = staticmethod(str.lower)
    defaults: ClassVar[Mapping[str, Any]] = {"description": "Managed by Pulumi"}
    reference: ClassVar[str]
    in_use: ClassVar[str]

    def dispose(self, request: AwsRequest) -> None:
        for instance in self.registry.of_type(DATABASE):
            if instance.inputs.get(self.reference) == request.id:
                raise Refused(self.in_use.format(id=request.id))


class SubnetGroup(_Group):
    """`rds.SubnetGroup`."""

    token = SUBNET_GROUP
    required = ("subnetIds",)
    replace_on = ("name", "namePrefix")
    arn_format = ("rds", "subgrp:{id}")
    name_taken = (
        "creating RDS DB Subnet Group ({id}): api error DBSubnetGroupAlreadyExists: The DB subnet group "
        "'{id}' already exists."
    )
    checks: ClassVar = {
        "name": (
            matching(
                r"(?!default$)[ .0-9a-z_-]{1,255}",
                "only lowercase alphanumeric characters, hyphens, underscores, periods, and spaces allowed, "
                'and not "default"',
            ),
        )
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {"supportedNetworkTypes": ["IPV4"]}
    reference = "dbSubnetGroupName"
    in_use = (
        "deleting RDS Subnet Group ({id}): api error InvalidDBSubnetGroupStateFault: Cannot delete the "
        "subnet group '{id}' because at least one database instance is still using it."
    )

    def refuse(self, request: AwsRequest) -> None:
        self._refuse_subnets("creating", request.id, request.inputs)

    def renew(self, request: AwsRequest) -> Properties:
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
        subnets = request.inputs["subnetIds"]
        first = self.registry.get(SUBNET, subnets[0]) if known(subnets) and subnets else None
        vpc = first.inputs["vpcId"] if first is not None else UNKNOWN
        return {"vpcId": vpc}


class ParameterGroup(_Group):
    """`rds.ParameterGroup`."""

    token = PARAMETER_GROUP
    required = ("family",)
    defaults: ClassVar[Mapping[str, Any]] = {**_Group.defaults, "skipDestroy": False}
    replace_on = ("description", "family", "name", "namePrefix")
    arn_format = ("rds", "pg:{id}")
    name_taken = (
        "creating RDS DB Parameter Group ({id}): api error DBParameterGroupAlreadyExists: Parameter group "
        "{id} already exists"
    )
    checks: ClassVar = {
        "name": (
            matching(
                r"[a-z](?:[.-]?[0-9a-z])*",
                "only lowercase alphanumeric characters, periods and hyphens allowed, beginning with a "
                "letter",
            ),
        ),
        "parameters.applyMethod": (one_of("immediate", "pending-reboot"),),
    }
    reference = "parameterGroupName"
    in_use = (
        "deleting RDS DB Parameter Group ({id}): api error InvalidDBParameterGroupState: One or more "
        "database instances are still members of this parameter group {id}, so the group cannot be deleted"
    )

    def refuse(self, request: AwsRequest) -> None:
        if request.inputs["family"] not in FAMILIES:
            raise Refused(
                f"creating RDS DB Parameter Group ({request.id}): api error InvalidParameterValue: "
                f"ParameterGroupFamily {request.inputs['family']} is not a valid parameter group family "
                f"(the sandbox has {', '.join(FAMILIES)})"
            )
        self._refuse_parameters(request.id, request.inputs)

    def renew(self, request: AwsRequest) -> Properties:
        self._refuse_parameters(request.id, request.inputs)
        databases = self.running(Databases)
        if databases is not None:
            try:
                databases.change_group(request.id, group_parameters(request.inputs))
            except ServerError as error:
                raise Refused(f"updating RDS DB Parameter Group ({request.id}): {error}") from error
        return {}

    def dispose(self, request: AwsRequest) -> None:
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
