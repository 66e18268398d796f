"""The security group of a server: what reaches it, and what it reaches."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import pulumi
from pulumi_aws import ec2, vpc

from components.names import slug
from settings import AllowedClients

# Secrets Manager, SSM, S3, CloudWatch Logs and the PostgreSQL project's packages answer on 443; Debian's
# archive on 443 or 80, depending on the image's mirror list, and apt verifies signatures either way. Their
# addresses are AWS's and change, so the network cannot be narrowed. Name service and time need no rule:
# security groups do not filter Amazon's own resolver and clock.
MACHINE_NEEDS: Mapping[str, int] = MappingProxyType({"https": 443, "http": 80})
_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class ServerSecurityGroupArgs:
    """Arguments of `ServerSecurityGroup`.

    Attributes:
        vpc_id: The server's VPC.
        port: Its TCP port.
        clients: Networks and security groups that reach the port; never the whole internet.
        outgoing: Ports that the server itself reaches anywhere, by protocol; RDS needs none.
        tags: Tags of every child.
    """

    vpc_id: pulumi.Input[str]
    port: int
    clients: AllowedClients
    outgoing: Mapping[str, int] = field(default_factory=lambda: MACHINE_NEEDS)
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class ServerSecurityGroupResources:
    """Children of `ServerSecurityGroup`; `ingress` by network or security group, `egress` by protocol."""

    group: ec2.SecurityGroup
    ingress: dict[str, vpc.SecurityGroupIngressRule]
    egress: dict[str, vpc.SecurityGroupEgressRule]


class ServerSecurityGroup(pulumi.ComponentResource):
    """`passwordless-postgres:index:ServerFirewall`: a security group that lets named clients in to one port.

    Makes an `ec2.SecurityGroup`, one ingress rule per network and group, and one egress rule per protocol
    that the server needs. There is no other way in: no SSH, no ICMP.

    Attributes:
        id: The security group.
        resources: The children.
    """

    id: pulumi.Output[str]
    resources: ServerSecurityGroupResources

    def __init__(
        self, name: str, args: ServerSecurityGroupArgs, opts: pulumi.ResourceOptions | None = None
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
        for network in args.clients.networks:
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
        for client in args.clients.security_groups:
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
        self.resources = ServerSecurityGroupResources(group=group, ingress=ingress, egress=egress)
        self.id = group.id
        self.register_outputs({"id": self.id})
