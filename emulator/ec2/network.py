"""VPC, subnets, gateways, endpoints and flow logs. Recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known
from emulator.core.checks import one_of
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import cidr_block, inside, overlap
from emulator.ec2.zones import zone_id, zone_names
from emulator.endpoint.credentials import ACCOUNT

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
EIP = "aws:ec2/eip:Eip"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
NETWORK_INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
_LOG_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} "
    "${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)
_ENDPOINT_POLICY = (
    '{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}],"Version":"2008-10-17"}'
)
_NO_SUCH_ALLOCATION = (
    "creating EC2 NAT Gateway: api error InvalidAllocationID.NotFound: "
    "The allocation ID '{id}' does not exist"
)
NO_SUCH_VPC = "creating: api error InvalidVpcID.NotFound: The vpc ID '{id}' does not exist"
NO_SUCH_SUBNET = "creating: api error InvalidSubnetID.NotFound: The subnet ID '{id}' does not exist"
NO_SUCH_GROUP = "creating: api error InvalidGroup.NotFound: The security group '{id}' does not exist"


class Vpc(AwsType):
    """`ec2.Vpc`."""

    token = VPC
    id_prefix = "vpc"
    arn_format = ("ec2", "vpc/{id}")
    defaults: ClassVar[Mapping[str, Any]] = {"enableDnsSupport": True, "instanceTenancy": "default"}
    at_least_one = (("cidrBlock", "ipv4IpamPoolId"),)
    checks: ClassVar = {"cidrBlock": (cidr_block(),), "instanceTenancy": (one_of("default", "dedicated"),)}
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "assignGeneratedIpv6CidrBlock": False,
        "dhcpOptionsId": "dopt-0sandbox000000000",
        "ipv6AssociationId": "",
        "ownerId": ACCOUNT,
    }
    replace_on = ("cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength")
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

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        prefix = str(inputs.get("cidrBlock")).rpartition("/")[2]
        if prefix.isdecimal() and not 16 <= int(prefix) <= 28:
            block = inputs["cidrBlock"]
            reason = f"InvalidVpc.Range: The CIDR '{block}' is invalid; /16 to /28 are allowed"
            yield Failure("cidrBlock", reason)

    def computed(self, request: AwsRequest) -> Properties:
        return {
            "defaultNetworkAclId": request.ec2_id("acl"),
            "defaultRouteTableId": request.ec2_id("rtb"),
            "defaultSecurityGroupId": request.ec2_id("sg"),
            "mainRouteTableId": request.ec2_id("rtb"),
        }


class Subnet(AwsType):
    """`ec2.Subnet`."""

    token = SUBNET
    id_prefix = "subnet"
    arn_format = ("ec2", "subnet/{id}")
    required = ("vpcId",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "mapPublicIpOnLaunch": False,
        "assignIpv6AddressOnCreation": False,
    }
    checks: ClassVar = {"cidrBlock": (cidr_block(),)}
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "ipv6CidrBlockAssociationId": "",
        "ownerId": ACCOUNT,
        "privateDnsHostnameTypeOnLaunch": "ip-name",
    }
    replace_on = ("vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "ipv6Native", "outpostArn")
    blockers = (
        NETWORK_INTERFACE,
        "aws:autoscaling/group:Group",
        "aws:ec2/instance:Instance",
        NAT_GATEWAY,
        "aws:lb/loadBalancer:LoadBalancer",
    )
    not_deletable = (
        "deleting: api error DependencyViolation: The subnet '{id}' has dependencies and cannot be deleted."
    )

    def refuse(self, request: AwsRequest) -> None:
        verb = "creating EC2 Subnet: api error"
        vpc = self.existing(VPC, request.inputs["vpcId"], NO_SUCH_VPC)
        block = request.inputs.get("cidrBlock")
        if block is None or not inside(block, vpc.inputs["cidrBlock"]):
            raise Refused(f"{verb} InvalidSubnet.Range: The CIDR '{block}' is invalid.")
        for other in self.others(request):
            if other.inputs["vpcId"] == vpc.id and overlap(block, other.inputs["cidrBlock"]):
                raise Refused(
                    f"{verb} InvalidSubnet.Conflict: The CIDR '{block}' conflicts with another subnet"
                )
        zone, zones = request.inputs.get("availabilityZone"), zone_names(request.region)
        if zone is not None and zone not in zones:
            raise Refused(
                f"{verb} InvalidParameterValue: Value ({zone}) for parameter availabilityZone is invalid. "
                "Subnets can currently only be created in the following availability zones: "
                f"{', '.join(zones)}."
            )

    def computed(self, request: AwsRequest) -> Properties:
        zone = given(request.inputs, "availabilityZone", zone_names(request.region)[0])
        return {"availabilityZone": zone, "availabilityZoneId": zone_id(zone) if known(zone) else zone}


class InternetGateway(AwsType):
    """`ec2.InternetGateway`."""

    token = INTERNET_GATEWAY
    id_prefix = "igw"
    arn_format = ("ec2", "internet-gateway/{id}")
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {"ownerId": ACCOUNT}

    def refuse(self, request: AwsRequest) -> None:
        vpc = request.inputs.get("vpcId")
        if vpc is not None and any(other.holds(vpc) for other in self.others(request)):
            raise Refused(
                f"attaching EC2 Internet Gateway: api error Resource.AlreadyAssociated: Network {vpc} "
                "already has an internet gateway attached"
            )


class Eip(AwsType):
    """`ec2.Eip`; its address is one of those kept for documentation (RFC 5737)."""

    token = EIP
    id_prefix = "eipalloc"
    arn_format = ("ec2", "elastic-ip/{id}")
    defaults: ClassVar[Mapping[str, Any]] = {"domain": "vpc"}
    output_defaults: ClassVar[Mapping[str, Any]] = {"publicIpv4Pool": "amazon"}
    replace_on = (
        "address", "customerOwnedIpv4Pool", "domain", "ipamPoolId", "networkBorderGroup", "publicIpv4Pool",
    )  # fmt: skip
    blockers = (NAT_GATEWAY,)
    not_deletable = "releasing EC2 EIP ({id}): api error InvalidIPAddress.InUse: The address is in use."

    def computed(self, request: AwsRequest) -> Properties:
        address = f"203.0.113.{1 + request.number('address', 254)}"
        return {
            "allocationId": request.id,
            "networkBorderGroup": given(request.inputs, "networkBorderGroup", request.region),
            "publicDns": f"ec2-{address.replace('.', '-')}.{request.region}.compute.amazonaws.com",
            "publicIp": address,
        }


class NatGateway(AwsType):
    """`ec2.NatGateway`."""

    token = NAT_GATEWAY
    id_prefix = "nat"
    defaults: ClassVar[Mapping[str, Any]] = {"connectivityType": "public"}
    checks: ClassVar = {"connectivityType": (one_of("public", "private"),)}
    replace_on = ("allocationId", "connectivityType", "privateIp", "subnetId", "vpcId")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        if inputs.get("connectivityType") == "private" and inputs.get("allocationId") is not None:
            reason = '`allocation_id` is not supported with connectivity_type = "private"'
            yield Failure("allocationId", reason)

    def refuse(self, request: AwsRequest) -> None:
        self.existing(SUBNET, request.inputs.get("subnetId"), NO_SUCH_SUBNET)
        if request.inputs["connectivityType"] == "public":
            self.existing(EIP, request.inputs.get("allocationId"), _NO_SUCH_ALLOCATION)

    def computed(self, request: AwsRequest) -> Properties:
        address = self.registry.get(EIP, request.inputs.get("allocationId"))
        return {
            "associationId": request.ec2_id("eipassoc"),
            "networkInterfaceId": request.ec2_id("eni"),
            "publicIp": address.outputs.get("publicIp") if address is not None else None,
        }


class VpcEndpoint(AwsType):
    """`ec2.VpcEndpoint`."""

    token = "aws:ec2/vpcEndpoint:VpcEndpoint"
    id_prefix = "vpce"
    arn_format = ("ec2", "vpc-endpoint/{id}")
    required = ("vpcId",)
    defaults: ClassVar[Mapping[str, Any]] = {"vpcEndpointType": "Gateway"}
    checks: ClassVar = {
        "vpcEndpointType": (
            one_of("Gateway", "GatewayLoadBalancer", "Interface", "Resource", "ServiceNetwork"),
        )
    }
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "ownerId": ACCOUNT,
        "policy": _ENDPOINT_POLICY,
        "privateDnsEnabled": False,
        "requesterManaged": False,
        "state": "available",
    }
    replace_on = (
        "serviceName", "vpcId", "vpcEndpointType", "resourceConfigurationArn", "serviceNetworkArn",
        "serviceRegion",
    )  # fmt: skip

    def refuse(self, request: AwsRequest) -> None:
        # Gateways exist for two services.
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
        is_gateway = request.inputs["vpcEndpointType"] == "Gateway"
        return {"prefixListId": request.ec2_id("pl") if is_gateway else ""}


class FlowLog(AwsType):
    """`ec2.FlowLog`; there is no traffic to log."""

    token = "aws:ec2/flowLog:FlowLog"
    id_prefix = "fl"
    arn_format = ("ec2", "vpc-flow-log/{id}")
    defaults: ClassVar[Mapping[str, Any]] = {
        "logDestinationType": "cloud-watch-logs",
        "maxAggregationInterval": 600,
    }
    exactly_one = (
        (
            "vpcId", "eniId", "subnetId", "transitGatewayAttachmentId", "transitGatewayId",
            "regionalNatGatewayId",
        ),
    )  # fmt: skip
    checks: ClassVar = {
        "maxAggregationInterval": (one_of(60, 600),),
        "trafficType": (one_of("ACCEPT", "REJECT", "ALL"),),
    }
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {"logFormat": _LOG_FORMAT}
    replace_on = (
        "deliverCrossAccountRole", "destinationOptions", "eniId", "iamRoleArn", "logDestination",
        "logDestinationType", "logFormat", "maxAggregationInterval", "subnetId", "trafficType",
        "transitGatewayAttachmentId", "transitGatewayId", "vpcId",
    )  # fmt: skip
