"""Security groups and their rules. Recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from emulator.core.aws_type import AwsType, Resource, given, known, pattern_problem
from emulator.core.credentials import ACCOUNT
from emulator.core.properties import UNKNOWN
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

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """`sg-…`."""
        del inputs
        return resource.id("sg")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Characters of name and description."""
        yield from pattern_problem(inputs, "description", _DESCRIPTION, _DESCRIPTION_WORDS)
        yield from pattern_problem(inputs, "name", r"(?!sg-).{1,255}", "a name cannot begin with sg-")

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """Unknown VPC, or a name that the VPC has already."""
        del resource
        vpc = inputs.get("vpcId")
        if vpc is not None:
            self.existing(VPC, vpc, NO_SUCH_VPC)
        for other in self.registry.of_type(self.token):
            same = other.inputs.get("name") == inputs.get("name") and other.inputs.get("vpcId") == vpc
            if same and other.id != resource_id:
                raise Refused(
                    "creating Security Group: api error InvalidGroup.Duplicate: The security group "
                    f"'{inputs.get('name')}' already exists for VPC '{vpc}'"
                )

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN, owner and inline rules."""
        return {
            "arn": resource.arn("ec2", f"security-group/{resource_id}"),
            "egress": given(inputs, "egress", []),
            "ingress": given(inputs, "ingress", []),
            "ownerId": ACCOUNT,
        }


class DefaultSecurityGroup(AwsType):
    """`ec2.DefaultSecurityGroup`: takes over the group that a VPC is born with; deleting it leaves the "
    "group."""

    token = DEFAULT_SECURITY_GROUP
    replace_on = frozenset({"vpcId", "region"})

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The VPC's own."""
        vpc = inputs.get("vpcId")
        record = self.registry.get(VPC, vpc) if known(vpc) else None
        if record is not None:
            return record.outputs.get("defaultSecurityGroupId", UNKNOWN)
        return UNKNOWN if resource.call.preview else ""

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """Unknown VPC."""
        del resource, resource_id
        self.existing(VPC, inputs.get("vpcId"), NO_SUCH_VPC)

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """Names that AWS gave."""
        del inputs
        arn = UNKNOWN if resource_id is UNKNOWN else resource.arn("ec2", f"security-group/{resource_id}")
        return {
            "arn": arn,
            "description": "default VPC security group",
            "name": "default",
            "ownerId": ACCOUNT,
        }


class _Rule(AwsType):
    required = ("securityGroupId", "ipProtocol")
    replace_on = frozenset({"securityGroupId", "region"})

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """`sgr-…`."""
        del inputs
        return resource.id("sgr")

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

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """Unknown groups, or a rule that the group has already."""
        del resource
        refusal = (
            "creating Security Group Rule: api error InvalidGroup.NotFound: The security "
            "group '{id}' does not exist"
        )
        for name in ("securityGroupId", "referencedSecurityGroupId"):
            group = inputs.get(name)
            if group is not None and self.registry.get(DEFAULT_SECURITY_GROUP, group) is None:
                self.existing(SECURITY_GROUP, group, refusal)
        fields = ("securityGroupId", "ipProtocol", "fromPort", "toPort", *_SOURCES)
        for other in self.registry.of_type(self.token):
            if other.id != resource_id and all(other.inputs.get(name) == inputs.get(name) for name in fields):
                peer = next(inputs[name] for name in _SOURCES if inputs.get(name) is not None)
                raise Refused(
                    "creating Security Group Rule: api error InvalidPermission.Duplicate: the specified rule "
                    f'"peer: {peer}, {str(inputs["ipProtocol"]).upper()}, from port: '
                    f"{inputs.get('fromPort')}, to port: "
                    f'{inputs.get("toPort")}, ALLOW" already exists'
                )

    def further_replaces(self, old: Properties, new: Properties, changes: Sequence[str]) -> Iterable[str]:
        """A rule cannot change the kind of its source."""
        kinds = [[name for name in _SOURCES if side.get(name) is not None] for side in (old, new)]
        return [name for name in changes if name in _SOURCES] if kinds[0] != kinds[1] else []

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN."""
        del inputs
        return {
            "arn": resource.arn("ec2", f"security-group-rule/{resource_id}"),
            "securityGroupRuleId": resource_id,
        }


class SecurityGroupIngressRule(_Rule):
    """`vpc.SecurityGroupIngressRule`."""

    token = INGRESS_RULE


class SecurityGroupEgressRule(_Rule):
    """`vpc.SecurityGroupEgressRule`."""

    token = EGRESS_RULE
