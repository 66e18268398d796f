"""Security groups of a gateway: what reaches the load balancer, its targets, and the database."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TypeVar, final

import pulumi
from pulumi_aws import ec2, vpc

from components.names import slug
from settings import Gateway

_HTTPS = 443
_ANYWHERE = "0.0.0.0/0"

_Rule = TypeVar("_Rule", vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule)


@dataclass(frozen=True, kw_only=True)
class GatewaySecurityGroupsArgs:
    """Arguments of `GatewaySecurityGroups`.

    Attributes:
        vpc_id: The VPC.
        settings: The section `gateway`: port of the listener, and the clients that reach it.
        target_port: Port of the targets.
        database_security_group: The database's security group.
        database_port: The database's port.
        tags: Tags of every child.
    """

    vpc_id: pulumi.Input[str]
    settings: Gateway
    target_port: int
    database_security_group: pulumi.Input[str]
    database_port: int
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class GatewaySecurityGroupsResources:
    """Children of `GatewaySecurityGroups`; `clients` by network or security group."""

    load_balancer: ec2.SecurityGroup
    targets: ec2.SecurityGroup
    clients: dict[str, vpc.SecurityGroupIngressRule]
    to_targets: vpc.SecurityGroupEgressRule
    from_load_balancer: vpc.SecurityGroupIngressRule
    to_database: vpc.SecurityGroupEgressRule
    to_aws: vpc.SecurityGroupEgressRule
    database_from_targets: vpc.SecurityGroupIngressRule


class GatewaySecurityGroups(pulumi.ComponentResource):
    """`passwordless-postgres:index:GatewayFirewall`: one way from clients to the database.

    Makes a security group of the load balancer, with an ingress rule per client network and group and
    one way out, to the targets; one of the targets, with one way in, from the load balancer's group; and
    a rule in the database's group that lets the targets in. Targets reach the database and HTTPS
    (S3, CloudWatch Logs), nothing else.

    Attributes:
        load_balancer_id: The load balancer's security group.
        targets_id: The targets' security group.
        resources: The children.
    """

    load_balancer_id: pulumi.Output[str]
    targets_id: pulumi.Output[str]
    resources: GatewaySecurityGroupsResources

    def __init__(
        self, name: str, args: GatewaySecurityGroupsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the security groups."""
        super().__init__("passwordless-postgres:index:GatewayFirewall", name, {}, opts)
        self._name, self._args = name, args
        load_balancer = self._group("load-balancer", "Mutual TLS, from named networks and groups only")
        targets = self._group("targets", "The gateway, from its load balancer only")
        clients: dict[str, vpc.SecurityGroupIngressRule] = {}
        for network in args.settings.allowed_clients.networks:
            family = "cidr_ipv4" if ipaddress.ip_network(network).version == 4 else "cidr_ipv6"
            clients[network] = self._rule(
                vpc.SecurityGroupIngressRule,
                f"from-{slug(network)}",
                load_balancer.id,
                args.settings.port,
                f"Clients of {network}",
                peer={family: network},
            )
        for client in args.settings.allowed_clients.security_groups:
            clients[client] = self._rule(
                vpc.SecurityGroupIngressRule,
                f"from-{client}",
                load_balancer.id,
                args.settings.port,
                f"Clients of {client}",
                peer={"referenced_security_group_id": client},
            )
        self.resources = GatewaySecurityGroupsResources(
            load_balancer=load_balancer,
            targets=targets,
            clients=clients,
            to_targets=self._rule(
                vpc.SecurityGroupEgressRule,
                "to-targets",
                load_balancer.id,
                args.target_port,
                "The gateway",
                peer={"referenced_security_group_id": targets.id},
            ),
            from_load_balancer=self._rule(
                vpc.SecurityGroupIngressRule,
                "from-load-balancer",
                targets.id,
                args.target_port,
                "The load balancer",
                peer={"referenced_security_group_id": load_balancer.id},
            ),
            to_database=self._rule(
                vpc.SecurityGroupEgressRule,
                "to-database",
                targets.id,
                args.database_port,
                "The database",
                peer={"referenced_security_group_id": args.database_security_group},
            ),
            to_aws=self._rule(
                vpc.SecurityGroupEgressRule,
                "to-aws",
                targets.id,
                _HTTPS,
                "AWS",
                peer={"cidr_ipv4": _ANYWHERE},
            ),
            database_from_targets=self._rule(
                vpc.SecurityGroupIngressRule,
                "database-from-targets",
                args.database_security_group,
                args.database_port,
                f"PostgreSQL from the gateway {name}",
                peer={"referenced_security_group_id": targets.id},
            ),
        )
        self.load_balancer_id = load_balancer.id
        self.targets_id = targets.id
        self.register_outputs({"loadBalancerId": self.load_balancer_id, "targetsId": self.targets_id})

    def _group(self, what: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            f"{self._name}-{what}",
            description=description,
            vpc_id=self._args.vpc_id,
            tags={**self._args.tags, "Name": f"{self._name}-{what}"},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _rule(
        self,
        kind: type[_Rule],
        what: str,
        group: pulumi.Input[str],
        port: int,
        description: str,
        *,
        peer: dict[str, pulumi.Input[str]],
    ) -> _Rule:
        return kind(
            f"{self._name}-{what}",
            security_group_id=group,
            description=description,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
            **peer,
        )
