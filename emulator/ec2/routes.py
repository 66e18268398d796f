"""Route tables. Recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, text
from emulator.core.resource_type import Properties, Refused
from emulator.ec2.addresses import cidr_block
from emulator.ec2.network import INTERNET_GATEWAY, NAT_GATEWAY, NO_SUCH_SUBNET, NO_SUCH_VPC, SUBNET, VPC
from emulator.endpoint.credentials import ACCOUNT

ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
_NO_SUCH_TABLE = "creating: api error InvalidRouteTableID.NotFound: The routeTable ID '{id}' does not exist"
_NO_SUCH_GATEWAY = (
    "creating Route: api error InvalidInternetGatewayID.NotFound: "
    "The internetGateway ID '{id}' does not exist"
)
_DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
_TARGETS = (
    "carrierGatewayId", "coreNetworkArn", "egressOnlyGatewayId", "gatewayId", "localGatewayId",
    "natGatewayId", "networkInterfaceId", "odbNetworkArn", "transitGatewayId", "vpcEndpointId",
    "vpcPeeringConnectionId",
)  # fmt: skip


class RouteTable(AwsType):
    """`ec2.RouteTable`."""

    token = ROUTE_TABLE
    id_prefix = "rtb"
    arn_format = ("ec2", "route-table/{id}")
    required = ("vpcId",)
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {"ownerId": ACCOUNT, "propagatingVgws": [], "routes": []}
    replace_on = ("vpcId",)
    blockers = ("aws:ec2/routeTableAssociation:RouteTableAssociation",)
    not_deletable = (
        "deleting: api error DependencyViolation: The routeTable '{id}' has dependencies "
        "and cannot be deleted."
    )


class Route(AwsType):
    """`ec2.Route`."""

    token = "aws:ec2/route:Route"
    required = ("routeTableId",)
    exactly_one = (_DESTINATIONS, _TARGETS)
    checks: ClassVar = {
        "destinationCidrBlock": (cidr_block(4),),
        "destinationIpv6CidrBlock": (cidr_block(6),),
    }
    references: ClassVar = {
        "routeTableId": (ROUTE_TABLE, _NO_SUCH_TABLE),
        "natGatewayId": (
            NAT_GATEWAY,
            "creating Route: api error InvalidNatGatewayID.NotFound: The natGateway ID '{id}' does not exist",
        ),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "instanceId": "",
        "instanceOwnerId": "",
        "origin": "CreateRoute",
        "state": "active",
    }
    replace_on = ("routeTableId", *_DESTINATIONS)
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        return text("r-", request.inputs["routeTableId"], "-", _destination(request.inputs))

    def refuse(self, request: AwsRequest) -> None:
        other = self.registry.get(self.token, request.id)
        if other is not None and other.urn != request.urn:
            raise Refused(
                "creating Route: api error RouteAlreadyExists: The route identified by "
                f"{_destination(request.inputs)} already exists."
            )
        gateway = request.inputs.get("gatewayId")
        if str(gateway).startswith("igw-"):
            self.existing(INTERNET_GATEWAY, gateway, _NO_SUCH_GATEWAY)


class RouteTableAssociation(AwsType):
    """`ec2.RouteTableAssociation`."""

    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    id_prefix = "rtbassoc"
    required = ("routeTableId",)
    exactly_one = (("subnetId", "gatewayId"),)
    references: ClassVar = {
        "routeTableId": (ROUTE_TABLE, _NO_SUCH_TABLE),
        "subnetId": (SUBNET, NO_SUCH_SUBNET),
    }
    replace_on = ("gatewayId", "subnetId")
    taggable = False

    def refuse(self, request: AwsRequest) -> None:
        subnet = request.inputs.get("subnetId")
        if subnet is not None and any(other.holds(subnet) for other in self.others(request)):
            raise Refused(
                "creating Route Table Association: api error Resource.AlreadyAssociated: the specified "
                f"association for route table {request.inputs['routeTableId']} conflicts with an existing "
                "association"
            )


def _destination(inputs: Properties) -> Any:
    return next((inputs[name] for name in _DESTINATIONS if inputs.get(name) is not None), None)
