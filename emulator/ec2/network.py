"""VPC, subnets and what is around them. Recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known, text
from emulator.core.credentials import ACCOUNT
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import inside, network_problem, overlap
from emulator.ec2.zones import zone_id, zone_names

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
NETWORK_INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
_LOG_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} "
    "${packets} "
    "${bytes} ${start} ${end} ${action} ${log-status}"
)
NO_SUCH_VPC = "creating: api error InvalidVpcID.NotFound: The vpc ID '{id}' does not exist"
NO_SUCH_SUBNET = "creating: api error InvalidSubnetID.NotFound: The subnet ID '{id}' does not exist"


class Vpc(AwsType):
    """`ec2.Vpc`."""

    token = VPC
    defaults: ClassVar[Mapping[str, Any]] = {"enableDnsSupport": True, "instanceTenancy": "default"}
    replace_on = frozenset({"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength", "region"})
    blockers = (
        SUBNET,
        INTERNET_GATEWAY,
        SECURITY_GROUP,
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
    )
    not_deletable = (
        "deleting: api error DependencyViolation: The vpc '{id}' has dependencies and cannot be deleted."
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`vpc-…`."""
        return request.ec2_id("vpc")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """The address block is one, between /16 and /28."""
        if inputs.get("cidrBlock") is None and inputs.get("ipv4IpamPoolId") is None:
            yield Failure("cidrBlock", "one of `cidr_block,ipv4_ipam_pool_id` must be specified")
        yield from network_problem(inputs, "cidrBlock")
        yield from choice_problem(inputs, "instanceTenancy", ("default", "dedicated"))
        prefix = str(inputs.get("cidrBlock")).rpartition("/")[2]
        if prefix.isdecimal() and not 16 <= int(prefix) <= 28:
            yield Failure(
                "cidrBlock",
                f"InvalidVpc.Range: The CIDR '{inputs['cidrBlock']}' is invalid; /16 to /28 are allowed",
            )

    def computed(self, request: AwsRequest) -> Properties:
        """Defaults that come with a VPC."""
        return {
            "arn": request.arn("ec2", f"vpc/{request.id}"),
            "assignGeneratedIpv6CidrBlock": False,
            "defaultNetworkAclId": request.ec2_id("acl"),
            "defaultRouteTableId": request.ec2_id("rtb"),
            "defaultSecurityGroupId": request.ec2_id("sg"),
            "dhcpOptionsId": "dopt-0sandbox000000000",
            "ipv6AssociationId": "",
            "mainRouteTableId": request.ec2_id("rtb"),
            "ownerId": ACCOUNT,
        }


