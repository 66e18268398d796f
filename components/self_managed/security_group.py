"""What reaches a server, and what it reaches."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import pulumi
from pulumi_aws import ec2, vpc

from components.names import slug

# Secrets Manager, SSM, S3, CloudWatch Logs and the PostgreSQL project's packages answer on 443; Debian's
# archive on 443 or 80, depending on the image's mirror list, and apt verifies signatures either way. Their
# addresses are AWS's and change, so the network cannot be narrowed. Name service and time need no rule:
# security groups do not filter Amazon's own resolver and clock.
MACHINE_NEEDS: Mapping[str, int] = MappingProxyType({"https": 443, "http": 80})
_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class ServerFirewallArgs:
    """Arguments of `ServerFirewall`.

    Attributes:
        vpc_id: The server's VPC.
        port: Its TCP port.
        networks: Networks of clients, IPv4 or IPv6; never the whole internet.
        security_groups: Ids of security groups of clients.
        outgoing: Ports that the server itself reaches anywhere, by protocol; RDS needs none.
        tags: Tags of every child.

    Raises:
        ValueError: A network is the whole internet.
    """

    vpc_id: pulumi.Input[str]
    port: int
    networks: Sequence[str] = ()
    security_groups: Sequence[str] = ()
    outgoing: Mapping[str, int] = field(default_factory=lambda: MACHINE_NEEDS)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        for network in self.networks:
            if ipaddress.ip_network(network).prefixlen == 0:
                raise ValueError(f"networks: {network} is the whole internet; name the clients' networks")


@final
@dataclass(frozen=True, kw_only=True)
class ServerFirewallResources:
    """Children of `ServerFirewall`; `ingress` by network or security group, `egress` by protocol."""

    group: ec2.SecurityGroup
    ingress: dict[str, vpc.SecurityGroupIngressRule]
    egress: dict[str, vpc.SecurityGroupEgressRule]


class ServerFirewall(pulumi.ComponentResource):
    """`passwordless-postgres:index:ServerFirewall`: a security group that lets named clients in to one port.

    Makes an `ec2.SecurityGroup`, one ingress rule per network and group, and one egress rule per protocol
    that the server needs. There is no other way in: no SSH, no ICMP.

    Attributes:
        id: The security group.
        resources: The children.
    """

    id: pulumi.Output[str]
    resources: ServerFirewallResources

    def __init__(
        self, name: str, args: ServerFirewallArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the security group."""
        super().__init__("passwordless-postgres:index:ServerFirewall", name, {}, opts)
        group = ec2.SecurityGroup(
            name,
            description="PostgreSQL, from named networks and groups only",
            vpc_id=args.vpc_id,
            tags={**args.tags, "Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        )
        ingress: dict[str, vpc.SecurityGroupIngressRule] = {}
        for network in args.networks:
            is_ipv4 = ipaddress.ip_network(network).version == 4
            ingress[network] = vpc.SecurityGroupIngressRule(
                f"{name}-from-{slug(network)}",
                security_group_id=group.id,
                description=f"PostgreSQL from {network}",
                ip_protocol="tcp",
                from_port=args.port,
                to_port=args.port,
                cidr_ipv4=network if is_ipv4 else None,
                cidr_ipv6=None if is_ipv4 else network,
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
        for client in args.security_groups:
            ingress[client] = vpc.SecurityGroupIngressRule(
                f"{name}-from-{client}",
                security_group_id=group.id,
                description=f"PostgreSQL from {client}",
                ip_protocol="tcp",
                from_port=args.port,
                to_port=args.port,
                referenced_security_group_id=client,
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
        egress = {
            protocol: vpc.SecurityGroupEgressRule(
                f"{name}-{protocol}",
                security_group_id=group.id,
                description="AWS and package archives",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=_ANYWHERE,
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for protocol, port in args.outgoing.items()
        }
        self.resources = ServerFirewallResources(group=group, ingress=ingress, egress=egress)
        self.id = group.id
        self.register_outputs({"id": self.id})
