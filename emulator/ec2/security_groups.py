"""Security groups and their rules. Recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, known
from emulator.core.checks import attribute, matching
from emulator.core.properties import UNKNOWN
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import cidr_block
from emulator.ec2.network import NETWORK_INTERFACE, NO_SUCH_VPC, SECURITY_GROUP, VPC
from emulator.endpoint.credentials import ACCOUNT
from emulator.lambda_.service import Functions, may_as_role

_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
_IDENTITY = ("securityGroupId", "ipProtocol", "fromPort", "toPort", *_SOURCES)
_DESCRIPTION = matching(
    r"[0-9A-Za-z_ .:/()#,@\[\]+=&;{}!$*-]{0,255}",
    "at most 255 characters of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$* are allowed",
)
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
DEFAULT_SECURITY_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
ANY_SECURITY_GROUP = (SECURITY_GROUP, DEFAULT_SECURITY_GROUP)
_NO_SUCH_GROUP = (
    "creating Security Group Rule: api error InvalidGroup.NotFound: The security group '{id}' does not exist"
)


class SecurityGroup(AwsType):
    """`ec2.SecurityGroup`."""

    token = SECURITY_GROUP
    id_prefix = "sg"
    arn_format = ("ec2", "security-group/{id}")
    defaults: ClassVar[Mapping[str, Any]] = {"description": "Managed by Pulumi", "revokeRulesOnDelete": False}
    name_property = "name"
    checks: ClassVar = {
        "description": (_DESCRIPTION,),
        "name": (matching(r"(?!sg-).{1,255}", "a name cannot begin with sg-"),),
    }
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {"egress": [], "ingress": [], "ownerId": ACCOUNT}
    replace_on = ("description", "name", "namePrefix", "vpcId")
    blockers = (
        NETWORK_INTERFACE,
        "aws:ec2/instance:Instance",
        "aws:lambda/function:Function",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:rds/instance:Instance",
    )
    not_deletable = (
        "deleting Security Group ({id}): api error DependencyViolation: resource {id} has a dependent object"
    )

    def refuse(self, request: AwsRequest) -> None:
        name, vpc = request.inputs.get("name"), request.inputs.get("vpcId")
        for other in self.others(request):
            if other.inputs.get("name") == name and other.inputs.get("vpcId") == vpc:
                raise Refused(
                    "creating Security Group: api error InvalidGroup.Duplicate: The security group "
                    f"'{name}' already exists for VPC '{vpc}'"
                )

    def dispose(self, request: AwsRequest) -> None:
        """Network interfaces of a function that is gone stay until Lambda may take them away."""
        functions = self.running(Functions)
        role = functions.interfaces.get(request.id) if functions is not None else None
        if role is not None and not may_as_role(self.endpoint, role, "ec2:DeleteNetworkInterface"):
            raise Refused(self.not_deletable.format(id=request.id))


class DefaultSecurityGroup(AwsType):
    """`ec2.DefaultSecurityGroup`: takes over the group that a new VPC has; deleting it leaves the group."""

    token = DEFAULT_SECURITY_GROUP
    arn_format = ("ec2", "security-group/{id}")
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "description": "default VPC security group",
        "name": "default",
        "ownerId": ACCOUNT,
    }
    replace_on = ("vpcId",)

    def resource_id(self, request: AwsRequest) -> Any:
        record = self.registry.get(VPC, request.inputs.get("vpcId"))
        if record is not None:
            return record.outputs.get("defaultSecurityGroupId", UNKNOWN)
        return UNKNOWN if request.preview else ""

    def refuse(self, request: AwsRequest) -> None:
        self.existing(VPC, request.inputs.get("vpcId"), NO_SUCH_VPC)


class _Rule(AwsType):
    id_prefix = "sgr"
    arn_format = ("ec2", "security-group-rule/{id}")
    required = ("securityGroupId", "ipProtocol")
    checks: ClassVar = {
        "cidrIpv4": (cidr_block(4),),
        "cidrIpv6": (cidr_block(6),),
        "description": (_DESCRIPTION,),
    }
    references: ClassVar = {
        "securityGroupId": (ANY_SECURITY_GROUP, _NO_SUCH_GROUP),
        "referencedSecurityGroupId": (ANY_SECURITY_GROUP, _NO_SUCH_GROUP),
    }
    replace_on = ("securityGroupId",)

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        sources = _given_sources(inputs)
        if len(sources) != 1:
            attributes = ",".join(map(attribute, _SOURCES))
            count = "No attribute" if not sources else f"{len(sources)} attributes"
            reason = f"{count} specified when one (and only one) of [{attributes}] is required"
            yield Failure(_SOURCES[0], reason)
        ports = [inputs.get("fromPort"), inputs.get("toPort")]
        for name, port in zip(("fromPort", "toPort"), ports, strict=True):
            if known(port) and not -1 <= int(port or 0) <= 65535:
                yield Failure(name, f"value must be between -1 and 65535, got: {port}")
        if str(inputs["ipProtocol"]).lower() in ("tcp", "udp", "6", "17"):
            if None in ports:
                reason = "InvalidParameterValue: protocols tcp and udp need from_port and to_port"
                yield Failure("fromPort", reason)
            elif all(map(known, ports)) and int(ports[0] or 0) > int(ports[1] or 0):
                reason = f"InvalidParameterValue: port range {ports[0]} to {ports[1]} is upside down"
                yield Failure("fromPort", reason)

    def refuse(self, request: AwsRequest) -> None:
        for other in self.others(request):
            if all(other.inputs.get(name) == request.inputs.get(name) for name in _IDENTITY):
                raise Refused(
                    "creating Security Group Rule: api error InvalidPermission.Duplicate: the specified rule "
                    f'"peer: {request.inputs[_given_sources(request.inputs)[0]]}, '
                    f"{str(request.inputs['ipProtocol']).upper()}, "
                    f"from port: {request.inputs.get('fromPort')}, to port: {request.inputs.get('toPort')}, "
                    'ALLOW" already exists'
                )

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """A rule cannot change the kind of its source."""
        if _given_sources(request.old_inputs) == _given_sources(request.inputs):
            return ()
        return [name for name in changes if name in _SOURCES]

    def computed(self, request: AwsRequest) -> Properties:
        return {"securityGroupRuleId": request.id}


class SecurityGroupIngressRule(_Rule):
    """`vpc.SecurityGroupIngressRule`."""

    token = INGRESS_RULE


class SecurityGroupEgressRule(_Rule):
    """`vpc.SecurityGroupEgressRule`."""

    token = EGRESS_RULE


def _given_sources(inputs: Properties) -> list[str]:
    return [name for name in _SOURCES if inputs.get(name) is not None]