class Subnet(AwsType):
    """`ec2.Subnet`."""

    token = SUBNET
    required = ("vpcId",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "mapPublicIpOnLaunch": False,
        "assignIpv6AddressOnCreation": False,
    }
    replace_on = frozenset(
        {"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "ipv6Native", "outpostArn", "region"}
    )
    blockers = (
        NETWORK_INTERFACE,
        "aws:autoscaling/group:Group",
        "aws:ec2/instance:Instance",
        "aws:ec2/natGateway:NatGateway",
        "aws:lb/loadBalancer:LoadBalancer",
    )
    not_deletable = (
        "deleting: api error DependencyViolation: The subnet '{id}' has dependencies and cannot be deleted."
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`subnet-…`."""
        return request.ec2_id("subnet")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """The address block is one."""
        yield from network_problem(inputs, "cidrBlock")

    def refuse(self, request: AwsRequest) -> None:
        """Outside the VPC, over another subnet, in an unknown zone."""
        vpc = self.existing(VPC, request.inputs["vpcId"], NO_SUCH_VPC)
        block = request.inputs.get("cidrBlock")
        if block is None or not inside(block, vpc.inputs["cidrBlock"]):
            raise Refused(
                f"creating EC2 Subnet: api error InvalidSubnet.Range: The CIDR '{block}' is invalid."
            )
        for other in self.registry.of_type(self.token):
            if (
                other.id != request.id
                and other.inputs["vpcId"] == vpc.id
                and overlap(block, other.inputs["cidrBlock"])
            ):
                raise Refused(
                    f"creating EC2 Subnet: api error InvalidSubnet.Conflict: The CIDR '{block}' conflicts "
                    "with another "
                    "subnet"
                )
        zone, zones = request.inputs.get("availabilityZone"), zone_names(request.region)
        if zone is not None and zone not in zones:
            raise Refused(
                f"creating EC2 Subnet: api error InvalidParameterValue: Value ({zone}) for parameter "
                "availabilityZone "
                "is invalid. Subnets can currently only be created in the following availability zones: "
                f"{', '.join(zones)}."
            )

    def computed(self, request: AwsRequest) -> Properties:
        """Zone and ARN."""
        zone = given(request.inputs, "availabilityZone", zone_names(request.region)[0])
        return {
            "arn": request.arn("ec2", f"subnet/{request.id}"),
            "availabilityZone": zone,
            "availabilityZoneId": zone_id(zone) if known(zone) else zone,
            "ipv6CidrBlockAssociationId": "",
            "ownerId": ACCOUNT,
            "privateDnsHostnameTypeOnLaunch": given(
                request.inputs, "privateDnsHostnameTypeOnLaunch", "ip-name"
            ),
        }


class InternetGateway(AwsType):
    """`ec2.InternetGateway`."""

    token = INTERNET_GATEWAY
    replace_on = frozenset({"region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """`igw-…`."""
        return request.ec2_id("igw")

    def refuse(self, request: AwsRequest) -> None:
        """A VPC has one at most."""
        vpc = request.inputs.get("vpcId")
        if vpc is None:
            return
        self.existing(VPC, vpc, NO_SUCH_VPC)
        other = self.registry.holding(vpc, self.token)
        if other is not None and other.id != request.id:
            raise Refused(
                f"attaching EC2 Internet Gateway: api error Resource.AlreadyAssociated: Network {vpc} "
                "already has an "
                "internet gateway attached"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and owner."""
        return {"arn": request.arn("ec2", f"internet-gateway/{request.id}"), "ownerId": ACCOUNT}


class Eip(AwsType):
    """`ec2.Eip`; its address is one of those kept for documentation (RFC 5737)."""

    token = "aws:ec2/eip:Eip"
    defaults: ClassVar[Mapping[str, Any]] = {"domain": "vpc"}
    replace_on = frozenset(
        {
            "address",
            "customerOwnedIpv4Pool",
            "domain",
            "ipamPoolId",
            "networkBorderGroup",
            "publicIpv4Pool",
            "region",
        }
    )
    blockers = ("aws:ec2/natGateway:NatGateway",)
    not_deletable = "releasing EC2 EIP ({id}): api error InvalidIPAddress.InUse: The address is in use."

    def resource_id(self, request: AwsRequest) -> Any:
        """`eipalloc-…`."""
        return request.ec2_id("eipalloc")

    def computed(self, request: AwsRequest) -> Properties:
        """The address."""
        address = f"203.0.113.{1 + request.number('address', 254)}"
        return {
            "allocationId": request.id,
            "arn": request.arn("ec2", f"elastic-ip/{request.id}"),
            "networkBorderGroup": given(request.inputs, "networkBorderGroup", request.region),
            "publicDns": f"ec2-{address.replace('.', '-')}.{request.region}.compute.amazonaws.com",
            "publicIp": address,
            "publicIpv4Pool": given(request.inputs, "publicIpv4Pool", "amazon"),
        }


class NatGateway(AwsType):
    """`ec2.NatGateway`."""

    token = "aws:ec2/natGateway:NatGateway"
    defaults: ClassVar[Mapping[str, Any]] = {"connectivityType": "public"}
    replace_on = frozenset({"allocationId", "connectivityType", "privateIp", "subnetId", "vpcId", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """`nat-…`."""
        return request.ec2_id("nat")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """A public one needs an address."""
        yield from choice_problem(inputs, "connectivityType", ("public", "private"))
        if inputs.get("connectivityType") == "private" and inputs.get("allocationId") is not None:
            yield Failure(
                "allocationId", '`allocation_id` is not supported with connectivity_type = "private"'
            )

    def refuse(self, request: AwsRequest) -> None:
        """Unknown subnet or address."""
        self.existing(SUBNET, request.inputs.get("subnetId"), NO_SUCH_SUBNET)
        if request.inputs["connectivityType"] == "public":
            refusal = (
                "creating EC2 NAT Gateway: api error InvalidAllocationID.NotFound: The "
                "allocation ID '{id}' does not "
                "exist"
            )
            self.existing(Eip.token, request.inputs.get("allocationId"), refusal)

    def computed(self, request: AwsRequest) -> Properties:
        """Its interface and addresses."""
        address = (
            self.registry.get(Eip.token, request.inputs.get("allocationId"))
            if known(request.inputs.get("allocationId"))
            else None
        )
        return {
            "associationId": request.ec2_id("eipassoc"),
            "networkInterfaceId": request.ec2_id("eni"),
            "publicIp": address.outputs.get("publicIp") if address is not None else None,
        }


class VpcEndpoint(AwsType):
    """`ec2.VpcEndpoint`."""

    token = "aws:ec2/vpcEndpoint:VpcEndpoint"
    required = ("vpcId",)
    defaults: ClassVar[Mapping[str, Any]] = {"vpcEndpointType": "Gateway"}
    replace_on = frozenset(
        {
            "serviceName",
            "vpcId",
            "vpcEndpointType",
            "resourceConfigurationArn",
            "serviceNetworkArn",
            "serviceRegion",
            "region",
        }
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`vpce-…`."""
        return request.ec2_id("vpce")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known kinds."""
        kinds = ("Gateway", "GatewayLoadBalancer", "Interface", "Resource", "ServiceNetwork")
        yield from choice_problem(inputs, "vpcEndpointType", kinds)

    def refuse(self, request: AwsRequest) -> None:
        """Unknown VPC or service; gateways exist for two services."""
        self.existing(VPC, request.inputs["vpcId"], NO_SUCH_VPC)
        service = str(request.inputs.get("serviceName"))
        gateways = tuple(f"com.amazonaws.{request.region}.{name}" for name in ("s3", "dynamodb"))
        if not service.startswith(f"com.amazonaws.{request.region}.") or (
            request.inputs["vpcEndpointType"] == "Gateway" and service not in gateways
        ):
            raise Refused(
                "creating EC2 VPC Endpoint: api error InvalidServiceName: The Vpc Endpoint Service "
                f"'{service}' does not exist"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """State, prefix list and default policy."""
        is_gateway = request.inputs["vpcEndpointType"] == "Gateway"
        return {
            "arn": request.arn("ec2", f"vpc-endpoint/{request.id}"),
            "ownerId": ACCOUNT,
            "policy": given(
                request.inputs,
                "policy",
                '{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}],"Version":"2008-10-17"}',
            ),
            "prefixListId": request.ec2_id("pl") if is_gateway else "",
            "privateDnsEnabled": given(request.inputs, "privateDnsEnabled", False),
            "requesterManaged": False,
            "state": "available",
        }


class FlowLog(AwsType):
    """`ec2.FlowLog`; nothing flows."""

    token = "aws:ec2/flowLog:FlowLog"
    defaults: ClassVar[Mapping[str, Any]] = {
        "logDestinationType": "cloud-watch-logs",
        "maxAggregationInterval": 600,
    }
    replace_on = frozenset(
        {
            "deliverCrossAccountRole", "destinationOptions", "eniId", "iamRoleArn", "logDestination",
            "logDestinationType", "logFormat", "maxAggregationInterval", "region", "subnetId", "trafficType",
            "transitGatewayAttachmentId", "transitGatewayId", "vpcId",
        }
    )  # fmt: skip

    def resource_id(self, request: AwsRequest) -> Any:
        """`fl-…`."""
        return request.ec2_id("fl")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Exactly one source."""
        sources = (
            "eniId",
            "subnetId",
            "transitGatewayAttachmentId",
            "transitGatewayId",
            "vpcId",
            "regionalNatGatewayId",
        )
        if sum(inputs.get(name) is not None for name in sources) != 1:
            yield Failure("vpcId", f"one of `{','.join(sources)}` must be specified")
        yield from choice_problem(inputs, "maxAggregationInterval", (60, 600))
        yield from choice_problem(inputs, "trafficType", ("ACCEPT", "REJECT", "ALL"))

    def refuse(self, request: AwsRequest) -> None:
        """Unknown VPC."""
        if request.inputs.get("vpcId") is not None:
            self.existing(VPC, request.inputs["vpcId"], NO_SUCH_VPC)

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and format."""
        return {
            "arn": request.arn("ec2", text("vpc-flow-log/", request.id)),
            "logFormat": given(request.inputs, "logFormat", _LOG_FORMAT),
        }
