"""Security groups and their rules. Recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known, pattern_problem
from emulator.core.credentials import ACCOUNT
from emulator.core.properties import UNKNOWN
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import network_problem
from emulator.ec2.network import NETWORK_INTERFACE, NO_SUCH_VPC, SECURITY_GROUP, VPC

_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
_DESCRIPTION = r"[0-9A-Za-z_ .:/()#,@\[\]+=&;{}!$*-]{0,255}"
_DESCRIPTION_WORDS = "at most 255 characters of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$* are allowed"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
DEFAULT_SECURITY_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"


class SecurityGroup(AwsType):
    """`ec2.SecurityGroup`."""

    token = SECURITY_GROUP
    defaults: ClassVar[Mapping[str, Any]] = {"description": "Managed by Pulumi", "revokeRulesOnDelete": False}
    name_property = "name"
    replace_on = frozenset({"description", "name", "namePrefix", "vpcId", "region"})
    blockers = (
        NETWORK_INTERFACE,
        "aws:ec2/instance:Instance",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:rds/instance:Instance",
    )
    not_deletable = (
        "deleting Security Group ({id}): api error DependencyViolation: resource {id} has a dependent object"
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`sg-…`."""
        return request.ec2_id("sg")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Characters of name and description."""
        yield from pattern_problem(inputs, "description", _DESCRIPTION, _DESCRIPTION_WORDS)
        yield from pattern_problem(inputs, "name", r"(?!sg-).{1,255}", "a name cannot begin with sg-")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown VPC, or a name that the VPC has already."""
        vpc = request.inputs.get("vpcId")
        if vpc is not None:
            self.existing(VPC, vpc, NO_SUCH_VPC)
        for other in self.registry.of_type(self.token):
            same = other.inputs.get("name") == request.inputs.get("name") and other.inputs.get("vpcId") == vpc
            if same and other.id != request.id:
                raise Refused(
                    "creating Security Group: api error InvalidGroup.Duplicate: The security group "
                    f"'{request.inputs.get('name')}' already exists for VPC '{vpc}'"
                )

    def computed(self, request: AwsRequest) -> Properties:
        """ARN, owner and inline rules."""
        return {
            "arn": request.arn("ec2", f"security-group/{request.id}"),
            "egress": given(request.inputs, "egress", []),
            "ingress": given(request.inputs, "ingress", []),
            "ownerId": ACCOUNT,
        }


class DefaultSecurityGroup(AwsType):
    """`ec2.DefaultSecurityGroup`: takes over the group that a VPC is born with; deleting it leaves the "
    "group."""

    token = DEFAULT_SECURITY_GROUP
    replace_on = frozenset({"vpcId", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The VPC's own."""
        vpc = request.inputs.get("vpcId")
        record = self.registry.get(VPC, vpc) if known(vpc) else None
        if record is not None:
            return record.outputs.get("defaultSecurityGroupId", UNKNOWN)
        return UNKNOWN if request.preview else ""

    def refuse(self, request: AwsRequest) -> None:
        """Unknown VPC."""
        self.existing(VPC, request.inputs.get("vpcId"), NO_SUCH_VPC)

    def computed(self, request: AwsRequest) -> Properties:
        """Names that AWS gave."""
        arn = UNKNOWN if request.id is UNKNOWN else request.arn("ec2", f"security-group/{request.id}")
        return {
            "arn": arn,
            "description": "default VPC security group",
            "name": "default",
            "ownerId": ACCOUNT,
        }


class _Rule(AwsType):
    required = ("securityGroupId", "ipProtocol")
    replace_on = frozenset({"securityGroupId", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """`sgr-…`."""
        return request.ec2_id("sgr")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Exactly one source or destination; ports where the protocol has some."""
        given = [name for name in _SOURCES if inputs.get(name) is not None]
        if len(given) != 1:
            attributes = "cidr_ipv4,cidr_ipv6,prefix_list_id,referenced_security_group_id"
            count = "No attribute" if not given else f"{len(given)} attributes"
            yield Failure(
                _SOURCES[0], f"{count} specified when one (and only one) of [{attributes}] is required"
            )
        yield from network_problem(inputs, "cidrIpv4")
        yield from network_problem(inputs, "cidrIpv6", 6)
        yield from pattern_problem(inputs, "description", _DESCRIPTION, _DESCRIPTION_WORDS)
        ports = [inputs.get("fromPort"), inputs.get("toPort")]
        for name, port in zip(("fromPort", "toPort"), ports, strict=True):
            if known(port) and not -1 <= int(port or 0) <= 65535:
                yield Failure(name, f"value must be between -1 and 65535, got: {port}")
        if str(inputs["ipProtocol"]).lower() in ("tcp", "udp", "6", "17"):
            if None in ports:
                yield Failure(
                    "fromPort", "InvalidParameterValue: protocols tcp and udp need from_port and to_port"
                )
            elif all(map(known, ports)) and int(ports[0] or 0) > int(ports[1] or 0):
                yield Failure(
                    "fromPort", f"InvalidParameterValue: port range {ports[0]} to {ports[1]} is upside down"
                )

    def refuse(self, request: AwsRequest) -> None:
        """Unknown groups, or a rule that the group has already."""
        refusal = (
            "creating Security Group Rule: api error InvalidGroup.NotFound: The security "
            "group '{id}' does not exist"
        )
        for name in ("securityGroupId", "referencedSecurityGroupId"):
            group = request.inputs.get(name)
            if group is not None and self.registry.get(DEFAULT_SECURITY_GROUP, group) is None:
                self.existing(SECURITY_GROUP, group, refusal)
        fields = ("securityGroupId", "ipProtocol", "fromPort", "toPort", *_SOURCES)
        for other in self.registry.of_type(self.token):
            if other.id != request.id and all(
                other.inputs.get(name) == request.inputs.get(name) for name in fields
            ):
                peer = next(request.inputs[name] for name in _SOURCES if request.inputs.get(name) is not None)
                raise Refused(
                    "creating Security Group Rule: api error InvalidPermission.Duplicate: the specified rule "
                    f'"peer: {peer}, {str(request.inputs["ipProtocol"]).upper()}, from port: '
                    f"{request.inputs.get('fromPort')}, to port: "
                    f'{request.inputs.get("toPort")}, ALLOW" already exists'
                )

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """A rule cannot change the kind of its source."""
        kinds = [
            [name for name in _SOURCES if side.get(name) is not None]
            for side in (request.old_inputs, request.inputs)
        ]
        return [name for name in changes if name in _SOURCES] if kinds[0] != kinds[1] else []

    def computed(self, request: AwsRequest) -> Properties:
        """ARN."""
        return {
            "arn": request.arn("ec2", f"security-group-rule/{request.id}"),
            "securityGroupRuleId": request.id,
        }


class SecurityGroupIngressRule(_Rule):
    """`vpc.SecurityGroupIngressRule`."""

    token = INGRESS_RULE


class SecurityGroupEgressRule(_Rule):
    """`vpc.SecurityGroupEgressRule`."""

    token = EGRESS_RULE
