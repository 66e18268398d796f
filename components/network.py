"""The network of the servers: a new VPC, or an existing one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import final

import pulumi
from pulumi_aws import cloudwatch, ec2, iam

import settings
from components import iam_documents
from components.account import Account
from components.names import stack_path
from components.subnets import plan_subnets
from settings.network import CreatedNetwork, ExistingNetwork
from settings.quotas import LOAD_BALANCER_SUBNET

_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Arguments of `Network`.

    Attributes:
        settings: The section `network`: what to make, or what to use.
        zone_names: Names of at least as many zones as are made; not looked at for an existing network.
        stack: Name of the stack, for the flow logs' log group.
        account: Where it is.
        flow_log_retention_days: How long CloudWatch keeps the flow logs.
        tags: Tags of every child.

    Raises:
        ValueError: Neither a network to make nor one to use, or both.
    """

    settings: settings.Network
    zone_names: pulumi.Input[Sequence[str]] = ()
    stack: str
    account: Account
    flow_log_retention_days: int = 90
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if (self.settings.create is None) == (self.settings.existing is None):
            raise ValueError("settings: must have exactly one of create and existing")


@dataclass(frozen=True, kw_only=True)
class _Subnet:
    id: pulumi.Output[str]
    zone: pulumi.Output[str]
    cidr: pulumi.Input[str | None] = None

    @property
    def id_for_load_balancer(self) -> pulumi.Output[str]:
        """Its id; resolving it raises `pulumi.RunError` where it is too small for a load balancer."""
        return pulumi.Output.all(self.id, self.cidr).apply(lambda values: large_enough(*values))


@dataclass(frozen=True, kw_only=True)
class PrivateSubnet(_Subnet):
    """A subnet without a way in from the internet, its availability zone and its addresses."""


@dataclass(frozen=True, kw_only=True)
class PublicSubnet(_Subnet):
    """A subnet with a way in from the internet, its availability zone and its addresses."""


@final
@dataclass(frozen=True, kw_only=True)
class NetworkResources:
    """Children of `Network`; those of an existing VPC are its subnets alone."""

    vpc: ec2.Vpc | None
    private_subnets: tuple[ec2.Subnet, ...]
    public_subnets: tuple[ec2.Subnet, ...] = ()
    nat_gateways: tuple[ec2.NatGateway, ...] = ()
    s3_endpoint: ec2.VpcEndpoint | None = None
    flow_log: ec2.FlowLog | None = None


