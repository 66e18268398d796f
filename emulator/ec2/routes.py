"""Route tables. Recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator.core.aws_type import AwsRequest, AwsType, given
from emulator.core.credentials import ACCOUNT
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import network_problem
from emulator.ec2.network import (
    INTERNET_GATEWAY,
    NO_SUCH_SUBNET,
    NO_SUCH_VPC,
    SUBNET,
    VPC,
    NatGateway,
)

ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
_NO_SUCH_TABLE = "creating: api error InvalidRouteTableID.NotFound: The routeTable ID '{id}' does not exist"
_DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
_TARGETS = (
    "carrierGatewayId",
    "coreNetworkArn",
    "egressOnlyGatewayId",
    "gatewayId",
    "localGatewayId",
    "natGatewayId",
    "networkInterfaceId",
    "odbNetworkArn",
    "transitGatewayId",
    "vpcEndpointId",
    "vpcPeeringConnectionId",
)


class RouteTable(AwsType):
    """`ec2.RouteTable`."""

    token = ROUTE_TABLE
    required = ("vpcId",)
    replace_on = frozenset({"vpcId", "region"})
    blockers = ("aws:ec2/routeTableAssociation:RouteTableAssociation",)
    not_deletable = (
        "deleting: api error DependencyViolation: The routeTable '{id}' has dependencies "
        "and cannot be deleted."
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`rtb-…`."""
        return request.ec2_id("rtb")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown VPC."""
        self.existing(VPC, request.inputs["vpcId"], NO_SUCH_VPC)

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and owner."""
        return {
            "arn": request.arn("ec2", f"route-table/{request.id}"),
            "ownerId": ACCOUNT,
            "propagatingVgws": given(request.inputs, "propagatingVgws", []),
            "routes": given(request.inputs, "routes", []),
        }


class Route(AwsType):
    """`ec2.Route`."""

    token = "aws:ec2/route:Route"
    required = ("routeTableId",)
    replace_on = frozenset({"routeTableId", *_DESTINATIONS, "region"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """`r-<table><hash of the destination>`."""
        table, destination = request.inputs["routeTableId"], _given(request.inputs, _DESTINATIONS)
        if table is UNKNOWN or destination is UNKNOWN:
            return UNKNOWN
        return f"r-{table}-{destination}"

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """One destination, one target."""
        yield from network_problem(inputs, "destinationCidrBlock")
        yield from network_problem(inputs, "destinationIpv6CidrBlock", 6)
        for names in (_DESTINATIONS, _TARGETS):
            if sum(inputs.get(name) is not None for name in names) != 1:
                yield Failure(names[0], f"one of `{','.join(names)}` must be specified")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown table or target, or a second route to the same destination."""
        self.existing(ROUTE_TABLE, request.inputs["routeTableId"], _NO_SUCH_TABLE)
        other = self.registry.get(self.token, request.id)
        if other is not None and other.urn != request.urn:
            raise Refused(
                "creating Route: api error RouteAlreadyExists: The route identified by "
                f"{_given(request.inputs, _DESTINATIONS)} already exists."
            )
        gateway = request.inputs.get("gatewayId")
        if str(gateway).startswith("igw-"):
            refusal = (
                "creating Route: api error InvalidInternetGatewayID.NotFound: The "
                "internetGateway ID '{id}' does not "
                "exist"
            )
            self.existing(INTERNET_GATEWAY, gateway, refusal)
        if request.inputs.get("natGatewayId") is not None:
            refusal = (
                "creating Route: api error InvalidNatGatewayID.NotFound: The natGateway ID "
                "'{id}' does not exist"
            )
            self.existing(NatGateway.token, request.inputs["natGatewayId"], refusal)

    def computed(self, request: AwsRequest) -> Properties:
        """State."""
        return {"instanceId": "", "instanceOwnerId": "", "origin": "CreateRoute", "state": "active"}


class RouteTableAssociation(AwsType):
    """`ec2.RouteTableAssociation`."""

    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    required = ("routeTableId",)
    replace_on = frozenset({"gatewayId", "subnetId", "region"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """`rtbassoc-…`."""
        return request.ec2_id("rtbassoc")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """A subnet or a gateway."""
        if (inputs.get("subnetId") is None) == (inputs.get("gatewayId") is None):
            yield Failure("subnetId", "one of `gateway_id,subnet_id` must be specified")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown table or subnet, or one that has a table already."""
        self.existing(ROUTE_TABLE, request.inputs["routeTableId"], _NO_SUCH_TABLE)
        subnet = request.inputs.get("subnetId")
        if subnet is None:
            return
        self.existing(SUBNET, subnet, NO_SUCH_SUBNET)
        other = self.registry.holding(subnet, self.token)
        if other is not None and other.id != request.id:
            raise Refused(
                "creating Route Table Association: api error Resource.AlreadyAssociated: the specified "
                "association for "
                f"route table {request.inputs['routeTableId']} conflicts with an existing association"
            )


def _given(inputs: Properties, names: Iterable[str]) -> Any:
    return next((inputs[name] for name in names if inputs.get(name) is not None), None)