class Network(pulumi.ComponentResource):
    """`passwordless-postgres:index:Network`: a VPC whose servers reach AWS and nobody reaches them.

    Makes a VPC with a private and a public subnet per zone (public ones for NAT gateways and load
    balancers; no subnet gives out public addresses), route tables, an S3 gateway endpoint, a default
    security group without any rule, and flow logs to a log group. For an existing VPC it only reads the
    subnets.

    Attributes:
        vpc_id: The VPC.
        private_subnets: Its private subnets, in the order of the zones.
        public_subnets: Its public subnets, in the same order; of an existing VPC those that were named.
        resources: The children.
    """

    vpc_id: pulumi.Output[str]
    private_subnets: tuple[PrivateSubnet, ...]
    public_subnets: tuple[PublicSubnet, ...]
    resources: NetworkResources

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make or read the network."""
        super().__init__("passwordless-postgres:index:Network", name, {}, opts)
        if args.settings.create is not None:
            self.resources = self._create(name, args, args.settings.create)
        elif args.settings.existing is not None:
            self.resources = self._read(name, args.settings.existing)
        if self.resources.vpc is not None:
            self.vpc_id = self.resources.vpc.id
        else:
            self.vpc_id = self.resources.private_subnets[0].vpc_id
        self.private_subnets = tuple(
            PrivateSubnet(id=subnet.id, zone=subnet.availability_zone, cidr=subnet.cidr_block)
            for subnet in self.resources.private_subnets
        )
        self.public_subnets = tuple(
            PublicSubnet(id=subnet.id, zone=subnet.availability_zone, cidr=subnet.cidr_block)
            for subnet in self.resources.public_subnets
        )
        self.register_outputs(
            {"vpcId": self.vpc_id, "privateSubnetIds": [subnet.id for subnet in self.private_subnets]}
        )

    def _read(self, name: str, source: ExistingNetwork) -> NetworkResources:
        return NetworkResources(
            vpc=None,
            private_subnets=tuple(
                ec2.Subnet.get(f"{name}-private-{number}", subnet, opts=pulumi.ResourceOptions(parent=self))
                for number, subnet in enumerate(source.private_subnet_ids, start=1)
            ),
            public_subnets=tuple(
                ec2.Subnet.get(f"{name}-public-{number}", subnet, opts=pulumi.ResourceOptions(parent=self))
                for number, subnet in enumerate(source.public_subnet_ids, start=1)
            ),
        )

    def _create(self, name: str, args: NetworkArgs, source: CreatedNetwork) -> NetworkResources:
        vpc = ec2.Vpc(
            name,
            cidr_block=source.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={**args.tags, "Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        )
        ec2.DefaultSecurityGroup(
            f"{name}-default",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags={**args.tags, "Name": f"{name}-default-unused"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        plan = plan_subnets(source.cidr, source.zones)
        public = self._subnets(f"{name}-public", args, vpc, plan.public)
        private = self._subnets(f"{name}-private", args, vpc, plan.private)
        nat_gateways = self._way_out(name, args, source, vpc, public)
        tables = self._private_routes(name, args, vpc, private, nat_gateways)
        s3_endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", args.account.region, ".s3"),
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags={**args.tags, "Name": f"{name}-s3"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return NetworkResources(
            vpc=vpc,
            private_subnets=private,
            public_subnets=public,
            nat_gateways=nat_gateways,
            s3_endpoint=s3_endpoint,
            flow_log=self._flow_log(name, args, vpc),
        )

    def _subnets(
        self, name: str, args: NetworkArgs, vpc: ec2.Vpc, networks: Sequence[str]
    ) -> tuple[ec2.Subnet, ...]:
        zone_names = pulumi.Output.from_input(args.zone_names)
        return tuple(
            ec2.Subnet(
                f"{name}-{number}",
                vpc_id=vpc.id,
                cidr_block=cidr,
                availability_zone=zone_names[number - 1],
                map_public_ip_on_launch=False,
                tags={**args.tags, "Name": f"{name}-{number}"},
                # A new zone of AWS whose name sorts first must not move subnets with all that is in them.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["availabilityZone"]),
            )
            for number, cidr in enumerate(networks, start=1)
        )

    def _way_out(
        self, name: str, args: NetworkArgs, source: CreatedNetwork, vpc: ec2.Vpc, public: Sequence[ec2.Subnet]
    ) -> tuple[ec2.NatGateway, ...]:
        gateway = ec2.InternetGateway(
            f"{name}-internet",
            vpc_id=vpc.id,
            tags={**args.tags, "Name": f"{name}-internet"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        table = ec2.RouteTable(
            f"{name}-public",
            vpc_id=vpc.id,
            tags={**args.tags, "Name": f"{name}-public"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        route = ec2.Route(
            f"{name}-public-internet",
            route_table_id=table.id,
            destination_cidr_block=_ANYWHERE,
            gateway_id=gateway.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        for number, subnet in enumerate(public, start=1):
            ec2.RouteTableAssociation(
                f"{name}-public-{number}",
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=pulumi.ResourceOptions(parent=self),
            )
        gateways = []
        for number, subnet in enumerate(public if source.nat_gateway_per_zone else public[:1], start=1):
            address = ec2.Eip(
                f"{name}-nat-{number}",
                domain="vpc",
                tags={**args.tags, "Name": f"{name}-nat-{number}"},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
            )
            gateways.append(
                ec2.NatGateway(
                    f"{name}-nat-{number}",
                    subnet_id=subnet.id,
                    allocation_id=address.id,
                    tags={**args.tags, "Name": f"{name}-nat-{number}"},
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[route]),
                )
            )
        return tuple(gateways)

    def _private_routes(
        self,
        name: str,
        args: NetworkArgs,
        vpc: ec2.Vpc,
        private: Sequence[ec2.Subnet],
        nat_gateways: Sequence[ec2.NatGateway],
    ) -> tuple[ec2.RouteTable, ...]:
        tables = []
        for number, subnet in enumerate(private, start=1):
            table = ec2.RouteTable(
                f"{name}-private-{number}",
                vpc_id=vpc.id,
                tags={**args.tags, "Name": f"{name}-private-{number}"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            ec2.Route(
                f"{name}-private-{number}-nat",
                route_table_id=table.id,
                destination_cidr_block=_ANYWHERE,
                nat_gateway_id=nat_gateways[min(number, len(nat_gateways)) - 1].id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            ec2.RouteTableAssociation(
                f"{name}-private-{number}",
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            tables.append(table)
        return tuple(tables)

    def _flow_log(self, name: str, args: NetworkArgs, vpc: ec2.Vpc) -> ec2.FlowLog:
        log_group = cloudwatch.LogGroup(
            f"{name}-flow-log",
            name=stack_path(args.stack, name, "flow-log"),
            retention_in_days=args.flow_log_retention_days,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = iam.Role(
            f"{name}-flow-log",
            description="Delivers the VPC's flow logs to their log group",
            assume_role_policy=pulumi.Output.all(
                partition=args.account.partition,
                region=args.account.region,
                account_id=args.account.account_id,
            ).apply(lambda values: iam_documents.flow_log_trust(**values)),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = iam.RolePolicy(
            f"{name}-flow-log",
            role=role.id,
            policy=log_group.arn.apply(iam_documents.flow_log_delivery),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return ec2.FlowLog(
            f"{name}-flow-log",
            vpc_id=vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=log_group.arn,
            iam_role_arn=role.arn,
            tags={**args.tags, "Name": f"{name}-flow-log"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )


def for_load_balancer(subnets: Sequence[_Subnet]) -> list[pulumi.Output[str]]:
    """Ids of subnets that a load balancer takes: large enough, and each in a zone of its own.

    Resolving one raises `pulumi.RunError` for others, as far as zones and addresses are known.
    """
    return _checked([subnet.id_for_load_balancer for subnet in subnets], subnets, _each_zone_once)


def for_database(subnets: Sequence[_Subnet]) -> list[pulumi.Output[str]]:
    """Ids of subnets that RDS takes: of two zones; errors as in `for_load_balancer`."""
    return _checked([subnet.id for subnet in subnets], subnets, _of_two_zones)


def _checked(
    ids: list[pulumi.Output[str]],
    subnets: Sequence[_Subnet],
    check: Callable[[list[str], list[str | None]], list[str]],
) -> list[pulumi.Output[str]]:
    taken = pulumi.Output.all(*ids, *(subnet.zone for subnet in subnets)).apply(
        lambda values: check(values[: len(ids)], values[len(ids) :])
    )
    # A list of ids, so that a preview shows how many there are.
    return [taken[number] for number in range(len(ids))]


def _each_zone_once(subnets: list[str], zones: list[str | None]) -> list[str]:
    by_zone: dict[str, str] = {}
    for subnet, zone in zip(subnets, zones, strict=True):
        if zone and by_zone.setdefault(zone, subnet) != subnet:
            raise pulumi.RunError(
                f"passwordless-postgres:network.existing: {by_zone[zone]} and {subnet} are both in {zone},"
                " and a load balancer takes one subnet of each zone; name one of each, of two zones at least"
            )
    return subnets


def _of_two_zones(subnets: list[str], zones: list[str | None]) -> list[str]:
    if all(zones) and len(set(zones)) == 1:
        raise pulumi.RunError(
            f"passwordless-postgres:network.existing: {', '.join(subnets)} are all in {zones[0]}, and RDS"
            " wants subnets of two zones, standby or not; add one of another zone"
        )
    return subnets


def large_enough(subnet: str, cidr: str | None) -> str:
    """The subnet, if it is large enough for a load balancer, as far as its addresses are known.

    Raises:
        pulumi.RunError: It is too small.
    """
    if cidr and LOAD_BALANCER_SUBNET.excess(ip_network(cidr).prefixlen):
        raise pulumi.RunError(
            f"passwordless-postgres:network.existing: {subnet} is {cidr}, and a load balancer takes no "
            f"subnet smaller than a /{LOAD_BALANCER_SUBNET.limit}; name larger ones"
        )
    return subnet
